"""Estimate: a number that never travels without its interval; and the arithmetic of influence functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

__all__ = ["Estimate", "Measured", "by_cluster", "halved_within", "interval", "standard_error"]

Floats = NDArray[np.float64]
#: The range of each measure, to which an interval is cut.
_RANGE = {
    "auc": (0.0, 1.0),
    "brier": (0.0, 1.0),
    "integrated_brier": (0.0, 1.0),
    "ipa": (-np.inf, 1.0),
    "c_index": (0.0, 1.0),
    "harrell_c": (0.0, 1.0),
    "antolini_c": (0.0, 1.0),
    "royston_r2": (0.0, 1.0),
    **dict.fromkeys(("ici", "e50", "e90"), (0.0, 1.0)),
    "d_calibration": (0.0, np.inf),
}
#: Ratios, whose interval is symmetric on the logarithmic scale.
_RATIOS = frozenset({"observed_expected"})
#: Standard errors below this are rounding of a zero (constant predictions, a model against itself).
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """One measure of one model.

    Attributes:
        value, lower, upper, se: the estimate, its interval and standard error; NaN when it could not be had.
        at_risk: patients followed to the horizon or longer.
        events: events of interest by the horizon.
        note: why there is no value, or what to beware of; empty otherwise.
    """

    value: float
    lower: float
    upper: float
    se: float
    at_risk: int
    events: int
    note: str = ""


@dataclass(frozen=True, eq=False)
class Measured:
    """One measure of M models on the same n patients.

    Attributes:
        value: (M,) estimates.
        influence: (n, M) contribution of every patient: value + the mean of influences approximates the estimate
            on other patients. Sums to zero over patients.
    """

    value: Floats
    influence: Floats


def standard_error(influence: Floats, clusters: NDArray[np.int64] | None = None) -> Floats:
    """(M,) standard errors from influences (n, M): their standard deviation over the root of n.

    With ``clusters`` (n,), codes 0 to C - 1, the influences of one cluster count as one. NaN for a single cluster.
    """
    n = len(influence)
    influence = by_cluster(influence, clusters)
    units = len(influence)
    if units < 2:
        return np.full(influence.shape[1:], np.nan)
    error = np.sqrt((influence**2).sum(axis=0) * units / (units - 1)) / n
    return np.where(error < _ROUNDING, 0.0, error)


def by_cluster(influence: Floats, clusters: NDArray[np.int64] | None) -> Floats:
    """Sums (C, M) of influences (n, M) over rows of one cluster, codes (n,) from 0; as they are without clusters."""
    if clusters is None:
        return influence
    count = int(clusters.max()) + 1 if len(clusters) else 0
    return np.stack([np.bincount(clusters, weights=column, minlength=count) for column in influence.T], axis=1)


def halved_within(influence: Floats, strata: NDArray[np.int64] | None) -> Floats:
    """Influences (n, M) on a share of pairs within strata, whose mean in a stratum is how far the stratum lies off.

    Each pair counts for both of its patients, and all of them lie in one stratum: the influences in a stratum sum to
    twice what it deviates from the whole. Half of that is taken from every patient of it; the sum stays zero, and the
    error changes by as little as the strata differ. Without strata (None) nothing changes.
    """
    if strata is None:
        return influence
    size = np.maximum(np.bincount(strata), 1)
    means = np.stack(
        [np.bincount(strata, weights=column, minlength=len(size)) / size for column in influence.T], axis=1
    )
    return np.asarray(influence - means[strata] / 2, dtype=float)


def interval(measure: str, value: ArrayLike, se: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Lower and upper bounds: value and standard error times a normal quantile, cut to the range of the measure.

    For ratios (observed/expected) on the logarithmic scale. ``measure`` may be unknown: no cut.
    """
    value, se = np.asarray(value, dtype=float), np.asarray(se, dtype=float)
    half = ndtri(0.5 + level / 2) * se
    if measure in _RATIOS:
        safe = np.where(value > 0, value, np.nan)
        return safe * np.exp(-half / safe), safe * np.exp(half / safe)
    low, high = _RANGE.get(measure, (-np.inf, np.inf))
    return np.clip(value - half, low, high), np.clip(value + half, low, high)
