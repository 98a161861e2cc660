"""Simultaneous intervals: from those of one number to those of independent ones, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr, ndtri

from osler.evaluation.estimate import interval, standard_error
from osler.evaluation.simultaneous import critical_value, largest_quantile, simultaneous_interval


def normal(level=0.95):
    return ndtri(0.5 + level / 2)


def sidak(count, level=0.95):
    return ndtri(0.5 + level ** (1 / count) / 2)


def influences(n=2000, columns=5, seed=0):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 1))
    drawn = common + rng.normal(size=(n, columns))
    return drawn - drawn.mean(axis=0)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_one_estimate_needs_the_normal_quantile_exactly(level):
    influence = influences(columns=1)
    assert critical_value(influence, standard_error(influence), level) == normal(level)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_estimates_that_move_as_one_need_no_more_than_one(level):
    one = influences(columns=1)
    many = one * np.array([1.0, 3.0, -2.0, 0.1])
    assert critical_value(many, standard_error(many), level) == pytest.approx(normal(level), abs=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("count", "tolerance"), [(2, 1e-6), (3, 0.004), (5, 0.01), (30, 0.02)])
def test_independent_estimates_need_what_sidak_found(count, tolerance, level):
    found = largest_quantile(np.eye(count), level)
    assert found == pytest.approx(sidak(count, level), abs=tolerance)
    assert found <= sidak(count, level)


def test_two_estimates_meet_the_bivariate_normal_distribution():
    rho = 0.7
    bound = largest_quantile(np.array([[1.0, rho], [rho, 1.0]]), 0.95)
    spread = np.sqrt(1 - rho**2)

    def density(z):
        given_first = ndtr((bound - rho * z) / spread) - ndtr((-bound - rho * z) / spread)
        return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * given_first

    assert quad(density, -bound, bound)[0] == pytest.approx(0.95, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(0, 1000), st.floats(0.5, 0.99))
def test_it_lies_between_one_and_independence_and_is_the_same_again(columns, seed, level):
    influence = influences(200, columns, seed)
    se = standard_error(influence)
    found = critical_value(influence, se, level, random_state=seed)
    assert normal(level) <= found <= sidak(columns, level)
    assert critical_value(influence, se, level, random_state=seed) == found
    assert critical_value(100 * influence, se, level, random_state=seed) == pytest.approx(found, abs=1e-9)


def test_estimates_without_an_error_do_not_count():
    influence = influences(columns=2)
    padded = np.column_stack([influence, np.zeros(len(influence)), np.full(len(influence), np.nan)])
    se = np.append(standard_error(influence), [0.0, np.nan])
    assert critical_value(padded, se, 0.95) == critical_value(influence, se[:2], 0.95)
    assert critical_value(padded[:, 2:], se[2:], 0.95) == normal()


def test_more_estimates_than_patients_and_mirrored_ones():
    influence = influences(20, 60)
    mirrored = np.column_stack([influence, -influence])
    found = critical_value(mirrored, standard_error(mirrored), 0.95)
    assert found == pytest.approx(critical_value(influence, standard_error(influence), 0.95), abs=0.02)


def test_clusters_count_as_one():
    influence = influences(400, 4)
    clusters = np.repeat(np.arange(400), 3)
    assert critical_value(np.repeat(influence, 3, axis=0), np.ones(4), 0.95, clusters=clusters) == pytest.approx(
        critical_value(influence, np.ones(4), 0.95), abs=1e-9
    )


def test_order_of_patients_does_not_matter():
    influence = influences()
    turned = influence[np.random.default_rng(1).permutation(len(influence))]
    assert critical_value(turned, np.ones(5), 0.95) == pytest.approx(
        critical_value(influence, np.ones(5), 0.95), abs=1e-9
    )


def test_intervals_hold_all_together_as_often_as_promised():
    rng = np.random.default_rng(3)
    mix = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6))))
    held = alone = 0
    for _ in range(400):
        drawn = rng.normal(size=(150, 6)) @ mix.T
        value, influence = drawn.mean(axis=0), drawn - drawn.mean(axis=0)
        lower, upper = simultaneous_interval(value, influence, 0.9, draws=1000)
        held += bool(((lower <= 0) & (upper >= 0)).all())
        lower, upper = interval("difference", value, standard_error(influence), 0.9)
        alone += bool(((lower <= 0) & (upper >= 0)).all())
    assert held / 400 == pytest.approx(0.9, abs=0.04)
    assert alone / 400 < 0.8


def test_intervals_keep_scale_and_range_and_the_given_error():
    influence = influences(500, 2)
    lower, upper = simultaneous_interval([0.99, 0.5], influence, 0.95, measure="auc")
    assert upper[0] == 1.0
    lower, upper = simultaneous_interval([2.0, 0.5], influence, 0.95, measure="observed_expected")
    np.testing.assert_allclose(lower * upper, [4.0, 0.25])
    twice = simultaneous_interval([0.0, 0.0], influence, 0.95, se=2 * standard_error(influence))
    once = simultaneous_interval([0.0, 0.0], influence, 0.95)
    np.testing.assert_allclose(twice[1], 2 * once[1])
    still = simultaneous_interval([0.0, 1.0], np.zeros((10, 2)), 0.95)
    assert [end.tolist() for end in still] == [[0.0, 1.0], [0.0, 1.0]]
