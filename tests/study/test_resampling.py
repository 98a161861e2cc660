import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohorts import YEAR, make_cohort
from osler.cohort.cohort import Variable
from osler.cohort.split import splits
from osler.config import StudyConfig
from osler.cross_validation import climb, cross_validate, gather, ladder
from osler.errors import UsageError
from osler.evaluation import evaluate
from osler.fitting import Variant, predictors
from osler.models import create
from osler.optimism import MEASURES, correct_optimism, draw
from osler.study import Study
from plain_cohort import plain_cohort

N = 110


@pytest.fixture(scope="module")
def cohort():
    base = make_cohort(N, seed=5, genes=0, image_size=None, embedding=None)
    rng = np.random.default_rng(1)
    variables = {
        **base.variables,
        "site": Variable("site", "Site", "category", "record", levels=("A", "B", "C")),
        "year": Variable("year", "Year of entry", "number", "record"),
    }
    site = pd.Categorical(rng.choice(list("ABC"), N), categories=list("ABC"))
    record = base.record.assign(site=site, year=rng.integers(2000, 2012, N).astype(float))
    return replace(base, record=record, variables=variables)


def asked(**changes):
    given = {
        "landmarks": ("0y", "1y"),
        "horizons": ("2y", "4y"),
        "models": ("reference", "cox"),
        "folds": 3,
        "explain": 0,
    }
    return StudyConfig(**{**given, "added_value": (), **changes})


@pytest.mark.parametrize("by", ["random", "sites", "time"])
def test_curves_are_of_the_patients_at_risk_in_the_test_parts(cohort, tmp_path, by):
    variable = {"random": None, "sites": "site", "time": "year"}[by]
    config = asked(split=by, split_by=variable)
    labels = {"nothing": Variant("reference"), "cox": Variant("cox")}
    told = []
    fitted = cross_validate(
        cohort, config, labels.values(), cache=tmp_path, workers=1, tell=lambda *step: told.append(step)
    )
    assert told[0] == ("cross-validation", 0, 6)
    assert told[-1] == ("cross-validation", 6, 6)
    curves = gather(config, fitted, labels)
    fold_of = np.full(N, -1)
    for split in splits(cohort, config):
        fold_of[split.test] = split.fold
    assert (fold_of == -1).any() == (by == "time")
    for part, landmark in zip(curves, config.landmarks, strict=True):
        expected = np.flatnonzero((cohort.outcome.time > landmark) & (fold_of >= 0))
        np.testing.assert_array_equal(part.patient, expected)
        np.testing.assert_array_equal(part.fold, fold_of[expected])
        assert list(part.incidence) == ["nothing", "cox"]
    split = splits(cohort, config)[1]
    seen = predictors(cohort, config)
    model = create("cox", config.question).fit(seen.subset(split.train))
    risk = model.predict(seen.subset(split.test), at=config.landmarks[1]).incidence
    np.testing.assert_array_equal(curves[1].incidence["cox"][curves[1].fold == 1], risk)


def test_what_patients_are_divided_by_is_no_predictor(cohort):
    for config in (asked(split="sites", split_by="site"), asked(split="time", split_by="year")):
        seen = predictors(cohort, config)
        assert set(cohort.record) - set(seen.record) == {config.split_by}
        assert [v.name for v in seen.record_variables] == list(seen.record)
    assert predictors(cohort, asked()) is cohort


def test_a_part_without_anybody_at_risk_at_a_landmark_is_predicted_for_nobody(cohort, tmp_path):
    site = np.where(cohort.outcome.time < 3 * YEAR, "A", "B")
    record = cohort.record.assign(site=pd.Categorical(site, categories=list("ABC")))
    config = asked(landmarks=("0y", "3y"), split="sites", split_by="site", models=("reference",))
    with pytest.raises(UsageError, match="none is at risk"):
        splits(replace(cohort, record=record), config.model_copy(update={"landmarks": (3 * YEAR,)}))
    part = replace(cohort, record=record)
    fitted = cross_validate(part, config, [Variant("reference")], cache=tmp_path, workers=1)
    curves = gather(config, fitted, {"reference": Variant("reference")})
    assert len(curves[0].patient) == N
    assert set(curves[1].fold) == {1}


@pytest.fixture(scope="module")
def rich():
    return make_cohort(60, seed=2, genes=4)


