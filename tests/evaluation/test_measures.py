"""Each measure against its definition, pair by pair and patient by patient, on small cohorts full of ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.evaluation.accuracy import brier, prediction_accuracy, trapezoid_weights
from osler.evaluation.calibration import calibration_groups, observed_expected
from osler.evaluation.discrimination import auc
from osler.evaluation.estimate import interval, standard_error
from osler.evaluation.follow_up import FollowUp
from osler.survival.nonparametric import aalen_johansen, censoring_survival

patient = st.tuples(st.integers(1, 10), st.integers(0, 2), st.integers(0, 5), st.integers(0, 2))
patients = st.lists(patient, min_size=2, max_size=30)


def arrays(drawn):
    time, event, risk, stratum = (np.array(column) for column in zip(*drawn, strict=True))
    return FollowUp(time.astype(float), event, 1), (risk / 5.0)[:, None], stratum


def weight(follow_up, i, horizon):
    """The weight of patient i, from the definition."""
    time, event = follow_up.time, follow_up.event
    if event[i] > 0 and time[i] <= horizon:
        return 1 / float(censoring_survival(time, event, time[i], left_limit=True))
    if time[i] > horizon or (time[i] == horizon and event[i] == 0):
        return 1 / float(censoring_survival(time, event, horizon, left_limit=True))
    return 0.0


def plain_auc(follow_up, risk, horizon, stratum, controls):
    above = pairs = 0.0
    n = len(follow_up)
    w = [weight(follow_up, i, horizon) for i in range(n)]
    case = (follow_up.event == 1) & (follow_up.time <= horizon)
    other = (follow_up.event == 2) & (follow_up.time <= horizon)
    for i in np.flatnonzero(case):
        for j in range(n):
            if case[j] or stratum[i] != stratum[j] or (controls == "event_free" and other[j]):
                continue
            above += w[i] * w[j] * (float(risk[i, 0] > risk[j, 0]) + 0.5 * float(risk[i, 0] == risk[j, 0]))
            pairs += w[i] * w[j]
    return above / pairs if pairs else None


@settings(deadline=None)
@given(patients, st.sampled_from([2.5, 4.0, 7.5]), st.sampled_from(["free_of_cause", "event_free"]))
def test_auc_is_the_weighted_share_of_pairs(drawn, horizon, controls):
    follow_up, risk, stratum = arrays(drawn)
    if follow_up.unsupported(horizon):
        return
    for strata in (np.zeros_like(stratum), stratum):
        expected = plain_auc(follow_up, risk, horizon, strata, controls)
        found = auc(follow_up, risk, horizon, strata=strata, controls=controls)
        if expected is None:
            assert isinstance(found, str)
        else:
            assert found.value[0] == pytest.approx(expected, abs=1e-12)
            assert found.influence.sum() == pytest.approx(0.0, abs=1e-8)


@given(patients, st.sampled_from([2.5, 4.0, 7.5]))
def test_brier_is_the_weighted_mean_of_squares(drawn, horizon):
    follow_up, risk, _ = arrays(drawn)
    if follow_up.unsupported(horizon):
        return
    w = np.array([weight(follow_up, i, horizon) for i in range(len(follow_up))])
    happened = (follow_up.event == 1) & (follow_up.time <= horizon)
    found = brier(follow_up, risk, horizon)
    assert found.value[0] == pytest.approx((w * (happened - risk[:, 0]) ** 2).mean(), abs=1e-12)
    assert found.influence.sum() == pytest.approx(0.0, abs=1e-8)


@given(patients, st.sampled_from([2.5, 4.0, 7.5]))
def test_weights_restore_everybody(drawn, horizon):
    follow_up, _, _ = arrays(drawn)
    if follow_up.unsupported(horizon):
        return
    status = follow_up.status(horizon)
    assert status.weight.mean() == pytest.approx(1.0)
    incidence, _ = aalen_johansen(follow_up.time, follow_up.event, [horizon], 2)
    assert (status.weight * status.case).mean() == pytest.approx(incidence[0, 0])


@settings(deadline=None)
@given(patients)
def test_auc_depends_on_ranks_only_and_turns_round(drawn):
    follow_up, risk, stratum = arrays(drawn)
    if follow_up.unsupported(4.0):
        return
    found = auc(follow_up, np.column_stack([risk, risk**3 + 0.1, 1 - risk]), 4.0, strata=stratum)
    if not isinstance(found, str):
        assert found.value[1] == pytest.approx(found.value[0], abs=1e-12)
        assert found.value[2] == pytest.approx(1 - found.value[0], abs=1e-12)
        np.testing.assert_allclose(found.influence[:, 2], -found.influence[:, 0], atol=1e-9)


def big(n=400, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    times = np.stack([rng.uniform(1, 12, n), rng.exponential(8 * np.exp(-x)), rng.exponential(16, n)])
    seen = x + noise * rng.normal(size=n)
    risk = np.stack([1 - np.exp(-np.exp(v) * 5 / 8) for v in (x, seen)], axis=1)
    return FollowUp(times.min(axis=0), times.argmin(axis=0), 1), risk


def measures(follow_up, risk, horizon=5.0):
    null = np.full((len(follow_up), 1), 0.4)
    scores = brier(follow_up, risk, horizon)
    return {
        "auc": auc(follow_up, risk, horizon),
        "brier": scores,
        "ipa": prediction_accuracy(scores, brier(follow_up, null, horizon)),
        "observed_expected": observed_expected(follow_up, risk, horizon),
    }


@pytest.mark.parametrize("measure", ["auc", "brier", "ipa", "observed_expected"])
def test_influence_is_what_leaving_a_patient_out_does(measure):
    follow_up, risk = big()
    full = measures(follow_up, risk)[measure]
    n = len(follow_up)
    for who in range(0, n, 37):
        rest = np.arange(n) != who
        without = measures(FollowUp(follow_up.time[rest], follow_up.event[rest], 1), risk[rest])[measure]
        np.testing.assert_allclose((full.value - without.value) * (n - 1), full.influence[who], atol=0.03)


def test_trapezoid_weights_integrate_lines_and_ignore_what_is_later():
    times = np.array([0.0, 0.5, 2.0, 3.0, 4.5])
    w = trapezoid_weights(times, 3.0)
    assert w @ times == pytest.approx(1.5)
    assert w[-1] == 0
    assert trapezoid_weights(times[1:], 3.0) @ times[1:] == pytest.approx(1.5)


def test_a_perfect_model_and_a_useless_one():
    follow_up = FollowUp(np.array([1.0, 2.0, 9.0, 9.0]), np.array([1, 2, 0, 0]), 1)
    risk = np.column_stack([[1.0, 0, 0, 0], [0.25] * 4])
    assert auc(follow_up, risk, 5.0).value.tolist() == [1.0, 0.5]
    assert brier(follow_up, risk, 5.0).value == pytest.approx([0.0, 3 / 16])
    assert observed_expected(follow_up, risk, 5.0).value == pytest.approx([1.0, 1.0])


def test_controls_with_a_competing_event_count_unless_told_otherwise():
    follow_up = FollowUp(np.array([1.0, 2.0, 9.0]), np.array([1, 2, 0]), 1)
    risk = np.array([[0.5], [0.9], [0.1]])
    assert auc(follow_up, risk, 5.0).value[0] == 0.5
    assert auc(follow_up, risk, 5.0, controls="event_free").value[0] == 1.0


def test_pairs_of_different_folds_are_not_compared():
    # Out-of-fold predictions of a model that knows nothing: in each fold the event rate of the others.
    event = np.array([1, 1, 1, 0, 1, 0, 0, 0])
    follow_up = FollowUp(np.where(event == 1, 1.0, 9.0), event, 1)
    fold = np.repeat([0, 1], 4)
    risk = np.where(fold == 0, 0.25, 0.75)[:, None]
    assert auc(follow_up, risk, 5.0).value[0] < 0.5
    assert auc(follow_up, risk, 5.0, strata=fold).value[0] == 0.5


def test_clusters_of_copies_leave_the_standard_error():
    follow_up, risk = big(200)
    single = standard_error(brier(follow_up, risk, 5.0).influence)
    twice = FollowUp(np.repeat(follow_up.time, 2), np.repeat(follow_up.event, 2), 1)
    doubled = brier(twice, np.repeat(risk, 2, axis=0), 5.0).influence
    np.testing.assert_allclose(standard_error(doubled, np.repeat(np.arange(200), 2)), single, rtol=1e-10)
    assert (standard_error(doubled) < 0.75 * single).all()


def test_intervals_stay_in_range_and_ratios_are_logarithmic():
    assert interval("auc", 0.98, 0.05, 0.95)[1] == 1.0
    assert interval("ipa", -0.1, 0.5, 0.95)[0] < -1
    lower, upper = interval("observed_expected", 2.0, 0.5, 0.95)
    assert lower * upper == pytest.approx(4.0)
    assert lower == pytest.approx(2 * np.exp(-1.959964 * 0.25), rel=1e-6)


def test_observed_expected_error_is_that_of_resampling():
    follow_up, risk = big(300, seed=4)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(300):
        rows = rng.integers(0, 300, 300)
        part = FollowUp(follow_up.time[rows], follow_up.event[rows], 1)
        drawn.append(observed_expected(part, risk[rows], 5.0).value[0])
    se = standard_error(observed_expected(follow_up, risk, 5.0).influence)[0]
    assert se == pytest.approx(np.std(drawn), rel=0.12)


def test_calibration_groups_hold_everybody_in_order_of_risk():
    follow_up, risk = big(400)
    curve = calibration_groups(follow_up, risk[:, 0], 5.0, groups=8)
    assert curve["n"].tolist() == [50] * 8
    assert curve["events"].sum() == follow_up.events(5.0)
    assert (np.diff(curve["predicted"]) > 0).all()
    assert (curve["lower"] < curve["observed"]).all()
    assert (curve["observed"] < curve["upper"]).all()
    lowest = risk[:, 0] <= np.sort(risk[:, 0])[49]
    expected, _ = aalen_johansen(follow_up.time[lowest], follow_up.event[lowest], [5.0], 2)
    assert curve["observed"].iloc[0] == pytest.approx(expected[0, 0])


def test_equal_risks_share_a_group_and_small_groups_are_suppressed():
    follow_up, _ = big(100)
    risk = np.where(np.arange(100) < 4, 0.9, 0.2)
    curve = calibration_groups(follow_up, risk, 5.0)
    assert curve["n"].tolist() == [96, 4]
    assert curve["suppressed"].tolist() == [False, True]
    assert curve.loc[1, ["predicted", "observed", "lower", "upper", "events"]].isna().all()


def test_a_group_without_events_has_an_exact_upper_bound():
    follow_up = FollowUp(np.full(20, 9.0), np.zeros(20, dtype=np.int64), 1)
    curve = calibration_groups(follow_up, np.full(20, 0.1), 5.0)
    assert curve["observed"].tolist() == [0.0]
    assert curve["lower"].tolist() == [0.0]
    assert curve["upper"].iloc[0] == pytest.approx(1 - 0.025 ** (1 / 20))
