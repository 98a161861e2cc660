"""Apart: the error of an order that is perfect among few patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from osler.evaluation.follow_up import FollowUp

__all__ = ["error_when_apart"]


def error_when_apart(follow_up: FollowUp, horizon: float, strata: NDArray[np.int64] | None, level: float) -> float:
    """Standard error of a measure of order that is 0 or 1, of which influences know no error.

    With m pairs of a case and a patient free of events that share nobody, a measure of A shows all of them in order
    with probability A**m; the interval ends where that is the tail left out of it.

    Args:
        follow_up: outcomes of n patients.
        horizon: days since the landmark, supported by the follow-up.
        strata: (n,) codes within which patients are compared.
        level: of the interval, which reaches a normal quantile times the error.
    """
    status = follow_up.status(horizon)
    stratum = np.zeros(len(follow_up), dtype=np.int64) if strata is None else strata
    size = int(stratum.max()) + 1
    cases, free = (np.bincount(stratum[mask], minlength=size) for mask in (status.case, status.free))
    tail = (1 - level) / 2
    return float(1 - tail ** (1 / max(int(np.minimum(cases, free).sum()), 1))) / float(ndtri(1 - tail))
