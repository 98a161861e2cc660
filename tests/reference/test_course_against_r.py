"""The random intercept and slope against R's answers. R is not needed here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from osler.models.course import Course

CASES = json.loads((Path(__file__).resolve().parent / "course.json").read_text())["cases"]


def sums_of(case):
    owner, t, z = (np.array(case[name]) for name in ("id", "time", "z"))
    parts = [np.ones_like(t), t, t * t, z, t * z, z * z]
    return np.stack([np.bincount(owner - 1, weights=part) for part in parts], axis=1)


def log_likelihood(course, case):
    owner, t, z = (np.array(case[name]) for name in ("id", "time", "z"))
    total = 0.0
    for i in np.unique(owner):
        X = np.column_stack([np.ones((owner == i).sum()), t[owner == i]])
        spread = X @ course.covariance @ X.T + course.noise * np.eye(len(X))
        total += multivariate_normal.logpdf(z[owner == i], X @ course.mean, spread)
    return total


@pytest.mark.parametrize("name", CASES)
def test_population_is_that_of_lme(name):
    case = CASES[name]
    course = Course.fit(sums_of(case))
    np.testing.assert_allclose(course.mean, case["mean"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(course.covariance, case["covariance"], rtol=1e-3, atol=1e-4)
    assert course.noise == pytest.approx(case["noise"], rel=1e-4)
    assert log_likelihood(course, case) == pytest.approx(case["log_likelihood"], rel=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_each_patients_own_level_and_slope_are_the_best_linear_unbiased_predictions(name):
    case = CASES[name]
    course = Course(np.array(case["mean"]), np.array(case["covariance"]), case["noise"])
    np.testing.assert_allclose(course.given(sums_of(case)).mean, case["own"], rtol=1e-6, atol=1e-8)
