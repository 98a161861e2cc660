"""Ridge Cox regression whose penalties, one per group of columns, are chosen by marginal likelihood.

The penalised partial likelihood (Efron's form for ties) is maximised by Newton's method. A ridge is a normal prior, so
its precision can be estimated from the data: each group's penalty is updated by the Fellner-Schall step (Wood and
Fasiolo, Biometrics 2017;73:1071), which needs no refitting on folds and handles many groups at once. Rows of one
patient at several landmarks repeat the same information; the likelihood is then divided by the design effect, the ratio
of clustered to independent variance of the score, so that repetition buys neither weaker penalties nor narrower bands.
Groups that may well be all noise can be doubted (``DOUBT``). All that is learned needs tens of fits: hence Newton steps
on one Gram matrix each, not a general optimiser.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osler.errors import UsageError

__all__ = ["DOUBT", "RidgeCox", "baseline_hazard", "fit_ridge_cox"]

Floats = NDArray[np.float64]
_START, _LEAST, _MOST = 10.0, 1e-2, 1e6
_ROUNDS = 40
_NEWTON_STEPS = 30
_TOLERANCE, _ROUGHLY = 1e-10, 1e-6  # of the log-likelihood: at the end, and while penalties still move
_STEEPEST = 50.0
#: Rate of the exponential prior of a doubted group's effect (the standard deviation of the log hazard that its penalty
#: allows it): a mean of a half. A group that tells nothing is then shut out, not merely held small; one that tells much
#: hardly feels it (Simpson D et al. Stat Sci 2017;32:1-28).
DOUBT = 2.0


@dataclass(frozen=True, eq=False)
class RidgeCox:
    """One cause's log-linear hazard: h(t | x) = h0(t) exp((x - centre) beta).

    Attributes:
        beta: (P,) log hazard ratios per unit of each column; higher is worse.
        covariance: (P, P) posterior covariance of ``beta`` given the penalties, design effect included.
        centre: (P,) mean covariates of the risk sets at the events; the baseline is that of such a row.
        time: (J,) distinct event times, ascending.
        hazard: (J,) increments of the baseline cumulative hazard at them (Breslow's estimator, Efron's where tied).
        variance: (J,) variance of each increment, design effect included.
        penalty: group name -> penalty, on the scale of -log likelihood + penalty / 2 * |beta|^2.
        log_likelihood: partial log-likelihood without the penalty.
        design_effect: at least one; one when every row is a patient of its own.
    """

    beta: Floats
    covariance: Floats
    centre: Floats
    time: Floats
    hazard: Floats
    variance: Floats
    penalty: dict[str, float]
    log_likelihood: float
    design_effect: float


def fit_ridge_cox(
    X: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    groups: Mapping[str, NDArray[np.int64]],
    *,
    cluster: NDArray[np.int64] | None = None,
    penalty: float | Mapping[str, float] | None = None,
    doubted: Collection[str] = (),
) -> RidgeCox:
    """Fit R rows of P columns with follow-up ``time`` (> 0) and ``event`` of one cause; others count as leaving.

    Args:
        X: (R, P) finite, columns of spread about one.
        time: (R,) follow-up.
        event: (R,) whether it ended with the event of this cause.
        groups: name -> positions of its columns; every column belongs to one group.
        cluster: (R,) patient of each row; None when every row is another patient.
        penalty: fixed penalties (one for all, or by group); None has them chosen.
        doubted: groups (columns of variance about one) with the prior of ``DOUBT`` on their effect.

    Returns:
        The fit; without events, or without columns, ``beta`` is zero.

    Raises:
        UsageError: a penalty is negative.
    """
    risk = _RiskSets(X, time, event)
    if not event.any():
        return _nothing(X, groups)
    chosen = {name: _START for name in groups}
    if penalty is not None:
        chosen = {name: float(penalty[name] if isinstance(penalty, Mapping) else penalty) for name in groups}
        if min(chosen.values(), default=0.0) < 0:
            raise UsageError("a ridge penalty must not be negative")
    effect, beta = 1.0, np.zeros(X.shape[1])
    for _ in range(_ROUNDS):
        ridge = _spread(chosen, groups, X.shape[1]) * effect
        beta = _newton(risk, beta, ridge, _ROUGHLY)
        hessian = risk.hessian(beta)
        settled = _design_effect(risk, beta, hessian, ridge, cluster)
        posterior = _inverse(hessian / settled + _spread(chosen, groups, X.shape[1]) * np.eye(X.shape[1]))
        updated = chosen if penalty is not None else _updated(chosen, groups, beta, posterior, doubted)
        moving = [abs(np.log(updated[g] / chosen[g])) for g in groups if updated[g] != chosen[g]]
        still = max(moving, default=0.0) < 0.02 and abs(settled - effect) < 0.01 * effect
        chosen, effect = updated, settled
        if still:
            break
    return _finished(risk, beta, chosen, groups, effect)


def baseline_hazard(eta: Floats, time: Floats, event: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Distinct event times (J,) and the baseline hazard's increments (J,) at them, given log relative hazards (R,)."""
    risk = _RiskSets(eta[:, None], time, event)
    hazard, _ = risk.baseline(risk.at(np.ones(1)))
    return risk.moments, hazard


