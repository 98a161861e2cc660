from __future__ import annotations

import numpy as np
import pytest

from osler.cohort.outcome import Outcome
from osler.features.column import Column
from osler.features.completion import Completion
from osler.models.absence import Absence, Withheld
from osler.models.hazard import bin_edges, follow_up, incidence, steps
from osler.models.hazard_ridge import fit_ridge

BLOCKS = {"record": np.array([0]), "scan": np.array([1, 2])}
MEANING = tuple(Column(name, block, name, "value") for name, block in (("a", "record"), ("b", "scan"), ("c", "scan")))
BETA = np.array([0.6, 0.9, 0.5])


def _rows(n: int, seed: int) -> tuple[np.ndarray, Outcome]:
    """Column b is 0.6 of a and noise, c is noise; log hazard 0.6 a + 0.9 b + 0.5 c - 1 per year."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    X[:, 1] = 0.6 * X[:, 0] + 0.8 * X[:, 1]
    time = rng.exponential(np.exp(1 - X @ BETA))
    return X, Outcome(np.minimum(time, 4.0), (time < 4.0).astype(np.int64), ("event",))


def _ridge(X, seen, edges, blocks):
    n = len(X)
    return fit_ridge(X, blocks, blocks, seen, steps(edges), np.arange(n), np.arange(n) % 5, 1, free="none").causes


def _fitted(n: int = 3000):
    X, outcome = _rows(n, 0)
    edges = bin_edges(outcome, 3.0, 8)
    seen = follow_up(outcome, edges)
    there = {name: np.ones(n, dtype=bool) for name in BLOCKS}
    completion = Completion().fit(X, MEANING, BLOCKS, there, n)
    causes = _ridge(X, seen, edges, BLOCKS)
    absence = Absence.learn(completion, X, there, np.zeros(n), (0.0,), seen, edges, causes)
    return X, seen, edges, completion, causes, absence


def test_withholding_costs_no_more_than_never_having_had():
    """Squared distance from the true risk, against a ridge that was fitted without the block."""
    X, seen, edges, completion, causes, absence = _fitted()
    new, _ = _rows(4000, 1)
    truth = -np.expm1(-3 * np.exp(new @ BETA - 1))
    gone = {"scan": np.zeros(len(new), dtype=bool), "record": np.ones(len(new), dtype=bool)}
    columns = completion.complete(np.where([True, False, False], new, 0.0), gone)
    withheld = absence.of(gone, np.zeros(len(new)), np.arange(len(new)))
    ends = np.array([0.0, 3.0])

    def risk(log_hazard):
        return incidence(log_hazard[:, None], edges, ends)[:, 0, 1]

    plain = causes[0].log_hazard(columns, steps(edges))
    masked = incidence(withheld.applied(plain[:, None], edges), edges, ends)[:, 0, 1]
    without = _ridge(X[:, :1], seen, edges, {"record": np.array([0])})
    never = risk(without[0].log_hazard(new[:, :1], steps(edges)))
    zero = risk(causes[0].log_hazard(np.where([True, False, False], new, 0.0), steps(edges)))

    def error(predicted):
        return np.mean((predicted - truth) ** 2)

    assert error(masked) < error(never) * 1.02
    assert error(zero) > error(masked) * 1.1  # what an average stands for when columns are correlated
    assert masked.mean() == pytest.approx(truth.mean(), abs=0.012)


def test_the_variance_of_what_is_absent_is_found():
    _, _, _, _, _, absence = _fitted()
    variance, level, doubt = absence.effects[:, absence.blocks.index("scan"), 0, 0]
    assert variance == pytest.approx((0.9 * 0.8) ** 2 + 0.5**2, rel=0.12)
    assert 0 < level < variance / 2 + 0.02
    assert 0 < doubt < 0.02
    assert not absence.average.any()


def test_effects_lie_between_landmarks_and_add_up():
    effects = np.arange(1.0, 13.0).reshape(3, 2, 2, 1)
    absence = Absence(("one", "two"), np.array([0.0, 100.0]), effects, np.array([[0.0], [0.4]]))
    there = {"one": np.array([True, False, False]), "two": np.array([True, True, False])}
    found = absence.of(there, np.array([0.0, 50.0, 100.0]), np.array([0, 1, 2]))
    np.testing.assert_allclose(found.variance[:, 0], [0, 1.5, 2 + 4])
    np.testing.assert_allclose(found.level[:, 0], [0, 5.5 - 0.2, 6 + 8 - 0.4])
    np.testing.assert_allclose(found.doubt[:, 0], [0, 9.5, 10 + 12])
    again = Absence.from_state(absence.state())
    np.testing.assert_array_equal(again.of(there, np.zeros(3), np.array([2])).level, [[5 + 7]])


def test_rows_that_lack_nothing_are_as_they_are():
    nothing = Withheld(*np.zeros((3, 4, 1)))
    log_hazard = np.random.default_rng(0).normal(size=(4, 1, 3))
    np.testing.assert_array_equal(nothing.applied(log_hazard, np.array([0.0, 1, 2, 3])), log_hazard)
