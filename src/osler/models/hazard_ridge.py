"""Ridge path: a pooled proportional hazards model with one penalty per block of columns, chosen inside the fold.

The hazard of each cause is ``exp(alpha_b + x beta)`` in bin b: a Poisson regression whose bins play the part of the
baseline of a landmark supermodel (van Houwelingen, Scand J Stat 2007;34:70-85), fitted over all landmarks at once. A
ridge is a normal prior whose precision the data can tell: each block's penalty takes Fellner-Schall steps (Wood and
Fasiolo, Biometrics 2017;73:1071-1081) towards the maximum of the marginal likelihood. Rows of one patient at several
landmarks repeat the same information, so the likelihood is divided by its design effect: the ratio of the variance of
the score with patients as clusters to that with rows as if they were independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from osler.features.scale import dot_rows
from osler.models.hazard import FollowUp

__all__ = ["CauseRidge", "RidgeFit", "fit_ridge"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_START, _LEAST, _MOST = 10.0, 1e-2, 1e6
_ROUNDS, _STILL = 30, 0.05  # Fellner-Schall steps, until no penalty moves by more than a twentieth
_FREE = 1e-3  # penalty per event of the block that is hardly penalised
_BIN_PENALTY = 1.0  # of a bin's departure from the mean bin: worth about one event
_RATE_PENALTY = 0.1  # of the mean bin's departure from the overall rate: holds it where a fold has no event at all
_NEWTON, _TOLERANCE = 25, 1e-6
_STEEPEST = 12.0  # linear predictors are held within this of zero while fitting: exp() stays finite


@dataclass(frozen=True, eq=False)
class CauseRidge:
    """Coefficients of one cause.

    Attributes:
        alpha: (B,) log baseline hazard; -inf when the cause had no event in training.
        beta: (P,) log hazard ratios per unit of each column; higher is worse.
        penalties: block -> prior precision of its coefficients.
        design_effect: at least one.
        covariance: (P + 1, P + 1) posterior covariance of (mean of alpha, beta), design effect included.
    """

    alpha: Floats
    beta: Floats
    penalties: dict[str, float]
    design_effect: float
    covariance: Floats

    def eta(self, X: Floats) -> Floats:
        """(R,) linear predictor without the baseline."""
        return dot_rows(X, self.beta[:, None])[:, 0]

    def variance(self, X: Floats) -> Floats:
        """(R,) variance of the log hazard at an average bin."""
        Z = np.column_stack([np.ones(len(X)), X])
        return np.maximum((dot_rows(Z, self.covariance) * Z).sum(axis=1), 0.0)

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        return {
            "alpha": self.alpha,
            "beta": self.beta,
            "penalties": self.penalties,
            "design_effect": self.design_effect,
            "covariance": self.covariance,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(**state)


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """The ridge path and what it said of the training rows when their own fold was left out.

    Attributes:
        causes: one ``CauseRidge`` per cause.
        held_out: (R, K) linear predictor, by a fit that never saw the row's patient.
        held_out_parts: block -> (R, K), the part of ``held_out`` that the block contributed.
    """

    causes: tuple[CauseRidge, ...]
    held_out: Floats
    held_out_parts: dict[str, Floats]


def fit_ridge(
    X: Floats, blocks: dict[str, Ints], seen: FollowUp, patient: Ints, fold: Ints, n_causes: int, free: str = "landmark"
) -> RidgeFit:
    """Fit every cause on all rows, and again without each inner fold at the same penalties.

    Args:
        X: (R, P) finite columns of spread about one.
        blocks: name -> its columns; together all P.
        seen: follow-up of the rows.
        patient: (R,) position of the row's patient.
        fold: (R,) inner fold of the row's patient.
        n_causes: K; a cause without event has an infinitely low hazard.
        free: the block that is hardly penalised.
    """
    fits, held_out = [], np.zeros((len(X), n_causes))
    parts = {name: np.zeros((len(X), n_causes)) for name in blocks}
    for k in range(n_causes):
        event = (seen.cause == k + 1).astype(float)
        if not event.any():
            fits.append(_no_event(X.shape[1], seen.exposure.shape[1], blocks))
            continue
        rate = float(np.log(event.sum() / seen.exposure.sum()))
        whole = _Problem(X, seen.exposure * np.exp(rate), seen.bin, event)
        theta, fit = _fit_cause(whole, blocks, patient, free, rate)
        ridge = _ridge(fit.penalties, blocks, whole) * fit.design_effect
        for out in np.unique(fold):
            rows = np.flatnonzero(fold == out)
            one = whole.take(np.flatnonzero(fold != out)).newton(theta, ridge)
            for name, columns in blocks.items():
                parts[name][rows, k] = X[np.ix_(rows, columns)] @ one[whole.bins :][columns]
                held_out[rows, k] += parts[name][rows, k]
        fits.append(fit)
    return RidgeFit(tuple(fits), held_out, parts)


def _no_event(P: int, B: int, blocks: dict[str, Ints]) -> CauseRidge:
    none = np.full(B, -np.inf)
    return CauseRidge(none, np.zeros(P), dict.fromkeys(blocks, _MOST), 1.0, np.zeros((P + 1, P + 1)))


def _fit_cause(
    whole: _Problem, blocks: dict[str, Ints], patient: Ints, free: str, rate: float
) -> tuple[Floats, CauseRidge]:
    """Penalties and coefficients by turns, until both are still; theta and the finished fit."""
    B = whole.bins
    fixed = {free: _FREE * whole.events} if free in blocks else {}
    penalties = {name: fixed.get(name, _START) for name in blocks}
    theta, effect = np.zeros(B + whole.X.shape[1]), 1.0
    for _ in range(_ROUNDS):
        theta = whole.newton(theta, _ridge(penalties, blocks, whole) * effect)
        _, hessian = whole.quadratic(theta)
        effect = whole.design_effect(theta, hessian, _ridge(penalties, blocks, whole) * effect, patient)
        posterior = _inverse(hessian / effect + _ridge(penalties, blocks, whole))
        before = penalties
        penalties = {
            name: fixed[name] if name in fixed else _stepped(before[name], theta[B + columns], posterior, B + columns)
            for name, columns in blocks.items()
        }
        moved = [abs(np.log(penalties[n] / before[n])) for n in blocks if min(before[n], penalties[n]) < _MOST]
        if max(moved, default=0.0) < _STILL:
            break
    ridge = _ridge(penalties, blocks, whole)
    theta = whole.newton(theta, ridge * effect)
    _, hessian = whole.quadratic(theta)
    posterior = _inverse(hessian / effect + ridge)
    pick = np.zeros((1 + len(theta) - B, len(theta)))
    pick[0, :B] = (whole.counts + 1.0 / B) / (whole.counts + 1.0 / B).sum()
    pick[1:, B:] = np.eye(len(theta) - B)
    return theta, CauseRidge(rate + theta[:B], theta[B:], penalties, effect, pick @ posterior @ pick.T)


def _stepped(penalty: float, beta: Floats, posterior: Floats, columns: Ints) -> float:
    """Effective degrees of freedom of a block over the sum of squares of its coefficients."""
    freedom = len(columns) - penalty * float(np.trace(posterior[np.ix_(columns, columns)]))
    return float(np.clip(max(freedom, 1e-6) / max(float(beta @ beta), 1e-12), _LEAST, _MOST))


def _ridge(penalties: dict[str, float], blocks: dict[str, Ints], whole: _Problem) -> Floats:
    """(B + P, B + P): prior precision of the blocks, and what holds the bins together."""
    B, P = whole.bins, whole.X.shape[1]
    out = np.zeros((B + P, B + P))
    out[:B, :B] = _BIN_PENALTY * (np.eye(B) - 1.0 / B) + _RATE_PENALTY / B
    for name, columns in blocks.items():
        out[B + columns, B + columns] = penalties[name]
    return out


@dataclass(eq=False)
class _Problem:
    """Minus log-likelihood of one cause on some rows, its gradient and Hessian in theta = (alpha, beta).

    ``exposure`` counts expected events at the overall rate; alpha is the log of each bin's rate over that.
    """

    X: Floats
    exposure: Floats
    where: Ints
    event: Floats

    def __post_init__(self) -> None:
        self.bins = self.exposure.shape[1]
        self.events = float(self.event.sum())
        self.counts = np.bincount(self.where, weights=self.event, minlength=self.bins)
        self.observed = np.concatenate([self.counts, self.X.T @ self.event])

    def take(self, rows: Ints) -> _Problem:
        """Some rows."""
        return _Problem(self.X[rows], self.exposure[rows], self.where[rows], self.event[rows])

    def expected(self, theta: Floats) -> Floats:
        """(R, B) expected events."""
        risk = np.exp(np.clip(self.X @ theta[self.bins :], -_STEEPEST, _STEEPEST))
        return self.exposure * np.exp(theta[: self.bins]) * risk[:, None]

    def value(self, theta: Floats, ridge: Floats) -> float:
        """Minus the penalised log-likelihood."""
        eta = np.clip(self.X @ theta[self.bins :], -_STEEPEST, _STEEPEST)
        total = np.exp(eta) @ (self.exposure @ np.exp(theta[: self.bins]))
        return float(total - self.counts @ theta[: self.bins] - self.event @ eta + 0.5 * theta @ ridge @ theta)

    def quadratic(self, theta: Floats) -> tuple[Floats, Floats]:
        """Gradient and Hessian of minus the log-likelihood, without the penalty."""
        B, expected = self.bins, self.expected(theta)
        each = expected.sum(axis=1)
        gradient = np.concatenate([expected.sum(axis=0), self.X.T @ each]) - self.observed
        hessian = np.empty((len(theta), len(theta)))
        hessian[:B, :B] = np.diag(expected.sum(axis=0))
        hessian[B:, :B] = self.X.T @ expected
        hessian[:B, B:] = hessian[B:, :B].T
        hessian[B:, B:] = (self.X * each[:, None]).T @ self.X
        return gradient, hessian

    def newton(self, theta: Floats, ridge: Floats) -> Floats:
        """The penalised maximum, from ``theta``; steps are halved until they descend."""
        value = self.value(theta, ridge)
        for _ in range(_NEWTON):
            gradient, hessian = self.quadratic(theta)
            step = cho_solve(cho_factor(hessian + ridge), gradient + ridge @ theta)
            proposal, new = theta, np.inf
            for _ in range(20):
                proposal = theta - step
                new = self.value(proposal, ridge)
                if np.isfinite(new) and new <= value + 1e-9 * abs(value):
                    break
                step = step / 2
            gain, theta, value = value - new, proposal, new
            if gain < _TOLERANCE * max(self.events, 1.0):
                break
        return theta

    def design_effect(self, theta: Floats, hessian: Floats, ridge: Floats, patient: Ints) -> float:
        """Clustered over independent variance of the score of beta, averaged over what the data tell; at least 1."""
        B = self.bins
        if not self.X.shape[1] or len(np.unique(patient)) == len(patient):
            return 1.0
        residual = self.event - self.expected(theta).sum(axis=1)
        scores = np.zeros((int(patient.max()) + 1, self.X.shape[1]))
        np.add.at(scores, patient, self.X * residual[:, None])
        inverse = _inverse(hessian + ridge)[B:, B:]
        clustered = float((inverse * (scores.T @ scores)).sum())
        return max(1.0, clustered / max(float((inverse * hessian[B:, B:]).sum()), 1e-12))


def _inverse(matrix: Floats) -> Floats:
    return cho_solve(cho_factor(matrix), np.eye(len(matrix)))
