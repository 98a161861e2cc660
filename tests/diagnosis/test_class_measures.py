"""Measures of classes against scikit-learn, and their errors against resampling."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from osler.diagnosis import measures
from osler.diagnosis.evaluation import evaluate_classes
from osler.errors import UsageError
from osler.evaluation.estimate import standard_error


def drawn(n, C, seed, sharp=1.0):
    rng = np.random.default_rng(seed)
    z = 1.2 * rng.normal(size=(n, C))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    label = (p.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    q = p**sharp
    return label, q / q.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("C", [2, 4])
def test_values_are_those_of_scikit_learn(C):
    label, p = drawn(240, C, C)
    taken, one = p.argmax(axis=1), p[:, :, None]
    ranks = roc_auc_score(label, p[:, 1]) if C == 2 else roc_auc_score(label, p, multi_class="ovo", average="macro")
    np.testing.assert_allclose(measures.auc(label, one).value, ranks, rtol=1e-12)
    np.testing.assert_allclose(measures.accuracy(label, one).value, accuracy_score(label, taken), rtol=1e-12)
    balanced = balanced_accuracy_score(label, taken)
    np.testing.assert_allclose(measures.balanced_accuracy(label, one).value, balanced, rtol=1e-12)
    np.testing.assert_allclose(measures.log_score(label, one).value, log_loss(label, p), rtol=1e-12)
    for code in range(C):
        found = measures.one_vs_rest(label, one[:, code], code)
        np.testing.assert_allclose(found.value, roc_auc_score(label == code, p[:, code]), rtol=1e-12)
        for ours, theirs in ((measures.recall, recall_score), (measures.precision, precision_score)):
            expected = theirs(label == code, taken == code)
            np.testing.assert_allclose(ours(label, one, code).value, expected, rtol=1e-12)
    if C == 2:
        np.testing.assert_allclose(measures.brier(label, one).value, brier_score_loss(label, p[:, 1]), rtol=1e-12)


@pytest.mark.parametrize("name", ["auc", "accuracy", "balanced_accuracy", "brier", "log_score"])
def test_errors_are_those_of_the_bootstrap(name):
    label, p = drawn(400, 3, 5)
    measure = getattr(measures, name)
    found = measure(label, p[:, :, None])
    rng = np.random.default_rng(0)
    draws = [measure(label[rows], p[rows][:, :, None]).value[0] for rows in rng.integers(0, 400, (400, 400))]
    np.testing.assert_allclose(standard_error(found.influence)[0], np.std(draws), rtol=0.12)
    assert abs(found.influence.sum()) < 1e-6 * 400


def test_ranks_are_compared_within_folds_only():
    label, p = drawn(200, 2, 9)
    folds = np.random.default_rng(1).integers(0, 4, 200)
    shifted = np.clip(p[:, 1] * 0.2 + folds * 0.2, 0, 1)  # the models of folds differ in level
    both = np.stack([1 - shifted, shifted], axis=1)[:, :, None]
    pairs = [(roc_auc_score(label[folds == k], p[folds == k, 1]), k) for k in range(4)]
    weight = [(label[folds == k] == 1).sum() * (label[folds == k] == 0).sum() for _, k in pairs]
    expected = np.average([value for value, _ in pairs], weights=weight)
    np.testing.assert_allclose(measures.auc(label, both, folds).value, expected, rtol=1e-10)


def test_probabilities_that_are_right_are_found_calibrated_and_sharper_ones_are_not():
    label, right = drawn(1500, 2, 11)
    _, sharp = drawn(1500, 2, 11, sharp=2.0)
    found = evaluate_classes(label, {"right": right, "sharp": sharp}, ["no", "yes"], replicates=60)
    slope = found.value("right", "calibration_slope", "yes")
    assert slope["lower"] < 1 < slope["upper"]
    ici = found.value("right", "ici", "yes")
    assert ici["value"] < ici["calibrated_upper"]
    assert found.value("sharp", "calibration_slope", "yes")["upper"] < 0.7
    assert found.value("sharp", "ici", "yes")["value"] > found.value("sharp", "ici", "yes")["calibrated_upper"]
    gap = found.differences.query("model == 'sharp' and versus == 'right' and measure == 'brier'").iloc[0]
    assert gap["lower"] > 0
    assert found.value("right", "auc")["value"] == found.value("sharp", "auc")["value"]
    assert found.classes == ("yes",)


def test_repeats_are_averaged_and_refitting_widens_intervals():
    label, p = drawn(300, 2, 3)
    rng = np.random.default_rng(2)
    folds = np.stack([rng.permutation(np.arange(300) % 5) for _ in range(2)])
    level = np.array([0.25, 1.0, 1.0, 1.0, 4.0])[folds]  # some folds' models are badly off
    odds = p[None, :, 1] / p[None, :, 0] * level
    repeats = np.stack([1 / (1 + odds), odds / (1 + odds)], axis=2)
    options = {"classes": ["no", "yes"], "replicates": 50}
    found = evaluate_classes(label, {"m": repeats}, folds=folds, **options)
    fixed = evaluate_classes(label, {"m": repeats}, **options)
    mean = np.mean([measures.brier(label, r[:, :, None]).value[0] for r in repeats])
    np.testing.assert_allclose(found.value("m", "brier")["value"], mean, rtol=1e-12)
    assert found.value("m", "brier")["se"] > 1.1 * fixed.value("m", "brier")["se"]


def test_small_cells_and_the_shares_that_tell_them_are_withheld():
    label = np.repeat([0, 1], [60, 40])
    p = np.tile([0.9, 0.1], (100, 1))
    p[label == 1] = [0.1, 0.9]
    p[:4] = [0.2, 0.8]  # four of class 0 are taken for class 1
    found = evaluate_classes(label, {"m": p}, ["no", "yes"], replicates=50)
    cells = found.confusion.set_index(["observed", "predicted"])["count"]
    assert cells["no"].isna().all()
    assert cells["yes", "yes"] == 40
    assert cells["yes", "no"] == 0
    for measure, of in (("recall", "no"), ("precision", "yes"), ("precision", "no")):
        assert np.isnan(found.value("m", measure, of)["value"])
        assert "below ten" in found.value("m", measure, of)["note"]
    assert found.value("m", "recall", "yes")["value"] == 1.0


@pytest.mark.parametrize(
    ("label", "p", "what"),
    [
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "labels"),
        ([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], "labels"),
        ([0, 1], [[0.5, 0.6], [0.5, 0.5]], "sum to one"),
        ([0, 1], [[0.5, 0.5]], "shape"),
        ([0, 1], [[np.nan, 0.5], [0.5, 0.5]], "sum to one"),
    ],
)
def test_what_is_no_class_or_no_probability_is_refused(label, p, what):
    with pytest.raises(UsageError, match=what):
        evaluate_classes(label, {"m": p}, ["no", "yes"])


def test_one_class_alone_has_no_auc_and_says_why():
    found = evaluate_classes([1] * 30, {"m": np.tile([0.3, 0.7], (30, 1))}, ["no", "yes"], replicates=50)
    assert np.isnan(found.value("m", "auc")["value"])
    assert "one class" in found.value("m", "auc")["note"]
    assert found.value("m", "accuracy")["value"] == 1.0