@dataclass(frozen=True, eq=False)
class _Sums:
    """At one value of the coefficients: relative hazards (R,), and of the E events the sum and mean of their risk sets.

    Where d events are tied, the l-th of them (from 0) sees the share 1 - l / d of those who die with it.
    """

    w: Floats
    total: Floats
    mean: Floats


class _RiskSets:
    """Rows, and the events among them, by descending time: every risk set is a head of the rows.

    Efron's form for ties (J Am Stat Assoc 1977;72:557): where many events fall on one day, as for an outcome known by a
    fixed day, neither coefficients nor baseline are drawn to zero as they are in Breslow's.
    """

    def __init__(self, X: Floats, time: Floats, event: NDArray[np.bool_]) -> None:
        self.order = np.argsort(-time, kind="stable")
        self.X, self.time = X[self.order], time[self.order]
        self.dead = np.flatnonzero(event[self.order])
        moments = self.time[self.dead]
        self.moments, self.tie, ties = np.unique(moments, return_inverse=True, return_counts=True)
        first = np.searchsorted(-moments, -moments, "left")
        self.spared = (np.arange(len(moments)) - first) / ties[self.tie]
        self.size = np.searchsorted(-self.time, -moments, "right")  # rows at risk at each event
        self.later = np.searchsorted(-moments, -self.time, "left")  # events after each row's time
        self.events_sum = self.X[self.dead].sum(axis=0)

    def at(self, beta: Floats) -> _Sums:
        w = np.exp(np.clip(self.X @ beta, -_STEEPEST, _STEEPEST))
        weighted = w[:, None] * self.X
        total = np.cumsum(w)[self.size - 1] - self.spared * self._by_tie(w[self.dead])[self.tie]
        summed = np.cumsum(weighted, axis=0)[self.size - 1]
        summed -= self.spared[:, None] * self._by_tie(weighted[self.dead])[self.tie]
        return _Sums(w, total, summed / total[:, None])

    def log_likelihood(self, beta: Floats) -> float:
        eta = np.clip(self.X @ beta, -_STEEPEST, _STEEPEST)
        w = np.exp(eta)
        total = np.cumsum(w)[self.size - 1] - self.spared * self._by_tie(w[self.dead])[self.tie]
        return float(eta[self.dead].sum() - np.log(total).sum())

    def gradient_and_hessian(self, beta: Floats) -> tuple[Floats, Floats]:
        sums = self.at(beta)
        exposure = sums.w * self._lived(1 / sums.total)
        exposure[self.dead] -= sums.w[self.dead] * self._by_tie(self.spared / sums.total)[self.tie]
        hessian = (self.X * exposure[:, None]).T @ self.X - sums.mean.T @ sums.mean
        return self.events_sum - sums.mean.sum(axis=0), hessian

    def hessian(self, beta: Floats) -> Floats:
        return self.gradient_and_hessian(beta)[1]

    def scores(self, beta: Floats) -> Floats:
        """(R, P) score residuals in the order of the rows given; they sum to the gradient."""
        sums = self.at(beta)
        rate, drift = 1 / sums.total, sums.mean / sums.total[:, None]
        residual = -sums.w[:, None] * (self.X * self._lived(rate)[:, None] - self._lived(drift))
        own = self.X[self.dead] * self._by_tie(self.spared * rate)[self.tie, None]
        own -= self._by_tie(self.spared[:, None] * drift)[self.tie]
        shared = self._by_tie(sums.mean) / np.bincount(self.tie)[:, None]  # the mean that each of the tied events meets
        residual[self.dead] += self.X[self.dead] - shared[self.tie] + sums.w[self.dead, None] * own
        out = np.empty_like(residual)
        out[self.order] = residual
        return out

    def baseline(self, sums: _Sums) -> tuple[Floats, Floats]:
        """(J,) increments of the cumulative hazard of a row with relative hazard one, and their variances."""
        return self._by_tie(1 / sums.total), self._by_tie(1 / sums.total**2)

    def _by_tie(self, values: Floats) -> Floats:
        """Sums of (E, ...) values of the events over those at the same time (J, ...), times ascending."""
        out = np.zeros((len(self.moments), *values.shape[1:]))
        np.add.at(out, self.tie, values)
        return out

    def _lived(self, values: Floats) -> Floats:
        """(R, ...) sums of (E, ...) values over the events up to each row's own time."""
        tails = np.concatenate([np.cumsum(values[::-1], axis=0)[::-1], np.zeros((1, *values.shape[1:]))])
        return tails[self.later]


