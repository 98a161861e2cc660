"""Royston and Sauerbrei's D: how far apart prognoses are, on the scale of the log hazard."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp

__all__ = ["royston"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: How far the mean of the upper half of a standard normal distribution is above that of the lower half.
_KAPPA = np.sqrt(8 / np.pi)
#: Variance of the smallest extreme value, which is what a log event time varies by at a given hazard.
_NOISE = np.pi**2 / 6
_STEPS, _CLOSE, _STEEPEST = 40, 1e-9, 30.0


def royston(follow_up: FollowUp, risk: Floats, horizon: float) -> dict[str, Measured | str]:
    """D and the explained variation R2_D of the order of predicted risks; for both higher is better, 0 is no order.

    D is the log hazard ratio between two equal groups of patients set apart by their risk, if the prognosis is normal:
    the coefficient of the rankits of the risks (Blom's; of equal risks their mean) over sqrt(8/pi) in a Cox model of
    the cause-specific hazard, events after the horizon being censored at it; Efron's form for ties. R2_D is the share
    of the variation of log event times that such a prognosis explains. D below 0 means that the order is wrong; its
    R2_D is that of the order turned round.

    Args:
        follow_up: outcomes of n patients; competing events end follow-up without the event of interest.
        risk: (n, M) risks of the event of interest by the horizon predicted by M models.
        horizon: days since the landmark.

    Returns:
        "royston_d" and "royston_r2": values and influences (dfbeta residuals, the rankits held fixed; by the delta
        method for R2_D). NaN for a model whose risks are all equal, or set all events apart. Or, in words, why there is
        none. O(n log n).

    Royston P, Sauerbrei W. Stat Med 2004;23:723-748. Royston P. Stata J 2006;6:83-96.
    """
    case = (follow_up.event == follow_up.cause) & (follow_up.time <= horizon)
    if not case.any():
        reason = "no event of interest by the horizon"
        return {"royston_d": reason, "royston_r2": reason}
    n, time = len(follow_up), np.minimum(follow_up.time, horizon)
    order = np.argsort(-time, kind="stable")
    value, influence = np.full(risk.shape[1], np.nan), np.full(risk.shape, np.nan)
    for m in range(risk.shape[1]):
        x = _rankits(risk[:, m]) / _KAPPA
        if np.ptp(x) == 0:
            continue
        coefficient, information, score = _cox(x[order], time[order], case[order])
        if np.isfinite(coefficient):
            value[m] = coefficient
            influence[order, m] = n * score / information
    square = value**2 / _KAPPA**2
    slope = 2 * value / _KAPPA**2 * _NOISE / (_NOISE + square) ** 2
    return {
        "royston_d": Measured(value, influence),
        "royston_r2": Measured(square / (_NOISE + square), slope * influence),
    }


def _rankits(risk: Floats) -> Floats:
    """(n,) expected order statistics of a normal sample by rank (Blom's approximation); the mean of those tied."""
    n = len(risk)
    _, group, size = np.unique(risk, return_inverse=True, return_counts=True)
    rankit = ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))
    return np.asarray(np.add.reduceat(rankit, np.concatenate([[0], np.cumsum(size)[:-1]])) / size)[group]


def _cox(x: Floats, time: Floats, case: NDArray[np.bool_]) -> tuple[float, float, Floats]:
    """Coefficient, information and score residuals (n,) of one covariate; rows by falling time. NaN if it diverges."""
    beta, step_to, value = 0.0, 0.0, -np.inf
    for _ in range(_STEPS):
        likelihood, gradient, information = _derivatives(x, time, case, step_to)
        if likelihood < value - 1e-10 * (1 + abs(value)):  # gone too far: halve the step
            step_to = (beta + step_to) / 2
            continue
        beta, value = step_to, likelihood
        if not information > 0 or abs(beta) > _STEEPEST:
            break
        step = gradient / information
        if abs(step) < _CLOSE * (1 + abs(beta)):
            return beta, information, np.asarray(_residuals(x, time, case, beta))
        step_to = beta + step
    return np.nan, np.nan, np.full(len(x), np.nan)


@njit(cache=True)
def _derivatives(
    x: Floats, time: Floats, case: NDArray[np.bool_], beta: float
) -> tuple[float, float, float]:  # pragma: no cover
    """Partial log-likelihood (Efron), its first derivative, and minus its second."""
    likelihood, gradient, information = 0.0, 0.0, 0.0
    s0, s1, s2 = 0.0, 0.0, 0.0
    start, n = 0, len(x)
    while start < n:
        stop, tied, d0, d1, d2 = start, 0, 0.0, 0.0, 0.0
        while stop < n and time[stop] == time[start]:
            w = np.exp(beta * x[stop])
            s0 += w
            s1 += w * x[stop]
            s2 += w * x[stop] * x[stop]
            if case[stop]:
                tied += 1
                d0 += w
                d1 += w * x[stop]
                d2 += w * x[stop] * x[stop]
                likelihood += beta * x[stop]
                gradient += x[stop]
            stop += 1
        for k in range(tied):
            share = k / tied
            total = s0 - share * d0
            mean = (s1 - share * d1) / total
            likelihood -= np.log(total)
            gradient -= mean
            information += (s2 - share * d2) / total - mean * mean
        start = stop
    return likelihood, gradient, information


@njit(cache=True)
def _residuals(x: Floats, time: Floats, case: NDArray[np.bool_], beta: float) -> Floats:  # pragma: no cover
    """(n,) score residuals: what each patient adds to the first derivative, as one at risk and by the own event."""
    n = len(x)
    hazard, drift = np.zeros(n), np.zeros(n)  # at the first row of each time: sums over its events
    own_hazard, own_drift, met = (
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
    )  # of one of the tied events, and the mean it meets
    s0, s1, start = 0.0, 0.0, 0
    while start < n:
        stop, tied, d0, d1 = start, 0, 0.0, 0.0
        while stop < n and time[stop] == time[start]:
            w = np.exp(beta * x[stop])
            s0 += w
            s1 += w * x[stop]
            if case[stop]:
                tied += 1
                d0 += w
                d1 += w * x[stop]
            stop += 1
        for k in range(tied):
            share = k / tied
            total = s0 - share * d0
            mean = (s1 - share * d1) / total
            hazard[start] += 1 / total
            drift[start] += mean / total
            own_hazard[start] += share / total
            own_drift[start] += share * mean / total
            met[start] += mean / tied
        start = stop
    residual = np.empty(n)
    lived, lived_drift, stop = 0.0, 0.0, n
    while stop > 0:
        start = stop - 1
        while start > 0 and time[start - 1] == time[stop - 1]:
            start -= 1
        lived += hazard[start]
        lived_drift += drift[start]
        for i in range(start, stop):
            w = np.exp(beta * x[i])
            residual[i] = -w * (x[i] * lived - lived_drift)
            if case[i]:
                residual[i] += x[i] - met[start] + w * (x[i] * own_hazard[start] - own_drift[start])
        stop = start
    return residual
