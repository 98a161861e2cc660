"""Weights of censoring that depends on the patients against R's answers; README.md of this folder lists them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from osler.evaluation.accuracy import brier
from osler.evaluation.censoring import StratifiedCensoring
from osler.evaluation.censoring_cox import CoxCensoring
from osler.evaluation.discrimination import auc
from osler.evaluation.estimate import standard_error
from osler.evaluation.follow_up import FollowUp

CASES = json.loads((Path(__file__).resolve().parent / "censoring.json").read_text())["cases"]
MODELS = ("known", "noisy")


def close(found, expected, rtol=1e-8):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-11)


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def by_cox(case):
    covariates = np.column_stack([case["x1"], case["x2"]])
    return FollowUp(np.array(case["time"]), np.array(case["event"]), 1, CoxCensoring(covariates))


def by_group(case):
    return FollowUp(np.array(case["time"]), np.array(case["event"]), 1, StratifiedCensoring(case["group"]))


def risks(case, i):
    return np.column_stack([np.array(case["risks"][model])[:, i] for model in MODELS])


def test_cox_weights_are_coxphs(case):
    follow_up = by_cox(case)
    scale = np.std([case["x1"], case["x2"]], axis=1)
    close(follow_up.fitted_censoring.beta / scale, case["cox"]["coefficients"])
    close(follow_up.fitted_censoring.own, case["cox"]["own"])
    for at, expected in zip(case["times"], case["cox"]["at"], strict=True):
        close(1 / follow_up.weight_at(at), expected)


def test_weights_within_groups_are_prodlims(case):
    follow_up = by_group(case)
    close(follow_up.fitted_censoring.own, case["grouped"]["own"])
    for i, at in enumerate(case["times"]):
        close(1 / follow_up.weight_at(at), case["grouped"]["at"][i])
        close(1 / follow_up.weight_at(at), np.array(case["prodlim"])[i, np.array(case["group"]) - 1])


@pytest.mark.parametrize(("measure", "function"), [("brier", brier), ("auc", auc)])
@pytest.mark.parametrize("name", [name for name in CASES if "tied" not in name])
def test_measures_weighted_by_cox_are_scores(name, measure, function):
    case = CASES[name]
    follow_up = by_cox(case)
    for i, at in enumerate(case["times"]):
        found = function(follow_up, risks(case, i), at)
        close(found.value, [case["score"][measure][model][i] for model in MODELS])
        close(standard_error(found.influence), [case["score"][f"{measure}_se"][model][i] for model in MODELS], 1e-6)


def test_the_brier_score_within_groups_is_put_together_from_scores(case):
    """Groups share nothing but the mean: values and squared influences of Score in each add up."""
    follow_up, n = by_group(case), len(case["time"])
    for i, at in enumerate(case["times"]):
        found = brier(follow_up, risks(case, i), at)
        size = np.array([part["n"] for part in case["parts"]])[:, None]
        value = np.array([[part["brier"][model][i] for model in MODELS] for part in case["parts"]])
        error = np.array([[part["brier_se"][model][i] for model in MODELS] for part in case["parts"]])
        together = (size * value).sum(axis=0) / n
        close(found.value, together)
        within = (size * (size - 1) * error**2).sum(axis=0)  # sums of squared influences in the groups
        between = (size * (value - together) ** 2).sum(axis=0)
        close(standard_error(found.influence), np.sqrt((within + between) / n / (n - 1)))
