"""Net benefit, Holm's p-values and simultaneous critical values against R's answers. R is not needed here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from osler.evaluation.estimate import standard_error
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.multiplicity import holm
from osler.evaluation.simultaneous import largest_quantile
from osler.evaluation.utility import TREAT_ALL, decision, decision_measured

ANSWERS = json.loads((Path(__file__).resolve().parent / "utility.json").read_text())
CASES = ANSWERS["cases"]
MODELS = ("known", "noisy")


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-11)


def outcomes(case):
    return FollowUp(np.array(case["time"]), np.array(case["event"]), 1)


@pytest.mark.parametrize("name", CASES)
def test_net_benefit_and_its_error_are_made_of_scores_brier_scores(name):
    case = CASES[name]
    for i, at in enumerate(case["times"]):
        risk = np.column_stack([*(np.array(case["risks"][m])[:, i] for m in MODELS), np.ones(len(case["time"]))])
        found = decision_measured(outcomes(case), risk, at, case["thresholds"])
        value, se = (part.reshape(3, -1) for part in (found.value, standard_error(found.influence)))
        for m, model in enumerate((*MODELS, "all")):
            close(value[m], case["value"][model][i])
            close(value[m], case["by_score"][model][i])
            close(se[m], case["se"][model][i])


@pytest.mark.parametrize("name", CASES)
def test_curves_are_those_numbers(name):
    case, at = CASES[name], 1
    risk = np.column_stack([np.array(case["risks"][m])[:, at] for m in MODELS])
    curve = decision(outcomes(case), risk, MODELS, case["times"][at], case["thresholds"]).set_index("model")
    for model, key in (*zip(MODELS, MODELS, strict=True), (TREAT_ALL, "all")):
        close(curve.loc[model, "value"], case["value"][key][at])
        close(curve.loc[model, "se"], case["se"][key][at])


@pytest.mark.parametrize("name", CASES)
def test_vickers_incidence_among_the_treated_is_the_same_where_it_must_be_and_near_elsewhere(name):
    case = CASES[name]
    for model in (*MODELS, "all"):
        ours, treated, se = (np.array(case[key][model]) for key in ("value", "among_treated", "se"))
        if name == "uncensored" or model == "all":
            close(ours, treated)
        else:
            assert (np.abs(ours - treated) < 0.5 * se).all()
            assert (ours != treated).any()


@pytest.mark.parametrize("answer", ANSWERS["holm"])
def test_holm_is_p_adjust(answer):
    p, adjusted = (np.atleast_1d(np.array(answer[key], dtype=float)) for key in ("p", "adjusted"))
    np.testing.assert_allclose(holm(p), adjusted, rtol=1e-12)


@pytest.mark.parametrize("name", ANSWERS["critical"])
def test_critical_values_are_mvtnorms(name):
    answer = ANSWERS["critical"][name]
    correlation = np.array(answer["correlation"])
    for level, value in zip(answer["levels"], answer["values"], strict=True):
        tolerance = 1e-6 if len(correlation) == 2 else 5e-4
        assert largest_quantile(correlation, level, draws=100_000) == pytest.approx(value, rel=tolerance)
        assert largest_quantile(correlation, level) == pytest.approx(value, rel=4e-3)
