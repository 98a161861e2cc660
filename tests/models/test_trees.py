from __future__ import annotations

import numpy as np
import pytest
import xgboost as xgb
from scipy.special import gammaln

from osler.models.trees import _loss_of_none, best_rounds, booster_from, mean_curve, raw_bytes, tree_parameters

PARAMETERS = tree_parameters(
    depth=2, eta=0.1, random_state=3, objective="count:poisson", eval_metric="poisson-nloglik", min_child_weight=1
)


def _data(signal: float, n: int = 800, seed: int = 0):
    rng = np.random.default_rng(seed)
    X, margin = rng.normal(size=(n, 3)), rng.normal(-1.0, 0.3, n)
    label = rng.poisson(np.exp(margin + signal * (X[:, 0] > 0))).astype(float)

    def data(rows):
        return xgb.DMatrix(X[rows], label=label[rows], base_margin=margin[rows])

    return data, label, margin, rng.integers(0, 5, n)


def test_trees_that_help_are_kept_and_every_fold_has_its_own():
    data, label, _, fold = _data(1.0)
    rounds, held_out = best_rounds(PARAMETERS, data, 200, label > 0, fold)
    assert rounds > 5
    assert len(held_out) == 5
    for out, booster in held_out:
        assert len(set(fold[out])) == 1
        assert booster.num_boosted_rounds() >= 1


@pytest.mark.parametrize("seed", range(3))
def test_a_signal_of_nothing_grows_few_trees_or_none(seed):
    data, label, _, fold = _data(0.0, seed=seed)
    rounds, held_out = best_rounds(PARAMETERS, data, 200, label > 0, fold)
    assert rounds <= 10
    assert bool(held_out) == bool(rounds)


def test_where_every_tree_harms_there_is_none():
    _, label, margin, fold = _data(0.0, n=100)
    label[:] = np.exp(margin)  # nothing could be better than what the rows bring
    rng = np.random.default_rng(1)

    def noise(rows):
        return xgb.DMatrix(rng.normal(size=(rows.sum(), 3)), label=label[rows], base_margin=margin[rows])

    harmful = {**PARAMETERS, "max_depth": 6, "eta": 1.0, "subsample": 1.0}
    assert best_rounds(harmful, noise, 20, label > 0, fold) == (0, [])


def test_without_trees_the_loss_is_that_of_the_margins():
    data, label, margin, _ = _data(0.5)
    expected = np.mean(np.exp(margin) - label * margin + gammaln(label + 1))
    assert _loss_of_none(PARAMETERS, data(np.ones(len(label), dtype=bool))) == pytest.approx(expected, rel=1e-4)


def test_no_fold_no_trees():
    data, label, _, fold = _data(1.0)
    assert best_rounds(PARAMETERS, data, 50, label > 0, None) == (0, [])
    assert best_rounds(PARAMETERS, data, 50, np.zeros(len(label), dtype=bool), fold) == (0, [])


def test_a_part_that_stopped_early_stays_where_it_was():
    np.testing.assert_allclose(mean_curve([np.array([3.0, 1.0]), np.array([5.0, 4.0, 2.0])]), [4.0, 2.5, 1.5])


def test_trees_as_bytes_and_back():
    data, label, _, _ = _data(1.0)
    everyone = data(np.ones(len(label), dtype=bool))
    booster = xgb.train(PARAMETERS, everyone, 5)
    again = booster_from(raw_bytes(booster))
    np.testing.assert_array_equal(again.predict(everyone), booster.predict(everyone))
    assert booster_from(raw_bytes(None)) is None
