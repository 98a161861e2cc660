"""Ridge path: a pooled hazards model, linear in its columns, with penalties for each block chosen inside the fold.

The hazard of each cause is ``exp(alpha_b + x beta + t_b x drift)`` in bin b, whose place is t_b on [-1, 1]: a
Poisson regression whose bins play the part of the baseline of a landmark supermodel (van Houwelingen, Scand J Stat
2007;34:70-85), fitted over all landmarks at once. Effects may change with time: ``beta`` is a log hazard ratio at half
the horizon, ``drift`` what it gains until the end. Either has a penalty of its own in each group of columns, so that
``drift`` vanishes where hazards are proportional; groups of more columns than patients with an event have none. A
ridge is a normal prior whose precision the data can tell: each penalty takes Fellner-Schall steps (Wood and Fasiolo,
Biometrics 2017;73:1071-1081) towards the maximum of the marginal likelihood. Rows of one patient at several landmarks
repeat the same information, so the likelihood is divided by its design effect: the ratio of the variance of the score
with patients as clusters to that with rows as if they were independent. What may well be all noise (drifts, and groups
of wide blocks) has the prior of ``osler.survival.ridge.DOUBT`` on the size of its effect.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from osler.features.scale import dot_rows
from osler.models.hazard import FollowUp
from osler.survival.ridge import DOUBT

__all__ = ["CauseRidge", "RidgeFit", "advantage", "fit_ridge"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_START, _LEAST, _MOST = 10.0, 1e-2, 1e6
_DEAD = 1e5  # penalty at which coefficients are taken as zero and leave the computation
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
        beta: (P,) log hazard ratios per unit of each column at half the horizon; higher is worse.
        drift: (P,) what is added to them at the end of the horizon, and taken away at its beginning.
        penalties: group -> prior precision of its log hazard ratios. drift_penalties: likewise of their drift.
        design_effect: at least one.
        covariance: (P + 1, P + 1) posterior covariance of (mean of alpha, beta), design effect included.
    """

    alpha: Floats
    beta: Floats
    drift: Floats
    penalties: dict[str, float]
    drift_penalties: dict[str, float]
    design_effect: float
    covariance: Floats

    def eta(self, X: Floats) -> Floats:
        """(R, 2) level and drift of the linear predictor, without the baseline."""
        return dot_rows(X, np.stack([self.beta, self.drift], axis=1))

    def log_hazard(self, X: Floats, time: Floats) -> Floats:
        """(R, B) log hazards; ``time`` (B,) are the mid-points of the bins on [-1, 1]."""
        eta = self.eta(X)
        return self.alpha + eta[:, :1] + eta[:, 1:] * time

    def variance(self, X: Floats) -> Floats:
        """(R,) variance of the log hazard at half the horizon."""
        Z = np.column_stack([np.ones(len(X)), X])
        return np.maximum((dot_rows(Z, self.covariance) * Z).sum(axis=1), 0.0)

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        return {
            "alpha": self.alpha,
            "beta": self.beta,
            "drift": self.drift,
            "penalties": self.penalties,
            "drift_penalties": self.drift_penalties,
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
        held_out: (R, K, 2) level and drift of the linear predictor, by a fit that never saw the row's patient.
        held_out_parts: block -> (R, K), the part of the level of ``held_out`` that the block contributed.
    """

    causes: tuple[CauseRidge, ...]
    held_out: Floats
    held_out_parts: dict[str, Floats]


def fit_ridge(
    X: Floats,
    groups: dict[str, Ints],
    blocks: dict[str, Ints],
    seen: FollowUp,
    time: Floats,
    patient: Ints,
    fold: Ints,
    n_causes: int,
    free: str = "landmark",
    doubted: Collection[str] = (),
) -> RidgeFit:
    """Fit every cause on all rows, and again without each inner fold at the same penalties.

    Args:
        X: (R, P) finite columns of spread about one.
        groups: name -> columns that share a penalty; columns of no group have no effect.
        blocks: name -> columns whose part in the held-out predictor is wanted.
        seen: follow-up of the rows.
        time: (B,) mid-points of the bins on [-1, 1].
        patient: (R,) position of the row's patient.
        fold: (R,) inner fold of the row's patient.
        n_causes: K; a cause without event has an infinitely low hazard.
        free: the group whose level is hardly penalised.
        doubted: groups whose effect has a prior of its own; columns of variance about one.
    """
    fits, held_out = [], np.zeros((len(X), n_causes, 2))
    parts = {name: np.zeros((len(X), n_causes)) for name in blocks}
    for k in range(n_causes):
        event = (seen.cause == k + 1).astype(float)
        if not event.any():
            fits.append(_no_event(X.shape[1], len(time), groups))
            continue
        rate = float(np.log(event.sum() / seen.exposure.sum()))
        rows = _Rows(seen.exposure * np.exp(rate), seen.bin, event, time)
        asked = _terms(groups, free, doubted, event.sum(), len(np.unique(patient[event > 0])))
        terms, theta, fit = _fit_cause(X, rows, asked, patient, rate)
        fits.append(fit)
        for out in np.unique(fold):
            inside, outside = np.flatnonzero(fold != out), np.flatnonzero(fold == out)
            one = _Problem(X[inside], rows.take(inside), terms)
            beta, drift = one.coefficients(one.newton(theta, one.ridge() * fit.design_effect), X.shape[1])
            held_out[outside, k] = X[outside] @ np.stack([beta, drift], axis=1)
            for name, columns in blocks.items():
                parts[name][outside, k] = X[np.ix_(outside, columns)] @ beta[columns]
    return RidgeFit(tuple(fits), held_out, parts)


def advantage(one: RidgeFit, other: RidgeFit, seen: FollowUp, time: Floats, patient: Ints) -> float:
    """By how many standard errors the held-out likelihood of ``one`` exceeds that of ``other``; patients are drawn."""
    each = np.bincount(patient, weights=_held_out_likelihood(one, seen, time) - _held_out_likelihood(other, seen, time))
    return float(each.sum() / max(np.sqrt(((each - each.mean()) ** 2).sum()), 1e-12))


def _held_out_likelihood(fit: RidgeFit, seen: FollowUp, time: Floats) -> Floats:
    """(R,) log-likelihood of held-out predictors, summed over causes, each with the bins that suit it best."""
    total = np.zeros(len(seen.bin))
    for k in range(fit.held_out.shape[1]):
        event = (seen.cause == k + 1).astype(float)
        level, drift = fit.held_out[:, k, :1], fit.held_out[:, k, 1:]
        relative = np.clip(level + drift * time, -_STEEPEST, _STEEPEST)
        exposure = seen.exposure * np.exp(relative)
        counts = np.bincount(seen.bin, weights=event, minlength=len(time))
        rate = counts / np.maximum(exposure.sum(axis=0), 1e-12)
        at_event = relative[np.arange(len(relative)), seen.bin] + np.log(np.maximum(rate, 1e-12))[seen.bin]
        total += event * at_event - exposure @ rate
    return total


def _no_event(P: int, B: int, groups: dict[str, Ints]) -> CauseRidge:
    none, zero, most = np.full(B, -np.inf), np.zeros(P), dict.fromkeys(groups, _MOST)
    return CauseRidge(none, zero, zero, most, most, 1.0, np.zeros((P + 1, P + 1)))


@dataclass(frozen=True, eq=False)
class _Term:
    """Coefficients with one penalty: the level of a group's columns, or their drift."""

    group: str
    changing: bool
    columns: Ints
    penalty: float
    fixed: bool = False
    doubt: float = 0.0

    @property
    def alive(self) -> bool:
        return self.penalty < _DEAD


def _terms(groups: dict[str, Ints], free: str, doubted: Collection[str], events: float, patients: int) -> list[_Term]:
    """Levels, then drifts: the order of the parameters; ``events`` of rows, which ``patients`` had."""
    terms = []
    for name, columns in groups.items():
        doubt = DOUBT if name in doubted else 0.0
        fixed = name == free
        terms.append(_Term(name, False, columns, _FREE * events if fixed else _START, fixed, doubt))
    changing = {name: columns for name, columns in groups.items() if len(columns) <= patients}
    terms += [_Term(name, True, columns, _START, doubt=DOUBT) for name, columns in changing.items()]
    return [term for term in terms if len(term.columns)]


def _fit_cause(
    X: Floats, rows: _Rows, terms: list[_Term], patient: Ints, rate: float
) -> tuple[list[_Term], Floats, CauseRidge]:
    """Penalties and coefficients by turns, until both are still: terms left, their parameters, the finished fit."""
    whole = _Problem(X, rows, terms)
    theta, effect = np.zeros(whole.size), 1.0
    for _ in range(_ROUNDS):
        theta = whole.newton(theta, whole.ridge() * effect)
        _, hessian = whole.quadratic(theta)
        effect = whole.design_effect(theta, hessian, whole.ridge() * effect, patient)
        posterior = _inverse(hessian / effect + whole.ridge())
        before = whole.terms
        after = [
            term if term.fixed else replace(term, penalty=_stepped(term, theta[own], posterior[own, own]))
            for term, own in zip(before, whole.places, strict=True)
        ]
        theta = whole.without(theta, [not term.alive for term in after])
        whole = _Problem(X, rows, [term for term in after if term.alive])
        moved = (abs(np.log(new.penalty / old.penalty)) for new, old in zip(after, before, strict=True))
        if max(moved, default=0.0) < _STILL:
            break
    theta = whole.newton(theta, whole.ridge() * effect)
    _, hessian = whole.quadratic(theta)
    return whole.terms, theta, _finished(whole, theta, hessian, effect, terms, rate)


def _finished(
    whole: _Problem, theta: Floats, hessian: Floats, effect: float, asked: list[_Term], rate: float
) -> CauseRidge:
    """The fit in all P columns, those that left the computation included."""
    P, B, posterior = whole.width, whole.bins, _inverse(hessian / effect + whole.ridge())
    beta, drift = whole.coefficients(theta, P)
    levels = [own for term, own in zip(whole.terms, whole.places, strict=True) if not term.changing]
    columns = [term.columns for term in whole.terms if not term.changing]
    pick = np.zeros((1 + P, whole.size))
    pick[0, :B] = (whole.rows.counts + 1.0 / B) / (whole.rows.counts + 1.0 / B).sum()
    for own, those in zip(levels, columns, strict=True):
        pick[1 + those, np.arange(own.start, own.stop)] = 1.0
    left = {(term.group, term.changing): term.penalty for term in whole.terms}
    penalties, drift_penalties = (
        {group: left.get((group, changing), _MOST) for group in dict.fromkeys(term.group for term in asked)}
        for changing in (False, True)
    )
    covariance = pick @ posterior @ pick.T
    return CauseRidge(rate + theta[:B], beta, drift, penalties, drift_penalties, effect, covariance)


def _stepped(term: _Term, own: Floats, posterior: Floats) -> float:
    """Effective degrees of freedom of a term, and what doubt adds, over the sum of squares of its coefficients."""
    freedom = max(len(own) - term.penalty * float(np.trace(posterior)), 1e-6)
    freedom += term.doubt * float(np.sqrt(len(own) / term.penalty))
    return float(np.clip(freedom / max(float(own @ own), 1e-12), _LEAST, _MOST))


@dataclass(eq=False)
class _Rows:
    """Follow-up of R rows for one cause: exposure (R, B) in expected events at the overall rate, bin, event, times."""

    exposure: Floats
    where: Ints
    event: Floats
    time: Floats

    def __post_init__(self) -> None:
        self.counts = np.bincount(self.where, weights=self.event, minlength=self.exposure.shape[1])

    def take(self, index: Ints) -> _Rows:
        """Some rows."""
        return _Rows(self.exposure[index], self.where[index], self.event[index], self.time)


class _Problem:
    """Minus log-likelihood of one cause, its gradient and Hessian in theta: B bins, then the terms one after another.

    The parameter of a bin is the log of its rate over the overall rate.
    """

    def __init__(self, X: Floats, rows: _Rows, terms: list[_Term]) -> None:
        self.rows, self.terms, self.width = rows, terms, X.shape[1]
        self.bins = rows.exposure.shape[1]
        none: list[Ints] = [np.empty(0, dtype=np.int64)]
        self.level = X[:, np.concatenate(none + [term.columns for term in terms if not term.changing])]
        self.drift = X[:, np.concatenate(none + [term.columns for term in terms if term.changing])]
        ends = self.bins + np.cumsum([0, *(len(term.columns) for term in terms)])
        self.places = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.size = int(ends[-1])
        self._split = self.bins + self.level.shape[1]
        timed = rows.event * rows.time[rows.where]
        self.observed = np.concatenate([rows.counts, self.level.T @ rows.event, self.drift.T @ timed])

    def coefficients(self, theta: Floats, P: int) -> tuple[Floats, Floats]:
        """Level (P,) and drift (P,) of every column."""
        out = np.zeros((2, P))
        for term, own in zip(self.terms, self.places, strict=True):
            out[int(term.changing), term.columns] = theta[own]
        return out[0], out[1]

    def without(self, theta: Floats, gone: list[bool]) -> Floats:
        """The parameters of the terms that stay."""
        kept = [theta[own] for own, left in zip(self.places, gone, strict=True) if not left]
        return np.concatenate([theta[: self.bins], *kept])

    def ridge(self) -> Floats:
        """(size, size): prior precision of the terms, and what holds the bins together."""
        B = self.bins
        out = np.zeros((self.size, self.size))
        out[:B, :B] = _BIN_PENALTY * (np.eye(B) - 1.0 / B) + _RATE_PENALTY / B
        for term, own in zip(self.terms, self.places, strict=True):
            out[own, own] = term.penalty * np.eye(len(term.columns))
        return out

    def _relative(self, theta: Floats) -> Floats:
        """(R, B) log hazard over the rate of the bin."""
        level, drift = self.level @ theta[self.bins : self._split], self.drift @ theta[self._split :]
        return np.clip(level[:, None] + drift[:, None] * self.rows.time, -_STEEPEST, _STEEPEST)

    def expected(self, theta: Floats) -> Floats:
        """(R, B) expected events."""
        return self.rows.exposure * np.exp(self._relative(theta) + theta[: self.bins])

    def value(self, theta: Floats, ridge: Floats) -> float:
        """Minus the penalised log-likelihood."""
        rows, alpha, relative = self.rows, theta[: self.bins], self._relative(theta)
        total = ((rows.exposure * np.exp(relative)) @ np.exp(alpha)).sum()
        at_event = relative[np.arange(len(relative)), rows.where]
        return float(total - rows.counts @ alpha - rows.event @ at_event + 0.5 * theta @ ridge @ theta)

    def quadratic(self, theta: Floats) -> tuple[Floats, Floats]:
        """Gradient and Hessian of minus the log-likelihood, without the penalty."""
        B, split, expected, time = self.bins, self._split, self.expected(theta), self.rows.time
        each, timed, squared = expected.sum(axis=1), expected @ time, expected @ time**2
        gradient = np.concatenate([expected.sum(axis=0), self.level.T @ each, self.drift.T @ timed]) - self.observed
        hessian = np.empty((self.size, self.size))
        hessian[:B, :B] = np.diag(expected.sum(axis=0))
        hessian[B:split, :B] = self.level.T @ expected
        hessian[split:, :B] = self.drift.T @ (expected * time)
        hessian[B:split, B:split] = (self.level * each[:, None]).T @ self.level
        hessian[split:, B:split] = (self.drift * timed[:, None]).T @ self.level
        hessian[split:, split:] = (self.drift * squared[:, None]).T @ self.drift
        hessian[:B, B:] = hessian[B:, :B].T
        hessian[B:split, split:] = hessian[split:, B:split].T
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
            if gain < _TOLERANCE * max(float(self.rows.event.sum()), 1.0):
                break
        return theta

    def design_effect(self, theta: Floats, hessian: Floats, ridge: Floats, patient: Ints) -> float:
        """Clustered over independent variance of the score of levels, averaged over what the data tell; at least 1."""
        own = slice(self.bins, self._split)
        if not self.level.shape[1] or len(np.unique(patient)) == len(patient):
            return 1.0
        residual = self.rows.event - self.expected(theta).sum(axis=1)
        scores = np.zeros((int(patient.max()) + 1, self.level.shape[1]))
        np.add.at(scores, patient, self.level * residual[:, None])
        inverse = _inverse(hessian + ridge)[own, own]
        clustered = float((inverse * (scores.T @ scores)).sum())
        return max(1.0, clustered / max(float((inverse * hessian[own, own]).sum()), 1e-12))


def _inverse(matrix: Floats) -> Floats:
    return cho_solve(cho_factor(matrix), np.eye(len(matrix)))
