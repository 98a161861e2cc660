"""Discrimination: do those with the event by a horizon have the higher predicted risk?"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp, Status

__all__ = ["Controls", "auc"]

Floats = NDArray[np.float64]
#: Who is compared with the cases: everybody free of the event of interest, competing events included, or only those
#: free of any event.
Controls = Literal["free_of_cause", "event_free"]


def auc(
    follow_up: FollowUp,
    risk: Floats,
    horizon: float,
    *,
    status: Status | None = None,
    strata: NDArray[np.int64] | None = None,
    controls: Controls = "free_of_cause",
) -> Measured | str:
    """Time-dependent cumulative/dynamic AUC by inverse probability of censoring weights.

    The probability that a case (event of interest by the horizon) has a higher predicted risk than a control; ties
    count a half. 0.5 is chance, higher is better.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, M) risks of the event by the horizon predicted by M models.
        horizon: days since the landmark.
        status: the states at the horizon, when at hand.
        strata: (n,) codes; only pairs within a stratum are compared (sum of the numerators over sum of the
            denominators). Out-of-fold predictions of several folds come from several models: compared across folds,
            a model that knows nothing falls below 0.5.
        controls: "free_of_cause" (those with a competing event are controls; definition (ii) of the paper, as in
            riskRegression) or "event_free" (definition (i)).

    Returns:
        Values and influences (those of the estimated weights included); or, in words, why there is none.

    Blanche P, Dartigues JF, Jacqmin-Gadda H. Stat Med 2013;32:5381-5397.
    """
    status = follow_up.status(horizon) if status is None else status
    is_control = status.free | status.competing if controls == "free_of_cause" else status.free
    stratum = np.zeros(len(follow_up), dtype=np.int64) if strata is None else strata
    count = int(stratum.max()) + 1
    cases, others = np.where(status.case, status.weight, 0.0), np.where(is_control, status.weight, 0.0)
    in_cases = np.bincount(stratum, weights=cases, minlength=count)
    in_others = np.bincount(stratum, weights=others, minlength=count)
    pairs = float(in_cases @ in_others)
    if not status.case.any():
        return "no event of interest by the horizon"
    if not is_control.any():
        return "every patient whose state is known has the event by the horizon: there is nobody to compare with"
    if pairs == 0:
        return "no stratum holds both a patient with and a patient without the event"
    value, score = np.empty(risk.shape[1]), np.empty_like(risk)
    for m in range(risk.shape[1]):
        below, above = _rivals(risk[:, m], stratum, cases, others, in_cases)
        value[m] = (cases @ below) / pairs
        score[:, m] = cases * (below - value[m] * in_others[stratum]) + others * (above - value[m] * in_cases[stratum])
    score *= len(follow_up) / pairs
    return Measured(value, score + follow_up.censoring_term(score, horizon))


def _rivals(
    risk: Floats, stratum: NDArray[np.int64], cases: Floats, others: Floats, in_cases: NDArray[Any]
) -> tuple[Floats, Floats]:
    """(n,) weight of controls with a lower risk, and of cases with a higher one, in each patient's stratum."""
    order = np.lexsort((risk, stratum))
    ordered, group = risk[order], stratum[order]
    new_stratum = np.concatenate([[True], group[1:] != group[:-1]])
    new_value = new_stratum | np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first = np.flatnonzero(new_value)
    tie = np.cumsum(new_value) - 1
    low, high = np.empty_like(risk), np.empty_like(risk)
    for weight, out in ((others, low), (cases, high)):
        running = np.concatenate([[0.0], np.cumsum(weight[order])])
        start = running[:-1][new_stratum][np.cumsum(new_stratum) - 1]
        ends = np.append(first[1:], len(risk))
        out[order] = (running[first][tie] + running[ends][tie]) / 2 - start
    return low, in_cases[stratum] - high
