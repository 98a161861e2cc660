"""Discrimination: do those with the event by a horizon have the higher predicted risk?"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from osler.evaluation.counting import ascending
from osler.evaluation.estimate import Measured, halved_within
from osler.evaluation.follow_up import FollowUp, Status

__all__ = ["Controls", "auc"]

Floats = NDArray[np.float64]
Places = NDArray[np.int32]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
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
    stratum = np.zeros(0, dtype=np.int64) if strata is None else strata
    signed, in_cases, in_others = _sides(status.case, is_control, status.weight, stratum)
    pairs = float(in_cases @ in_others)
    if not status.case.any():
        return "no event of interest by the horizon"
    if not is_control.any():
        return "every patient whose state is known has the event by the horizon: there is nobody to compare with"
    if pairs == 0:
        return "no stratum holds both a patient with and a patient without the event"
    value, score = np.empty(risk.shape[1]), np.empty(risk.shape)
    for m in range(risk.shape[1]):
        order, new = ascending(risk[:, m])
        won, beaten = _beaten(order, new, stratum, signed, in_cases)
        value[m] = won / pairs
        _score(signed, beaten, stratum, in_cases, in_others, value[m], len(follow_up) / pairs, score, m)
    return Measured(value, halved_within(score, strata) + follow_up.censoring_term(score, horizon))


@njit(cache=True)
def _sides(
    case: Mask, control: Mask, weight: Floats, stratum: Integers
) -> tuple[Floats, Floats, Floats]:  # pragma: no cover (compiled)
    """(n,) weights, negative for controls, 0 for the rest; weight of cases and of controls by stratum (S,)."""
    size = stratum.max() + 1 if len(stratum) else 1
    signed, in_cases, in_others = np.zeros(len(weight)), np.zeros(size), np.zeros(size)
    for i in range(len(weight)):
        s = stratum[i] if len(stratum) else 0
        if case[i]:
            signed[i] = weight[i]
            in_cases[s] += weight[i]
        elif control[i]:
            signed[i] = -weight[i]
            in_others[s] += weight[i]
    return signed, in_cases, in_others


@njit(cache=True)
def _score(
    signed: Floats,
    beaten: Floats,
    stratum: Integers,
    in_cases: Floats,
    in_others: Floats,
    value: float,
    scale: float,
    score: Floats,
    column: int,
) -> None:  # pragma: no cover (compiled)
    """Fill a column of (n, M) scores with each patient's sum over pairs of weight x (won - value), times ``scale``."""
    for i in range(len(signed)):
        s = stratum[i] if len(stratum) else 0
        compared = in_others[s] if signed[i] > 0 else in_cases[s]
        score[i, column] = abs(signed[i]) * (beaten[i] - value * compared) * scale


@njit(cache=True)
def _beaten(
    order: Places, new: Mask, stratum: Integers, signed: Floats, in_cases: Floats
) -> tuple[float, Floats]:  # pragma: no cover (compiled)
    """Weight of the pairs in the right order; and for each patient, of those with whom he is in the right order.

    Cases have a positive weight, controls a negative one. Equal risks count a half.
    """
    n, won, start = len(order), 0.0, 0
    mine, codes = np.empty(n), np.zeros(n if len(stratum) else 0, np.int64)  # by rank, to be read in one go
    for k in range(n):
        mine[k] = signed[order[k]]
    for k in range(len(codes)):
        codes[k] = stratum[order[k]]
    found, below, above = np.zeros(n), np.zeros(len(in_cases)), in_cases.copy()  # lower controls, higher cases
    while start < n:
        end = start + 1
        while end < n and not new[end]:
            end += 1
        if end == start + 1:
            s = codes[start] if len(codes) else 0
            case, control = max(mine[start], 0.0), max(-mine[start], 0.0)
            found[start] = below[s] if case else above[s]
            won += case * below[s]
            above[s] -= case
            below[s] += control
        else:
            won += _tied(mine[start:end], codes[start:end], below, above, found[start:end])
        start = end
    beaten = np.empty(n)
    for k in range(n):
        beaten[order[k]] = found[k]
    return won, beaten


@njit(cache=True)
def _tied(
    mine: Floats, codes: Integers, below: Floats, above: Floats, found: Floats
) -> float:  # pragma: no cover (compiled)
    """The same for patients of one risk, who change sides between the two halves."""
    won = 0.0
    for half in range(2):
        for k in range(len(mine)):
            s = codes[k] if len(codes) else 0
            found[k] += 0.5 * (below[s] if mine[k] > 0 else above[s])
            won += found[k] * max(mine[k], 0.0) if half else 0.0
        for k in range(len(mine) if half == 0 else 0):
            s = codes[k] if len(codes) else 0
            above[s] -= max(mine[k], 0.0)
            below[s] += max(-mine[k], 0.0)
    return won
