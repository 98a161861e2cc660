"""Accuracy: how far predicted risks are from what happened, by the Brier score and what is derived from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp, Status

__all__ = ["brier", "prediction_accuracy", "trapezoid_weights"]

Floats = NDArray[np.float64]


def brier(follow_up: FollowUp, risk: Floats, horizon: float, *, status: Status | None = None) -> Measured:
    """Brier score at a horizon by inverse probability of censoring weights; 0 is perfect, lower is better.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, M) risks of the event of interest by the horizon predicted by M models.
        horizon: days since the landmark.
        status: the states at the horizon, when at hand.

    Returns:
        Values and influences, those of the estimated weights included.

    Graf E et al. Stat Med 1999;18:2529-2545. Gerds TA, Schumacher M. Biom J 2006;48:1029-1040.
    """
    status = follow_up.status(horizon) if status is None else status
    loss = status.weight[:, None] * (status.case[:, None] - risk) ** 2
    value = loss.mean(axis=0)
    return Measured(value, loss - value + follow_up.censoring_term(loss, horizon))


def trapezoid_weights(times: Floats, horizon: float) -> Floats:
    """(T,) weights with which values at ``times`` sum to their mean over 0 to ``horizon``; the value at 0 is zero.

    Trapezoid rule over the times up to the horizon, which must be one of them; later times get no weight. A Brier
    score is zero at time 0, when nobody has had an event and no risk has been run.
    """
    inside = times[(times > 0) & (times <= horizon)]
    edges = np.concatenate([[0.0], inside])
    half = np.diff(edges) / 2
    weights = np.zeros(len(times))
    weights[(times > 0) & (times <= horizon)] = (half + np.append(half[1:], 0.0)) / horizon
    return weights


def prediction_accuracy(score: Measured, null: Measured) -> Measured | str:
    """Index of prediction accuracy: 1 - Brier / Brier(null); 0 is no better than knowing nothing, higher is better.

    Args:
        score: Brier scores of M models.
        null: the Brier score of the null model, one column, on the same patients.

    Kattan MW, Gerds TA. Diagn Progn Res 2018;2:7.
    """
    if not null.value[0] > 0:
        return "the null model predicts without error: there is nothing to improve on"
    ratio = score.value / null.value[0]
    return Measured(1 - ratio, (ratio * null.influence - score.influence) / null.value[0])
