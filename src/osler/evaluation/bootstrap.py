"""Bootstrap: patients (or clusters of rows) drawn with replacement, and what the drawn ones show at a horizon.

A resample is a count for each patient, so that nothing is copied or sorted again: estimators take the counts as
weights. One resample is at hand at a time; memory stays linear in the number of patients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from osler.evaluation.follow_up import FollowUp

__all__ = [
    "CASE",
    "CENSORED",
    "COMPETING",
    "FREE",
    "AtHorizon",
    "Observed",
    "percentiles",
    "resamples",
    "shifted_percentiles",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: States at a horizon: left before it without an event, with the event of interest by it, with another, followed to it.
CENSORED, CASE, COMPETING, FREE = 0, 1, 2, 3


def resamples(n: int, replicates: int, rng: np.random.Generator, clusters: Integers | None = None) -> Iterator[Floats]:
    """How often each of ``n`` patients is drawn, (n,), once for each replicate.

    Args:
        n: patients (rows).
        replicates: how many resamples.
        rng: where chance comes from.
        clusters: (n,) codes 0 to C - 1; whole clusters are drawn, C at a time.

    Efron B, Tibshirani RJ. An Introduction to the Bootstrap, 1993. Field CA, Welsh AH. J R Stat Soc B 2007;69:369-390.
    """
    units = n if clusters is None else int(clusters.max()) + 1
    for _ in range(replicates):
        drawn = np.bincount(rng.integers(0, units, units), minlength=units).astype(float)
        yield drawn if clusters is None else drawn[clusters]


def percentiles(draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Central range of the draws (R, ...) along their first axis that holds one more draw with chance ``level``.

    Quantiles at ranks (R + 1) p. Undefined draws are left out; NaN where half of them or more are undefined.
    """
    if not draws.size:
        return np.full(draws.shape[1:], np.nan), np.full(draws.shape[1:], np.nan)
    missing = np.isnan(draws).mean(axis=0) >= 0.5
    filled, tails = np.where(missing, 0.0, draws), [(1 - level) / 2, (1 + level) / 2]
    quantile = np.nanquantile if np.isnan(filled).any() else np.quantile
    lower, upper = quantile(filled, tails, axis=0, method="weibull")
    return np.where(missing, np.nan, lower), np.where(missing, np.nan, upper)


