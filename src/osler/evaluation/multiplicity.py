"""Multiplicity: p-values of many tests, adjusted so that a false alarm among all of them is as rare as promised."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["holm"]

Floats = NDArray[np.float64]


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p-values (K,): rejecting those below 0.05 makes any error with probability 0.05 at most.

    Args:
        p: (K,) p-values, however they depend on one another. NaN is a test that was not made: it stays, and does not
            count.

    As ``p.adjust(p, "holm")`` in R. Holm S. Scand J Stat 1979;6:65-70.
    """
    given = np.asarray(p, dtype=float)
    adjusted = np.full(given.shape, np.nan)
    made = np.flatnonzero(~np.isnan(given))
    order = made[np.argsort(given[made], kind="stable")]
    steps = given[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
