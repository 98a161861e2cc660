"""Heterogeneity: patients whom a model takes for equals differ in risk; by how much, and what follows from it.

Let the hazard of a patient be ``Z lambda(t)``, with lambda what the model says and log Z normal: what nobody measured.
Those with a high Z have their event first, so that among the event-free effects seem to fade and the hazard seems to
fall, the more so the higher lambda is. That is how heterogeneity shows although nobody has the event twice (Vaupel,
Manton and Stallard, Demography 1979;16:439-454; Elbers and Ridder, Rev Econ Stud 1982;49:403-409).

It shows faintly, and an effect that truly fades looks the same. A thousand patients hardly tell a standard deviation
of log Z of 0.4 from one of 1.0. So it has a prior, and its variance is the mean over what prior and data leave
possible: in small cohorts the prior speaks, from some thousands of patients on the data do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from osler.models.hazard import FollowUp

__all__ = ["marginal_log_hazards", "residual_variance"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MEDIAN, _SPREAD = 0.6, 0.4  # of the log-normal prior of the standard deviation of log Z: mostly between 0.3 and 1.3
_GRID = np.exp(np.linspace(np.log(0.2), np.log(1.8), 12))  # standard deviations looked at: even in the logarithm
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_STEEPEST = 12.0
_LEAST = 1e-12
_CERTAIN = 600.0  # cumulative hazards are held below it: their exponentials stay above zero


def residual_variance(
    log_hazard: Floats, known: Floats, seen: FollowUp, cause: int, patient: Ints, weight: Floats | None = None
) -> float:
    """Variance of log Z that is in no predictor, from predictions that never saw the patients they are of.

    The marginal likelihood is maximised over a free baseline and one slope of the predictions, for each standard
    deviation of a grid; divided by its design effect (rows of one patient at several landmarks repeat the same
    event), and met with a log-normal prior of median 0.6 and 95 % between 0.27 and 1.3: off zero, where the maximum of
    such likelihoods often lies (Chung, Rabe-Hesketh, Dorie, Gelman and Liu, Psychometrika 2013;78:685-709), and off
    values that would make prediction hopeless. Without events the answer is the prior's, 0.5.

    Args:
        log_hazard: (R, B) held-out predictions, proportional over the bins: a prediction whose effects may fade has
            taken the trace of Z for a change of effects.
        known: (R,) variance of the log hazard that is known already: estimation, absent modalities.
        seen: follow-up of the rows.
        cause: 1-based.
        patient: (R,) whose row it is.
        weight: (R,) how many rows it stands for; None: one.

    Returns:
        The posterior mean of the variance.
    """
    log_posterior = -0.5 * (np.log(_GRID / _MEDIAN) / _SPREAD) ** 2  # on a grid that is even in the logarithm
    if (seen.cause == cause).any():
        likelihood = np.empty((len(_GRID), len(seen.cause)))
        start = np.append(np.zeros(seen.exposure.shape[1]), 1.0)
        problem = _Frailty(log_hazard, seen, cause, np.ones(len(seen.cause)) if weight is None else weight)
        for i, spread in enumerate(_GRID):
            start, likelihood[i] = problem.maximum(start, np.sqrt(spread**2 + known))
        total = likelihood.sum(axis=1)
        log_posterior += total / _design_effect(likelihood, int(total.argmax()), patient)
    chance = np.exp(log_posterior - log_posterior.max())
    return float(chance @ _GRID**2 / chance.sum())


def _design_effect(likelihood: Floats, best: int, patient: Ints) -> float:
    """Clustered over independent variance of the score at the best spread; at least one."""
    around = slice(max(best - 1, 0), best + 2)
    score = likelihood[around][-1] - likelihood[around][0]
    score = score - score.mean()
    clustered = np.bincount(patient, weights=score)
    return max(1.0, float((clustered**2).sum() / max(float((score**2).sum()), _LEAST)))


class _Frailty:
    """Marginal likelihood of a cause whose log hazard is ``alpha_b + slope * x_rb + spread_r * normal``."""

    def __init__(self, log_hazard: Floats, seen: FollowUp, cause: int, weight: Floats) -> None:
        self.x = log_hazard - log_hazard.mean()
        self.seen, self.event, self.weight = seen, (seen.cause == cause).astype(float), weight
        exposure = float(weight @ seen.exposure.sum(axis=1))
        self.rate = np.log(max(float(weight @ self.event), 0.5) / max(exposure, _LEAST))

    def maximum(self, start: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """(B + 1,) alpha and slope, and the (R,) log-likelihood there; one event is lent to the bins, and a slope."""

        def objective(theta: Floats) -> tuple[float, Floats]:
            each, gradient = self._rows(theta, spread)
            away = theta - self._lent
            return 0.5 * float(away @ away) - float(each.sum()), away - gradient

        found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 60, "ftol": 1e-8})
        return found.x, self._rows(found.x, spread)[0]

    @property
    def _lent(self) -> Floats:
        return np.append(np.zeros(self.x.shape[1]), 1.0)

    def _rows(self, theta: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """(R,) log-likelihood, each row's as often as it stands for one, and its gradient summed over rows."""
        eta = np.clip(theta[:-1] + theta[-1] * self.x + self.rate, -3 * _STEEPEST, _STEEPEST)
        expected = self.seen.exposure * np.exp(eta)
        total = expected.sum(axis=1)
        normal = spread[:, None] * _NODES
        terms = self.event[:, None] * normal - total[:, None] * np.exp(normal) + np.log(_WEIGHTS)
        highest = terms.max(axis=1, keepdims=True)
        weight = np.exp(terms - highest)
        integral = weight.sum(axis=1)
        tilt = (weight * np.exp(normal)).sum(axis=1) / integral  # expected Z of the row, given what happened
        at_event = np.take_along_axis(eta, self.seen.bin[:, None], axis=1)[:, 0]
        x_at_event = np.take_along_axis(self.x, self.seen.bin[:, None], axis=1)[:, 0]
        each = self.event * at_event + highest[:, 0] + np.log(integral)
        expected = expected * (tilt * self.weight)[:, None]
        events = self.event * self.weight
        counts = np.bincount(self.seen.bin, weights=events, minlength=self.x.shape[1])
        slope = float(events @ x_at_event) - float((expected * self.x).sum())
        return each * self.weight, np.append(counts - expected.sum(axis=0), slope)


