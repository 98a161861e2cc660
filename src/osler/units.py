"""Time is counted in days inside Osler; people write ``"10y"``, ``"6mo"``, ``"2wk"`` or ``"30d"`` at the boundary."""

from __future__ import annotations

import math
import re

from osler.errors import UsageError

__all__ = ["DAYS_PER", "days", "duration"]

#: Days in one unit. A year is Julian (365.25 days), a month a twelfth of it.
DAYS_PER: dict[str, float] = {
    "s": 1 / 86_400,
    "min": 1 / 1_440,
    "h": 1 / 24,
    "d": 1.0,
    "wk": 7.0,
    "mo": 365.25 / 12,
    "y": 365.25,
}
_NAMES = {
    "second": "s", "minute": "min", "hour": "h", "day": "d", "week": "wk", "month": "mo", "year": "y", "a": "y",
}  # fmt: skip
_DURATION = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def unit_in_days(unit: str) -> float:
    """Days in one ``unit``, by symbol (``"mo"``) or English name (``"months"``); raises UsageError if unknown."""
    key = unit.strip().lower()
    key = _NAMES.get(key, _NAMES.get(key.removesuffix("s"), key))
    if key not in DAYS_PER:
        raise UsageError(
            f"unknown unit of time {unit!r}: expected one of {', '.join(DAYS_PER)} or an English name such as 'months'"
        )
    return DAYS_PER[key]


def days(text: str | float) -> float:
    """A duration in days: ``days("2y") == 730.5``; a plain number is already in days.

    Raises:
        UsageError: not a finite number followed by a unit of time.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        if not math.isfinite(text):
            raise UsageError("a duration must be finite")
        return float(text)
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UsageError(f"cannot read the duration {text!r}: write a number and a unit, such as '10y', '6mo' or '30d'")
    return float(match[1]) * unit_in_days(match[2])


def duration(value: float) -> str:
    """A duration in days for people: the largest unit that shows it as a short number (``"10 y"``, ``"6 mo"``)."""
    for unit in ("y", "mo", "wk", "d", "h", "min"):
        amount = value / DAYS_PER[unit]
        half_years = unit == "y" and abs(amount) >= 2  # "6.5 y" rather than "78 mo"
        nearest = round(amount * 2) / 2 if half_years else round(amount, 2 if unit == "d" else 0)
        if abs(amount) >= 1 and abs(amount - nearest) < 1e-6 * max(1.0, abs(amount)) + 5e-4:
            return f"{nearest:g} {unit}"
    return "0 d" if value == 0 else f"{value / DAYS_PER['y']:.2g} y" if abs(value) >= 365 else f"{value:.3g} d"
