import json
from dataclasses import replace

import numpy as np
import optuna
import pytest

from cohorts import make_cohort
from osler.cohort.outcome import Outcome
from osler.cohort.split import Split, assign_folds
from osler.config import MODEL_NAMES, Question, StudyConfig, Tuning
from osler.errors import ModelError
from osler.evaluation import evaluate
from osler.fitting import Variant, fit_fold, read_fold
from osler.models import create, setting_names
from osler.tuning import Among, _Scorer, search_space, tune

CONFIG = StudyConfig(
    landmarks=("0y", "1y"), horizons=("2y", "4y", "30y"), models=("cox",), tuning=Tuning(trials=3), seed=4, explain=0
)
QUESTION = CONFIG.question


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(90, seed=5, genes=0, image_size=None, embedding=None)


@pytest.fixture
def scores(monkeypatch):
    """Scores in the place of fits, in the order of the trials; the settings asked for are gathered."""
    given, asked = [], []

    def score(self, settings):
        asked.append(settings)
        return given[len(asked) - 1]

    monkeypatch.setattr(_Scorer, "__call__", score)
    return given, asked


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_what_is_searched_is_a_setting_and_its_default_lies_within(name):
    space = search_space(name)
    defaults = create(name, Question((0.0,), (1.0,))).settings()
    assert set(space) <= set(setting_names(name))
    assert bool(space) == (name != "reference")
    for key, spec in space.items():
        if isinstance(spec, Among):
            assert defaults[key] in spec.values
        elif defaults[key] is None:
            assert spec.automatic
        else:
            assert spec.low <= defaults[key] <= spec.high


def test_the_patients_held_out_have_no_say_in_the_settings(cohort, tmp_path):
    rng = np.random.default_rng(0)
    fold = assign_folds(cohort.outcome, 3, 1)
    split = Split(0, 0, np.flatnonzero(fold != 0), np.flatnonzero(fold == 0))
    time, event = cohort.outcome.time.copy(), cohort.outcome.event.copy()
    time[split.test] = rng.uniform(100, 5000, len(split.test))
    event[split.test] = rng.integers(0, 3, len(split.test))
    record, visits = cohort.record.copy(), cohort.visits.copy()
    record.loc[split.test, "age"] = rng.normal(500, 100, len(split.test))
    visits.loc[visits["patient"].isin(split.test), "marker"] = 40.0
    other = replace(cohort, record=record, visits=visits, outcome=Outcome(time, event, cohort.outcome.causes))
    found = []
    for i, one in enumerate((cohort, other)):
        fit_fold(one, CONFIG, Variant("cox"), split, tmp_path / f"{i}.npz")
        found.append(read_fold(tmp_path / f"{i}.npz"))
    assert len(found[0]["trace"]) == 4
    assert json.dumps(found[0]["trace"]) == json.dumps(found[1]["trace"])
    assert found[0]["settings"] == found[1]["settings"]
    assert not np.array_equal(found[0]["incidence0"], found[1]["incidence0"])


def test_the_score_is_the_brier_score_of_inner_patients_left_out(cohort):
    tuned = tune(cohort, QUESTION, "cox", {"splines": 3}, Tuning(trials=1), random_state=8)
    fold = assign_folds(cohort.outcome, 3, 8)
    scores = []
    for landmark in QUESTION.landmarks:
        risk = np.full((len(cohort), len(QUESTION.grid)), np.nan)
        for k in range(3):
            model = create("cox", QUESTION, splines=3).fit(cohort.subset(fold != k))
            rows = np.flatnonzero((fold == k) & (cohort.outcome.time > landmark))
            risk[rows] = model.predict(cohort.subset(fold == k), at=landmark).incidence[:, 0]
        rows = cohort.outcome.time > landmark
        ahead = cohort.outcome.take(rows).since(landmark)
        metrics = evaluate(
            ahead.time, ahead.event, {"cox": risk[rows]}, times=QUESTION.grid, horizons=QUESTION.horizons
        ).metrics.set_index(["measure", "horizon"])["value"]
        assert np.isnan(metrics["integrated_brier", QUESTION.horizons[2]])  # beyond support: the longest before it
        scores.append(metrics["integrated_brier", QUESTION.horizons[1]])
    assert tuned.trace[0] == {"settings": {"penalty": None}, "score": pytest.approx(np.mean(scores), rel=1e-12)}


@pytest.mark.parametrize(
    ("told", "kept"),
    [([0.2, 0.21, 0.19, 0.195], 2), ([0.2, 0.2, 0.2, 0.21], 0), ([0.2, None, 0.3, 0.4], 0), ([0.2, None, 0.1, 0.1], 2)],
)
def test_other_settings_are_kept_only_when_better_than_the_models_own(cohort, scores, told, kept):
    scores[0].extend(told)
    tuned = tune(cohort, QUESTION, "boosted_hazard", {"rounds": 50}, Tuning(trials=3), random_state=1)
    assert [trial["score"] for trial in tuned.trace] == told
    assert scores[1][0] == {"rounds": 50, "depth": 2, "eta": 0.1}
    assert all(asked["rounds"] == 50 for asked in scores[1])
    assert tuned.settings == ({**scores[1][kept]} if kept else {"rounds": 50})


def test_a_model_that_cannot_be_scored_is_left_as_it_is(cohort, scores):
    scores[0].append(None)
    tuned = tune(cohort, QUESTION, "cox", {}, Tuning(trials=3), random_state=1)
    assert tuned.settings == {}
    assert "could not be scored" in tuned.note


def test_settings_with_which_a_model_cannot_be_fitted_have_no_score(cohort, monkeypatch):
    def refuse(self, settings):
        raise ModelError("no")

    monkeypatch.setattr(_Scorer, "_score", refuse)
    assert tune(cohort, QUESTION, "cox", {}, Tuning(trials=1), random_state=1).trace[0]["score"] is None


def test_what_the_user_has_set_is_not_searched(cohort):
    given = {"penalty": 4.0, "splines": 0}
    assert tune(cohort, QUESTION, "cox", given, Tuning(trials=5), random_state=0).trace == []
    assert tune(cohort, QUESTION, "reference", {}, Tuning(trials=5), random_state=0).trace == []


def test_no_trial_begins_after_the_time_given(cohort, scores):
    scores[0].extend([0.2] * 9)
    tuned = tune(cohort, QUESTION, "cox", {}, Tuning(trials=8, seconds=1e-9), random_state=0)
    assert len(tuned.trace) == 1
    assert "ended early" in tuned.note


def test_the_same_seed_searches_the_same_way_and_says_nothing(cohort, scores, capfd):
    scores[0].extend([0.2, 0.3, 0.1, 0.4] * 2)
    spoken = optuna.logging.get_verbosity()
    first, again = (tune(cohort, QUESTION, "recurrent", {}, Tuning(trials=3), random_state=6) for _ in range(2))
    assert first == again
    assert optuna.logging.get_verbosity() == spoken
    assert capfd.readouterr() == ("", "")


def test_copies_of_a_patient_are_never_on_both_sides(cohort):
    sample = cohort.subset(np.sort(np.random.default_rng(3).integers(0, len(cohort), len(cohort))))
    fold = assign_folds(sample.outcome, 3, 0, sample.patients)
    for train, _, held_out in _Scorer(sample, QUESTION, "cox", fold, 0).parts:
        assert not set(train.patients) & set(held_out.patients)
