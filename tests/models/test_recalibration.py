from __future__ import annotations

import numpy as np
import pytest

from osler.cohort.outcome import Outcome
from osler.models.hazard import follow_up
from osler.models.recalibration import HazardRecalibration

EDGES = np.array([0.0, 100.0, 250.0, 500.0])


def _held_out(n: int, seed: int, slope: float, shift: float):
    """Predictions x of a log hazard ``shift + slope x`` about the centre; a second cause is predicted right."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    rate = np.exp(shift + slope * x) / 400
    times = np.column_stack([rng.exponential(1 / rate), rng.exponential(900, n), rng.uniform(100, 900, n)])
    which = times.argmin(axis=1)
    outcome = Outcome(times.min(axis=1), np.where(which == 2, 0, which + 1).astype(np.int64), ("a", "b"))
    own = np.repeat((x + np.log(500 / 400))[:, None], 3, axis=1)
    other = np.full((n, 3), np.log(500 / 900))
    return np.stack([own, other], axis=1), follow_up(outcome, EDGES)


def _learn(n: int, seed: int, slope: float, shift: float = 0.0):
    log_hazard, seen = _held_out(n, seed, slope, shift)
    return log_hazard, HazardRecalibration.learn(log_hazard, seen, np.arange(n), np.arange(n) % 5)


def test_predictions_too_far_apart_are_drawn_together():
    log_hazard, found = _learn(4000, 0, 0.5, 0.4)
    assert found.slope[0] == pytest.approx(0.5, abs=0.06)
    mended = found.applied(log_hazard)[:, 0, 0]
    truth = np.log(500 / 400) + 0.4 + 0.5 * (log_hazard[:, 0, 0] - np.log(500 / 400))
    np.testing.assert_allclose(mended, truth, atol=0.2)
    assert (found.slope[1], found.shift[1]) == (1.0, 0.0)


def test_right_predictions_are_left_alone():
    touched = 0
    for seed in range(40):
        log_hazard, found = _learn(400, seed, 1.0)
        touched += int((found.slope != 1).any())
        if (found.slope == 1).all():
            np.testing.assert_array_equal(found.applied(log_hazard), log_hazard)
    assert touched <= 2


def test_a_cause_without_events_stays_impossible():
    log_hazard, seen = _held_out(200, 1, 0.2, 1.0)
    log_hazard[:, 1] = -np.inf
    seen.cause[seen.cause == 2] = 0
    found = HazardRecalibration.learn(log_hazard, seen, np.arange(200), np.arange(200) % 5)
    assert np.isneginf(found.applied(log_hazard)[:, 1]).all()
    assert np.isfinite(found.applied(log_hazard)[:, 0]).all()


def test_rows_of_one_patient_count_as_one():
    """Copies of a patient add no evidence: what is not shown by a few is not shown by their copies."""
    log_hazard, seen = _held_out(60, 3, 0.6, 0.0)
    many = np.tile(np.arange(60), 30)
    once = HazardRecalibration.learn(log_hazard, seen, np.arange(60), np.arange(60) % 5)
    again = HazardRecalibration.learn(log_hazard[many], seen.take(many), many, many % 5)
    assert (once.slope == 1).all() == (again.slope == 1).all()


def test_state_round_trip():
    log_hazard, found = _learn(500, 5, 0.4)
    again = HazardRecalibration.from_state(found.state())
    np.testing.assert_array_equal(again.applied(log_hazard), found.applied(log_hazard))
