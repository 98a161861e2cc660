"""Updating of risks: maps, curves, cross-fitting and the closed test, against definitions written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize

from osler.errors import UsageError
from osler.evaluation.closed_test import closed_test, recommend
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.smooth import pseudo_values
from osler.evaluation.updating import (
    METHODS,
    RiskMap,
    Updating,
    cross_fitted,
    design,
    fit_map,
    fit_updating,
    risk_at,
)
from osler.survival.nonparametric import aalen_johansen

TIMES = np.linspace(0.0, 2.0, 9)


def scale(risk):
    return np.log(-np.log1p(-risk))


def patients(n=400, seed=0, shift=0.0, slope=1.0, bend=0.0, competing=False):
    """Outcomes whose hazard is exp(shift + slope lp + bend (lp + 1)^2), and curves of a model that says exp(lp)."""
    rng = np.random.default_rng(seed)
    lp = rng.normal(-1.0, 0.8, n)
    first = rng.exponential(np.exp(-(shift + slope * lp + bend * (lp + 1) ** 2)))
    second = rng.exponential(5.0, n) if competing else np.full(n, np.inf)
    out = rng.uniform(0.3, 4.0, n)
    time = np.minimum(np.minimum(first, second), out)
    event = np.where(time == out, 0, np.where(first <= second, 1, 2))
    return FollowUp(time, event.astype(np.int64), 1), 1 - np.exp(-np.exp(lp)[:, None] * TIMES)


maps = st.builds(
    lambda intercept, slopes, start, gaps: RiskMap(
        "flexible", intercept, tuple(slopes), tuple(start + np.cumsum([0.0, *gaps[: len(slopes) - 1]]))
    ),
    st.floats(-3, 3),
    st.lists(st.floats(0.05, 10), min_size=3, max_size=4),
    st.floats(-4, 1),
    st.lists(st.floats(0.05, 2), min_size=3, max_size=3),
)


# One map


@given(maps, st.lists(st.floats(0, 1), min_size=2, max_size=20, unique=True))
@settings(max_examples=100, deadline=None)
def test_a_map_keeps_order_and_certainty(found, risks):
    risk = np.sort(risks)
    updated = found.apply(risk)
    assert (np.diff(updated) >= 0).all()
    assert ((updated >= 0) & (updated <= 1)).all()
    np.testing.assert_array_equal(found.apply(np.array([0.0, 1.0])), [0.0, 1.0])
    shifted = found.shift(np.array([0.2, 0.7]))
    assert shifted[1] - shifted[0] + scale(0.7) - scale(0.2) > 0


@given(maps)
@settings(max_examples=20, deadline=None)
def test_a_map_is_the_integral_of_its_slope(found):
    for x in (-5.0, -0.3, 0.4, 2.0):
        risk = float(-np.expm1(-np.exp(x)))
        if not 1e-6 < risk < 1 - 1e-6:
            continue
        points = sorted(k for k in found.knots if min(0, x) < k < max(0, x))
        area = quad(lambda u: np.interp(u, found.knots, found.slopes), 0, x, points=points or None)[0]
        assert scale(risk) + found.shift(np.array([risk]))[0] == pytest.approx(found.intercept + area, abs=1e-6)


def test_equal_slopes_are_a_line():
    risk = np.linspace(0.01, 0.99, 50)
    bent, straight = RiskMap("flexible", 0.3, (0.7, 0.7, 0.7), (-2.0, -1.0, 0.5)), RiskMap("slope", 0.3, (0.7,))
    np.testing.assert_allclose(bent.apply(risk), straight.apply(risk), rtol=1e-12)


def test_as_it_is_changes_nothing_and_a_shift_multiplies_the_cumulative_hazard():
    risk = np.linspace(0, 1, 30)
    np.testing.assert_allclose(RiskMap().apply(risk), risk, atol=1e-15)
    np.testing.assert_allclose(RiskMap("in_the_large", 0.4).apply(risk), 1 - (1 - risk) ** np.exp(0.4), atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "by whim"},
        {"intercept": np.nan},
        {"slopes": (0.0,)},
        {"slopes": (1.0, 1.0)},
        {"slopes": (1.0, 1.0), "knots": (1.0, 0.0)},
    ],
)
def test_what_is_no_map_is_refused(wrong):
    with pytest.raises(UsageError):
        RiskMap(**{"method": "slope", **wrong})


def test_a_map_comes_back_from_json():
    f, curves = patients()
    for method in METHODS:
        found = fit_map(f, curves[:, 4], 1.0, method)
        assert RiskMap.from_json(found.to_json()).to_json() == found.to_json()
    bound = fit_map(f, 1 - curves[:, 4], 1.0, "slope")
    assert bound.to_json()["standard_errors"] == [None, None]
    with pytest.raises(UsageError, match="no map"):
        RiskMap.from_json({"method": "slope"})


# Fits


@pytest.mark.parametrize("competing", [False, True])
@pytest.mark.parametrize("method", METHODS[1:])
def test_the_mean_updated_risk_is_the_observed_incidence(method, competing):
    f, curves = patients(shift=0.5, slope=0.7, competing=competing)
    found = fit_map(f, curves[:, 4], 1.0, method)
    observed = aalen_johansen(f.time, f.event, [1.0], 2)[0][0, 0]
    assert found.apply(curves[:, 4]).mean() == pytest.approx(observed, rel=1e-8)


def test_the_truth_is_found():
    f, curves = patients(20_000, shift=0.3, slope=0.8)
    line = fit_map(f, curves[:, 4], 1.0, "slope")
    assert line.intercept == pytest.approx(0.3, abs=4 * line.errors[0])
    assert line.slopes[0] == pytest.approx(0.8, abs=4 * line.errors[1])
    assert line.errors[1] < 0.04
    bent = fit_map(f, curves[:, 4], 1.0, "flexible")
    assert len(bent.knots) == 4
    np.testing.assert_allclose(bent.slopes, 0.8, atol=0.35)


def test_a_flexible_map_bends():
    f, curves = patients(6000, bend=0.3)
    risk = curves[:, 4]
    x = scale(risk)
    inner = (x > -2.3) & (x < 0.3)
    true = -np.expm1(-np.exp(x + 0.3 * (x + 1) ** 2))
    off = {method: np.abs(fit_map(f, risk, 1.0, method).apply(risk) - true)[inner].mean() for method in METHODS}
    assert off["flexible"] < 0.4 * min(off["slope"], off["in_the_large"])


def test_errors_are_those_of_leaving_patients_out():
    f, curves = patients(250, shift=0.3, slope=0.7)
    risk = curves[:, 4]
    found = fit_map(f, risk, 1.0, "slope")
    left_out = []
    for i in range(250):
        kept = np.arange(250) != i
        part = FollowUp(f.time[kept], f.event[kept], 1)
        each = fit_map(part, risk[kept], 1.0, "slope")
        left_out.append([each.intercept, each.slopes[0]])
    spread = np.std(left_out, axis=0) * 249 / np.sqrt(250)
    np.testing.assert_allclose(found.errors, spread, rtol=0.1)


def test_bounds_are_met_by_the_best_map_within_them():
    """Where the free fit would turn the order round, the bounded one is what a general optimiser finds."""
    f, curves = patients(300, slope=-0.6)
    risk = curves[:, 4]
    found = fit_map(f, risk, 1.0, "flexible")
    X, y = design(scale(risk), found.knots), pseudo_values(f, 1.0)

    def loss(b):
        eta = np.linspace(0, 1, 401)[:, None] * (X @ b)  # integral of (risk - y) along the ray to b
        return float(np.trapezoid((-np.expm1(-np.exp(eta)) - y) * (X @ b), dx=1 / 400, axis=0).sum())

    start = np.array([0.0, *found.slopes])
    bounds = [(None, None)] + [(0.05, 10)] * len(found.slopes)
    best = minimize(loss, start, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9})
    assert min(found.slopes) == pytest.approx(0.05)
    np.testing.assert_allclose([found.intercept, *found.slopes], best.x, atol=2e-3)
    assert np.isnan(found.errors).all()
    assert (np.diff(found.apply(np.sort(risk))) > 0).all()


def test_what_cannot_be_fitted_is_said_in_words_without_small_counts():
    f, curves = patients(400)
    few = FollowUp(np.full(40, 1.0), np.array([1] * 5 + [0] * 35), 1)
    assert fit_map(few, curves[:40, 4], 0.9, "in_the_large") == "0 events; expected 10 or more"
    assert fit_map(few, curves[:40, 4], 1.0, "in_the_large") == "fewer than 10 events; expected 10 or more"
    assert "follow-up ends before" in fit_map(f, curves[:, 4], 50.0, "slope")
    assert "all equal" in fit_map(f, np.full(400, 0.4), 1.0, "slope")
    assert isinstance(fit_map(f, np.full(400, 0.4), 1.0, "in_the_large"), RiskMap)
    assert "too few different" in fit_map(f, np.where(curves[:, 4] > 0.3, 0.5, 0.2), 1.0, "flexible")
    with pytest.raises(UsageError, match="by whim"):
        fit_map(f, curves[:, 4], 1.0, "by whim")


def test_risks_of_nothing_and_certainty_do_no_harm():
    f, curves = patients(400, seed=3)
    risk = curves[:, 4].copy()
    risk[:5], risk[5:8] = 0.0, 1.0
    for method in METHODS[1:]:
        found = fit_map(f, risk, 1.0, method)
        assert np.isfinite(found.apply(risk)).all()


# Curves


def test_risks_are_read_between_times():
    curve = np.array([[0.1, 0.3, 0.4]])
    times = np.array([1.0, 2.0, 4.0])
    assert risk_at(curve, times, 0.5) == pytest.approx(0.05)
    assert risk_at(curve, times, 1.0) == pytest.approx(0.1)
    assert risk_at(curve, times, 1.5) == pytest.approx(0.2)
    assert risk_at(curve, times, 4.0) == pytest.approx(0.4)
    assert risk_at(curve[:, :1], times[:1], 1.0) == pytest.approx(0.1)


@pytest.mark.parametrize("horizons", [(1.0,), (1.0, 1.75), (0.5, 1.0, 2.0)])
def test_a_curve_meets_the_map_at_each_horizon_and_never_falls(horizons):
    f, curves = patients(600, shift=0.4, slope=0.7)
    updating = fit_updating(f, curves, TIMES, horizons, "flexible")
    updated = updating.apply(curves, TIMES)
    assert (np.diff(updated, axis=1) >= 0).all()
    assert (updated[:, 0] == 0).all()
    for horizon in horizons:
        there = int(np.flatnonzero(np.isclose(TIMES, horizon))[0])
        expected = updating.at(horizon).apply(curves[:, there])
        np.testing.assert_allclose(updated[:, there], expected, rtol=1e-9)
    assert updating.at(0.123) is None


def test_before_the_first_horizon_a_patients_curve_keeps_its_shape():
    f, curves = patients(600, shift=0.4, slope=0.7)
    updating = fit_updating(f, curves, TIMES, [1.0], "slope")
    updated = updating.apply(curves, TIMES)
    ratio = np.log1p(-updated[:, 1:]) / np.log1p(-curves[:, 1:])
    np.testing.assert_allclose(ratio, ratio[:, [0]] * np.ones(8), rtol=1e-9)


def test_between_horizons_a_curve_stays_between_its_values_there():
    """A curve that is flat before a horizon whose shift is lower may not overshoot what it is at that horizon."""
    curves = np.array([[0.0, 0.2, 0.39, 0.4]])
    maps = (RiskMap("in_the_large", 1.0), RiskMap("in_the_large", 0.3))
    times = np.array([0.0, 1.0, 2.0, 3.0])
    updated = Updating("in_the_large", (1.0, 3.0), maps).apply(curves, times)
    assert updated[0, 1] == pytest.approx(1 - 0.8**np.e)
    assert updated[0, 3] == pytest.approx(1 - 0.6 ** np.exp(0.3))
    assert updated[0, 1] <= updated[0, 2] <= updated[0, 3]


def test_maps_that_cross_leave_a_curve_level():
    curves = np.array([[0.0, 0.2, 0.25, 0.3]])
    high, low = RiskMap("in_the_large", 1.0), RiskMap("in_the_large", -1.0)
    updated = Updating("in_the_large", (1.0, 3.0), (high, low)).apply(curves, np.array([0.0, 1.0, 2.0, 3.0]))
    assert updated[0, 1] == pytest.approx(1 - 0.8**np.e)
    assert (np.diff(updated) >= 0).all()


def test_a_horizon_with_too_few_events_takes_a_simpler_map_and_says_so():
    f, curves = patients(300, seed=1)
    updating = fit_updating(f, curves, TIMES, [0.1, 1.0, 50.0], "flexible")
    assert updating.horizons == (0.1, 1.0)
    assert [each.method for each in updating.maps] == ["in_the_large", "flexible"]
    assert any("flexible not fitted" in note for note in updating.notes)
    assert fit_updating(f, curves, TIMES, [50.0], "slope").maps == ()
    np.testing.assert_array_equal(fit_updating(f, curves, TIMES, [50.0], "slope").apply(curves, TIMES), curves)


def test_nobodys_own_outcome_takes_part_in_the_update_of_their_risk():
    f, curves = patients(300, shift=0.5)
    fold = np.arange(300) % 5
    before = cross_fitted(f, curves, TIMES, [1.0, 1.75], "slope", fold)
    time, event = f.time.copy(), f.event.copy()
    mine = fold == 2
    time[mine], event[mine] = 0.01, 1 - np.minimum(event[mine], 1)
    after = cross_fitted(FollowUp(time, event, 1), curves, TIMES, [1.0, 1.75], "slope", fold)
    np.testing.assert_array_equal(before[mine], after[mine])
    assert not np.allclose(before[~mine], after[~mine])


# How much updating is called for


@pytest.mark.slow
@pytest.mark.parametrize("competing", [False, True])
def test_a_method_that_suffices_is_rarely_rejected(competing):
    rejected = []
    for seed in range(150):
        f, curves = patients(350, seed=seed, shift=0.5, competing=competing)
        risk = 1 - (1 - curves[:, 4]) ** np.exp(0.5) if not competing else curves[:, 4]
        if competing:  # the incidence of the first cause has no closed form here: a shift that suffices is not asked
            found = fit_map(f, risk, 1.0, "flexible")
            risk = found.apply(risk)
        rejected.append(closed_test(f, risk, 1.0)["p"].to_numpy() < 0.05)
    assert np.mean(rejected, axis=0).max() <= 0.085


def test_what_is_wrong_is_found():
    cases = {"as_is": {}, "in_the_large": {"shift": 0.5}, "slope": {"shift": 0.4, "slope": 0.5}}
    for method, truth in cases.items():
        f, curves = patients(3000, seed=5, **truth)
        assert recommend(closed_test(f, curves[:, 4], 1.0)).method == method
    f, curves = patients(6000, seed=5, bend=0.4)
    assert recommend(closed_test(f, curves[:, 4], 1.0)).method == "flexible"


def test_where_nothing_can_be_fitted_nothing_is_recommended():
    f, curves = patients(20)
    found = closed_test(FollowUp(f.time, np.zeros(20, dtype=np.int64), 1), curves[:, 4], 0.25)
    assert found["method"].tolist() == ["as_is"]
    assert found["p"].isna().all()
    assert "events" in found["note"].iloc[0]
    nothing = recommend(found)
    assert (nothing.method, nothing.p, nothing.cells) == ("as_is", {}, 0)


def table(*rows):
    names = ["landmark", "horizon", "method", "against", "p"]
    return pd.DataFrame(rows, columns=names)


def test_the_recommendation_reads_the_tests_in_order_over_all_cells():
    one = table((0, 1, "as_is", "flexible", 0.03), (0, 1, "in_the_large", "flexible", 0.5))
    assert recommend(one).method == "in_the_large"
    two = pd.concat([one, table((0, 2, "as_is", "flexible", 0.9), (0, 2, "in_the_large", "flexible", 0.9))])
    found = recommend(two)
    assert (found.method, found.cells) == ("as_is", 2)
    assert found.p == {"as_is": pytest.approx(0.06)}
    worse = table(*((0, 1, method, "flexible", 0.001) for method in ("as_is", "in_the_large", "slope")))
    assert recommend(worse).method == "flexible"
    short = table((0, 1, "as_is", "slope", 0.001), (0, 1, "in_the_large", "slope", 0.001))
    assert recommend(short).method == "slope"
    assert recommend([short, one], level=0.01).cells == 1