def test_a_ladder_adds_one_kind_of_data_after_another(rich):
    config = asked(models=("reference", "recurrent", "cox"), added_value=None)
    steps = ladder(rich, config)
    assert {step.model for step in steps} == {"recurrent"}
    assert [(step.text, step.added) for step in steps] == [
        ("record", ""),
        ("record + visits", "visits"),
        ("record + visits + genomics", "genomics"),
        ("record + visits + genomics + images", "images"),
    ]
    assert [step.variant.modalities for step in steps] == [
        ("record",),
        ("record", "visits"),
        ("record", "visits", "rna"),
        None,
    ]
    several = ladder(rich, asked(added_value=("cox", "aft")))
    assert [step.model for step in several] == ["cox"] * 4 + ["aft"] * 4


def test_only_kinds_that_are_there_are_steps(rich, cohort):
    config = asked(added_value=None)
    assert ladder(rich.without("visits", "rna", "scan", "slide"), config) == []
    assert [s.text for s in ladder(rich.without("record", "rna"), config)] == ["visits", "visits + images"]
    assert ladder(rich, asked(models=("reference",), added_value=None)) == []
    assert ladder(rich, asked(added_value=())) == []
    only_site = replace(
        cohort,
        record=cohort.record[["site"]],
        variables={k: v for k, v in cohort.variables.items() if k in (*cohort.visits, "site")},
    )
    assert ladder(only_site, asked(split="sites", split_by="site", added_value=None)) == []


def test_a_step_knows_nothing_of_what_comes_later(rich):
    config = asked()
    record = Variant("cox", ("record",)).sees(rich, config)
    assert record.modalities == ("record",)
    assert len(record.visits) == 0
    images = Variant("cox", ("record", "slide")).sees(rich, config)
    assert list(images.images) == ["slide"]
    assert len(images.visits) == len(rich.images["slide"].visit)
    np.testing.assert_array_equal(images.images["slide"].values, rich.images["slide"].values)
    assert Variant("cox").sees(rich, config) is rich


def test_the_last_step_is_the_models_own_cross_validation(cohort, tmp_path):
    config = asked(models=("cox",), added_value=None)
    steps = ladder(cohort, config)
    variants = [Variant("cox"), *(step.variant for step in steps)]
    fitted = cross_validate(cohort, config, variants, cache=tmp_path, workers=1)
    assert len(fitted) == len(list(tmp_path.iterdir())) == 6
    curves = climb(config, fitted, steps)["cox"]
    assert [list(part.incidence) for part in curves] == [["record", "record + visits"]] * 2
    own = gather(config, fitted, {"cox": Variant("cox")})
    np.testing.assert_array_equal(curves[0].incidence["record + visits"], own[0].incidence["cox"])
    config_of_record = asked(models=("cox",))
    less = replace(cohort.without("visits"), visits=cohort.visits.iloc[:0][["patient", "time"]])
    alone = cross_validate(less, config_of_record, [Variant("cox")], cache=tmp_path, workers=1)
    theirs = gather(config_of_record, alone, {"cox": Variant("cox")})
    np.testing.assert_array_equal(curves[1].incidence["record"], theirs[1].incidence["cox"])


def judged(cohort, config, model, who, i):
    landmark = config.landmarks[i]
    who = who[cohort.outcome.time[who] > landmark]
    part = cohort.subset(who)
    ahead = part.outcome.since(landmark)
    return evaluate(
        ahead.time,
        ahead.event,
        {"cox": model.predict(part, at=landmark).incidence[:, 0]},
        times=config.question.grid,
        horizons=config.horizons,
        measures=MEASURES,
    ).metrics.set_index(["horizon", "measure"])


