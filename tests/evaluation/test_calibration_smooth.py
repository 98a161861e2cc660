"""Pseudo-values of counted patients, splines of the risk and distances from them. R's answers: tests/reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.evaluation.bootstrap import AtHorizon, percentiles, resamples, shifted_percentiles
from osler.evaluation.censoring import StratifiedCensoring
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.smooth import Smoother, calibration_errors, calibration_points, pseudo_values, spline_knots
from osler.survival.nonparametric import aalen_johansen_influence

patient = st.tuples(st.integers(1, 6), st.integers(0, 2), st.integers(0, 3))
patients = st.lists(patient, min_size=2, max_size=20)


@settings(deadline=None)
@given(patients, st.sampled_from([2.0, 3.5, 6.0]))
def test_counted_patients_are_those_that_are_there_so_often(drawn, horizon):
    time, event, count = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    copies = np.repeat(np.arange(len(time)), count.astype(int))
    many = FollowUp(time[copies], event[copies].astype(int), 1)
    if not len(many) or many.unsupported(horizon):
        return
    found = AtHorizon.of(FollowUp(time, event.astype(int), 1), horizon).observed(count)
    incidence, influence = aalen_johansen_influence(many.time, many.event, horizon)
    assert found.incidence == pytest.approx(incidence, abs=1e-12)
    np.testing.assert_allclose(found.pseudo[copies], incidence + influence, atol=1e-9)
    np.testing.assert_allclose(found.weight[copies], many.status(horizon).weight, atol=1e-9)


def test_pseudo_values_without_censoring_are_the_outcomes():
    follow_up = FollowUp(np.array([1.0, 2.0, 2.0, 3.0, 9.0, 9.0]), np.array([1, 2, 1, 1, 0, 0]), 1)
    np.testing.assert_allclose(pseudo_values(follow_up, 5.0), [1, 0, 1, 1, 0, 0], atol=1e-12)


def test_censoring_that_depends_on_covariates_gives_weighted_cases():
    rng = np.random.default_rng(0)
    group = np.arange(200) % 2
    times = np.stack([rng.uniform(1 + 5 * group, 12), rng.exponential(8, 200), rng.exponential(16, 200)])
    time, event = times.min(axis=0), times.argmin(axis=0)
    follow_up = FollowUp(time, event, 1, StratifiedCensoring(group))
    found = pseudo_values(follow_up, 4.0)
    for g in (0, 1):
        alone = FollowUp(time[group == g], event[group == g], 1)
        status = alone.status(4.0)
        np.testing.assert_allclose(found[group == g], status.weight * status.case)


@pytest.mark.parametrize("events", [5, 15, 100])
def test_perfect_risks_lie_inside_the_space_of_curves(events):
    risk = np.random.default_rng(1).beta(1, 5, 300)
    smoother = Smoother.of(risk, events)
    assert len(smoother.knots) == {5: 2, 15: 3, 100: 4}[events]
    coefficients = smoother.fit(risk, np.ones(300))
    np.testing.assert_allclose(smoother.fitted(coefficients), risk, atol=1e-12)
    np.testing.assert_allclose(smoother.at(np.array([0.01, 0.4])) @ coefficients, [0.01, 0.4], atol=1e-12)
    np.testing.assert_allclose(calibration_errors(risk, smoother.fitted(coefficients)), 0, atol=1e-12)


def test_curves_are_lines_beyond_the_outer_knots():
    rng = np.random.default_rng(2)
    risk = rng.beta(1, 5, 300)
    smoother = Smoother.of(risk, 100)
    curve = smoother.at(np.linspace(smoother.knots[-1], 1, 5)) @ smoother.fit(rng.random(300), np.ones(300))
    np.testing.assert_allclose(np.diff(curve, 2), 0, atol=1e-9)


def test_weighted_fits_are_least_squares_on_copies():
    rng = np.random.default_rng(3)
    risk, values = rng.random(80), rng.normal(size=80)
    smoother = Smoother.of(risk, 50)
    count = next(resamples(80, 1, rng))
    copies = np.repeat(np.arange(80), count.astype(int))
    expected = np.linalg.lstsq(smoother.basis[copies], values[copies], rcond=None)[0]
    np.testing.assert_allclose(smoother.fit(values, count), expected, atol=1e-10)
    errors = np.abs(risk - values)[copies]
    found = calibration_errors(risk, values, count)
    np.testing.assert_allclose(found, [errors.mean(), *np.quantile(errors, [0.5, 0.9])])


def test_knots_give_way_to_few_distinct_risks():
    assert len(spline_knots(np.full(50, 0.2), 100)) == 1
    assert len(spline_knots(np.repeat([0.1, 0.3], 25), 100)) == 2
    assert len(spline_knots(np.repeat([0.1, 0.2, 0.3], 25), 100)) == 3
    assert len(spline_knots(np.repeat([0.1, 0.2], [99, 1]), 100)) == 2
    tiny = 1e-7 * np.random.default_rng(0).random(200)
    np.testing.assert_allclose(Smoother.of(tiny, 100).basis.T @ Smoother.of(tiny, 100).basis, np.eye(4), atol=1e-9)


def test_equal_risks_are_as_far_off_as_their_mean():
    smoother = Smoother.of(np.full(4, 0.2), 2)
    fitted = smoother.fitted(smoother.fit(np.array([0.0, 1.0, 0.0, 1.0]), np.ones(4)))
    np.testing.assert_allclose(calibration_errors(np.full(4, 0.2), fitted), 0.3)


def test_a_resample_that_leaves_coefficients_open_still_has_a_curve():
    risk = np.linspace(0, 1, 10)
    smoother = Smoother.of(risk, 50)
    count = np.where(risk < 0.2, 5.0, 0.0)
    assert np.isfinite(smoother.fitted(smoother.fit(risk, count))).all()


def test_points_have_ten_patients_on_either_side():
    risk = np.random.default_rng(4).random(100)
    points = calibration_points(risk)
    assert len(points) == 40
    assert (risk <= points[0]).sum() == (risk >= points[-1]).sum() == 10
    assert not len(calibration_points(risk[:19]))
    np.testing.assert_array_equal(calibration_points(np.full(30, 0.2)), [0.2])


def test_resamples_draw_whole_clusters():
    clusters = np.repeat(np.arange(20), 3)
    drawn = list(resamples(60, 5, np.random.default_rng(0), clusters))
    again = list(resamples(60, 5, np.random.default_rng(0), clusters))
    np.testing.assert_array_equal(drawn, again)
    for count in drawn:
        assert count.sum() == 60
        assert (count.reshape(20, 3).std(axis=1) == 0).all()
    assert all(count.sum() == 60 for count in resamples(60, 3, np.random.default_rng(0)))


def test_percentiles_hold_one_more_draw_as_often_as_they_say():
    rng = np.random.default_rng(5)
    lower, upper = percentiles(rng.random((200, 4000)), 0.95)
    assert np.mean(upper - lower) == pytest.approx(0.95, abs=0.002)
    draws = np.stack([rng.random(100), np.where(np.arange(100) < 60, np.nan, 1.0)], axis=1)
    lower, _ = percentiles(draws, 0.9)
    assert np.isfinite(lower[0])
    assert np.isnan(lower[1])
    assert np.isnan(percentiles(np.empty((0, 3)), 0.9)[0]).all()
    low, high = shifted_percentiles(np.array([0.1]), np.linspace(0.2, 0.8, 101)[:, None], 0.95)
    assert low[0] == 0
    assert high[0] == pytest.approx(0.1 + 0.3 * 0.95, abs=0.02)
