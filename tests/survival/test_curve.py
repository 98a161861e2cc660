from dataclasses import replace

import numpy as np
import pytest

from osler.errors import BeyondSupport, ModelError
from osler.survival.curve import RiskCurve

TIMES = np.array([0.0, 10.0, 20.0])


def _curve(incidence, **bands):
    incidence = np.asarray(incidence, dtype=float)
    patients = np.array([f"p{i}" for i in range(len(incidence))], dtype=object)
    causes = tuple("abc"[: incidence.shape[1]])
    return RiskCurve(patients, 0.0, TIMES, causes, incidence, **bands)


GOOD = [[[0, 0.2, 0.4], [0, 0.1, 0.1]], [[0, 0.0, 0.5], [0, 0.3, 0.5]]]


def test_causes_and_event_free_sum_to_one():
    curve = _curve(GOOD)
    np.testing.assert_allclose(curve.event_free + curve.incidence.sum(axis=1), 1.0)


def test_risk_is_linear_between_grid_times():
    curve = _curve(GOOD)
    np.testing.assert_allclose(curve.risk(15.0), [0.3, 0.25])
    np.testing.assert_allclose(curve.risk([0, 10, 20], cause=2), [[0, 0.1, 0.1], [0, 0.3, 0.5]])


def test_event_free_time_is_the_area_under_event_free():
    curve = _curve(GOOD)
    # 1 to .7 over ten days, then .7 to .5
    np.testing.assert_allclose(curve.event_free_time(20.0)[0], 8.5 + 6.0)
    np.testing.assert_allclose(curve.event_free_time(5.0)[0], (1 + 0.85) / 2 * 5)


def test_past_the_grid_is_refused_by_name():
    with pytest.raises(BeyondSupport, match="covers 0 to 20 d"):
        _curve(GOOD).risk(21.0)


@pytest.mark.parametrize(
    ("incidence", "message"),
    [
        ([[[0, 0.5, 0.4]]], "decrease"),
        ([[[0, 0.5, 0.6]], [[0, np.nan, 1]]], "finite"),
        ([[[0, 0.5, 1.2]]], "between 0 and 1"),
        ([[[0, 0.5, 0.6], [0, 0.5, 0.6]]], "more than one"),
        ([[[0, 0.5]]], "shape"),
    ],
)
def test_what_is_no_risk_curve_is_refused(incidence, message):
    with pytest.raises(ModelError, match=message):
        _curve(incidence)


def test_take_keeps_bands_with_their_patients():
    curve = _curve(GOOD, lower=np.asarray(GOOD) * 0.5, upper=np.asarray(GOOD))
    taken = curve.take([1])
    assert taken.patients.tolist() == ["p1"]
    np.testing.assert_allclose(taken.band(20.0)[0], [0.25])


def test_one_band_alone_is_refused():
    with pytest.raises(ModelError, match="lower and an upper"):
        _curve(GOOD, lower=np.asarray(GOOD))


def _banded(n: int = 30, spread: float = 0.5) -> RiskCurve:
    """Two causes; own log hazards spread around their middles."""
    rng = np.random.default_rng(4)
    middle = rng.normal(-1.5, 0.7, (n, 2, 1)) + np.log(np.maximum(np.linspace(0, 1, 21), 1e-9))
    at = [-np.expm1(-np.exp(middle + z * spread * 1.6449)) for z in (-1, 0, 1)]
    at = [np.where(np.arange(21) > 0, risk, 0.0) for risk in at]
    people = np.array([str(i) for i in range(n)], dtype=object)
    return RiskCurve(people, 0.0, np.linspace(0, 1000, 21), ("event", "death"), at[1], at[0], at[2])


def test_band_of_event_free_time_holds_nine_in_ten_own_times():
    curve = _banded()
    lower, upper = curve.event_free_time_band(1000)
    value = curve.event_free_time(1000)
    assert (lower < value).all()
    assert (value < upper).all()
    rng = np.random.default_rng(5)
    held = []
    middle = np.log(-np.log1p(-np.clip(curve.incidence, 1e-12, 1)))
    for _ in range(400):
        own = -np.expm1(-np.exp(middle + 0.5 * rng.standard_normal((len(curve), 2, 1))))
        own = np.where(curve.times > 0, own, 0.0)
        free = np.trapezoid(np.maximum(1 - own.sum(axis=1), 0), curve.times, axis=1)
        held.append((lower <= free) & (free <= upper))
    assert np.mean(held) == pytest.approx(0.9, abs=0.015)


def test_what_is_unsure_of_a_patient_cancels_with_itself():
    curve = _banded()
    same = curve.minus(curve, 800, same_patients=True)
    np.testing.assert_allclose([same.lower, same.upper], 0.0, atol=1e-12)
    apart = curve.minus(curve.take(np.arange(30)[::-1]), 800)
    band = curve.band(800)
    assert (apart.upper - apart.lower > np.maximum(band[1] - band[0], 0) * 0.9).all()
    np.testing.assert_allclose(apart.value, curve.risk(800) - curve.risk(800)[::-1])
    longer = curve.minus(curve, "2y", of="event_free_time", same_patients=True)
    np.testing.assert_allclose(longer.upper, 0.0, atol=1e-9)


def test_rise_between_horizons_is_never_negative_and_narrower_than_two_strangers():
    curve = _banded()
    rise = curve.rise(400, 800)
    np.testing.assert_allclose(rise.value, curve.risk(800) - curve.risk(400))
    assert (rise.lower >= 0).all()
    assert (rise.lower <= rise.value).all()
    assert (rise.upper - rise.lower < curve.band(800)[1] - curve.band(800)[0]).all()


def test_curves_without_bands_have_differences_without_bands():
    curve = replace(_banded(), lower=None, upper=None)
    assert curve.event_free_time_band(500) is None
    assert curve.rise(100, 500).lower is None
    assert curve.minus(curve, 500).upper is None
    with pytest.raises(ModelError, match="cannot be compared"):
        curve.minus(curve.take([0]), 500)
