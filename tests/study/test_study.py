import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohorts import YEAR, make_cohort
from osler.cohort.outcome import Outcome
from osler.cohort.split import splits
from osler.config import StudyConfig, Subgroup, Tuning
from osler.errors import UsageError
from osler.fitting import Variant, fold_key
from osler.study import Study

CONFIG = StudyConfig(
    landmarks=("0y", "1y"),
    horizons=("2y", "4y"),
    models=("reference", "cox"),
    folds=3,
    settings={"cox": {}},
    added_value=(),
)


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(150, seed=5, genes=0, image_size=None, embedding=None)


@pytest.fixture(scope="module")
def finished(cohort, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return Study(cohort, CONFIG, folder=folder, workers=1).run()


def test_it_writes_what_it_promises(finished):
    written = {path.name for path in finished.folder.iterdir()}
    names = ("metrics", "differences", "calibration", "smooth", "decision", "decision_differences")
    names += ("overall", "overall_differences", "importance", "agreement")
    tables = {f"{name}.{end}" for name in names for end in ("parquet", "csv")}
    assert written == {*tables, "predictions.parquet", "report.html", "model.osler", "run.json", "cache"}


def test_no_identifier_leaves(finished, cohort):
    identifiers = [identifier.encode() for identifier in cohort.patients]
    for path in finished.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(identifier in content for identifier in identifiers), path.name
    stored = pd.read_parquet(finished.folder / "predictions.parquet")["patient"]
    assert set(stored) <= set(cohort.pseudonyms)


def test_every_patient_at_risk_has_one_out_of_fold_risk_per_cell(finished, cohort):
    predictions = finished.predictions
    keys = ["patient", "model", "repeat", "landmark_days", "horizon_days", "cause"]
    assert not predictions.duplicated(keys).any()
    at_risk = [(cohort.outcome.time > landmark).sum() for landmark in CONFIG.landmarks]
    assert len(predictions) == sum(at_risk) * 2 * 2 * 2
    assert predictions["risk"].between(0, 1).all()


def test_metrics_hold_every_cell_with_an_interval(finished):
    cells = finished.metrics.set_index(["model", "landmark", "horizon", "measure"])
    for model in CONFIG.models:
        for landmark in CONFIG.landmarks:
            for horizon in CONFIG.horizons:
                row = cells.loc[(model, landmark, horizon, "brier")]
                assert row["lower"] < row["value"] < row["upper"]
    assert cells.loc[("reference", 0.0, 2 * YEAR, "auc"), "value"] == pytest.approx(0.5)


def test_it_tells_what_its_models_rely_on(finished):
    table, agreement = finished.importance["importance"], finished.importance["agreement"]
    assert set(table["model"]) == {"cox"}
    assert (table["patients"] == 30).all()
    assert (table["landmark"] == YEAR).all()
    assert table["value"].max() > 0.01
    assert agreement["by_patient"].between(0, 1).all()
    assert agreement["folds"].tolist() == [3]
    assert "What the models rely on" in finished.report.read_text(encoding="utf-8")


def test_a_second_run_computes_nothing_and_writes_the_same_bytes(finished, cohort):
    before = {path: path.read_bytes() for path in finished.folder.rglob("*") if path.is_file()}
    stamps = {path: path.stat().st_mtime_ns for path in (finished.folder / "cache").rglob("*.*")}
    Study(cohort, CONFIG, folder=finished.folder, workers=1).run()
    assert {path: path.stat().st_mtime_ns for path in (finished.folder / "cache").rglob("*.*")} == stamps
    after = {path: path.read_bytes() for path in finished.folder.rglob("*") if path.is_file()}
    assert [path.name for path in before if before[path] != after[path]] == []


def test_a_killed_run_goes_on_where_it_was(finished, cohort, tmp_path):
    done = sorted((finished.folder / "cache").rglob("*.npz"))[:4]
    cache = tmp_path / "cache" / done[0].parent.name
    cache.mkdir(parents=True)
    (cache.parent / "made-by-other-code").mkdir()
    for path in done:
        (cache / path.name).write_bytes(path.read_bytes())
    told = []
    result = Study(cohort, CONFIG, folder=tmp_path, workers=1, progress=lambda *step: told.append(step)).run()
    assert told[0] == ("cross-validation", 4, 6)
    pd.testing.assert_frame_equal(result.metrics, finished.metrics)
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


def test_a_changed_input_or_setting_is_computed_anew(cohort):
    def key(cohort, config):
        return fold_key(cohort, config, Variant("cox"), splits(cohort, config)[0])

    first = key(cohort, CONFIG)
    changed = cohort.record.copy()
    changed.loc[0, "smoker"] = 1 - changed.loc[0, "smoker"]
    assert key(replace(cohort, record=changed), CONFIG) != first
    for other in (
        CONFIG.model_copy(update={"seed": 1}),
        CONFIG.model_copy(update={"folds": 4}),
        CONFIG.model_copy(update={"horizons": (YEAR,)}),
        CONFIG.model_copy(update={"settings": {"cox": {"penalty": 1.0}}}),
        CONFIG.model_copy(update={"tuning": Tuning(trials=2)}),
    ):
        assert key(cohort, other) != first
    assert key(cohort, CONFIG.model_copy(update={"models": ("cox",)})) == first
    assert key(cohort, CONFIG.model_copy(update={"tuning": Tuning(trials=2, models=("aft",))})) == first
    split = splits(cohort, CONFIG)[0]
    assert fold_key(cohort, CONFIG, Variant("cox", ("record",)), split) != first


def test_a_held_out_patients_own_outcome_does_not_move_their_prediction(finished, cohort, tmp_path):
    # Folds depend on outcomes, so one patient's event time moves within its own fold only when its rank stays.
    time = cohort.outcome.time.copy()
    longest = int(np.argmax(np.where(cohort.outcome.event == 1, time, -1)))
    time[longest] += 5.0
    moved = replace(cohort, outcome=Outcome(time, cohort.outcome.event, cohort.outcome.causes))
    again = Study(moved, CONFIG, folder=tmp_path, workers=1).run()
    theirs = [
        result.predictions[result.predictions["patient"] == cohort.pseudonyms[longest]] for result in (finished, again)
    ]
    pd.testing.assert_frame_equal(*theirs)


def test_run_json_names_data_configuration_code_and_model(finished, cohort):
    run = json.loads((finished.folder / "run.json").read_text())
    assert run["data_digest"] == cohort.digest
    assert {"config_digest", "code_digest", "model_digest", "libraries", "seed", "fit_seconds"} <= set(run)


def test_patient_reports_are_spread_over_the_risks(cohort, finished):
    study = Study(cohort, CONFIG, folder=finished.folder, workers=1)
    paths = study.report_patients(finished, 2)
    assert len(paths) == 2
    assert all(path.stem in cohort.pseudonyms and path.read_text().startswith("<!") for path in paths)
    own = paths[0].with_name("notes.html")
    own.write_text("not one of ours")
    (again,) = study.report_patients(finished, 1)
    assert set(again.parent.iterdir()) == {again, own}


@pytest.mark.parametrize("case", ["no outcome", "no study", "too few"])
def test_what_cannot_be_studied_is_refused(cohort, case, tmp_path):
    study = {
        "no outcome": Study(replace(cohort, outcome=None), CONFIG, folder=tmp_path),
        "no study": Study(cohort, folder=tmp_path),
        "too few": Study(cohort.subset(range(5)), CONFIG, folder=tmp_path),
    }[case]
    with pytest.raises(UsageError):
        study.run()
    assert not list(tmp_path.iterdir())


def test_subgroups_may_be_of_what_visits_told_last(cohort, tmp_path):
    name = cohort.visit_variables[0].name
    config = CONFIG.model_copy(update={"models": ("reference", "cox"), "subgroups": (Subgroup(variable=name),)})
    result = Study(cohort, config, folder=tmp_path, workers=1).run()
    levels = result.frames["subgroups"]
    assert set(levels["variable"]) == {cohort.variables[name].label}
    assert levels.groupby("landmark")["level"].nunique().ge(2).all()
    one = levels.query("model == 'cox' and measure == 'brier' and horizon == @CONFIG.horizons[0]")
    at_risk = pd.Series({s: int((cohort.outcome.time > s).sum()) for s in CONFIG.landmarks})
    told = one.groupby("landmark")["n"].sum()  # of small levels, and of those that would give them away, nothing is
    assert told[0.0] == at_risk[0.0]
    assert (told <= at_risk).all()
    assert "Subgroups" in result.report.read_text()
