"""Decision curves and their differences: definitions, invariants, and what their bands promise. R: tests/reference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.errors import UsageError
from osler.evaluation.estimate import standard_error
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.refitting import refitted_error
from osler.evaluation.utility import (
    TREAT_ALL,
    TREAT_NONE,
    decision,
    decision_curve,
    decision_differences,
    decision_measured,
    net_benefit,
    net_benefit_differences,
)

THRESHOLDS = np.array([0.05, 0.1, 0.2, 0.3, 0.45])
COLUMNS = ["landmark", "horizon", "threshold", "value", "lower", "upper", "se", "simultaneous_lower"]
patients = st.lists(st.tuples(st.integers(1, 10), st.integers(0, 2), st.integers(0, 10)), min_size=2, max_size=25)


def cohort(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    times = np.stack([rng.uniform(1, 12, n), rng.exponential(8 * np.exp(-x)), rng.exponential(16, n)])
    noisy = x + rng.normal(size=n)
    risk = -np.expm1(-np.exp(np.stack([x, noisy], axis=1)) * 5 / 8)
    return FollowUp(times.min(axis=0), times.argmin(axis=0), 1), risk


@settings(deadline=None)
@given(patients, st.sampled_from([2.5, 4.0, 7.5]))
def test_all_thresholds_at_once_are_each_alone(drawn, horizon):
    time, event, risk = (np.array(column) for column in zip(*drawn, strict=True))
    follow_up = FollowUp(time.astype(float), event, 1)
    risks = np.column_stack([risk / 10, 1 - risk / 10])
    if follow_up.unsupported(horizon):
        return
    together = decision_measured(follow_up, risks, horizon, THRESHOLDS)
    status = follow_up.status(horizon)
    for m in range(2):
        for k, threshold in enumerate(THRESHOLDS):
            alone = net_benefit(follow_up, risks, horizon, threshold)
            column = m * len(THRESHOLDS) + k
            assert together.value[column] == pytest.approx(alone.value[m], abs=1e-12)
            np.testing.assert_allclose(together.influence[:, column], alone.influence[:, m], atol=1e-9)
            acted = risks[:, m] >= threshold
            true, false = ((status.weight * acted)[mask].sum() for mask in (status.case, ~status.case))
            by_definition = (true - false * threshold / (1 - threshold)) / len(time)
            assert alone.value[m] == pytest.approx(by_definition, abs=1e-12)


def test_curves_come_one_after_the_other_with_their_bands():
    follow_up, risk = cohort()
    frame = decision(follow_up, risk, ["known", "noisy"], 5.0, THRESHOLDS, landmark=2.0)
    assert list(frame) == ["model", *COLUMNS, "simultaneous_upper"]
    assert list(dict.fromkeys(frame["model"])) == ["known", "noisy", TREAT_ALL, TREAT_NONE]
    assert frame["threshold"].tolist() == THRESHOLDS.tolist() * 4
    assert (set(frame["landmark"]), set(frame["horizon"])) == ({2.0}, {5.0})
    curves = frame[frame["model"] != TREAT_NONE]
    assert (curves["simultaneous_lower"] < curves["lower"]).all()
    assert (curves["simultaneous_upper"] > curves["upper"]).all()
    nothing = frame[frame["model"] == TREAT_NONE]
    assert (nothing[["value", "lower", "upper", "se", "simultaneous_lower"]] == 0).all(axis=None)
    # The curve of treating all varies in the two counts that it is made of, nearly as one.
    everyone = frame[frame["model"] == TREAT_ALL]
    assert (everyone["se"] > 0).all()
    reach = {m: ((f["simultaneous_upper"] - f["value"]) / f["se"]).iloc[0] for m, f in curves.groupby("model")}
    assert 1.95 < reach[TREAT_ALL] < reach["known"]


def test_clusters_of_copies_leave_the_bands():
    follow_up, risk = cohort(200)
    plain = decision_curve(follow_up.time, follow_up.event, {"m": risk[:, 0]}, horizon=5.0, thresholds=THRESHOLDS)
    who = np.repeat(np.arange(200), 2)
    options = {"horizon": 5.0, "thresholds": THRESHOLDS, "clusters": who}
    twice = decision_curve(follow_up.time[who], follow_up.event[who], {"m": risk[who, 0]}, **options)
    pd.testing.assert_frame_equal(plain, twice, rtol=1e-6)


def test_differences_of_every_pair_and_their_reverse():
    follow_up, risk = cohort()
    curve = decision(follow_up, risk, ["known", "noisy"], 5.0, THRESHOLDS).set_index(["model", "threshold"])
    options = {"horizon": 5.0, "thresholds": THRESHOLDS}
    risks = {"known": risk[:, 0], "noisy": risk[:, 1]}
    frame = net_benefit_differences(follow_up.time, follow_up.event, risks, **options)
    assert list(frame) == ["model", "versus", *COLUMNS, "simultaneous_upper"]
    assert len(frame) == 4 * 3 * len(THRESHOLDS)
    cells = frame.set_index(["model", "versus", "threshold"])
    for model, versus, threshold in cells.index:
        row, back = cells.loc[(model, versus, threshold)], cells.loc[(versus, model, threshold)]
        expected = curve.loc[(model, threshold), "value"] - curve.loc[(versus, threshold), "value"]
        assert row["value"] == pytest.approx(expected, abs=1e-12)
        assert (row["lower"], row["simultaneous_lower"]) == (-back["upper"], -back["simultaneous_upper"])
        assert row["se"] == back["se"]
    for threshold in THRESHOLDS:
        column = decision_measured(follow_up, risk, 5.0, [threshold]).influence
        se = standard_error(column[:, [0]] - column[:, [1]])[0]
        assert cells.loc[("known", "noisy", threshold), "se"] == pytest.approx(se, rel=1e-9)
        alone = curve.loc[("known", threshold)]
        assert cells.loc[("known", TREAT_NONE, threshold), "se"] == pytest.approx(alone["se"], rel=1e-12)


def test_a_model_does_not_differ_from_itself():
    follow_up, risk = cohort()
    frame = decision_differences(follow_up, risk[:, [0, 0]], ["one", "other"], 5.0, THRESHOLDS)
    pair = frame[(frame["model"] == "one") & (frame["versus"] == "other")]
    assert (pair[["value", "lower", "upper", "se", "simultaneous_lower", "simultaneous_upper"]] == 0).all(axis=None)


def test_repeats_are_averaged():
    follow_up, risk = cohort()
    repeats = np.stack([risk[:, [0]], risk[:, [1]]])
    measured = decision_measured(follow_up, risk, 5.0, THRESHOLDS)
    value = measured.value.reshape(2, -1).mean(axis=0)
    influence = measured.influence.reshape(len(risk), 2, -1).mean(axis=1)
    frame = decision(follow_up, repeats, ["m"], 5.0, THRESHOLDS)
    found = frame[frame["model"] == "m"]
    np.testing.assert_allclose(found["value"], value, atol=1e-12)
    np.testing.assert_allclose(found["se"], standard_error(influence), rtol=1e-9)


def test_folds_widen_what_differs_between_them():
    follow_up, risk = cohort()
    fold = np.arange(len(risk)) % 5
    skewed = np.clip(risk * np.array([0.2, 0.6, 1.0, 1.6, 3.0])[fold][:, None], 0, 1)
    plain = decision(follow_up, skewed, ["a", "b"], 5.0, THRESHOLDS)
    wider = decision(follow_up, skewed, ["a", "b"], 5.0, THRESHOLDS, folds=fold[None])
    for model in ("a", "b"):
        here, there = (frame[frame["model"] == model] for frame in (plain, wider))
        measured = decision_measured(follow_up, skewed[:, [int(model == "b")]], 5.0, THRESHOLDS)
        np.testing.assert_allclose(there["se"], refitted_error(measured.influence[None], fold[None]), rtol=1e-9)
        assert (there["se"].to_numpy() >= here["se"].to_numpy()).all()
        ratio = there["se"].to_numpy() / here["se"].to_numpy()
        gap = (here["simultaneous_upper"] - here["value"]).to_numpy()
        np.testing.assert_allclose(there["simultaneous_upper"] - there["value"], ratio * gap, rtol=1e-9)


def test_order_of_patients_does_not_matter():
    follow_up, risk = cohort()
    turn = np.random.default_rng(1).permutation(len(risk))
    plain = decision(follow_up, risk, ["a", "b"], 5.0, THRESHOLDS)
    turned = decision(follow_up.take(turn), risk[turn], ["a", "b"], 5.0, THRESHOLDS)
    pd.testing.assert_frame_equal(plain, turned, rtol=1e-9, atol=1e-12)


def test_where_follow_up_ends_there_are_no_numbers():
    follow_up, risk = cohort()
    for frame in (
        decision(follow_up, risk, ["a", "b"], 50.0, THRESHOLDS),
        decision_differences(follow_up, risk, ["a", "b"], 50.0, THRESHOLDS),
    ):
        assert frame["value"].isna().all()
        assert frame["simultaneous_upper"].isna().all()


def test_what_cannot_be_a_threshold_or_a_risk_is_refused():
    follow_up, risk = cohort()
    outcome = (follow_up.time, follow_up.event)
    with pytest.raises(UsageError, match="2 of 3 do not"):
        decision(follow_up, risk, ["a", "b"], 5.0, [0.0, 0.5, 20.0])
    with pytest.raises(UsageError, match="at least one model"):
        decision_curve(*outcome, {}, horizon=5.0, thresholds=[0.2])
    missing = np.where(np.arange(len(risk)) < 3, np.nan, risk[:, 0])
    with pytest.raises(UsageError, match="missing for 3 of 400"):
        net_benefit_differences(*outcome, {"m": missing}, horizon=5.0, thresholds=[0.2])


@pytest.mark.slow
def test_bands_hold_over_the_curve_as_often_as_promised():
    big, risk = cohort(200_000, seed=9)
    truth = decision_measured(big, risk[:, :1], 5.0, THRESHOLDS).value
    held = alone = 0
    for seed in range(300):
        follow_up, drawn = cohort(300, seed=seed)
        frame = decision(follow_up, drawn[:, :1], ["m"], 5.0, THRESHOLDS)
        curve = frame[frame["model"] == "m"]
        held += bool(((curve["simultaneous_lower"] <= truth) & (curve["simultaneous_upper"] >= truth)).all())
        alone += bool(((curve["lower"] <= truth) & (curve["upper"] >= truth)).all())
    assert held / 300 == pytest.approx(0.95, abs=0.03)
    assert alone < held
