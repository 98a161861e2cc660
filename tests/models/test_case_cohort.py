from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohorts import QUESTION, YEAR, make_cohort
from osler.cohort.outcome import Outcome
from osler.config import Question
from osler.models import base
from osler.models.case_cohort import CaseCohort
from osler.models.hazard import event_rates, follow_up
from osler.models.recurrent import Recurrent


def _outcome(n: int, share: float, seed: int = 0) -> Outcome:
    rng = np.random.default_rng(seed)
    event = np.where(rng.random(n) < share, rng.integers(1, 3, n), 0)
    return Outcome(rng.exponential(500.0, n) + 1, event, ("a", "b"))


def test_everybody_is_in_a_small_cohort():
    sample = CaseCohort.draw(_outcome(100, 0.2), 100, 0)
    np.testing.assert_array_equal(sample.patient, np.arange(100))
    assert (sample.weight == 1).all()
    assert sample.note == ""


def test_rare_events_are_all_kept_and_the_others_stand_for_those_left_out():
    outcome = _outcome(20_000, 0.02)
    cases = int((outcome.event > 0).sum())
    sample = CaseCohort.draw(outcome, 2000, 0)
    case = outcome.event[sample.patient] > 0
    assert len(sample.patient) == 2000
    assert (np.diff(sample.patient) > 0).all()
    assert case.sum() == cases
    assert (sample.weight[case] == 1).all()
    assert sample.weight.sum() == pytest.approx(20_000)
    assert f"{cases} of the {cases} with an event" in sample.note


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_frequent_events_are_sampled_too(share):
    outcome = _outcome(20_000, share)
    sample = CaseCohort.draw(outcome, 2000, 0)
    case = outcome.event[sample.patient] > 0
    assert len(sample.patient) == 2000
    assert case.sum() == pytest.approx(max(1000, 2000 * share), rel=0.02)
    weighted = (sample.weight * case).sum() / sample.weight.sum()
    assert weighted == pytest.approx((outcome.event > 0).mean(), rel=0.01)


def test_without_events_anybody_is_drawn():
    sample = CaseCohort.draw(_outcome(500, 0.0), 100, 0)
    assert len(sample.patient) == 100
    assert (sample.weight == 1).all()


def test_draws_follow_the_seed():
    one, two, three = (CaseCohort.draw(_outcome(3000, 0.1), 1000, seed).patient for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, three)


def test_rates_of_the_sample_are_those_of_the_cohort():
    outcome, edges = _outcome(40_000, 0.05), np.array([0.0, 200.0, 500.0, 1000.0])
    sample = CaseCohort.draw(outcome, 5000, 0)
    seen = follow_up(outcome.take(sample.patient), edges).counting(sample.weight)
    np.testing.assert_allclose(event_rates(seen, 2), event_rates(follow_up(outcome, edges), 2), atol=0.12)


def test_a_model_of_a_sample_predicts_the_risk_of_all():
    """Events are rare: a sample that keeps them all, uncounted, would make risks five times as high."""
    cohort = make_cohort(3000, seed=4, genes=0, image_size=None, embedding=None)
    outcome = cohort.outcome
    rare = np.where(np.random.default_rng(0).random(3000) < 0.15, outcome.event, 0)
    cohort = replace(cohort, outcome=Outcome(outcome.time, rare, outcome.causes))
    model = Recurrent(QUESTION, members=2, epochs=16, patients=600).fit(cohort)
    assert any("600 of 3,000 patients" in note for note in model.notes_)
    whole = event_rates(follow_up(cohort.outcome, model.edges_), 2)
    expected = -np.expm1(-np.exp(whole[0]).mean())
    assert model.average(0.0)[0, -1] == pytest.approx(expected, rel=0.25)


def test_many_landmarks_or_visits_make_fewer_patients():
    cohort = make_cohort(50, seed=1, genes=0, image_size=None, embedding=None)

    def most(landmarks: int, visits: int) -> int:
        many = cohort.visits.iloc[np.zeros(visits, dtype=int)]
        question = Question(tuple(float(i) for i in range(landmarks)), (YEAR,))
        return Recurrent(question, patients=8000)._most_patients(replace(cohort, visits=many))

    assert most(1, 150) == most(4, 150) == 8000
    assert most(16, 150) == 2000
    assert most(1, 10_000) == 5000
    assert most(1, 200_000) == 1000


def test_large_cohorts_are_predicted_in_parts_and_averaged(monkeypatch):
    cohort = make_cohort(120, seed=1, image_size=None)
    whole = Recurrent(QUESTION, members=2, epochs=8).fit(cohort)
    monkeypatch.setattr(base, "_PART", 50)
    parts = Recurrent(QUESTION, members=2, epochs=8).fit(cohort)
    np.testing.assert_allclose(parts.average_, whole.average_, atol=1e-6)
    one, other = (model.predict(cohort, YEAR) for model in (whole, parts))
    np.testing.assert_array_equal(one.patients, other.patients)
    np.testing.assert_allclose(other.incidence, one.incidence, atol=1e-6)
    np.testing.assert_allclose(other.upper, one.upper, atol=1e-6)


def test_the_average_of_a_very_large_cohort_is_that_of_some(monkeypatch):
    cohort = make_cohort(120, seed=1, genes=0, image_size=None, embedding=None)
    model = Recurrent(QUESTION, members=2, epochs=8).fit(cohort)
    monkeypatch.setattr(base, "_AVERAGED", 60)
    some = model.predict(cohort.subset(np.linspace(0, 119, 60).astype(int)), 0.0).incidence.mean(axis=0)
    np.testing.assert_allclose(model._average(cohort, 0.0), some, atol=1e-6)
    assert not np.allclose(some, model.average_[0], atol=1e-6)