def _newton(risk: _RiskSets, beta: Floats, ridge: Floats, tolerance: float = _TOLERANCE) -> Floats:
    """Maximiser of the penalised likelihood, from ``beta``; a concave problem, so halved steps always arrive."""
    value = risk.log_likelihood(beta) - 0.5 * (ridge * beta * beta).sum()
    for _ in range(_NEWTON_STEPS):
        gradient, hessian = risk.gradient_and_hessian(beta)
        step = _solve(hessian + np.diag(ridge), gradient - ridge * beta)
        size = 1.0
        while size > 1e-6:
            trial = beta + size * step
            improved = risk.log_likelihood(trial) - 0.5 * (ridge * trial * trial).sum()
            if improved >= value - 1e-11 * (1 + abs(value)):  # as far as rounding can tell
                break
            size /= 2
        gain, beta, value = improved - value, trial, improved
        if gain < tolerance * (1 + abs(value)):
            break
    return beta


def _updated(
    chosen: dict[str, float],
    groups: Mapping[str, NDArray[np.int64]],
    beta: Floats,
    posterior: Floats,
    doubted: Collection[str],
) -> dict[str, float]:
    """The Fellner-Schall step: penalty = effective number of coefficients of the group / their sum of squares.

    Where the group is doubted, the derivative of the log prior adds to the effective number.
    """
    updated = {}
    for name, members in groups.items():
        freedom = max(len(members) - chosen[name] * float(np.diag(posterior)[members].sum()), 1e-6)
        doubt = DOUBT * float(np.sqrt(len(members) / chosen[name])) if name in doubted else 0.0
        proposal = (freedom + doubt) / max(float((beta[members] ** 2).sum()), 1e-12)
        updated[name] = float(np.clip(np.clip(proposal, chosen[name] / 30, chosen[name] * 30), _LEAST, _MOST))
    return updated


def _design_effect(
    risk: _RiskSets, beta: Floats, hessian: Floats, ridge: Floats, cluster: NDArray[np.int64] | None
) -> float:
    if cluster is None or not len(beta) or len(np.unique(cluster)) == len(cluster):
        return 1.0
    scores = risk.scores(beta)
    summed = np.zeros((int(cluster.max()) + 1, scores.shape[1]))
    np.add.at(summed, cluster, scores)
    inverse = _inverse(hessian + np.diag(ridge))
    return float(max(1.0, np.trace(inverse @ (summed.T @ summed)) / max(np.trace(inverse @ hessian), 1e-12)))


def _finished(
    risk: _RiskSets, beta: Floats, chosen: dict[str, float], groups: Mapping[str, NDArray[np.int64]], effect: float
) -> RidgeCox:
    ridge = _spread(chosen, groups, len(beta))
    beta = _newton(risk, beta, ridge * effect)
    sums = risk.at(beta)
    centre = sums.mean.mean(axis=0)
    at_centre = np.exp(np.clip(centre @ beta, -_STEEPEST, _STEEPEST))
    hazard, variance = risk.baseline(sums)
    return RidgeCox(
        beta=beta,
        covariance=_inverse(risk.hessian(beta) / effect + np.diag(ridge)),
        centre=centre,
        time=risk.moments,
        hazard=at_centre * hazard,
        variance=effect * at_centre**2 * variance,
        penalty=chosen,
        log_likelihood=risk.log_likelihood(beta),
        design_effect=effect,
    )


def _nothing(X: Floats, groups: Mapping[str, NDArray[np.int64]]) -> RidgeCox:
    p, none = X.shape[1], np.empty(0)
    centre = X.mean(axis=0) if len(X) else np.zeros(p)
    penalty = {name: _MOST for name in groups}
    return RidgeCox(np.zeros(p), np.zeros((p, p)), centre, none, none, none, penalty, 0.0, 1.0)


def _spread(chosen: Mapping[str, float], groups: Mapping[str, NDArray[np.int64]], p: int) -> Floats:
    ridge = np.full(p, _LEAST)
    for name, members in groups.items():
        ridge[members] = chosen[name]
    return ridge


def _solve(A: Floats, b: Floats) -> Floats:
    return np.asarray(np.linalg.solve(A, b), dtype=float) if len(b) else b


def _inverse(A: Floats) -> Floats:
    if not len(A):
        return A
    inverse = np.linalg.inv(A)
    return np.asarray((inverse + inverse.T) / 2, dtype=float)
