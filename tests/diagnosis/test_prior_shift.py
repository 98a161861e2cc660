"""Prior shift: shares that were moved are found without labels, and probabilities are put right by Bayes' theorem."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from osler.diagnosis.prior_shift import estimate_shares, given_shares, rescale
from osler.errors import UsageError


def normals(n, share, seed):
    """Class 1 has x ~ N(1, 1), class 0 x ~ N(-1, 1): the odds given x are those of the shares times exp(2 x)."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < share).astype(int)
    return label, rng.normal(2 * label - 1.0)


def posterior(x, share):
    p = expit(2 * x + np.log(share / (1 - share)))
    return np.stack([1 - p, p], axis=1)


def test_shares_that_moved_are_recovered_and_noticed():
    label, x = normals(3000, 0.3, 1)
    found = estimate_shares(posterior(x, 0.9), [0.1, 0.9])
    assert found.noticed
    assert found.p < 1e-10
    assert abs(found.shares[1] - label.mean()) < 0.03
    assert found.lower[1] < label.mean() < found.upper[1]
    np.testing.assert_allclose(found.shares.sum(), 1.0, rtol=1e-12)


def test_the_interval_holds_the_truth_and_nothing_is_noticed_where_nothing_moved():
    held, alarms = 0, 0
    for seed in range(200):
        _, x = normals(300, 0.6, seed)
        found = estimate_shares(posterior(x, 0.6), [0.4, 0.6])
        held += found.lower[1] < 0.6 < found.upper[1]
        alarms += found.noticed
    assert 180 <= held <= 199
    assert 1 <= alarms <= 20


def test_rescaling_gives_the_probabilities_of_the_other_shares():
    _, x = normals(50, 0.5, 3)
    moved = rescale(posterior(x, 0.9), [0.1, 0.9], [0.7, 0.3])
    np.testing.assert_allclose(moved, posterior(x, 0.3), rtol=1e-9)
    np.testing.assert_allclose(rescale(moved, [0.7, 0.3], [0.1, 0.9]), posterior(x, 0.9), rtol=1e-9)


def test_correcting_mends_calibration_and_the_score():
    label, x = normals(4000, 0.3, 5)
    before = posterior(x, 0.9)
    after = rescale(before, [0.1, 0.9], estimate_shares(before, [0.1, 0.9]).shares)
    assert abs(after[:, 1].mean() - label.mean()) < 0.02
    assert abs(before[:, 1].mean() - label.mean()) > 0.1
    assert ((after[:, 1] - label) ** 2).mean() < ((before[:, 1] - label) ** 2).mean() - 0.02


def test_the_estimate_is_a_maximum():
    _, x = normals(200, 0.4, 7)
    p, old = posterior(x, 0.7), np.array([0.3, 0.7])

    def likelihood(share):
        return np.log(p @ (np.array([1 - share, share]) / old)).sum()

    found = estimate_shares(p, old)
    best = likelihood(found.shares[1])
    assert all(best >= likelihood(found.shares[1] + step) for step in (-0.01, -1e-3, 1e-3, 0.01))
    np.testing.assert_allclose(found.statistic, 2 * (best - likelihood(0.7)), rtol=1e-8)


def test_absent_classes_stay_absent_and_probabilities_that_tell_nothing_move_nothing():
    p = np.tile([0.4, 0.6, 0.0], (20, 1))
    found = estimate_shares(p, [0.4, 0.6, 0.0])
    np.testing.assert_allclose(found.shares, [0.4, 0.6, 0.0], atol=1e-9)
    assert found.df == 1
    assert found.statistic < 1e-8
    assert rescale(p, [0.4, 0.6, 0.0], [0.5, 0.3, 0.2])[:, 2].max() == 0


@pytest.mark.parametrize(
    ("shares", "what"),
    [({"a": 1.0}, "each class"), ({"a": 0.5, "b": 0.6}, "sum to one"), ({"a": 0.0, "b": 1.0}, "above 0")],
)
def test_shares_that_are_none_are_refused(shares, what):
    with pytest.raises(UsageError, match=what):
        given_shares(shares, ("a", "b"))


def test_given_shares_come_in_the_order_of_the_classes():
    np.testing.assert_allclose(given_shares({"b": 0.25, "a": 0.75}, ("a", "b")), [0.75, 0.25])


@pytest.mark.parametrize(
    ("p", "old"), [([[0.5, 0.5]], [0.5, 0.6]), ([[0.5, 0.5]], [1.0, 0.0]), ([[0.5, 0.6]], [0.5, 0.5]), ([], [0.5, 0.5])]
)
def test_what_is_no_probability_is_refused(p, old):
    with pytest.raises(UsageError):
        estimate_shares(p, old)
