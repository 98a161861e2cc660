"""AUC with DeLong's errors, Hand and Till's AUC, and class shares against R's answers. R is not needed here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from osler.diagnosis.measures import auc
from osler.diagnosis.prior_shift import estimate_shares

ANSWERS = json.loads((Path(__file__).resolve().parent / "diagnosis.json").read_text())


def error(influence):
    return np.sqrt((influence**2).sum() * len(influence) / (len(influence) - 1)) / len(influence)


@pytest.mark.parametrize("name", ANSWERS["two"])
def test_auc_and_its_errors_are_delongs(name):
    case = ANSWERS["two"][name]
    p = np.stack([np.stack([1 - np.array(case[m]), np.array(case[m])], axis=1) for m in ("known", "noisy")], axis=2)
    found = auc(np.array(case["label"]), p)
    np.testing.assert_allclose(found.value, case["auc"], rtol=1e-8)
    np.testing.assert_allclose([error(found.influence[:, m]) for m in (0, 1)], case["se"], rtol=1e-8)
    difference = found.influence[:, 0] - found.influence[:, 1]
    np.testing.assert_allclose(error(difference), case["difference_se"], rtol=1e-8)


@pytest.mark.parametrize("name", ANSWERS["several"])
def test_auc_of_many_classes_is_hand_and_tills(name):
    case = ANSWERS["several"][name]
    found = auc(np.array(case["label"]), np.array(case["known"])[:, :, None])
    np.testing.assert_allclose(found.value, case["m"], rtol=1e-8)


@pytest.mark.parametrize("name", ANSWERS["shares"])
def test_class_shares_are_those_of_the_largest_likelihood(name):
    case = ANSWERS["shares"][name]
    p = np.array(case["probability"])
    found = estimate_shares(p / p.sum(axis=1, keepdims=True), np.full(p.shape[1], 1 / p.shape[1]))
    np.testing.assert_allclose(found.shares, case["shares"], rtol=1e-4)
    np.testing.assert_allclose(found.statistic, case["statistic"], rtol=1e-6)
    np.testing.assert_allclose(found.p, case["p"], rtol=1e-4)
