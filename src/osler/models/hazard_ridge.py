"""Ridge path: a pooled proportional hazards model with one penalty per block of columns, chosen inside the fold.

The hazard of each cause is ``exp(alpha_b + x beta)`` in bin b: a Poisson regression whose bins play the part of the
baseline of a landmark supermodel (van Houwelingen, Scand J Stat 2007;34:70-85), fitted over all landmarks at once.
Penalties are chosen by patient-grouped cross-validation of the deviance. For the search each fold's log-likelihood is
replaced by its quadratic approximation at a fitted point, so that a candidate costs one linear solve; held-out deviance
is always the true one, and the point is renewed after the search.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from osler.features.scale import dot_rows
from osler.models.hazard import FollowUp

__all__ = ["CauseRidge", "RidgeFit", "fit_ridge"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Penalties as shares of the number of events: from nearly none to a coefficient that hardly moves.
_RATIOS = np.geomspace(1e-3, 10.0, 9)
_SEARCH = (0.0, 10**-1.0, 10**-0.5, 10**0.5, 10.0, 10**1.5)
_ROUNDS = 2
_NEWTON = 25
_TOLERANCE = 1e-6
_BIN_PENALTY = 1.0  # of a bin's departure from the mean bin: worth about one event
_RATE_PENALTY = 0.1  # of the mean bin's departure from the overall rate: holds it where a fold has no event at all
_FREE = 1e-3  # ratio of a block that is not searched (the landmark itself)
_USUAL, _DOUBT = 0.3, 2.0  # a ratio ten times larger or smaller than usual must earn two units of log-likelihood
_STEEPEST = 12.0  # linear predictors are held within this of zero while fitting: exp() stays finite


@dataclass(frozen=True, eq=False)
class CauseRidge:
    """Coefficients of one cause.

    Attributes:
        alpha: (B,) log baseline hazard; -inf when the cause had no event in training.
        beta: (P,) log hazard ratios per unit of each column.
        ratios: block -> its penalty as a share of the number of events.
        covariance: (P + 1, P + 1) of (mean of alpha, beta): sandwich, patients as clusters.
    """

    alpha: Floats
    beta: Floats
    ratios: dict[str, float]
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
        return {"alpha": self.alpha, "beta": self.beta, "ratios": self.ratios, "covariance": self.covariance}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(**state)


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """The ridge path and what it said of the training rows when their own fold was left out.

    Attributes:
        causes: one ``CauseRidge`` per cause.
        held_out: (R, K) linear predictor plus mean-bin difference of the fit that never saw the row's patient.
        held_out_parts: block -> (R, K), the part of ``held_out`` that the block contributed.
    """

    causes: tuple[CauseRidge, ...]
    held_out: Floats
    held_out_parts: dict[str, Floats] = field(default_factory=dict)


def fit_ridge(
    X: Floats, blocks: dict[str, Ints], seen: FollowUp, patient: Ints, fold: Ints, n_causes: int, free: str = "landmark"
) -> RidgeFit:
    """Fit every cause.

    Args:
        X: (R, P) finite columns of spread about one.
        blocks: name -> its columns; together all P.
        seen: follow-up of the rows.
        patient: (R,) position of the row's patient, 0..n - 1.
        fold: (R,) inner fold of the row's patient.
        n_causes: K; a cause without event has an infinitely low hazard.
        free: the block that is hardly penalised.
    """
    R, P = X.shape
    fits, held_out = [], np.zeros((R, n_causes))
    parts = {name: np.zeros((R, n_causes)) for name in blocks}
    for k in range(n_causes):
        event = (seen.cause == k + 1).astype(float)
        if not event.any():
            fits.append(_no_event(P, seen.exposure.shape[1], tuple(blocks)))
            continue
        path = _Path(X, blocks, seen, event, fold, free)
        ratios = path.choose()
        theta = path.refit(ratios)
        everyone, B = path.problem(np.arange(R)), path.bins
        whole = everyone.newton(path.start(), path.penalty(ratios), path.events)
        for rows, one in zip(path.held, theta, strict=True):
            held_out[rows, k] = X[rows] @ one[B:]
            for name, columns in blocks.items():
                parts[name][rows, k] = X[rows][:, columns] @ one[B:][columns]
        covariance = everyone.sandwich(whole, path.penalty(ratios), patient)
        fits.append(CauseRidge(path.rate + whole[:B], whole[B:], ratios, covariance))
    return RidgeFit(tuple(fits), held_out, parts)


def _no_event(P: int, B: int, blocks: tuple[str, ...]) -> CauseRidge:
    return CauseRidge(
        np.full(B, -np.inf), np.zeros(P), {name: float(_RATIOS[-1]) for name in blocks}, np.zeros((P + 1, P + 1))
    )


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
        B = self.exposure.shape[1]
        self.counts = np.bincount(self.where, weights=self.event, minlength=B)
        self.observed = np.concatenate([self.counts, self.X.T @ self.event])

    def deviance(self, theta: Floats) -> float:
        """Minus log-likelihood."""
        B = len(self.counts)
        eta = np.clip(self.X @ theta[B:], -_STEEPEST, _STEEPEST)
        return float(np.exp(eta) @ (self.exposure @ np.exp(theta[:B])) - self.counts @ theta[:B] - self.event @ eta)

    def quadratic(self, theta: Floats) -> tuple[Floats, Floats]:
        """Gradient and Hessian."""
        B = len(self.counts)
        risk = np.exp(np.clip(self.X @ theta[B:], -_STEEPEST, _STEEPEST))
        expected = self.exposure * np.exp(theta[:B]) * risk[:, None]  # (R, B)
        each = expected.sum(axis=1)
        gradient = np.concatenate([expected.sum(axis=0), self.X.T @ each]) - self.observed
        hessian = np.empty((len(theta), len(theta)))
        hessian[:B, :B] = np.diag(expected.sum(axis=0))
        hessian[B:, :B] = self.X.T @ expected
        hessian[:B, B:] = hessian[B:, :B].T
        hessian[B:, B:] = (self.X * each[:, None]).T @ self.X
        return gradient, hessian

    def newton(self, theta: Floats, penalty: Floats, scale: float, most: int = _NEWTON) -> Floats:
        """Minimise with ``penalty`` ((B + P, B + P), half its quadratic form); steps are halved until they descend."""
        value = self.deviance(theta) + 0.5 * theta @ penalty @ theta
        for _ in range(most):
            gradient, hessian = self.quadratic(theta)
            step = _solve(hessian + penalty, gradient + penalty @ theta)
            for _ in range(20):
                proposal = theta - step
                new = self.deviance(proposal) + 0.5 * proposal @ penalty @ proposal
                if np.isfinite(new) and new <= value + 1e-9 * abs(value):
                    break
                step = step / 2
            gain = value - new
            theta, value = proposal, new
            if gain < _TOLERANCE * max(scale, 1.0):
                break
        return theta

    def sandwich(self, theta: Floats, penalty: Floats, patient: Ints) -> Floats:
        """Covariance of (mean alpha, beta) with patients as clusters; Lin and Wei, JASA 1989;84:1074-1078."""
        B = len(self.counts)
        risk = np.exp(np.clip(self.X @ theta[B:], -_STEEPEST, _STEEPEST))
        expected = self.exposure * np.exp(theta[:B]) * risk[:, None]
        residual = -expected
        residual[np.arange(len(self.where)), self.where] += self.event
        scores = np.zeros((int(patient.max()) + 1, len(theta)))
        np.add.at(scores, patient, np.column_stack([residual, self.X * residual.sum(axis=1)[:, None]]))
        _, hessian = self.quadratic(theta)
        bread = np.linalg.inv(hessian + penalty)
        full = bread @ (scores.T @ scores) @ bread
        pick = np.zeros((len(theta) - B + 1, len(theta)))
        weight = self.counts + 1.0 / B
        pick[0, :B] = weight / weight.sum()
        pick[1:, B:] = np.eye(len(theta) - B)
        return pick @ full @ pick.T


class _Path:
    """The search for the penalties of one cause."""

    def __init__(
        self, X: Floats, blocks: dict[str, Ints], seen: FollowUp, event: Floats, fold: Ints, free: str
    ) -> None:
        self.X, self.blocks, self.seen, self.event, self.free = X, blocks, seen, event, free
        self.bins = seen.exposure.shape[1]
        self.events = float(event.sum())
        self.rate = float(np.log(self.events / seen.exposure.sum()))
        self.held = [np.flatnonzero(fold == f) for f in np.unique(fold)]
        self.kept = [np.flatnonzero(fold != f) for f in np.unique(fold)]
        self.train = [self.problem(rows) for rows in self.kept]
        self.test = [self.problem(rows) for rows in self.held]
        self.points = [self.start()] * len(self.train)

    def problem(self, rows: Ints) -> _Problem:
        """The likelihood of some rows."""
        exposure = self.seen.exposure[rows] * np.exp(self.rate)
        return _Problem(self.X[rows], exposure, self.seen.bin[rows], self.event[rows])

    def start(self) -> Floats:
        """The null model: the overall rate."""
        return np.zeros(self.bins + self.X.shape[1])

    def penalty(self, ratios: dict[str, float]) -> Floats:
        """(B + P, B + P) matrix: ridge on the blocks, departures from the mean bin."""
        B = self.bins
        out = np.zeros((B + self.X.shape[1],) * 2)
        out[:B, :B] = _BIN_PENALTY * (np.eye(B) - 1.0 / B) + _RATE_PENALTY / B
        diagonal = np.empty(self.X.shape[1])
        for name, columns in self.blocks.items():
            diagonal[columns] = ratios[name] * self.events
        out[B:, B:] = np.diag(diagonal)
        return out

    def choose(self) -> dict[str, float]:
        """Ratios of least held-out deviance: one for all blocks first, then block by block."""
        searched = [name for name in self.blocks if name != self.free]
        ratios = {name: float(_RATIOS[4]) for name in self.blocks} | {self.free: _FREE}
        if not searched:
            return ratios
        self._expand(ratios)
        common = [{**dict.fromkeys(searched, float(r)), self.free: _FREE} for r in _RATIOS]
        ratios = min(common, key=self._score)
        self._expand(ratios)
        best = self._score(ratios)
        for _ in range(_ROUNDS if len(searched) > 1 else 0):
            before = dict(ratios)
            for name in searched:
                for factor in _SEARCH:
                    value = float(_RATIOS[-1] * 100) if factor == 0 else ratios[name] * factor
                    trial = {**ratios, name: float(np.clip(value, _RATIOS[0] / 10, _RATIOS[-1] * 100))}
                    score = self._score(trial)
                    if score < best - 1e-9:
                        best, chosen = score, trial
                        ratios = chosen
            if ratios == before:
                break
            self._expand(ratios)
            best = self._score(ratios)
        return {name: ratios[name] for name in self.blocks}

    def refit(self, ratios: dict[str, float]) -> list[Floats]:
        """Theta of each inner fold's training rows."""
        penalty = self.penalty(ratios)
        return [p.newton(t, penalty, self.events) for p, t in zip(self.train, self.points, strict=True)]

    def _expand(self, ratios: dict[str, float]) -> None:
        """Renew the points of the quadratic approximations."""
        penalty = self.penalty(ratios)
        self.points = [p.newton(t, penalty, self.events, most=6) for p, t in zip(self.train, self.points, strict=True)]
        self.models = [p.quadratic(t) for p, t in zip(self.train, self.points, strict=True)]

    def _score(self, ratios: dict[str, float]) -> float:
        """Held-out deviance per event."""
        penalty, total = self.penalty(ratios), 0.0
        for point, (gradient, hessian), test in zip(self.points, self.models, self.test, strict=True):
            theta = _solve(hessian + penalty, hessian @ point - gradient)
            total += test.deviance(theta)
        doubt = sum(np.log10(ratio / _USUAL) ** 2 for name, ratio in ratios.items() if name != self.free)
        return total / self.events + _DOUBT * doubt / self.events


def _solve(matrix: Floats, right: Floats) -> Floats:
    jitter = 1e-9 * np.trace(matrix) / len(matrix)
    return cho_solve(cho_factor(matrix + jitter * np.eye(len(matrix)), check_finite=False), right, check_finite=False)
