"""Smooth calibration and Royston's D against R's answers; README.md of this folder lists them. R is not needed here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from osler.evaluation.calibration_report import assess
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.royston import royston
from osler.evaluation.smooth import Smoother, calibration_errors, pseudo_values

CASES = json.loads((Path(__file__).resolve().parent / "calibration.json").read_text())["cases"]
MODELS = ("known", "noisy")


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


@pytest.fixture(params=[(name, k) for name in CASES for k in range(2)], ids=lambda param: f"{param[0]}-{param[1]}")
def answer(request):
    name, k = request.param
    case = CASES[name]
    follow_up = FollowUp(np.array(case["time"]), np.array(case["event"]), 1)
    risks = {model: np.array(case["risks"][model]) for model in MODELS}
    return follow_up, risks, float(case["horizons"][k]), case["at"][k]


def test_pseudo_values_are_survivals(answer):
    follow_up, _, horizon, expected = answer
    close(pseudo_values(follow_up, horizon), expected["pseudo"])


@pytest.mark.parametrize("model", MODELS)
def test_the_smooth_curve_is_lm_on_hmiscs_basis(answer, model):
    follow_up, risks, horizon, expected = answer
    status, r = follow_up.status(horizon), expected["smooth"][model]
    rarer = min(status.case.sum(), (status.free | status.competing).sum())
    smoother = Smoother.of(risks[model], rarer)
    close(smoother.knots, r["knots"])
    fitted = smoother.fitted(smoother.fit(pseudo_values(follow_up, horizon), np.ones(len(follow_up))))
    close(fitted, r["fitted"])
    close(calibration_errors(risks[model], fitted), [r[name] for name in ("ici", "e50", "e90")])
    report = assess(follow_up, risks[model][:, None], np.array([horizon]), horizon, replicates=0)
    close([report.values[name].value for name in ("ici", "e50", "e90")], [r[name] for name in ("ici", "e50", "e90")])


def test_royston_is_survivals_and_its_error_is_the_robust_one(answer):
    follow_up, risks, horizon, expected = answer
    found = royston(follow_up, np.column_stack([risks[model] for model in MODELS]), horizon)
    for m, model in enumerate(MODELS):
        r, d = expected["royston"][model], found["royston_d"]
        np.testing.assert_allclose(d.value[m], r["d"], rtol=1e-6)
        np.testing.assert_allclose(found["royston_r2"].value[m], r["r2"], rtol=1e-6)
        close(d.value[m], r["coefficient"])
        close(np.sqrt((d.influence[:, m] ** 2).sum()) / len(follow_up), r["robust_se"])
