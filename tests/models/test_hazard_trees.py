from __future__ import annotations

import numpy as np
import pytest

from osler.cohort.outcome import Outcome
from osler.models.hazard import event_rates, follow_up
from osler.models.hazard_trees import HazardTrees

EDGES = np.array([0.0, 50.0, 100.0, 200.0, 300.0, 400.0, 500.0])


def _simulated(n: int, log_ratio, seed: int = 0, scale: float = 400.0):
    """Exponential times of one cause, whose hazard is exp(log_ratio(X)) / scale, and censoring at random."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    time = rng.exponential(scale * np.exp(-log_ratio(X)))
    end = rng.uniform(100, 900, n)
    outcome = Outcome(np.minimum(time, end), (time <= end).astype(np.int64), ("a",))
    return X, follow_up(outcome, EDGES), rng.integers(0, 5, n)


def _fit(X, seen, fold, causes: int = 1, **given):
    moment, patient = np.zeros(len(X)), np.arange(len(X))
    return HazardTrees.fit(X, seen, moment, patient, fold, causes, **{"most": 200, "random_state": 1, **given})


def _likelihood(log_hazard, seen):
    had = seen.cause == 1
    at_event = log_hazard[np.arange(len(had)), 0, seen.bin]
    return float((had * at_event).sum() - (seen.exposure * np.exp(log_hazard[:, 0])).sum())


def _interaction(X):
    return 1.5 * ((X[:, 0] > 0) & (X[:, 1] > 0))


def test_an_interaction_is_found_and_held_out_predictions_know_it_too():
    X, seen, fold = _simulated(3000, _interaction)
    trees, held_out = _fit(X, seen, fold)
    new, _, _ = _simulated(1000, _interaction, seed=9)
    for said, of in ((trees.log_hazard(new), new), (held_out, X)):
        level = said[:, 0].mean(axis=1)
        assert np.corrcoef(level, _interaction(of))[0, 1] > 0.9
    assert _likelihood(held_out, seen) > _likelihood(np.repeat(trees.base[None], len(X), axis=0), seen) + 30


def _gains(X, seen, fold):
    """In log-likelihood over everybody's hazard: on the rows learned from, and held out."""
    trees, held_out = _fit(X, seen, fold)
    nothing = _likelihood(np.repeat(trees.base[None], len(X), axis=0), seen)
    return _likelihood(trees.log_hazard(X), seen) - nothing, _likelihood(held_out, seen) - nothing


def test_noise_is_not_learned():
    X, seen, fold = _simulated(600, lambda X: np.zeros(len(X)), seed=3)
    trees, held_out = _fit(X, seen, fold)
    assert trees.boosters == (None,)
    np.testing.assert_array_equal(held_out, np.repeat(trees.base[None], len(X), axis=0))


def test_held_out_predictions_never_saw_their_patient():
    X, seen, fold = _simulated(600, lambda X: 0.5 * _interaction(X), seed=3)
    by_heart, held_out = _gains(X, seen, fold)
    assert held_out < by_heart / 2
    assert by_heart > 5


def test_rows_of_a_fold_are_predicted_by_trees_of_the_others():
    X, seen, fold = _simulated(900, _interaction, seed=4)
    other = X.copy()
    other[fold == 2] = other[fold == 2][::-1]  # what fold 2 shows now belongs to other outcomes
    _, held_out = _fit(X, seen, fold, most=5)
    _, moved = _fit(other, seen, fold, most=5)
    assert not np.array_equal(held_out[fold == 1], moved[fold == 1])
    rows = np.flatnonzero(fold == 2)
    np.testing.assert_allclose(held_out[rows], moved[rows[::-1]], atol=0.05)


def test_effects_may_change_with_time():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(6000, 2))
    early = rng.exponential(400 * np.exp(-1.5 * (X[:, 0] > 0)))  # doubles and more, until day 100
    late = 100 + rng.exponential(400, len(X))
    time = np.where(early < 100, early, late)
    seen = follow_up(Outcome(time, np.ones(len(X), dtype=np.int64), ("a",)), EDGES)
    trees, _ = _fit(X, seen, rng.integers(0, 5, len(X)))
    high, low = (trees.log_hazard(np.array([[value, 0.0]]))[0, 0] for value in (1.5, -1.5))
    assert (high - low)[0] == pytest.approx(1.5, abs=0.4)
    assert abs((high - low)[-1]) < 0.3


def test_without_enough_events_everybody_has_the_same_hazard():
    X, seen, fold = _simulated(200, _interaction, scale=20_000)
    assert 0 < (seen.cause == 1).sum() < 15
    trees, held_out = _fit(X, seen, fold, causes=2)
    assert trees.boosters == (None, None)
    assert np.isneginf(trees.base[1]).all()
    np.testing.assert_array_equal(held_out, np.repeat(event_rates(seen, 2)[None], 200, axis=0))
    np.testing.assert_array_equal(trees.log_hazard(X), held_out)


def test_patients_with_an_event_count_not_their_rows():
    X, seen, fold = _simulated(200, _interaction, scale=20_000)
    rows = np.repeat(np.arange(200), 8)
    assert (seen.cause == 1).sum() < 15 < 8 * (seen.cause == 1).sum()
    moment = np.tile(np.arange(8.0), 200)
    trees, _ = HazardTrees.fit(X[rows], seen.take(rows), moment, rows, fold, 1, most=50, random_state=1)
    assert trees.boosters == (None,)


def test_no_rounds_no_trees():
    X, seen, fold = _simulated(300, _interaction)
    assert _fit(X, seen, fold, most=0)[0].boosters == (None,)


def test_many_rows_are_learned_from_at_some_landmarks_the_last_among_them(monkeypatch):
    monkeypatch.setattr("osler.models.hazard_trees._ROWS", 600)
    X, seen, fold = _simulated(1200, _interaction)
    moment = np.repeat([0.0, 1.0, 2.0, 3.0], 300)
    trees, held_out = HazardTrees.fit(X, seen, moment, np.arange(len(X)), fold, 1, most=50, random_state=1)
    changed = X.copy()
    changed[moment == 2.0] = 0.0  # every second one from the last is shown
    again, _ = HazardTrees.fit(changed, seen, moment, np.arange(len(X)), fold, 1, most=50, random_state=1)
    np.testing.assert_array_equal(trees.log_hazard(X), again.log_hazard(X))
    assert (held_out[moment == 2.0] != trees.base).any()  # but all are predicted


def test_state_round_trip_and_rows_by_themselves():
    X, seen, fold = _simulated(400, _interaction)
    trees, _ = _fit(X, seen, fold)
    again = HazardTrees.from_state(trees.state())
    said = again.log_hazard(X)
    np.testing.assert_array_equal(said, trees.log_hazard(X))
    np.testing.assert_array_equal(said[7:8], again.log_hazard(X[7:8]))
    assert again.log_hazard(X[:0]).shape == (0, 1, 6)
