from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from osler.models.course import Course

MEAN, COVARIANCE, NOISE = np.array([0.5, -0.1]), np.array([[1.0, 0.05], [0.05, 0.04]]), 0.25


def _patients(n: int, seed: int):
    rng = np.random.default_rng(seed)
    own = rng.multivariate_normal(MEAN, COVARIANCE, n)
    sums, data = np.zeros((n, 6)), []
    for i in range(n):
        t = np.sort(rng.uniform(0, 8, rng.integers(1, 7)))
        z = own[i, 0] + own[i, 1] * t + rng.normal(0, NOISE**0.5, len(t))
        sums[i] = [len(t), t.sum(), (t**2).sum(), z.sum(), (t * z).sum(), (z**2).sum()]
        data.append((t, z))
    return own, sums, data


def test_population_is_recovered():
    _, sums, _ = _patients(4000, 0)
    course = Course.fit(sums)
    np.testing.assert_allclose(course.mean, MEAN, atol=0.05)
    np.testing.assert_allclose(course.covariance, COVARIANCE, atol=0.06)
    assert course.noise == pytest.approx(NOISE, rel=0.1)


def test_posterior_is_that_of_the_joint_normal():
    _, sums, data = _patients(5, 1)
    own = Course(MEAN, COVARIANCE, NOISE).given(sums)
    for i, (t, z) in enumerate(data):
        X = np.column_stack([np.ones_like(t), t])
        gain = COVARIANCE @ X.T @ np.linalg.inv(X @ COVARIANCE @ X.T + NOISE * np.eye(len(t)))
        np.testing.assert_allclose(own.mean[i], MEAN + gain @ (z - X @ MEAN), rtol=1e-9)
        np.testing.assert_allclose(own.covariance[i], COVARIANCE - gain @ X @ COVARIANCE, atol=1e-12)


def test_em_does_not_lower_the_likelihood():
    _, sums, data = _patients(150, 2)

    def likelihood(course: Course) -> float:
        total = 0.0
        for t, z in data:
            X = np.column_stack([np.ones_like(t), t])
            spread = X @ course.covariance @ X.T + course.noise * np.eye(len(t))
            total += multivariate_normal.logpdf(z, X @ course.mean, spread)
        return total

    assert likelihood(Course.fit(sums)) >= likelihood(Course(MEAN, COVARIANCE, NOISE)) - 1e-6


def test_nothing_measured_leaves_the_population():
    own = Course(MEAN, COVARIANCE, NOISE).given(np.zeros((1, 6)))
    mean, variance = own.ahead(np.array([2.0]))
    assert mean[0] == pytest.approx(MEAN[0] + 2 * MEAN[1])
    assert variance[0] == pytest.approx(1.0 + 2 * 2 * 0.05 + 4 * 0.04)


def test_nobody_measured_is_no_failure():
    course = Course.fit(np.zeros((3, 6)))
    assert np.isfinite(course.mean).all()
    again = Course.from_state(course.state())
    np.testing.assert_array_equal(again.given(np.zeros((1, 6))).mean, course.given(np.zeros((1, 6))).mean)
