"""What is given to an evaluation, checked once at its door: times, outcomes, risks, labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osler.errors import UsageError

__all__ = ["checked_outcomes", "checked_risks", "checked_times", "codes", "fold_codes"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_TOLERANCE = 1e-6
_REPEATED = 3


def checked_times(times: ArrayLike, horizons: ArrayLike) -> tuple[Floats, Floats]:
    """The grid of times (T,) and the horizons (H,), ascending; raises UsageError for what cannot be either."""
    grid, ahead = np.atleast_1d(np.asarray(times, dtype=float)), np.unique(np.asarray(horizons, dtype=float))
    if grid.ndim != 1 or not len(grid) or not np.isfinite(grid).all() or grid[0] < 0 or (np.diff(grid) <= 0).any():
        raise UsageError("times must be a row of finite days since the landmark, from 0 on, increasing strictly")
    if not len(ahead) or not np.isfinite(ahead).all() or ahead.min() <= 0:
        raise UsageError("horizons must be finite days above 0, at least one")
    if grid[-1] == 0:
        raise UsageError("times must reach beyond 0")
    return grid, ahead


def checked_outcomes(time: ArrayLike, event: ArrayLike, cause: int) -> tuple[Floats, Integers]:
    """Follow-up times (n,) above 0 and event codes (n,); raises UsageError for what cannot be either."""
    moments, given = np.asarray(time, dtype=float), np.asarray(event)
    if moments.ndim != 1 or moments.shape != given.shape:
        raise UsageError(f"time {moments.shape} and event {given.shape} must be rows of one length")
    bad = int((~(moments > 0) | ~np.isfinite(moments)).sum())
    if bad:
        raise UsageError(
            f"follow-up times must be finite and above 0, counted from the landmark; {bad} of {len(moments)} are not. "
            "Leave out patients who are no longer at risk at the landmark."
        )
    if given.dtype.kind not in "iub" and not (given.dtype.kind == "f" and np.array_equal(given, np.floor(given))):
        raise UsageError("event codes must be whole numbers: 0 censored, 1.. causes")
    found = given.astype(np.int64)
    if cause < 1 or (found.size and found.min() < 0):
        raise UsageError("event codes must be 0 (censored) or positive, and the cause of interest positive")
    return moments, found


def checked_risks(risks: Mapping[str, ArrayLike], n: int, t: int) -> dict[str, Floats]:
    """Risks of every model as (R, n, T), R repeats of a cross-validation, one where (n, T) is given.

    Raises:
        UsageError: no model, other shapes, different numbers of repeats, values that are no probability.
    """
    if not risks:
        raise UsageError("there is no model to evaluate: risks is empty")
    arrays = {name: _risk(name, values, n, t) for name, values in risks.items()}
    repeats = {name: len(risk) for name, risk in arrays.items()}
    if len(set(repeats.values())) > 1:
        told = ", ".join(f"{name!r} {count}" for name, count in repeats.items())
        raise UsageError(f"all models must be given for the same number of repeats; found {told}")
    return arrays


def _risk(name: str, values: ArrayLike, n: int, t: int) -> Floats:
    risk = np.asarray(values, dtype=float)
    risk = risk if risk.ndim == _REPEATED else risk[None]
    if risk.shape[1:] != (n, t) or not len(risk):
        raise UsageError(f"risks of {name!r} have shape {risk.shape[1:]}; expected {n} patients by {t} times")
    wrong = int((~((risk >= -_TOLERANCE) & (risk <= 1 + _TOLERANCE))).any(axis=(0, 2)).sum()) if n else 0
    if wrong:
        raise UsageError(
            f"risks of {name!r} must lie between 0 and 1; they are missing or outside for {wrong} of {n} patients. "
            "Give cumulative incidences (not survival or linear predictors) for every patient."
        )
    return risk


def codes(labels: ArrayLike | None, n: int, what: str) -> Integers | None:
    """(n,) codes from 0 of any labels; None stays None."""
    if labels is None:
        return None
    given = np.asarray(labels)
    if given.shape != (n,):
        raise UsageError(f"{what} have shape {given.shape}; expected one label for each of {n} patients")
    return np.unique(given, return_inverse=True)[1].astype(np.int64)


def fold_codes(labels: ArrayLike | None, repeats: int, n: int, what: str) -> Integers | None:
    """(R, n) codes from 0 of the labels of every repeat; one row of labels serves all repeats."""
    if labels is None:
        return None
    given = np.asarray(labels)
    given = given if given.ndim == _REPEATED - 1 else np.broadcast_to(given, (repeats, *given.shape))
    if given.shape != (repeats, n):
        raise UsageError(
            f"{what} have shape {given.shape}; expected one label for each of {n} patients in each of {repeats} repeats"
        )
    rows = [codes(row, n, what) for row in given]
    return np.stack([row for row in rows if row is not None])
