"""Follow-up of a cohort: how long patients were seen, and how often each event came."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from osler.cohort.cohort import Cohort
from osler.cohort.describe import reverse_kaplan_meier
from osler.cohort.outcome import Outcome
from osler.config import StudyConfig
from osler.reporting.cells import SMALLEST, shown
from osler.reporting.words import interval, long, percent, since, spell
from osler.survival.nonparametric import aalen_johansen

__all__ = ["follow_up"]

_POINTS = 60


def follow_up(cohort: Cohort, config: StudyConfig) -> dict[str, Any]:
    """Length of follow-up and observed cumulative incidence (Aalen-Johansen) from the first landmark on.

    A cause with fewer than ten events is not told: its curve would let them be counted.

    Returns:
        ``{"median": sentence or None, "causes": [name], "curves": [{"cause", "points"}], "fixed": sentence or None,
        "rows": [...], "finding", "withheld": [name]}``; there are no curves where every event has one time.
        Points are ``{"time" (days), "value", "lower", "upper"}``, rows
        ``{"landmark", "horizon", "at_risk" (text), "causes": [{"value", "lower", "upper"}]}``.
    """
    assert cohort.outcome is not None
    first, longest = min(config.landmarks), max(config.horizons)
    told = [name for name, n in cohort.outcome.events().items() if n >= SMALLEST]
    from_first = _from(cohort.outcome, first)
    happened = from_first.time[from_first.event > 0]
    fixed = len(happened) > 0 and bool(np.all(happened == happened[0]))
    rows = [
        {
            "landmark": landmark,
            "horizon": horizon,
            "at_risk": shown(len(since_then)),
            "causes": _at(since_then, [horizon], told, config.confidence)[0],
        }
        for landmark in config.landmarks
        for since_then in [_from(cohort.outcome, landmark)]
        for horizon in config.horizons
    ]
    return {
        "median": _median(cohort.outcome),
        "causes": told,
        "curves": [] if fixed else _curves(from_first, told, longest, config.confidence),
        "fixed": f"Whether the event happened is known at {spell(float(happened[0]))}, not when." if fixed else None,
        "rows": rows,
        "finding": _finding(rows[: len(config.horizons)], told, first),
        "withheld": [name for name, n in cohort.outcome.events().items() if 0 < n < SMALLEST],
    }


def _from(outcome: Outcome, landmark: float) -> Outcome:
    return outcome.take(outcome.time > landmark).since(landmark)


def _median(outcome: Outcome) -> str | None:
    if len(outcome) < SMALLEST:
        return None
    quarter, half, three = (reverse_kaplan_meier(outcome, level) for level in (0.25, 0.5, 0.75))
    if half is None:
        return None
    spread = quarter is not None and three is not None and quarter < three
    around = f" (quartiles {long(quarter)} to {long(three)})" if spread else ""  # type: ignore[arg-type]
    return f"Median follow-up was {long(half)}{around}, by the reverse Kaplan-Meier method."


def _at(outcome: Outcome, times: list[float], causes: list[str], level: float) -> list[list[dict[str, float | None]]]:
    """Cumulative incidence of some causes at some times, with intervals; None where fewer than ten are still seen."""
    nothing: dict[str, float | None] = {"value": None, "lower": None, "upper": None}
    if not len(outcome):
        return [[nothing] * len(causes) for _ in times]
    incidence, error = aalen_johansen(outcome.time, outcome.event, times, len(outcome.causes))
    seen = [int((outcome.time >= time).sum()) for time in times]
    which = [outcome.causes.index(cause) for cause in causes]
    return [
        [_bounded(float(incidence[k, t]), float(error[k, t]), level) if seen[t] >= SMALLEST else nothing for k in which]
        for t in range(len(times))
    ]


def _bounded(p: float, error: float, level: float) -> dict[str, float | None]:
    """An incidence with its interval, symmetric on the scale log(-log(1 - p)); rounded as it will be shown."""
    lower, upper = p, p
    if 0 < p < 1 and error > 0:
        centre = np.log(-np.log1p(-p))
        half = NormalDist().inv_cdf(0.5 + level / 2) * error / ((1 - p) * -np.log1p(-p))
        lower, upper = (float(-np.expm1(-np.exp(centre + side * half))) for side in (-1, 1))
    return {"value": round(p, 4), "lower": round(lower, 4), "upper": round(upper, 4)}


def _curves(outcome: Outcome, causes: list[str], longest: float, level: float) -> list[dict[str, Any]]:
    """Curves up to the longest horizon, or as far as ten patients are seen."""
    if len(outcome) < SMALLEST or not causes:
        return []
    last = min(longest, float(np.sort(outcome.time)[-SMALLEST]))
    times = np.linspace(0.0, last, _POINTS + 1).tolist()
    values = _at(outcome, times, causes, level)
    return [
        {
            "cause": cause,
            "points": [
                {"time": time, **value[k]}
                for time, value in zip(times, values, strict=True)
                if value[k]["value"] is not None
            ],
        }
        for k, cause in enumerate(causes)
    ]


def _finding(rows: list[dict[str, Any]], causes: list[str], first: float) -> str:
    """What the curves say at the longest horizon that can be read."""
    readable = [row for row in rows if row["causes"] and row["causes"][0]["value"] is not None]
    if not readable:
        return "Observed cumulative incidence of each event."
    row = readable[-1]
    shares = ", ".join(
        f"{cause} {percent(value['value'])} ({interval(value['lower'], value['upper'], percent)})"
        for cause, value in zip(causes, row["causes"], strict=True)
    )
    origin = "time zero" if first == 0 else f"the landmark ({since(first)})"
    return f"Within {spell(row['horizon'])} of {origin}: {shares}."
