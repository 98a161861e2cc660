"""Concordance as R computes it: survival's for Harrell's and Antolini's C, pec's for weighted pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from osler.evaluation.accuracy import integrated_brier
from osler.evaluation.antolini import time_dependent_concordance
from osler.evaluation.censoring import StratifiedCensoring
from osler.evaluation.concordance import concordance, concordance_index
from osler.evaluation.estimate import standard_error
from osler.evaluation.follow_up import FollowUp

HERE = Path(__file__).parent
CASES = json.loads((HERE / "concordance.json").read_text())["cases"]
SCORE = json.loads((HERE / "score.json").read_text())["cases"]
MODELS = ("known", "noisy")
UNTIED = [name for name in CASES if "tied" not in name]


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found, dtype=float), np.asarray(expected, dtype=float), rtol=1e-8, atol=1e-10)


def follow_up(case, **options):
    return FollowUp(np.array(case["time"], dtype=float), np.array(case["event"]), 1, **options)


def predictors(case):
    return np.column_stack([case[model] for model in MODELS])


def jackknife_error(influence):
    """The infinitesimal jackknife without the factor n / (n - 1), as survival has it."""
    return np.sqrt((influence**2).sum(axis=0)) / len(influence)


@pytest.mark.parametrize("name", CASES)
def test_harrells_c_and_its_error_are_survivals(name):
    case = CASES[name]
    for i, at in enumerate(case["times"]):
        found = concordance(follow_up(case), predictors(case), at, weighted=False)
        close(found.value, [case["harrell"][model]["value"][i] for model in MODELS])
        close(jackknife_error(found.influence), [case["harrell"][model]["se"][i] for model in MODELS])
        for m, model in enumerate(MODELS):
            close(concordance_index(case["time"], case["event"], case[model], horizon=at), found.value[m])


@pytest.mark.parametrize("name", CASES)
def test_the_plain_index_is_survivals(name):
    case = CASES[name]
    for model in MODELS:
        close(concordance_index(case["time"], case["event"], case[model]), case["harrell"][model]["whole"])


@pytest.mark.parametrize("name", CASES)
def test_antolinis_c_and_its_error_are_those_of_survival_for_risks_that_change(name):
    case = CASES[name]
    moments, group = np.array(case["moments"]), np.array(case["group"])[:, None]
    power = 1 + 0.5 * group
    curves = [-np.expm1(-((np.exp(0.8 * np.array(case[m]))[:, None] * moments / 9) ** power)) for m in MODELS]
    for i, at in enumerate(case["times"]):
        found = time_dependent_concordance(follow_up(case), curves, moments, at)
        close(found.value, [case["antolini"][model]["value"][i] for model in MODELS])
        close(jackknife_error(found.influence), [case["antolini"][model]["se"][i] for model in MODELS])


@pytest.mark.parametrize("name", UNTIED)
def test_weighted_c_is_pecs(name):
    case = CASES[name]
    for i, at in enumerate(case["times"]):
        found = concordance(follow_up(case), predictors(case), at)
        close(found.value, [case["marginal"][model][i] for model in MODELS])


@pytest.mark.parametrize("name", UNTIED)
def test_c_with_weights_of_groups_is_pecs(name):
    case = CASES[name]
    grouped = follow_up(case, censoring_model=StratifiedCensoring(np.array(case["group"])))
    for i, at in enumerate(case["times"]):
        found = concordance(grouped, predictors(case), at)
        close(found.value, [case["grouped"][model][i] for model in MODELS])


@pytest.mark.parametrize("name", SCORE)
def test_integrated_brier_is_the_integral_of_scores_brier(name):
    case = SCORE[name]
    curves, horizon = [np.array(case["risks"][model]) for model in MODELS], case["times"][-1]
    found = integrated_brier(follow_up(case), curves, case["times"], [horizon])[horizon]
    close(found.value, [case["derived"][model]["ibs"] for model in MODELS])
    close(standard_error(found.influence), [case["derived"][model]["ibs_se"] for model in MODELS])
