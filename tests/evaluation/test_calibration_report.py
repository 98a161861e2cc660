"""The report of one model's calibration: what is promised, what chance explains, and where nothing can be said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from osler.errors import UsageError
from osler.evaluation.calibration import calibration_groups, observed_expected
from osler.evaluation.calibration_report import CALIBRATED, DISTANCES, SMOOTH_COLUMNS, assess
from osler.evaluation.censoring import StratifiedCensoring
from osler.evaluation.d_calibration import d_calibration
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.recalibration import calibration_intercept, calibration_slope

GRID = np.linspace(0.0, 10.0, 21)


def cohort(n=400, seed=0, ends=(3, 12), model=None):
    """Patients with a competing event, and their true risks on GRID."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    times = np.stack([rng.uniform(*ends, n), rng.exponential(12 * np.exp(-x)), rng.exponential(30, n)])
    hazard = np.exp(x)[:, None] / 12
    curves = hazard / (hazard + 1 / 30) * -np.expm1(-(hazard + 1 / 30) * GRID)
    return FollowUp(times.min(axis=0), times.argmin(axis=0), 1, model), curves


def bent(curves, intercept=0.0, slope=1.0):
    return np.where(curves > 0, expit(intercept + slope * logit(np.clip(curves, 1e-9, 1 - 1e-9))), 0.0)


def values(follow_up, curves, report):
    risk = curves[:, [10]]
    found = {name: report.values[name].value for name in DISTANCES}
    found["observed_expected"] = observed_expected(follow_up, risk, 5.0).value[0]
    found["calibration_intercept"] = calibration_intercept(follow_up, risk, 5.0).value[0]
    found["calibration_slope"] = calibration_slope(follow_up, risk, 5.0).value[0]
    return found


def test_a_report_holds_what_it_promises():
    follow_up, curves = cohort()
    report = assess(follow_up, curves, GRID, 5.0, replicates=60)
    assert tuple(report.values) == DISTANCES
    assert tuple(report.calibrated) == CALIBRATED
    for one in report.values.values():
        assert 0 <= one.lower <= one.value <= one.upper
        assert one.se > 0
        assert one.note == ""
    assert report.values["d_calibration"].value == pytest.approx(d_calibration(follow_up, curves, GRID, 5.0))
    assert all(low < high for low, high in report.calibrated.values())
    assert 0 < report.d_calibration_p <= 1
    curve = report.curve
    assert list(curve) == list(SMOOTH_COLUMNS)
    assert len(curve) == 40
    assert ((curve["lower"] <= curve["observed"]) & (curve["observed"] <= curve["upper"])).all()
    middle = curve["predicted"].between(*np.quantile(curves[:, 10], [0.1, 0.9]))
    inside = (curve["calibrated_lower"] <= curve["predicted"]) & (curve["predicted"] <= curve["calibrated_upper"])
    assert inside[middle].all()


def test_the_same_seed_gives_the_same_bytes():
    follow_up, curves = cohort()
    one, two, other = (assess(follow_up, curves, GRID, 5.0, replicates=20, random_state=seed) for seed in (3, 3, 4))
    assert one.values == two.values
    assert one.calibrated == two.calibrated
    pd.testing.assert_frame_equal(one.curve, two.curve, check_exact=True)
    assert one.values["ici"].upper != other.values["ici"].upper
    assert one.calibrated["ici"] != other.calibrated["ici"]


@pytest.mark.slow
def test_right_risks_are_inside_the_range_and_wrong_ones_outside():
    held = {name: [] for name in CALIBRATED}
    for seed in range(100):
        follow_up, curves = cohort(300, seed=seed, ends=(0, 12))
        report = assess(follow_up, curves, GRID, 5.0, replicates=100, random_state=seed)
        for name, value in values(follow_up, curves, report).items():
            held[name].append(report.calibrated[name][0] <= value <= report.calibrated[name][1])
    for name, inside in held.items():
        assert 0.88 <= np.mean(inside) <= 1.0, (name, np.mean(inside))
    assert 0.92 <= np.mean(list(held.values())) <= 0.98
    follow_up, curves = cohort(1500, seed=1)
    for wrong, caught in (
        (curves**0.5, DISTANCES),
        (bent(curves, 0.7), ("observed_expected", "calibration_intercept")),
    ):
        report = assess(follow_up, wrong, GRID, 5.0, replicates=50)
        found = values(follow_up, wrong, report)
        for name in caught:
            assert not report.calibrated[name][0] <= found[name] <= report.calibrated[name][1], name
    found = values(follow_up, bent(curves, slope=1.5), assess(follow_up, bent(curves, slope=1.5), GRID, 5.0))
    assert found["calibration_slope"] < report.calibrated["calibration_slope"][0]
    assert assess(follow_up, curves**0.5, GRID, 5.0, replicates=50).d_calibration_p == pytest.approx(1 / 51)


@pytest.mark.slow
def test_intervals_hold_the_true_distance():
    """Of risks that are too extreme; 95% intervals hold the true mean distance in 90% to 99% of 100 cohorts."""
    _, many = cohort(100_000, seed=999)
    truth = np.abs(bent(many, 0.3, 1.4)[:, 10] - many[:, 10]).mean()
    held, errors, found = [], [], []
    for seed in range(100):
        follow_up, curves = cohort(400, seed=seed + 1)
        ici = assess(follow_up, bent(curves, 0.3, 1.4), GRID, 5.0, replicates=100, random_state=seed).values["ici"]
        held.append(ici.lower <= truth <= ici.upper)
        errors.append(ici.se)
        found.append(ici.value)
    assert 0.90 <= np.mean(held) <= 0.99
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.2)


