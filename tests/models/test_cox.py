"""Cox models against lifelines, the reference, and simulated truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lifelines import CoxPHFitter

from cohorts import QUESTION, YEAR, make_cohort
from osler.config import Question
from osler.models.cox import Cox, StackedCox
from osler.models.reference import Reference
from plain_cohort import plain_cohort

ONE = Question(landmarks=(0.0,), horizons=(5 * YEAR,), grid_size=20)


def test_one_cause_is_the_survival_curve_of_lifelines():
    cohort = plain_cohort(200, seed=1)
    curve = Cox(ONE, penalty=0.0).fit(cohort).predict(cohort, 0.0)
    horizon = 5 * YEAR
    time, event = cohort.outcome.time, cohort.outcome.event
    table = cohort.record.clip(-4, 4).assign(time=np.minimum(time, horizon), event=(event == 1) & (time <= horizon))
    peer = CoxPHFitter().fit(table, "time", "event", fit_options={"precision": 1e-12})
    baseline = peer.baseline_cumulative_hazard_.iloc[:, 0]  # read as the step function that it is
    steps = np.array([baseline[baseline.index <= moment].iloc[-1] for moment in ONE.grid[1:]])
    hazard_ratio = peer.predict_partial_hazard(table.iloc[:20]).to_numpy()
    np.testing.assert_allclose(curve.incidence[:20, 0, 1:], -np.expm1(-hazard_ratio[:, None] * steps), atol=1e-6)


def test_one_cause_band_is_that_of_the_log_hazard():
    """At the average row the band of a null model is that of the baseline: Greenwood's, to first order."""
    cohort = plain_cohort(400, seed=2, beta=(0.0, 0.0))
    blank = replace(cohort, record=cohort.record[[]], variables={})
    cox = Cox(ONE).fit(blank).predict(blank, 0.0).take([0])
    reference = Reference(ONE).fit(blank).predict(blank, 0.0).take([0])
    np.testing.assert_allclose(cox.incidence, reference.incidence, atol=2e-3)
    np.testing.assert_allclose(cox.lower, reference.lower, atol=3e-3)
    np.testing.assert_allclose(cox.upper, reference.upper, atol=3e-3)


def test_competing_incidences_are_those_of_the_truth():
    """Constant cause-specific hazards in opposite directions: the incidence has a closed form."""
    cohort = plain_cohort(6000, seed=3, causes=("a", "b"))
    curve = Cox(ONE).fit(cohort).predict(cohort.subset(np.arange(300)), 0.0)
    eta = cohort.record.to_numpy()[:300] @ np.array([0.8, -0.5])
    first, second = 0.1 * np.exp(eta), 0.1 * np.exp(-eta)
    total = first + second
    truth = first / total * -np.expm1(-5 * total)
    error = curve.risk(5 * YEAR) - truth[_at_risk(curve, cohort)]
    assert np.abs(error).mean() < 0.015
    assert np.abs(error).max() < 0.08


def _at_risk(curve, cohort):
    return cohort.positions(curve.patients)


@pytest.mark.parametrize("model", [Cox, StackedCox])
def test_bands_cover_the_truth(model):
    hits = []
    for seed in range(40):
        cohort = plain_cohort(250, seed=100 + seed, causes=("a", "b"))
        some = cohort.subset(np.arange(25))
        curve = model(ONE).fit(cohort).predict(some, 0.0)
        eta = some.record.to_numpy() @ np.array([0.8, -0.5])
        first, second = 0.1 * np.exp(eta), 0.1 * np.exp(-eta)
        truth = first / (first + second) * -np.expm1(-5 * (first + second))
        lower, upper = curve.band(5 * YEAR)
        hits.append(np.mean((lower <= truth) & (truth <= upper)))
    assert 0.85 < np.mean(hits) < 0.96


def test_bands_narrow_with_the_number_of_patients_not_of_landmarks():
    few, many = make_cohort(150, seed=4), make_cohort(600, seed=4)
    dense = Question(landmarks=tuple(np.linspace(0, YEAR, 9)), horizons=QUESTION.horizons, grid_size=16)
    width = {}
    for name, cohort, question in (("few", few, QUESTION), ("dense", few, dense), ("many", many, QUESTION)):
        lower, upper = StackedCox(question).fit(cohort).predict(few, 0.0).band(2 * YEAR)
        width[name] = (upper - lower).mean()
    assert width["many"] < 0.7 * width["few"]
    assert width["dense"] == pytest.approx(width["few"], rel=0.25)


def test_stacking_learns_the_level_and_the_slope():
    cohort = make_cohort(700, seed=6, genes=0, image_size=None, embedding=None)
    question = Question(landmarks=(0.0, 3 * YEAR), horizons=(4 * YEAR,), grid_size=16)
    model = StackedCox(question).fit(cohort.subset(np.arange(500)))
    part = next(iter(model._fitted.values()))
    beta = dict(zip([c.name for c in part.design.columns_], part.beta[0], strict=True))
    assert beta["age"] > 0.15
    assert beta["marker.last"] + beta["marker.mean"] > 0.3
    assert beta["marker.slope"] > 0
    held = cohort.subset(np.arange(500, 700))
    risk = model.predict(held, YEAR).risk(4 * YEAR)
    late = held.at(YEAR).outcome
    event = (late.event == 1) & (late.time < 4 * YEAR)
    later = late.time >= 4 * YEAR
    assert (risk[event][:, None] > risk[later][None, :]).mean() > 0.7


def test_a_landmark_with_few_events_is_answered_by_its_neighbour():
    cohort = make_cohort(150, seed=7)
    question = Question(landmarks=(0.0, YEAR, 9 * YEAR), horizons=(2 * YEAR,), grid_size=8)
    model = Cox(question).fit(cohort)
    assert any("landmark 9 y" in note and "nearest" in note for note in model.notes_)
    assert model.state()["landmarks"] == [0.0, YEAR]


def test_the_penalty_is_chosen_for_each_modality():
    cohort = make_cohort(400, seed=9, genes=40, image_size=None)
    part = next(iter(StackedCox(QUESTION).fit(cohort)._fitted.values()))
    assert set(part.penalties[0]) == {"record", "visits", "rna", "slide", "landmark"}
    assert part.penalties[0]["rna"] > 2 * part.penalties[0]["record"]


def test_many_rows_are_answered_in_parts_of_equal_answers():
    cohort = plain_cohort(150, seed=11)
    model = Cox(ONE).fit(cohort)
    many = cohort.subset(np.tile(np.arange(150), 30))
    once, often = (model.predict(c, 0.0, at_risk=False) for c in (cohort, many))
    np.testing.assert_array_equal(often.incidence, np.tile(once.incidence, (30, 1, 1)))
    np.testing.assert_array_equal(often.upper, np.tile(once.upper, (30, 1, 1)))
