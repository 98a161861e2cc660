"""Updating of risks against R's answer; README.md of this folder lists it. R is not needed here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from osler.evaluation.closed_test import closed_test
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.smooth import pseudo_values
from osler.evaluation.updating import fit_map

CASES = json.loads((Path(__file__).resolve().parent / "updating.json").read_text())["cases"]


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]


def inputs(case):
    return FollowUp(np.array(case["time"]), np.array(case["event"]), 1), np.array(case["risk"])


def close(found, expected, rtol=1e-8):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-10)


def test_pseudo_values_are_survivals(case):
    close(pseudo_values(inputs(case)[0], case["horizon"]), case["pseudo"])


def test_the_shift_is_that_of_glm(case):
    close(fit_map(*inputs(case), case["horizon"], "in_the_large").intercept, case["in_the_large"])


def test_the_line_and_its_errors_are_those_of_glm(case):
    found = fit_map(*inputs(case), case["horizon"], "slope")
    close([found.intercept, *found.slopes], case["slope"])
    close(found.errors, case["slope_se"])


def test_the_flexible_map_is_that_of_glm_on_integrals_of_hats(case):
    found = fit_map(*inputs(case), case["horizon"], "flexible")
    close(found.knots, case["knots"])
    close([found.intercept, *found.slopes], case["flexible"])


def test_score_tests(case):
    found = closed_test(*inputs(case), case["horizon"])
    assert found["method"].tolist() == ["as_is", "in_the_large", "slope"]
    assert found["df"].tolist() == [len(case["knots"]) + 1, len(case["knots"]), len(case["knots"]) - 1]
    close(found["statistic"], case["score"], 1e-7)
