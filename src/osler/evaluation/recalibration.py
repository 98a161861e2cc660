"""Recalibration: the intercept and slope with which predicted risks would fit what happened."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import expit, logit

from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp, Status

__all__ = ["calibration_intercept", "calibration_slope", "fit_log_odds", "log_odds"]

Floats = NDArray[np.float64]
#: Risks of exactly 0 or 1 have no logit; they are moved this far inside.
_EDGE = 1e-6
#: Below this standard deviation of logits a slope means nothing.
_LEAST_SPREAD = 0.05
_STEPS = 60
_CLOSE = 1e-5


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

    Arguments and method as for ``calibration_intercept``. NaN for a model whose risks hardly differ (a standard
    deviation of their logits below 0.05, as between the folds of a model that knows nothing): they have no slope.
    """
    return _fit(follow_up, risk, horizon, status, slope=True)


def _fit(follow_up: FollowUp, risk: Floats, horizon: float, status: Status | None, slope: bool) -> Measured | str:
    status = follow_up.status(horizon) if status is None else status
    if not status.case.any():
        return "no event of interest by the horizon"
    if not (status.free | status.competing).any():
        return "every patient whose state is known has the event by the horizon"
    value, influence = np.full(risk.shape[1], np.nan), np.full(risk.shape, np.nan)
    case = status.case.astype(float)
    for m in range(risk.shape[1]):
        predicted = log_odds(risk[:, m])
        if slope and predicted.std() < _LEAST_SPREAD:
            continue
        a, b = fit_log_odds(predicted, case, status.weight, slope)
        if np.isnan(a):
            continue
        p = expit(a + b * predicted)
        x = np.column_stack([np.ones(len(risk)), predicted])[:, : 1 + slope]
        score = x * (status.weight * (case - p))[:, None]
        information = (x * (status.weight * p * (1 - p))[:, None]).T @ x
        moved = score + follow_up.censoring_term(score, horizon)
        value[m] = b if slope else a
        influence[:, m] = len(risk) * np.linalg.solve(information, moved.T)[-1]
    return Measured(value, influence)


def log_odds(risk: Floats) -> Floats:
    """Logit of risks; those of exactly 0 or 1, which have none, are moved inside by a millionth."""
    return np.asarray(logit(np.clip(risk, _EDGE, 1 - _EDGE)), dtype=float)


@njit(cache=True)
def fit_log_odds(
    predicted: Floats, case: Floats, weight: Floats, slope: bool
) -> tuple[float, float]:  # pragma: no cover
    """Intercept and slope of weighted logistic regression by Newton's method; NaN where it diverges.

    It starts from risks that are right and, where those are so extreme that no step leads on from there, from none.

    Args:
        predicted: (n,) log odds of the predicted risks.
        case: (n,) 1 with the event, 0 without.
        weight: (n,) inverse probability of censoring, 0 for those who do not count.
        slope: False keeps the slope at 1.
    """
    a, b, found = _newton(predicted, case, weight, slope, 1.0)
    if slope and not found:
        a, b, found = _newton(predicted, case, weight, slope, 0.0)
    return (a, b) if found else (np.nan, np.nan)


@njit(cache=True)
def _newton(
    predicted: Floats, case: Floats, weight: Floats, slope: bool, start: float
) -> tuple[float, float, bool]:  # pragma: no cover
    """Intercept and slope after the last step from a slope, and whether it arrived."""
    a, b = 0.0, start
    for _ in range(_STEPS):
        s0, s1, i00, i01, i11 = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(len(predicted)):
            if weight[i] > 0:
                x = predicted[i]
                p = 1 / (1 + np.exp(-(a + b * x)))
                residual, spread = weight[i] * (case[i] - p), weight[i] * p * (1 - p)
                s0 += residual
                s1 += residual * x
                i00 += spread
                i01 += spread * x
                i11 += spread * x * x
        determinant = i00 * i11 - i01 * i01
        if not i00 > 0 or (slope and not determinant > 1e-12 * i00 * i11):
            break
        da = (i11 * s0 - i01 * s1) / determinant if slope else s0 / i00
        db = (i00 * s1 - i01 * s0) / determinant if slope else 0.0
        a += min(max(da, -2.0), 2.0)
        b += min(max(db, -2.0), 2.0)
        if max(abs(da), abs(db)) < _CLOSE:  # each step squares the distance to the maximum
            return a, b, True
    return a, b, False
