"""Recalibration: the intercept and slope with which predicted risks would fit what happened."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp, Status

__all__ = ["calibration_intercept", "calibration_slope"]

Floats = NDArray[np.float64]
#: Risks of exactly 0 or 1 have no logit; they are moved this far inside.
_EDGE = 1e-6
_STEPS = 60


def calibration_intercept(
    follow_up: FollowUp, risk: Floats, horizon: float, *, status: Status | None = None
) -> Measured | str:
    """Intercept a of logit(P(event by the horizon)) = a + logit(risk): 0 is ideal, above it risks are too low.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, M) risks of the event of interest by the horizon predicted by M models.
        horizon: days since the landmark.
        status: the states at the horizon, when at hand.

    Fitted by maximum likelihood weighted by inverse probability of censoring; patients with a competing event count as
    without the event of interest. Influences hold the estimation of the weights.

    Van Calster B et al. BMC Med 2019;17:230. Gerds TA, Andersen PK, Kattan MW. Stat Med 2014;33:3191-3203.
    """
    return _fit(follow_up, risk, horizon, status, slope=False)


def calibration_slope(
    follow_up: FollowUp, risk: Floats, horizon: float, *, status: Status | None = None
) -> Measured | str:
    """Slope b of logit(P(event by the horizon)) = a + b logit(risk): 1 is ideal, below it risks are too extreme.

    Arguments and method as for ``calibration_intercept``. NaN for a model whose risks are all equal.
    """
    return _fit(follow_up, risk, horizon, status, slope=True)


def _fit(follow_up: FollowUp, risk: Floats, horizon: float, status: Status | None, slope: bool) -> Measured | str:
    status = follow_up.status(horizon) if status is None else status
    if not status.case.any():
        return "no event of interest by the horizon"
    if not (status.free | status.competing).any():
        return "every patient whose state is known has the event by the horizon"
    value, influence = np.full(risk.shape[1], np.nan), np.full(risk.shape, np.nan)
    for m in range(risk.shape[1]):
        predicted = logit(np.clip(risk[:, m], _EDGE, 1 - _EDGE))
        if slope and np.ptp(predicted) < 1e-12:
            continue
        x = np.column_stack([np.ones(len(risk)), predicted]) if slope else np.ones((len(risk), 1))
        fitted = _newton(x, np.zeros(len(risk)) if slope else predicted, status)
        if fitted is None:
            continue
        coefficients, score, information = fitted
        moved = score + follow_up.censoring_term(score, horizon)
        value[m] = coefficients[-1]
        influence[:, m] = len(risk) * np.linalg.solve(information, moved.T)[-1]
    return Measured(value, influence)


def _newton(x: Floats, offset: Floats, status: Status) -> tuple[Floats, Floats, Floats] | None:
    """Coefficients (p,), scores (n, p) and information (p, p) of weighted logistic regression; None if it diverges."""
    b = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = expit(x @ b + offset)
        score = x * (status.weight * (status.case - p))[:, None]
        information = (x * (status.weight * p * (1 - p))[:, None]).T @ x
        if not np.isfinite(information).all() or np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, score.sum(axis=0))
        if np.abs(step).max() < 1e-9:
            return b, score, information
        b = b + np.clip(step, -2.0, 2.0)
    return None
