"""Availability: are predictions as good for patients of whom less is known?

A pattern of modalities (what is known of a patient at the landmark, and what is not) is a level of a variable like any
other: measures in patterns are those of ``evaluate_subgroups``. Beside them stands how wide the bands are and whether
they can be right. A patient's own risk is never observed, so that real data do not show how often bands hold it. But
the mean of own risks is: the observed risk of the patients with a pattern should lie where their bands lead one to
expect it, and wider bands should come with less to be foreseen. What can be counted is whether intervals of the time
to the event hold it (``event_time_coverage``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from osler.cells import hidden
from osler.errors import UsageError
from osler.survival.nonparametric import censoring_survival

__all__ = ["AVAILABILITY", "AVAILABILITY_MEASURES", "COVERAGE", "coverage_rows", "event_time_coverage", "risk_coverage"]

Floats = NDArray[np.float64]

#: The variable of which patterns are the levels.
AVAILABILITY = "Modalities known"
#: What is measured in every pattern.
AVAILABILITY_MEASURES = ("auc", "brier", "ipa", "observed_expected", "calibration_slope")
#: The measure of ``coverage_rows``.
COVERAGE = "event_time_coverage"
_EVERYBODY = "all patients"


def risk_coverage(
    truth: ArrayLike, lower: ArrayLike, upper: ArrayLike, patterns: Sequence[str] | NDArray[np.object_]
) -> pd.DataFrame:
    """How often bands hold risks that are known, as those of simulated patients are.

    Args:
        truth: (n,) own risks.
        lower: (n,) of the bands.
        upper: (n,) likewise.
        patterns: (n,) what is known of each patient.

    Returns:
        pattern ("all patients" first), n, coverage (share of truths within, 0 to 1), below and above (shares of truths
        under and over the band), width (mean). Patterns of fewer than ten patients, and those that would give their
        size away, have no numbers.
    """
    true, low, high = (np.asarray(values, dtype=float) for values in (truth, lower, upper))
    _same_length(true, low, high, np.asarray(patterns, dtype=object))
    rows = {
        "coverage": (low <= true) & (true <= high),
        "below": true < low,
        "above": true > high,
        "width": high - low,
    }
    return _by_pattern({name: np.asarray(values, dtype=float) for name, values in rows.items()}, patterns)


def event_time_coverage(
    time: ArrayLike, event: ArrayLike, lower: ArrayLike, upper: ArrayLike, patterns: Sequence[str] | NDArray[np.object_]
) -> pd.DataFrame:
    """How often intervals hold the time of the first event, although some are censored.

    A patient is counted where it is known on which side the event falls of both bounds, with the inverse probability
    of that being known (Kaplan-Meier of censoring).

    Args:
        time: (n,) days to the first event of any cause or the end of follow-up.
        event: (n,) 0 censored, 1.. causes.
        lower: (n,) days.
        upper: (n,) days; infinite bounds are never passed.
        patterns: (n,) what is known of each patient.

    Returns:
        As ``risk_coverage``: coverage, below (event before the lower bound), above (after the upper one); width is
        missing where a bound is infinite.
    """
    when, what = np.asarray(time, dtype=float), np.asarray(event)
    low, high = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
    _same_length(when, what, low, high, np.asarray(patterns, dtype=object))
    before, after = _outside(when, what, low, high)
    width = high - np.where(np.isfinite(high), low, 0.0)
    rows = {"coverage": 1 - before - after, "below": before, "above": after, "width": width}
    return _by_pattern(rows, patterns)


def coverage_rows(
    time: ArrayLike,
    event: ArrayLike,
    bounds: ArrayLike,
    patterns: Sequence[str] | NDArray[np.object_],
    *,
    landmark: float,
    model: str,
    level: float = 0.95,
) -> pd.DataFrame:
    """Coverage of intervals of the time to the first event, in the form of ``SubgroupEvaluation.metrics``.

    Args:
        time: as in ``event_time_coverage``.
        event: likewise.
        bounds: (R, n, 2) days, of R repeats of a cross-validation, over which coverage is averaged.
        patterns: (n,) what is known of each patient.
        landmark: label of the rows.
        model: likewise.
        level: of the intervals of the coverage: normal, from the spread over patients.

    Returns:
        One row per pattern, "horizon" missing and "measure" "event_time_coverage". Small patterns are suppressed.
    """
    when, what, limits = np.asarray(time, dtype=float), np.asarray(event), np.asarray(bounds, dtype=float)
    labels = np.asarray(patterns, dtype=object)
    _same_length(when, what, limits[0], labels)
    held = np.mean([1 - np.add(*_outside(when, what, low, high)) for low, high in np.moveaxis(limits, 2, 1)], axis=0)
    names, code = np.unique(labels.astype(str), return_inverse=True)
    counts = [int(count) for count in np.bincount(code)]
    reach = float(ndtri(0.5 + level / 2))
    rows = []
    for i, gone in enumerate(hidden(counts)):
        here = held[code == i]
        value, se = float(here.mean()), float(here.std() / np.sqrt(len(here)))
        numbers = (np.nan,) * 4 if gone else (value, max(value - reach * se, 0.0), min(value + reach * se, 1.0), se)
        row = {"variable": AVAILABILITY, "level": names[i], "model": model, "landmark": landmark, "horizon": np.nan}
        row |= {"measure": COVERAGE, **dict(zip(("value", "lower", "upper", "se"), numbers, strict=True))}
        rows.append(
            {**row, "n": np.nan if gone else float(counts[i]), "events": np.nan, "suppressed": gone, "note": ""}
        )
    return pd.DataFrame(rows)


def _outside(time: Floats, event: NDArray[np.int64], lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """(n,) each, whose means are the shares of patients with an event before and after their bounds."""
    after = np.where(np.isfinite(upper), 1.0 - _passed(time, event, upper), 0.0)
    return _passed(time, event, lower), after


def _passed(time: Floats, event: NDArray[np.int64], bound: Floats) -> Floats:
    """(n,) whose mean is the share of patients with an event before their bound."""
    seen = (event > 0) & (time < bound)
    survival = censoring_survival(time, event, time, True)
    return np.where(seen, 1 / np.maximum(survival, 1e-6), 0.0)


def _by_pattern(rows: Mapping[str, Floats], patterns: Sequence[str] | NDArray[np.object_]) -> pd.DataFrame:
    labels = pd.Series(np.asarray(patterns, dtype=object))
    counts = labels.value_counts(sort=True)
    gone = dict(zip(counts.index, hidden([int(count) for count in counts]), strict=True))
    table = [{"pattern": _EVERYBODY, "n": float(len(labels)), **{k: float(v.mean()) for k, v in rows.items()}}]
    for name, count in counts.items():
        here = (labels == name).to_numpy()
        told = {k: np.nan if gone[name] else float(v[here].mean()) for k, v in rows.items()}
        table.append({"pattern": name, "n": np.nan if gone[name] else float(count), **told})
    found = pd.DataFrame(table)
    return found.replace([np.inf, -np.inf], np.nan)


def _same_length(*arrays: NDArray[np.generic]) -> None:
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1 or not lengths[0]:
        raise UsageError(f"arrays of {', '.join(map(str, lengths))} patients: expected the same number, at least one")
