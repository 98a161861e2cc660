"""A study of classes from manifest to report: every file, twice the same; a shift noticed, and mended if asked."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from simulated import SIDE, columns_cohort, mixed_cohort, picture_cohort
from typer.testing import CliRunner

from osler.cli import app
from osler.cohort.tables import read_cohort
from osler.config import DiagnosisConfig
from osler.diagnosis.division import divide, predictors
from osler.diagnosis.prior_shift import rescale
from osler.diagnosis.store import load_classifier
from osler.diagnosis.study import DiagnosisStudy
from osler.errors import UsageError

MANIFEST = f"""\
[cohort]
name = "Simulated <films>"
patient_id = "image"
[record]
table = "films.npz"
variables = [{{ name = "split", type = "category", levels = ["train", "val", "test"] }}]
[images]
name = "film"
archive = "films.npz"
size = [{SIDE}, {SIDE}]
[outcome]
kind = "class"
name = "lesion"
event = "label"
levels = {{ 0 = "none", 1 = "lesion" }}
[diagnosis]
split_by = "split"
replicates = 50
settings = {{ network = {{ members = 2, epochs = 15 }}, boosted = {{ rounds = 30 }} }}
"""


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """An archive whose test part has a third of lesions, and its training parts three quarters."""
    path = tmp_path_factory.mktemp("films")
    arrays = {}
    for part, n, seed, share in (("train", 180, 1, 0.75), ("val", 40, 2, 0.75), ("test", 240, 3, 0.3)):
        cohort = picture_cohort(n, seed, share)
        arrays[f"{part}_images"] = (255 * cohort.images["scan"].values[:, 0]).round().astype(np.uint8)
        arrays[f"{part}_labels"] = cohort.diagnosis.label[:, None].astype(np.uint8)
    np.savez(path / "films.npz", **arrays)
    (path / "cohort.toml").write_text(MANIFEST)
    return path


@pytest.fixture(scope="module")
def study(films):
    cohort = read_cohort(films)
    return DiagnosisStudy(cohort, folder=films / "out", prior_shift=True, saliency=3, workers=1).run()


def test_every_file_is_written(study):
    names = {path.name for path in study.folder.iterdir()}
    tables = ("metrics", "differences", "calibration", "smooth", "confusion", "predictions")
    assert {f"{name}.parquet" for name in tables} | {"report.html", "model.osler", "run.json"} <= names
    run = json.loads((study.folder / "run.json").read_text())
    assert run["chosen"] == study.choice.model
    assert "220 patients of train, val" in run["division"]
    predictions = pd.read_parquet(study.folder / "predictions.parquet")
    sums = predictions.groupby(["model", "patient"])["probability"].sum()
    np.testing.assert_allclose(sums, 1.0)
    assert len(sums) == 240 * len(study.labels)
    assert not predictions["patient"].str.contains("test|train").any()


def test_the_shift_is_noticed_without_labels_and_correcting_it_helps(study):
    found = study.shift.estimates["network"]
    assert found.noticed
    observed = study.shift.observed[1]
    assert abs(found.training[1] - 0.75) < 0.05
    assert abs(found.shares[1] - observed) < 0.4 * abs(found.training[1] - observed)
    d = study.evaluation.differences
    gap = d.query("model == 'network:corrected' and versus == 'network' and measure == 'brier'").iloc[0]
    assert gap["value"] < 0
    before, after = (
        study.evaluation.value(name, "observed_expected", "lesion")["value"]
        for name in ("network", "network:corrected")
    )
    assert abs(np.log(after)) < abs(np.log(before))


def test_the_network_beats_what_cannot_look_about(study):
    auc = {name: study.evaluation.value(name, "auc")["value"] for name in ("shares", "logistic", "network")}
    assert auc["shares"] == 0.5
    assert auc["network"] > auc["logistic"] + 0.1
    assert "is better than logistic regression" in study.run["verdict"]


def test_the_page_tells_everything_and_asks_for_nothing(study):
    page = study.report.read_text().split("<script")[0]
    for words in (
        "AUC",
        "What is taken for what",
        "Calibration",
        "The class shares have shifted",
        "integrated gradients",
    ):
        assert words in page
    assert "Simulated &lt;films&gt;" in page
    assert "Simulated <films>" not in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "train-0" not in page
    assert page.count("data:image/png") == 6


def test_saliency_lies_on_the_lesion(study):
    picture = study.pictures[-1]
    assert picture.observed == "lesion"
    bright = picture.pixels[0] > np.quantile(picture.pixels[0], 0.96)
    assert picture.weight[bright].mean() > 5 * abs(picture.weight[~bright].mean())


def test_the_same_study_gives_the_same_bytes_and_takes_up_its_fits(study, films):
    told = []
    cohort = read_cohort(films)
    again = DiagnosisStudy(
        cohort,
        folder=films / "out",
        prior_shift=True,
        saliency=3,
        workers=1,
        progress=lambda what, done, total: told.append(what),
    )
    before = study.report.read_bytes(), study.model.read_bytes()
    assert (again.run().report.read_bytes(), study.model.read_bytes()) == before
    assert "classifiers on training parts" not in told


def test_the_model_is_the_one_that_was_judged(study, films):
    cohort = read_cohort(films)
    model = load_classifier(study.model)
    test = cohort.subset((cohort.record["split"] == "test").to_numpy())
    shown = study.predictions.query("model == @study.choice.model and `class` == 'lesion'").set_index("patient")
    np.testing.assert_array_equal(model.predict(test).of("lesion"), shown.loc[test.pseudonyms, "probability"])


def test_classes_of_the_tested_change_no_prediction(films, study):
    from dataclasses import replace

    cohort = read_cohort(films)
    told, test = cohort.diagnosis, (cohort.record["split"] == "test").to_numpy()
    label = np.where(test, np.roll(told.label, 7), told.label)
    turned = replace(cohort, diagnosis=type(told)(told.name, told.classes, label, told.positive))
    config = cohort.question.model_copy(update={"models": ("logistic",)})
    other = DiagnosisStudy(turned, config, folder=films / "turned", workers=1).run()
    mine = study.predictions.query("model == 'logistic'")["probability"].to_numpy()
    np.testing.assert_array_equal(other.predictions["probability"], mine)
    assert other.shift.source == ""


def test_folds_hold_everybody_once_and_classes_evenly():
    cohort, _ = columns_cohort(103, 1, 3)
    division = divide(cohort, DiagnosisConfig(folds=4, repeats=2))
    for r in range(2):
        parts = [split for split in division.splits if split.repeat == r]
        assert sorted(np.concatenate([split.test for split in parts])) == list(range(103))
        assert all(not set(split.train) & set(split.test) for split in parts)
        counts = [np.bincount(cohort.diagnosis.label[split.test], minlength=3) for split in parts]
        assert np.ptp(counts, axis=0).max() <= 1
    assert not np.array_equal(*division.folds)


def test_the_variable_of_the_division_is_no_predictor(study, films):
    cohort = read_cohort(films)
    assert "split" not in predictors(cohort, cohort.question).variables
    assert "split" not in load_classifier(study.model).schema_.to_json()["record"]


def test_a_study_in_folds_with_given_shares(tmp_path):
    cohort = mixed_cohort(160, 3)
    config = DiagnosisConfig(folds=2, models=("shares", "logistic"), replicates=50)
    shares = {"class 0": 0.9, "class 1": 0.1}
    result = DiagnosisStudy(cohort, config, folder=tmp_path, shares=shares, workers=1).run()
    assert result.shift.source == "given"
    assert set(result.labels) == {"shares", "logistic", "shares:corrected", "logistic:corrected"}
    p = result.predictions.query("`class` == 'class 1'").groupby("model")["probability"].mean()
    assert p["logistic:corrected"] < p["logistic"] - 0.15
    np.testing.assert_allclose(p["shares:corrected"], 0.1, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "config", "what"),
    [
        ({"prior_shift": True}, {}, "no shift to correct"),
        ({"shares": {"class 0": 1.0}}, {}, "each class"),
        ({"saliency": 2}, {"models": ("logistic",)}, "saliency is of the network"),
        ({}, {"split_by": "a"}, "no category"),
        ({}, {"split_by": "site", "test": ("z",)}, "no label of"),
        ({}, {"folds": 50}, "too few for 50 folds"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, options, config, what):
    cohort, _ = columns_cohort(60, 1)
    asked = DiagnosisConfig(**{"models": ("shares",), "replicates": 50, "folds": 2, **config})
    with pytest.raises(UsageError, match=what):
        DiagnosisStudy(cohort, asked, folder=tmp_path, workers=1, **options).run()


def test_the_command_line_runs_a_study_and_refuses_what_is_none(films, tmp_path):
    run = CliRunner().invoke
    out = tmp_path / "out"
    asked = ["diagnose", str(films), "--out", str(out), "--models", "shares,logistic", "--workers", "1"]
    done = run(app, asked)
    assert done.exit_code == 0, done.output
    assert "AUC" in done.output
    assert (out / "report.html").exists()
    refused = run(app, [*asked, "--shares", "nonsense"])
    assert isinstance(refused.exception, UsageError)
    assert isinstance(run(app, ["run", str(films), "--out", str(tmp_path / "x")]).exception, UsageError)


def test_a_stored_classifier_classifies_new_patients_and_notices_their_shares(films, study, tmp_path):
    run, out = CliRunner().invoke, tmp_path / "p.csv"
    done = run(app, ["classify", str(study.model), str(films), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "Nothing was corrected" in done.output
    table = pd.read_csv(out)
    shown = study.predictions.query("model == @study.choice.model").set_index(["patient", "class"])["probability"]
    mine = table.set_index(["patient", "class"])["probability"].loc[shown.index]
    np.testing.assert_allclose(mine, shown, rtol=1e-12)
    corrected = tmp_path / "q.parquet"
    asked = ["classify", str(study.model), str(films), "--out", str(corrected), "--shares", "none=0.95,lesion=0.05"]
    assert run(app, asked).exit_code == 0
    lesion = pd.read_parquet(corrected).query("`class` == 'lesion'")["probability"]
    assert (lesion.to_numpy() < table.query("`class` == 'lesion'")["probability"]).all()
    expected = rescale(table["probability"].to_numpy().reshape(-1, 2), study_shares(study), [0.95, 0.05])
    np.testing.assert_allclose(lesion, expected[:, 1], rtol=1e-6)
    assert isinstance(run(app, [*asked[:4], str(tmp_path / "x.txt")]).exception, UsageError)


def study_shares(study):
    return load_classifier(study.model).shares_


def test_pictures_on_both_sides_of_the_division_are_noticed(films, study):
    assert study.twins == 0
    assert study.apart is None
    path = films / "twins"
    path.mkdir()
    arrays = dict(np.load(films / "films.npz", allow_pickle=False))
    arrays["test_images"] = arrays["test_images"].copy()
    arrays["test_images"][:30] = arrays["train_images"][:30]  # the same, a little darker
    arrays["test_images"][:30] = (arrays["test_images"][:30] * 0.9).astype(np.uint8)
    np.savez(path / "films.npz", **arrays)
    (path / "cohort.toml").write_text(MANIFEST)
    cohort = read_cohort(path)
    config = cohort.question.model_copy(update={"models": ("logistic",)})
    result = DiagnosisStudy(cohort, config, folder=path / "out", workers=1).run()
    assert result.twins == 30
    assert result.apart.metrics["n"].eq(210).all()
    assert "30 of the 240 patients judged have a picture" in result.report.read_text()
