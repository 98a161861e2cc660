"""D-calibration against its definition, patient by patient."""

from __future__ import annotations

import numpy as np
import pytest

from osler.evaluation.d_calibration import Risen, d_calibration, d_statistic
from osler.evaluation.follow_up import FollowUp

GRID = np.linspace(0.0, 10.0, 21)


def cohort(n, seed, ends, competing):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    rival = rng.exponential(16, n) if competing else np.full(n, np.inf)
    times = np.stack([rng.uniform(*ends, n), rng.exponential(8 * np.exp(-x)), rival])
    follow_up = FollowUp(times.min(axis=0), times.argmin(axis=0), 1)
    return follow_up, -np.expm1(-np.exp(0.7 * x)[:, None] * GRID / 8)


def test_without_censoring_it_is_haiders_statistic():
    """Survival probabilities at the event, or spread over 0 to the survival at the horizon, in ten bins."""
    follow_up, curves = cohort(300, 0, (20, 30), competing=False)
    held = np.zeros(10)
    for time, curve in zip(follow_up.time, curves, strict=True):
        survival = 1 - np.interp(min(time, 6.0), GRID, curve)
        for b in range(10):
            if time <= 6:
                held[b] += b / 10 <= survival < (b + 1) / 10
            else:
                held[b] += max(0.0, min((b + 1) / 10, survival) - b / 10) / survival
    assert held.sum() == pytest.approx(300)
    expected = ((held - 30) ** 2 / 30).sum()
    assert d_calibration(follow_up, curves, GRID, 6.0) == pytest.approx(expected)


def test_censoring_is_weighted_and_competing_events_are_spread():
    follow_up, curves = cohort(300, 1, (0, 12), competing=True)
    status, held = follow_up.status(5.3), np.zeros(10)
    for i, curve in enumerate(curves):
        last = np.interp(5.3, GRID, curve)
        for b in range(10):
            if status.case[i]:
                share = b / 10 <= np.interp(follow_up.time[i], GRID, curve) < (b + 1) / 10
            else:
                share = max(0.0, (b + 1) / 10 - max(last, b / 10)) / (1 - last)
            held[b] += status.weight[i] * share
    expected = 300 * ((held / held.sum() - 0.1) ** 2 / 0.1).sum()
    assert d_calibration(follow_up, curves, GRID, 5.3) == pytest.approx(expected)


def test_certain_risks_count_in_the_last_bin():
    state = np.array([3, 1, 2])
    found = d_statistic(state, np.ones(3), np.ones(3), np.ones(3), np.ones(3))
    assert found == pytest.approx(3 * (9 * 0.1 + 0.9**2 / 0.1))


def test_few_distinct_times_are_told():
    rng = np.random.default_rng(2)
    happened = rng.random(100) < 0.3
    fixed = FollowUp(np.where(happened, 5.0, 6.0), happened.astype(int), 1)
    curves = np.full((100, 21), 0.3)
    assert "fewer than 10 distinct times until 5 d" in d_calibration(fixed, curves, GRID, 5.0)
    none = FollowUp(np.full(100, 9.0), np.zeros(100, int), 1)
    assert "no event of interest" in d_calibration(none, curves, GRID, 5.0)
    late = FollowUp(rng.uniform(1, 2, 100), happened.astype(int), 1)
    assert "follow-up ends" in d_calibration(late, curves, GRID, 5.0)


def test_curves_are_linear_between_their_times_and_never_fall():
    curves = np.array([[0.1, 0.3, 0.2], [0.0, 0.2, 0.4]])
    risen = Risen.until(curves, np.array([1.0, 2.0, 4.0]), 3.0)
    np.testing.assert_allclose(risen.bends, [0, 1, 2, 3])
    np.testing.assert_allclose(risen.levels, [[0, 0.1, 0.3, 0.3], [0, 0, 0.2, 0.3]])
    np.testing.assert_allclose(risen.by(np.array([0.5, 1.5]), np.array([True, True])), [0.05, 0.1])
    np.testing.assert_allclose(risen.by(np.array([0.5, 1.5]), np.array([False, True])), [0, 0.1])
    exact = Risen.until(curves, np.array([0.0, 2.0, 4.0]), 4.0)
    np.testing.assert_allclose(exact.bends, [0, 2, 4])
    before_first = Risen.until(curves, np.array([1.0, 2.0, 4.0]), 0.5)
    np.testing.assert_allclose(before_first.last, [0.05, 0])
