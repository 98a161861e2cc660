"""Every statistic against R's answer; README.md of this folder lists them. R is not needed here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from osler.evaluation import evaluate
from osler.evaluation.concordance import concordance
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.recalibration import calibration_intercept, calibration_slope
from osler.survival.nonparametric import (
    aalen_johansen,
    aalen_johansen_influence,
    censoring_survival,
    kaplan_meier,
)

FOLDER = Path(__file__).resolve().parent
NONPARAMETRIC = json.loads((FOLDER / "nonparametric.json").read_text())["cases"]
SCORE = json.loads((FOLDER / "score.json").read_text())["cases"]
FURTHER = json.loads((FOLDER / "further.json").read_text())["cases"]
MODELS = ("known", "noisy")


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", NONPARAMETRIC)
def test_kaplan_meier_is_survfit(name):
    case = NONPARAMETRIC[name]
    found = kaplan_meier(case["time"], case["event"], case["grid"])
    close(found.values, case["free"])
    close(found.se, case["free_se"])
    close(found.at_risk, case["at_risk"])


@pytest.mark.parametrize("name", NONPARAMETRIC)
def test_censoring_survival_is_prodlims_reverse_kaplan_meier(name):
    case = NONPARAMETRIC[name]
    close(censoring_survival(case["time"], case["event"], case["grid"], left_limit=False), case["censoring"])
    close(censoring_survival(case["time"], case["event"], case["grid"], left_limit=True), case["censoring_left"])


@pytest.mark.parametrize("name", [name for name in NONPARAMETRIC if "competing" in name])
def test_aalen_johansen_is_survfit_and_its_error_is_etms(name):
    case = NONPARAMETRIC[name]
    incidence, se = aalen_johansen(case["time"], case["event"], case["grid"], 2)
    close(incidence, case["incidence"])
    close(se, case["incidence_se"])
    for cause in (1, 2):
        for i, at in enumerate(case["grid"]):
            value, influence = aalen_johansen_influence(case["time"], case["event"], at, cause)
            close(value, case["incidence"][cause - 1][i])
            close(np.sqrt((influence**2).sum()) / len(influence), case["incidence_jackknife_se"][cause - 1][i])


@pytest.fixture(scope="module", params=SCORE)
def scored(request):
    case = SCORE[request.param]
    risks = {model: case["risks"][model] for model in MODELS}
    found = evaluate(case["time"], case["event"], risks, times=case["times"], horizons=case["times"])
    return case, found


def column(frame, name, **where):
    for key, value in where.items():
        frame = frame[frame[key] == value]
    return frame.sort_values("horizon")[name].to_numpy()


@pytest.mark.parametrize("model", MODELS)
def test_auc_is_score(scored, model):
    case, found = scored
    close(column(found.metrics, "value", model=model, measure="auc"), case["auc"][model])
    close(column(found.metrics, "se", model=model, measure="auc"), case["auc_se"][model])
    close(column(found.metrics, "lower", model=model, measure="auc"), case["auc_lower"][model])


@pytest.mark.parametrize("model", MODELS)
def test_brier_and_prediction_accuracy_are_score(scored, model):
    case, found = scored
    close(column(found.metrics, "value", model=model, measure="brier"), case["brier"][model])
    close(column(found.metrics, "se", model=model, measure="brier"), case["brier_se"][model])
    close(column(found.metrics, "upper", model=model, measure="brier"), case["brier_upper"][model])
    close(column(found.metrics, "value", model=model, measure="ipa"), case["ipa"][model])
    close(column(found.metrics, "se", model=model, measure="ipa"), case["derived"][model]["ipa_se"])


@pytest.mark.parametrize("model", MODELS)
def test_integrated_brier_is_the_integral_of_scores_brier(scored, model):
    case, found = scored
    close(column(found.metrics, "value", model=model, measure="integrated_brier")[-1], case["derived"][model]["ibs"])
    close(column(found.metrics, "se", model=model, measure="integrated_brier")[-1], case["derived"][model]["ibs_se"])


@pytest.mark.parametrize("measure", ["auc", "brier"])
def test_paired_differences_are_scores_contrasts(scored, measure):
    case, found = scored
    where = {"model": "noisy", "versus": "known", "measure": measure}
    close(column(found.differences, "value", **where), case[f"{measure}_difference"])
    close(column(found.differences, "se", **where), case[f"{measure}_difference_se"])


def follow_up(case):
    return FollowUp(np.array(case["time"]), np.array(case["event"]), 1)


def predictors(case):
    return np.column_stack([case["predictors"][model] for model in MODELS])


@pytest.mark.parametrize(("kind", "weighted"), [("harrell", False), ("uno", True)])
@pytest.mark.parametrize("name", [name for name in FURTHER if "single" in name])
def test_concordance_is_survivals(name, kind, weighted):
    case = FURTHER[name]
    for i, at in enumerate(case["times"]):
        found = concordance(follow_up(case), predictors(case), at, weighted=weighted)
        close(found.value, [case[kind][model][i] for model in MODELS])


@pytest.mark.parametrize(("measure", "key"), [(calibration_slope, "slope"), (calibration_intercept, "intercept")])
@pytest.mark.parametrize("name", FURTHER)
def test_recalibration_is_weighted_glm(name, measure, key):
    case = FURTHER[name]
    for i, at in enumerate(case["times"]):
        found = measure(follow_up(case), expit(0.8 * predictors(case) - 1), at)
        np.testing.assert_allclose(found.value, [case[key][model][i] for model in MODELS], rtol=1e-6, atol=1e-8)
