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
