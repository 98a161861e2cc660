import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.errors import UsageError
from osler.units import DAYS_PER, days, duration


@pytest.mark.parametrize(
    ("text", "expected"), [("10y", 3652.5), ("6mo", 182.625), ("2wk", 14), ("30d", 30), ("-1y", -365.25), (12, 12)]
)
def test_days(text, expected):
    assert days(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "ten years", "10", "10 parsecs", "1e400y", "nan", None, True, float("nan"), "1y 2mo"]
)
def test_what_is_not_a_duration_is_refused(text):
    with pytest.raises(UsageError):
        days(text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3652.5, "10 y"),
        (182.625, "6 mo"),
        (14, "2 wk"),
        (30, "30 d"),
        (0, "0 d"),
        (400, "400 d"),
        (0.5, "12 h"),
        (2374.125, "6.5 y"),
        (547.875, "18 mo"),
    ],
)
def test_duration(value, shown):
    assert duration(value) == shown


@given(st.integers(1, 99), st.sampled_from(sorted(set(DAYS_PER) - {"s"})))
def test_what_is_shown_reads_back_as_the_same_time(amount, unit):
    value = amount * DAYS_PER[unit]
    assert days(duration(value).replace(" ", "")) == pytest.approx(value, rel=0.01)
