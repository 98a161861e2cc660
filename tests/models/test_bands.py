from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts import QUESTION, YEAR, make_cohort
from osler.cohort.outcome import Outcome
from osler.models.bands import risk_band, scaled
from osler.models.conformal import EventTimes
from osler.models.hazard import FollowUp, bin_edges, follow_up, incidence
from osler.models.heterogeneity import marginal_log_hazards, residual_variance
from osler.models.recurrent import Recurrent

EDGES = np.array([0.0, 100.0, 400.0])
GRID = np.linspace(0, 400, 9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 6))
def test_bands_hold_the_mean_and_never_turn_back(seed, variance):
    rng = np.random.default_rng(seed)
    mean = incidence(rng.normal(0, 2, (5, 2, 2)), EDGES, GRID)
    lower, upper = risk_band(mean, np.full((5, 2, 1), variance))
    assert (lower <= mean).all()
    assert (mean <= upper).all()
    assert (lower >= 0).all()
    assert (upper <= 1).all()
    assert (np.diff(lower, axis=2) >= 0).all()
    assert (np.diff(upper, axis=2) >= 0).all()


@pytest.mark.parametrize(("middle", "spread"), [(-3.0, 0.4), (-1.0, 1.0), (0.5, 0.8)])
def test_bands_hold_nine_in_ten_of_risks_that_are_spread_as_they_say(middle, spread):
    value = middle + spread * np.random.default_rng(0).standard_normal(40_000)
    own = -np.expm1(-np.exp(value))
    lower, upper = risk_band(np.full((1, 1, 1), own.mean()), np.full((1, 1, 1), spread**2))
    assert np.mean((lower[0, 0, 0] <= own) & (own <= upper[0, 0, 0])) == pytest.approx(0.9, abs=0.006)
    assert np.mean(own < lower[0, 0, 0]) == pytest.approx(0.05, abs=0.006)


def test_what_never_happens_has_no_band():
    lower, upper = risk_band(np.zeros((1, 1, 3)), np.ones((1, 1, 1)))
    assert (lower == 0).all()
    assert (upper == 0).all()


def _frail(n: int, spread: float, seed: int = 0) -> tuple[np.ndarray, FollowUp]:
    """Predictions x of constant hazards exp(x - 0.7) per horizon, times a log-normal Z that nobody knows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1.1, n)
    hazard = np.exp(x - 0.7 + spread * rng.standard_normal(n))
    time = rng.exponential(1 / hazard)
    outcome = Outcome(np.minimum(time, 1.5), (time < 1.5).astype(np.int64), ("event",))
    edges = bin_edges(outcome, 1.0, 8)
    return np.repeat((x - 0.7)[:, None], len(edges) - 1, axis=1), follow_up(outcome, edges)


def test_heterogeneity_is_found_where_there_are_patients_enough():
    found = []
    for spread in (0.2, 0.8, 1.2):
        x, seen = _frail(12_000, spread)
        found.append(residual_variance(x, np.zeros(len(x)), seen, 1, np.arange(len(x))) ** 0.5)
    assert found == sorted(found)
    assert found[0] < 0.45
    assert found[1] == pytest.approx(0.8, abs=0.2)
    assert found[2] == pytest.approx(1.2, abs=0.2)


def test_what_is_known_of_the_errors_is_not_counted_twice():
    x, seen = _frail(12_000, 0.9)
    alone = residual_variance(x, np.zeros(len(x)), seen, 1, np.arange(len(x)))
    beside = residual_variance(x, np.full(len(x), 0.5), seen, 1, np.arange(len(x)))
    assert beside < alone - 0.25


def test_without_events_the_prior_speaks():
    seen = FollowUp(np.full((50, 3), 0.3), np.full(50, 2), np.zeros(50, dtype=np.int64))
    assert residual_variance(np.zeros((50, 3)), np.zeros(50), seen, 1, np.arange(50)) == pytest.approx(0.5, abs=0.12)


def test_the_mean_hazard_falls_behind_as_high_hazards_go():
    """Against a sum over many patients."""
    z = np.random.default_rng(1).standard_normal(200_000)
    own = np.log(0.8) - 0.32 + 0.8 * z
    edges = np.array([0.0, 0.5, 1.0])
    left = np.exp(-np.exp(own))
    half = np.exp(-0.5 * np.exp(own))
    expected = np.log([-np.log(half.mean()) / 0.5, -np.log(left.mean() / half.mean()) / 0.5])
    found = marginal_log_hazards(np.full((1, 1, 2), np.log(0.8)), edges, np.full((1, 1), 0.64))
    np.testing.assert_allclose(found[0, 0], expected, atol=0.01)
    same = np.full((1, 1, 2), 0.3)
    assert marginal_log_hazards(same, edges, np.zeros((1, 1))) is same


def test_event_times_are_held_although_the_model_is_wrong_and_many_are_censored():
    rng = np.random.default_rng(2)
    n = 4000
    x = rng.normal(size=n)
    event = rng.exponential(300 * np.exp(-x))
    censoring = rng.exponential(500, n)
    outcome = Outcome(np.minimum(event, censoring), (event < censoring).astype(np.int64), ("event",))
    wrong = np.exp(-GRID / (900 * np.exp(-0.4 * x))[:, None])  # too low by far, and too flat
    times = EventTimes.learn(wrong[:2000], GRID, outcome.take(np.arange(2000)), np.zeros(2000), (0.0,))
    lower, upper = times.interval(wrong[2000:], GRID, 0.0)
    new = event[2000:]
    assert np.mean(new < lower) == pytest.approx(0.05, abs=0.016)
    passable = np.isfinite(upper)
    assert np.mean((new > upper) & passable) <= 0.066
    again = EventTimes.from_state(times.state())
    np.testing.assert_array_equal(again.interval(wrong, GRID, 0.0)[0], times.interval(wrong, GRID, 0.0)[0])


def test_less_known_less_sure():
    """Masking widens the band, keeps the mean risk, and gives patients alone what they get in company."""
    train, test = make_cohort(300, seed=1, image_size=None), make_cohort(150, seed=2, image_size=None)
    model = Recurrent(QUESTION, members=2, epochs=16).fit(train)
    whole = model.predict(test, YEAR)
    for name in ("record", "visits", "rna"):
        blind = model.predict(test.without(name), YEAR)
        width = [np.mean(scaled(c.band(2 * YEAR)[1]) - scaled(c.band(2 * YEAR)[0])) for c in (whole, blind)]
        assert width[1] > width[0]
        assert blind.risk(2 * YEAR).mean() == pytest.approx(whole.risk(2 * YEAR).mean(), rel=0.2)
    one = replace(test, genomics={})
    alone = model.predict(one.patient(str(one.patients[3])), 0.0)
    np.testing.assert_allclose(alone.upper[0], model.predict(one, 0.0).upper[3], rtol=1e-5)
    lower, upper = model.event_times(whole)
    assert (lower < upper).all()