def shifted_percentiles(value: Floats, draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Percentile range of the draws (R, ...) moved by their bias, so that their mean lies at ``value``; not below 0.

    For distances from a curve or a distribution. A resample adds noise to the noise of the sample, so that such a
    distance is larger on resamples than on the sample: unmoved percentiles may not hold the value itself.
    """
    lower, upper = percentiles(draws, level)
    known = np.isfinite(draws)
    bias = np.where(known, draws, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1) - value
    return np.maximum(lower - bias, 0.0), np.maximum(upper - bias, 0.0)


@dataclass(frozen=True, eq=False)
class Observed:
    """What patients, some of them counted more than once, show at a horizon.

    Attributes:
        incidence: of the event of interest.
        pseudo: (n,) pseudo-values of the incidence: their (weighted) mean given covariates is the risk given them.
        weight: (n,) inverse probability of not having been censored; 0 when censored before the horizon.
    """

    incidence: float
    pseudo: Floats
    weight: Floats


@dataclass(frozen=True, eq=False)
class AtHorizon:
    """The states of n patients at a horizon, those who left by then in the order of time.

    Args:
        time: (n,) days since the landmark.
        state: (n,) ``CENSORED``, ``CASE``, ``COMPETING`` or ``FREE``.
        order: positions of those who are not free, earliest first.
        given: (n,) inverse probability weights that were estimated with covariates; None has them estimated here.
    """

    time: Floats
    state: Integers
    order: Integers
    given: Floats | None = None

    @classmethod
    def of(cls, follow_up: FollowUp, horizon: float) -> AtHorizon:
        """What is known of the patients of a FollowUp."""
        status = follow_up.status(horizon)
        state = np.select([status.case, status.competing, status.free], [CASE, COMPETING, FREE], CENSORED)
        return cls.ordered(follow_up.time, state, status.weight if follow_up.conditional else None)

    @classmethod
    def ordered(cls, time: Floats, state: Integers, given: Floats | None = None) -> AtHorizon:
        """Times and states (n,), in any order."""
        left = np.flatnonzero(state != FREE)
        return cls(time, state.astype(np.int64), left[np.argsort(time[left])], given)

    @property
    def supported(self) -> bool:
        """Whether somebody is followed to the horizon, or the last to leave before it has an event."""
        return len(self.order) < len(self.time) or bool(self.state[self.order[-1]] != CENSORED)

    def observed(self, count: Floats) -> Observed:
        """What is seen when patient i is there ``count[i]`` times.

        The pseudo-values are those of the infinitesimal jackknife of the Aalen-Johansen estimate. With weights that
        depend on covariates they are the weights of the cases.
        """
        if self.given is not None:
            pseudo = np.where(self.state == CASE, self.given, 0.0)
            return Observed(float(count @ pseudo / count.sum()), pseudo, self.given)
        pseudo, weight = np.empty(len(self.time)), np.empty(len(self.time))
        return Observed(_observe(self.order, self.time, self.state, count, pseudo, weight), pseudo, weight)


@njit(cache=True)
def _observe(
    order: Integers, time: Floats, state: Integers, count: Floats, pseudo: Floats, weight: Floats
) -> float:  # pragma: no cover
    """Incidence at the horizon; fills in pseudo-values and weights. One pass for the curves, one for the jackknife."""
    everybody = count.sum()
    at_risk, free, uncensored, incidence = everybody, 1.0, 1.0, 0.0
    start = 0
    while start < len(order):
        stop, cases, rivals, censored = _at_one_time(start, order, time, state, count)
        for k in range(start, stop):
            i = order[k]
            weight[i] = 1 / uncensored if state[i] != 0 and uncensored > 0 else 0.0
        events = cases + rivals
        if events > 0:
            incidence += free * cases / at_risk
            free *= 1 - events / at_risk
        if censored > 0:
            uncensored *= 1 - censored / (at_risk - events)
        at_risk -= events + censored
        start = stop
    to_the_end = 1 / uncensored if uncensored > 0 else 0.0
    drift = _jackknife(order, time, state, count, pseudo, incidence)
    for i in range(len(time)):
        if state[i] == 3:
            weight[i] = to_the_end
            pseudo[i] = incidence - everybody * drift
    return incidence


@njit(cache=True)
def _at_one_time(
    start: int, order: Integers, time: Floats, state: Integers, count: Floats
) -> tuple[int, float, float, float]:  # pragma: no cover
    """Where the next time begins; cases, competing events and censorings at this one."""
    cases, rivals, censored, stop = 0.0, 0.0, 0.0, start
    while stop < len(order) and time[order[stop]] == time[order[start]]:
        i = order[stop]
        if state[i] == 1:
            cases += count[i]
        elif state[i] == 2:
            rivals += count[i]
        else:
            censored += count[i]
        stop += 1
    return stop, cases, rivals, censored


@njit(cache=True)
def _jackknife(
    order: Integers, time: Floats, state: Integers, count: Floats, pseudo: Floats, incidence: float
) -> float:  # pragma: no cover
    """Fills in the pseudo-values of those who left; returns what those who stayed lose by the events of others.

    The derivative of the incidence in the weight of a patient: an event of interest adds the chance of being free
    before it over those at risk; any event takes away its share of the incidence still to come; and everyone at risk
    takes away, by being at risk, the same for the events that happen.
    """
    everybody = count.sum()
    at_risk, free, risen, drift, start = everybody, 1.0, 0.0, 0.0, 0
    while start < len(order):
        stop, cases, rivals, censored = _at_one_time(start, order, time, state, count)
        events = cases + rivals
        direct, later = 0.0, 0.0
        if events > 0:
            direct = free / at_risk
            risen += direct * cases
            if events < at_risk:
                later = (incidence - risen) / (at_risk - events)
            drift += (direct * cases - later * events) / at_risk
            free *= 1 - events / at_risk
        for k in range(start, stop):
            i = order[k]
            own = 0.0
            if state[i] == 1:
                own = direct - later
            elif state[i] == 2:
                own = -later
            pseudo[i] = incidence + everybody * (own - drift)
        at_risk -= events + censored
        start = stop
    return drift
