"""Numbers as people read them: percentages, intervals, durations, "23 of 100"; never more digits than they bear."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from osler.units import DAYS_PER, duration

__all__ = [
    "ABSENT",
    "capitalise",
    "count",
    "estimate",
    "interval",
    "joined",
    "known",
    "long",
    "moment",
    "moments",
    "needed",
    "number",
    "of_people",
    "percent",
    "plain_points",
    "plural",
    "points",
    "significant",
    "since",
    "spell",
    "text",
    "unit",
]

#: What stands in a table where there is no number.
ABSENT = "–"
_MINUS = "−"
#: UCUM units that people write otherwise.
_UCUM = {
    "a": "years",
    "mo": "months",
    "wk": "weeks",
    "d": "days",
    "mm[Hg]": "mmHg",
    "Cel": "°C",
    "kg/m2": "kg/m²",
    "m2": "m²",
    "cm3": "cm³",
    "mm3": "mm³",
    "[lb_av]": "lb",
    "[in_i]": "in",
    "/d": "per day",
}
_UNITS = {"y": "year", "mo": "month", "wk": "week", "d": "day", "h": "hour", "min": "minute"}


def known(value: Any) -> bool:
    """Whether ``value`` is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _signed(digits: str, plus: bool) -> str:
    """A true minus sign, no negative zero, and a plus sign where a difference is meant."""
    nothing = not digits.strip("-0.,")
    body = digits.removeprefix("-")
    if nothing:
        return body
    return _MINUS + body if digits.startswith("-") else f"+{body}" if plus else body


def number(value: Any, digits: int = 2, *, plus: bool = False) -> str:
    """``value`` with a fixed number of decimals; a dash when it is not finite."""
    return _signed(f"{value:,.{digits}f}", plus) if known(value) else ABSENT


def significant(value: Any, digits: int = 3) -> str:
    """``value`` with about ``digits`` significant digits, without an exponent where people would not write one."""
    if not known(value):
        return ABSENT
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if not -4 <= size <= 7:
        return _signed(f"{value:.{digits - 1}e}", False)
    shown = f"{value:,.{max(digits - 1 - size, 0)}f}"
    return _signed(shown.rstrip("0").rstrip(".") if "." in shown else shown, False)


def count(value: Any) -> str:
    """A whole number with thousands separated."""
    return f"{round(value):,}" if known(value) else ABSENT


def percent(probability: Any, digits: int | None = None) -> str:
    """A probability as a percentage: whole numbers from 10% up, one decimal below, and never a bare 0% or 100%."""
    if not known(probability):
        return ABSENT
    value = 100 * probability
    if digits is not None:
        return f"{value:.{digits}f}%"
    if 0 < value < 0.05:
        return "under 0.1%"
    if 99.5 <= value < 100:
        return f"{min(value, 99.9):.1f}%"
    return f"{value:.0f}%" if value >= 9.95 else f"{value:.1f}%"


def points(difference: Any, *, plus: bool = True) -> str:
    """A difference of probabilities in percentage points."""
    return _signed(f"{100 * difference:.1f}", plus) if known(difference) else ABSENT


def plain_points(difference: Any) -> str:
    """A reduction in percentage points, without a plus sign."""
    return points(difference, plus=False)


def needed(value: Mapping[str, Any] | None) -> tuple[str, str]:
    """A number needed to treat and its interval, rounded up; "no limit" where the interval includes no benefit."""
    if value is None:
        return ABSENT, ""
    if not known(value.get("value")):
        return "no benefit", ""
    shown, lower, upper = (
        count(math.ceil(value[key] - 1e-9)) if known(value.get(key)) else "no limit"
        for key in ("value", "lower", "upper")
    )
    return shown, f"{lower} to {upper}"


def interval(lower: Any, upper: Any, show: Any = number) -> str:
    """``"0.71 to 0.79"``; empty when either end is unknown."""
    return f"{show(lower)} to {show(upper)}" if known(lower) and known(upper) else ""


def estimate(value: Any, lower: Any, upper: Any, show: Callable[[Any], str] = percent) -> str:
    """``"23% (18% to 29%)"``; without the interval where there is none."""
    bounds = interval(lower, upper, show)
    return f"{show(value)} ({bounds})" if bounds else show(value)


def of_people(probability: float) -> str:
    """``"about 23 of 100"``, or of 1,000 or 10,000 where 100 people would be too few to show it."""
    for people in (100, 1_000, 10_000):
        affected = round(probability * people)
        if affected >= (1 if people == 100 and probability >= 0.0095 else 2):
            break
    return f"about {affected:,} of {people:,}" if affected else "fewer than 1 of 10,000"


def spell(days: float) -> str:
    """A duration in words: ``"10 years"``, ``"6 months"``."""
    amount, unit = duration(days).split(" ")
    name = _UNITS[unit]
    return f"{amount} {name}" + ("" if amount == "1" else "s")


def long(days: float) -> str:
    """A span of time as people say it, to about two digits: ``"4.6 years"``, ``"8.2 months"``, ``"12 days"``."""
    for unit, name in (("y", "year"), ("mo", "month"), ("d", "day")):
        amount = days / DAYS_PER[unit]
        if amount >= (2 if unit == "mo" else 1) or unit == "d":
            shown = f"{amount:.1f}".removesuffix(".0") if unit != "d" else f"{amount:.0f}"
            return f"{shown} {name}" + ("" if shown == "1" else "s")
    raise AssertionError("unreachable")


def moment(days: float) -> str:
    """A landmark as a noun: ``"time zero"`` or ``"6 years"``."""
    return "time zero" if days == 0 else spell(days)


def since(days: float) -> str:
    """A landmark in a sentence: ``"at time zero"`` or ``"6 years after time zero"``."""
    if days == 0:
        return "at time zero"
    return f"{spell(days)} after time zero" if days > 0 else f"{spell(-days)} before time zero"


def moments(landmarks: Iterable[float]) -> str:
    """Several landmarks in a sentence: ``"at time zero and 6 years and 12 years after it"``."""
    listed = sorted(landmarks)
    later = joined(spell(landmark) for landmark in listed if landmark > 0)
    if not later:
        return "at time zero"
    return f"at time zero, and {later} after it" if listed[0] == 0 else f"{later} after time zero"


def joined(items: Iterable[str], last: str = "and") -> str:
    """``"a, b and c"``."""
    listed = list(items)
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} {last} {listed[-1]}"


def capitalise(words: str) -> str:
    """The first letter as a capital, the others as they are."""
    return words[:1].upper() + words[1:]


def plural(n: int, one: str, many: str | None = None) -> str:
    """``"1 patient"``, ``"1,904 patients"``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def unit(ucum: str) -> str:
    """A UCUM unit as people write it: ``"mmHg"`` for ``"mm[Hg]"``."""
    return "" if ucum == "1" else _UCUM.get(ucum) or ucum.replace("10*", "10^").replace("[iU]", "IU")


def text(value: Any) -> str:
    """Anything from data as text: a dash for missing, short numbers, never ``nan``."""
    if value is None or (not isinstance(value, (str, list, tuple, dict)) and pd.isna(value)):
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return significant(float(value))
    return str(value)
