"""Errors of cross-validated measures: what fitting the models anew adds."""

from __future__ import annotations

import numpy as np
import pytest

from osler.evaluation.estimate import standard_error
from osler.evaluation.refitting import refitted_error


def losses(rng, *, model_sd, n=400, folds=5, repeats=1):
    """Influences of a mean loss whose expectation differs between the folds' models, and the folds."""
    fold = np.stack([rng.permutation(np.arange(n) % folds) for _ in range(repeats)])
    loss = rng.normal(size=n) + rng.normal(scale=model_sd, size=(repeats, folds))[np.arange(repeats)[:, None], fold]
    return (loss - loss.mean(axis=1, keepdims=True))[:, :, None], fold


def test_it_is_the_formula_of_the_docstring():
    influences, fold = losses(np.random.default_rng(1), model_sd=0.5, repeats=3)
    means = np.array([[influences[r, fold[r] == j, 0].mean() for j in range(5)] for r in range(3)])
    own = [influences[r, fold[r] == j, 0].var(ddof=1) / (fold[r] == j).sum() for r in range(3) for j in range(5)]
    excess = ((means - means.mean(axis=1, keepdims=True)) ** 2).sum() / 12 - np.mean(own)
    assert excess > 0
    expected = standard_error(influences.mean(axis=0))[0] ** 2 + (1 / 15 + 80 / 320) * excess
    assert refitted_error(influences, fold)[0] == pytest.approx(np.sqrt(expected), rel=1e-9)


def test_models_that_do_not_differ_add_little_and_models_that_do_add_much():
    rng = np.random.default_rng(2)
    ratios = {}
    for model_sd in (0.0, 0.5):
        drawn = [losses(rng, model_sd=model_sd) for _ in range(60)]
        ratios[model_sd] = np.mean([refitted_error(*one)[0] / standard_error(one[0][0])[0] for one in drawn])
    assert 1.0 <= ratios[0.0] < 1.35
    assert ratios[0.5] > 2


def test_never_below_the_error_for_fixed_models_and_zero_stays_zero():
    influences, fold = losses(np.random.default_rng(3), model_sd=0.0)
    fixed = standard_error(influences[0])
    assert (refitted_error(influences, fold) >= fixed).all()
    assert refitted_error(np.zeros_like(influences), fold)[0] == 0.0


def test_a_single_fold_tells_nothing_of_fitting():
    influences, fold = losses(np.random.default_rng(4), model_sd=0.3)
    assert refitted_error(influences, np.zeros_like(fold)) == pytest.approx(standard_error(influences[0]))


def test_rows_of_one_patient_are_one():
    influences, fold = losses(np.random.default_rng(5), model_sd=0.3, n=100)
    twice, folds = np.repeat(influences, 2, axis=1), np.repeat(fold, 2, axis=1)
    clusters = np.repeat(np.arange(100), 2)
    assert refitted_error(twice, folds, clusters) == pytest.approx(refitted_error(influences, fold), rel=1e-9)