def marginal_log_hazards(log_hazard: Floats, edges: Floats, variance: Floats) -> Floats:
    """(R, K, B) log hazards averaged over a normal deviation of each row's, among those still event-free.

    What a modality would have told, had it been there, is such a deviation. At first the mean hazard is that of
    ``log_hazard``; later those with high hazards are gone, and it falls behind.

    Args:
        log_hazard: (R, K, B) per horizon, of the mean hazard at the landmark.
        edges: (B + 1,) of the bins.
        variance: (R, K) of the deviation; rows of zero variance keep their bits.
    """
    rows = np.flatnonzero((variance > 0).any(axis=1))
    if not len(rows):
        return log_hazard
    width = np.diff(edges) / edges[-1]
    spread = np.sqrt(variance[rows])[:, :, None]
    hazard = np.exp(np.clip(log_hazard[rows], -3 * _STEEPEST, 2 * _STEEPEST) - spread**2 / 2)
    passed = np.concatenate([np.zeros((*hazard.shape[:2], 1)), np.cumsum(hazard * width, axis=2)[:, :, :-1]], axis=2)
    at_risk, staying = np.zeros_like(hazard), np.zeros_like(hazard)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        factor = np.exp(spread * node)
        before = weight * np.exp(-np.minimum(passed * factor, _CERTAIN))
        at_risk += before
        staying += before * np.exp(-np.minimum(hazard * width * factor, _CERTAIN))
    gone = np.maximum(np.log(np.maximum(at_risk, 1e-300) / np.maximum(staying, 1e-300)), 1e-300) / width
    out = log_hazard.copy()
    out[rows] = np.where(np.isneginf(log_hazard[rows]), -np.inf, np.log(gone))
    return out