def test_optimism_is_what_a_bootstrap_sample_flatters(cohort, tmp_path):
    config = asked(models=("cox",), bootstrap=3)
    found = correct_optimism(cohort, config, ("cox",), cache=tmp_path, workers=1)
    found = found.set_index(["landmark", "horizon", "measure"])
    everyone = np.arange(N)
    for i, landmark in enumerate(config.landmarks):
        optimism = []
        for b in range(3):
            sample = draw(N, config.seed, b)
            model = create("cox", config.question).fit(cohort.subset(sample))
            flattered, honest = (judged(cohort, config, model, who, i)["value"] for who in (sample, everyone))
            optimism.append(flattered - honest)
        apparent = judged(cohort, config, create("cox", config.question).fit(cohort), everyone, i)
        mean = pd.concat(optimism, axis=1).mean(axis=1)
        ours = found.loc[landmark].loc[apparent.index]
        np.testing.assert_allclose(ours["apparent"], apparent["value"], rtol=1e-10)
        np.testing.assert_allclose(ours["optimism"], mean.loc[apparent.index], rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(ours["corrected"], apparent["value"] - ours["optimism"], rtol=1e-10)
        np.testing.assert_allclose(ours["lower"], apparent["lower"] - ours["optimism"], rtol=1e-10)
    assert set(found.index.get_level_values("measure")) == set(MEASURES)
    assert (found.xs("auc", level="measure")["optimism"] > 0).all()


def test_a_second_correction_computes_nothing_and_more_samples_add_to_the_first(cohort, tmp_path):
    config = asked(models=("reference", "cox"), bootstrap=1)
    first = correct_optimism(cohort, config, config.models, cache=tmp_path, workers=1)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    told = []
    more = config.model_copy(update={"bootstrap": 2})
    correct_optimism(cohort, more, config.models, cache=tmp_path, workers=1, tell=lambda *step: told.append(step))
    assert told[0] == ("optimism", 4, 6)
    again = correct_optimism(cohort, config, config.models, cache=tmp_path, workers=1)
    pd.testing.assert_frame_equal(first, again)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    nothing = first[(first["model"] == "reference") & (first["measure"] == "auc")]
    np.testing.assert_allclose(nothing["apparent"], 0.5)
    np.testing.assert_allclose(nothing["optimism"], 0, atol=1e-12)


def test_noise_that_fits_the_patients_is_seen_through(tmp_path):
    rng = np.random.default_rng(0)
    noise = plain_cohort(120, 3, beta=(0.0, 0.0))
    columns = {f"x{i}": rng.normal(size=120) for i in range(12)}
    variables = {name: Variable(name, name, "number", "record") for name in columns}
    noise = replace(noise, record=pd.DataFrame(columns), variables=variables)
    config = StudyConfig(horizons=("4y",), models=("cox",), settings={"cox": {"penalty": 0.01}}, bootstrap=20)
    row = correct_optimism(noise, config, ("cox",), cache=tmp_path, workers=1).set_index("measure").loc["auc"]
    assert row["apparent"] > 0.65
    assert abs(row["corrected"] - 0.5) < 0.08


@pytest.mark.parametrize("by", ["sites", "time"])
def test_a_study_of_other_sites_or_later_years(cohort, tmp_path, by):
    config = asked(
        models=("reference", "cox"),
        split=by,
        split_by="site" if by == "sites" else "year",
        bootstrap=2,
        added_value=None,
    )
    result = Study(cohort, config, folder=tmp_path, workers=1).run()
    predicted = set(result.predictions["patient"])
    assert (len(predicted) == N) == (by == "sites")
    run = json.loads((tmp_path / "run.json").read_text())
    assert config.split_by in run["split"]
    assert run["added_value"] == {"cox": ["record", "record + visits"]}
    assert run["tuned"] == {}
    optimism = pd.read_parquet(tmp_path / "optimism.parquet")
    pd.testing.assert_frame_equal(optimism, result.optimism)
    assert (tmp_path / "optimism.csv").exists()


def test_a_tuned_study_tells_which_settings_it_kept(cohort, tmp_path):
    config = asked(models=("boosted_cox",), folds=2, tuning={"trials": 1}, settings={"boosted_cox": {"rounds": 5}})
    Study(cohort, config, folder=tmp_path, workers=1).run()
    run = json.loads((tmp_path / "run.json").read_text())
    told = run["tuned"]["boosted_cox"]
    assert [(part["repeat"], part["fold"], part["trials"]) for part in told] == [(0, 0, 2), (0, 1, 2)]
    assert all(set(part["settings"]) == {"depth", "eta"} and part["score"] <= part["own_score"] for part in told)
    assert run["settings"]["rounds"] == 5


def test_every_name_that_is_not_there_is_told_at_once(cohort, tmp_path):
    config = asked(
        split="sites",
        split_by="hospital",
        subgroups=("sexx", {"variable": "smoker", "cuts": [0.5]}, "marker"),  # a variable of visits will do here
        censoring=("weight", "marker"),
        settings={"cox": {"penality": 1.0}},
    )
    with pytest.raises(UsageError) as error:
        Study(cohort, config, folder=tmp_path).run()
    message = str(error.value)
    told = ("'hospital'", "did you mean sex", "'smoker' is a flag", "censoring: 'marker'", "'weight'", "'penality'")
    assert [part for part in told if part not in message] == []
    assert not list(tmp_path.iterdir())
