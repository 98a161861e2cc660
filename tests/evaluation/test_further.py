"""Concordance, recalibration and net benefit against their definitions. R's answers: tests/reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.errors import UsageError
from osler.evaluation.concordance import concordance
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.recalibration import calibration_intercept, calibration_slope
from osler.evaluation.utility import TREAT_ALL, TREAT_NONE, decision_curve, net_benefit
from osler.survival.nonparametric import aalen_johansen, censoring_survival

patient = st.tuples(st.integers(1, 10), st.integers(0, 2), st.integers(0, 5))
patients = st.lists(patient, min_size=2, max_size=25)


def plain_concordance(time, event, risk, horizon, weighted):
    g = censoring_survival(time, event, time, left_limit=True) if weighted else np.ones(len(time))
    won = pairs = 0.0
    for i in range(len(time)):
        if event[i] != 1 or time[i] > horizon:
            continue
        for j in range(len(time)):
            later = time[j] > time[i] or (time[j] == time[i] and event[j] == 0)
            never = event[j] == 2 and time[j] <= time[i]
            if i != j and (later or never):
                weight = 1 / g[i] ** 2 if later else 1 / (g[i] * g[j])
                won += weight * (float(risk[i] > risk[j]) + 0.5 * float(risk[i] == risk[j]))
                pairs += weight
    return won / pairs if pairs else None


@settings(deadline=None)
@given(patients, st.sampled_from([3.0, 6.5, 10.0]), st.booleans())
def test_concordance_is_the_weighted_share_of_pairs(drawn, horizon, weighted):
    time, event, risk = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    expected = plain_concordance(time, event, risk, horizon, weighted)
    found = concordance(FollowUp(time, event.astype(int), 1), risk[:, None], horizon, weighted=weighted)
    if expected is None:
        assert isinstance(found, str)
    else:
        assert found.value[0] == pytest.approx(expected, abs=1e-12)
        assert found.influence.sum() == pytest.approx(0.0, abs=1e-8)


def cohort(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    times = np.stack([rng.uniform(1, 12, n), rng.exponential(8 * np.exp(-x)), rng.exponential(16, n)])
    return FollowUp(times.min(axis=0), times.argmin(axis=0), 1), -np.expm1(-np.exp(x) * 5 / 8)[:, None]


@pytest.mark.parametrize(
    "measure",
    [
        lambda f, r: concordance(f, r, 6.0),
        lambda f, r: concordance(f, r, 6.0, weighted=False),
        lambda f, r: calibration_slope(f, r, 5.0),
        lambda f, r: calibration_intercept(f, r, 5.0),
        lambda f, r: net_benefit(f, r, 5.0, 0.3),
    ],
)
def test_influence_is_what_leaving_a_patient_out_does(measure):
    follow_up, risk = cohort()
    full, n = measure(follow_up, risk), len(follow_up)
    assert full.influence.std() > 0.3
    for who in range(0, n, 37):
        rest = np.arange(n) != who
        without = measure(FollowUp(follow_up.time[rest], follow_up.event[rest], 1), risk[rest])
        np.testing.assert_allclose((full.value - without.value) * (n - 1), full.influence[who], atol=0.06)


def test_recalibration_finds_what_was_done_to_risks():
    rng = np.random.default_rng(5)
    lp = rng.normal(-1, 1, 20_000)
    happened = rng.random(20_000) < 1 / (1 + np.exp(-lp))
    follow_up = FollowUp(np.where(happened, 1.0, 9.0), happened.astype(int), 1)
    told = np.column_stack([1 / (1 + np.exp(-lp)), 1 / (1 + np.exp(-2 * lp)), 1 / (1 + np.exp(-(lp - 0.7)))])
    assert calibration_slope(follow_up, told, 5.0).value == pytest.approx([1.0, 0.5, 1.0], abs=0.05)
    assert calibration_intercept(follow_up, told, 5.0).value[[0, 2]] == pytest.approx([0.0, 0.7], abs=0.05)


def test_recalibration_where_there_is_nothing_to_fit():
    follow_up, risk = cohort(100)
    assert np.isnan(calibration_slope(follow_up, np.full_like(risk, 0.3), 5.0).value).all()
    assert np.isfinite(calibration_intercept(follow_up, np.full_like(risk, 0.3), 5.0).value).all()
    quiet = FollowUp(np.full(5, 9.0), np.zeros(5, dtype=int), 1)
    assert "no event" in calibration_slope(quiet, np.full((5, 1), 0.3), 5.0)
    assert "has the event" in calibration_slope(FollowUp(np.ones(5), np.ones(5, int), 1), np.full((5, 1), 0.3), 5.0)


def test_net_benefit_is_true_less_weighted_false_positives():
    happened = np.array([1, 1, 0, 0, 0])
    follow_up = FollowUp(np.where(happened == 1, 1.0, 9.0), happened, 1)
    risk = np.array([[0.9], [0.1], [0.5], [0.2], [0.05]])
    assert net_benefit(follow_up, risk, 5.0, 0.2).value[0] == pytest.approx(1 / 5 - 2 / 5 * 0.25)


def test_decision_curve_holds_the_strategies_without_a_model():
    follow_up, risk = cohort()
    curve = decision_curve(
        follow_up.time, follow_up.event, {"m": risk[:, 0]}, horizon=5.0, thresholds=[0.01, 0.2, 0.4]
    ).set_index(["model", "threshold"])
    incidence = aalen_johansen(follow_up.time, follow_up.event, [5.0], 2)[0][0, 0]
    for threshold in (0.01, 0.2, 0.4):
        assert curve.loc[(TREAT_NONE, threshold), ["value", "se"]].tolist() == [0.0, 0.0]
        everyone = incidence - (1 - incidence) * threshold / (1 - threshold)
        assert curve.loc[(TREAT_ALL, threshold), "value"] == pytest.approx(everyone)
        assert curve.loc[("m", threshold), "value"] >= max(0.0, everyone) - 1e-12
    late = decision_curve(follow_up.time, follow_up.event, {"m": risk[:, 0]}, horizon=50.0, thresholds=[0.2])
    assert late["value"].isna().all()
    with pytest.raises(UsageError, match="thresholds"):
        decision_curve(follow_up.time, follow_up.event, {"m": risk[:, 0]}, horizon=5.0, thresholds=[0.0])
    with pytest.raises(UsageError, match="one number"):
        decision_curve(follow_up.time, follow_up.event, {"m": risk[1:, 0]}, horizon=5.0, thresholds=[0.2])