def test_clusters_widen_intervals():
    follow_up, curves = cohort(200)
    thrice = FollowUp(np.repeat(follow_up.time, 3), np.repeat(follow_up.event, 3), 1)
    clusters, many = np.repeat(np.arange(200), 3), np.repeat(curves, 3, axis=0)
    apart = assess(thrice, many, GRID, 5.0, replicates=150).values["ici"].se
    together = assess(thrice, many, GRID, 5.0, replicates=150, clusters=clusters).values["ici"].se
    alone = assess(follow_up, curves, GRID, 5.0, replicates=150).values["ici"].se
    assert together == pytest.approx(alone, rel=0.25)
    assert together > 1.3 * apart


def test_censoring_by_group_is_weighted_throughout():
    rng = np.random.default_rng(8)
    group = np.arange(2000) % 2
    x = 0.5 * rng.normal(size=2000) + 2 * group
    leaving = rng.uniform(0, np.where(group == 1, 6, 60))  # those at high risk leave early
    times = np.stack([leaving, rng.exponential(12 * np.exp(-x))])
    time, event = times.min(axis=0), times.argmin(axis=0)
    curves = -np.expm1(-np.exp(x)[:, None] * GRID / 12)
    ignored, weighted = FollowUp(time, event, 1), FollowUp(time, event, 1, StratifiedCensoring(group))
    ratio = [observed_expected(f, curves[:, [10]], 5.0) for f in (ignored, weighted)]
    error = np.sqrt((ratio[1].influence ** 2).sum()) / 2000
    assert abs(ratio[1].value[0] - 1) < 2 * error < abs(ratio[0].value[0] - 1)
    report = assess(weighted, curves, GRID, 5.0, level=0.99)
    found = values(weighted, curves, report)
    assert all(low <= found[name] <= high for name, (low, high) in report.calibrated.items())
    assert report.values["ici"].value < 0.06
    groups = calibration_groups(weighted, curves[:, 10], 5.0, groups=5)
    assert ((groups["lower"] <= groups["observed"]) & (groups["observed"] <= groups["upper"])).all()
    status, first = weighted.status(5.0), curves[:, 10] <= np.quantile(curves[:, 10], 0.2, method="inverted_cdf")
    assert groups["observed"][0] == pytest.approx((status.weight * status.case)[first].mean())


def test_equal_risks_and_few_patients():
    follow_up, curves = cohort(60)
    report = assess(follow_up, np.tile(curves.mean(axis=0), (60, 1)), GRID, 5.0, replicates=20)
    assert report.values["ici"].value == pytest.approx(report.values["e90"].value)
    assert np.isnan(report.calibrated["calibration_slope"]).all()
    assert len(report.curve) == 1
    small = FollowUp(np.array([1.0, 9.0, 9.0, 2.0]), np.array([1, 0, 0, 1]), 1)
    few = assess(small, curves[:4], GRID, 5.0, replicates=20)
    assert not len(few.curve)
    assert few.values["ici"].value >= 0
    assert "distinct times" in few.values["d_calibration"].note
    assert np.isnan(few.values["d_calibration"].value)
    assert np.isnan(few.d_calibration_p)
    one = assess(FollowUp(np.array([1.0]), np.array([1]), 1), curves[:1], GRID, 5.0, replicates=5)
    assert np.isnan([one.values["ici"].lower, one.values["ici"].se]).all()


def test_without_replicates_there_are_values_alone():
    follow_up, curves = cohort(100)
    report = assess(follow_up, curves, GRID, 5.0, replicates=0)
    assert report.values["ici"].value > 0
    assert np.isnan(report.values["ici"].upper)
    assert np.isnan(list(report.calibrated.values())).all()
    assert np.isnan(report.d_calibration_p)
    assert report.curve["observed"].notna().all()
    assert report.curve[["lower", "calibrated_upper"]].isna().all(axis=None)


def test_risks_of_zero_and_one():
    follow_up, curves = cohort(200)
    extreme = np.where(curves > np.quantile(curves[:, 10], 0.9), 1.0, np.where(curves < 0.05, 0.0, curves))
    report = assess(follow_up, extreme, GRID, 5.0, replicates=20)
    assert np.isfinite([one.value for one in report.values.values()]).all()
    nothing = assess(follow_up, 0 * curves, GRID, 5.0, replicates=20)
    assert nothing.values["ici"].value > 0
    assert np.isnan(nothing.calibrated["observed_expected"]).all()


def test_what_cannot_be_assessed_is_told():
    follow_up, curves = cohort(100)
    assert "predictions end at 10 d" in assess(follow_up, curves, GRID, 11.0)
    assert "follow-up ends" in assess(cohort(100, ends=(1, 4))[0], curves, GRID, 5.0)
    assert "no event of interest" in assess(FollowUp(follow_up.time, 0 * follow_up.event, 1), curves, GRID, 2.0)
    assert "no patient" in assess(FollowUp(np.empty(0), np.empty(0, int), 1), np.empty((0, 21)), GRID, 2.0)
    for change, message in (
        ({"times": GRID[::-1]}, "increase"),
        ({"curves": curves[:, :3]}, "shape"),
        ({"clusters": np.zeros(3, int)}, "one code"),
        ({"level": 1.0}, "level"),
        ({"replicates": -1}, "replicates"),
    ):
        given = {"curves": curves, "times": GRID, **change}
        with pytest.raises(UsageError, match=message):
            assess(follow_up, given.pop("curves"), given.pop("times"), 5.0, **given)
