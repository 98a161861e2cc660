"""Kaplan-Meier, Aalen-Johansen and the survival of the censoring time, with standard errors.

One convention for ties throughout: at equal times events come before censorings. A patient censored at u is still at
risk of an event at u; a patient with an event at u is no longer at risk of being censored at u (as in R's survival
and prodlim). Every function sorts once, O(n log n), and holds O(n) numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CensoringTable",
    "StepEstimate",
    "aalen_johansen",
    "aalen_johansen_influence",
    "censoring_survival",
    "censoring_table",
    "kaplan_meier",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StepEstimate:
    """A right-continuous step function read at some times.

    Attributes:
        times: (T,) where it was read, in the unit of the follow-up times.
        values: (T,) estimates; past the last follow-up time the last value is carried on, with ``at_risk`` 0.
        se: (T,) standard errors.
        at_risk: (T,) patients whose follow-up lasts to that time or longer.
    """

    times: Floats
    values: Floats
    se: Floats
    at_risk: Integers


@dataclass(frozen=True, eq=False)
class _EventTable:
    """Distinct event times with those at risk just before (J,) and the events of every cause at them (K, J)."""

    moments: Floats
    at_risk: Floats
    events: Floats

    @property
    def hazard(self) -> Floats:
        """(J,) share of those at risk who have an event of any cause."""
        return self.events.sum(axis=0) / self.at_risk

    @property
    def free_before(self) -> Floats:
        """(J,) probability of no event before each event time."""
        return np.concatenate([[1.0], np.cumprod(1.0 - self.hazard)])[:-1]


def kaplan_meier(time: ArrayLike, event: ArrayLike, grid: ArrayLike) -> StepEstimate:
    """Event-free probability at ``grid`` with Greenwood's standard error; any positive event code is an event.

    Args:
        time: (n,) follow-up times.
        event: (n,) 0 censored, anything positive an event.
        grid: (T,) times at which to read the curve, in any order.

    The standard error is zero before the first event and where the curve has reached zero.
    Kaplan EL, Meier P. J Am Stat Assoc 1958;53:457-481. Greenwood M. Rep Public Health Med Subj 1926;33:1-26.
    """
    time, event, grid = _arrays(time, event, grid)
    incidence, se = aalen_johansen(time, (event > 0).astype(np.int64), grid, 1)
    at_risk = len(time) - np.searchsorted(np.sort(time), grid, "left")
    return StepEstimate(grid, 1.0 - incidence[0], se[0], at_risk)


def aalen_johansen(time: ArrayLike, event: ArrayLike, grid: ArrayLike, n_causes: int) -> tuple[Floats, Floats]:
    """Cumulative incidence (K, T) of every cause at ``grid`` and its standard error (K, T).

    Args:
        time: (n,) follow-up times.
        event: (n,) 0 censored, 1..n_causes the causes.
        grid: (T,) times at which to read the curves, in any order; past the last follow-up the last value stays.
        n_causes: K.

    The standard error is the Greenwood-type one (multinomial increments), which for one cause is Greenwood's.
    Aalen OO, Johansen S. Scand J Stat 1978;5:141-150. Andersen PK et al. Statistical Models Based on Counting
    Processes, 1993, section IV.4.1.3.
    """
    time, event, grid = _arrays(time, event, grid)
    table = _event_table(time, event, n_causes)
    y, total = table.at_risk, table.events.sum(axis=0)
    free, deaths = table.free_before, table.events
    incidence = np.cumsum(free * deaths / y, axis=1)
    # The variance is a quadratic in the incidence at the time read; its coefficients are sums over earlier events.
    leave = np.divide(total, y * (y - total), out=np.zeros_like(total), where=y > total)
    own = free**2 * (y - deaths) * deaths / y**3
    cross = free * deaths / y**2
    at = np.searchsorted(table.moments, grid, "right")
    last = _read(incidence, at)
    square, linear = _running(np.broadcast_to(leave, deaths.shape), at), _running(incidence * leave + cross, at)
    constant = _running(incidence**2 * leave + own + 2 * incidence * cross, at)
    variance = last**2 * square - 2 * last * linear + constant
    variance[variance < 1e-14] = 0.0  # what is left of terms that cancel
    return last, np.sqrt(variance)


def aalen_johansen_influence(
    time: ArrayLike, event: ArrayLike, at: float, cause: int = 1
) -> tuple[float, NDArray[np.float64]]:
    """Cumulative incidence of ``cause`` at one time, and what each patient contributes to its error (n,).

    The influences sum to zero; the root of their sum of squares, divided by n, is the infinitesimal jackknife
    standard error that R's survival gives for multi-state curves.
    """
    time, event, _ = _arrays(time, event, [])
    n = len(time)
    table = _event_table(time, np.where(event == cause, 1, np.where(event > 0, 2, 0)), 2)
    until = int(np.searchsorted(table.moments, at, "right"))
    moments, y, deaths = table.moments[:until], table.at_risk[:until], table.events[:, :until]
    if until == 0:
        return 0.0, np.zeros(n)
    free, hazard = table.free_before[:until], table.hazard[:until]
    incidence = np.cumsum(free * deaths[0] / y)
    direct = free / y
    later = np.divide(incidence[-1] - incidence, (1 - hazard) * y, out=np.zeros(until), where=hazard < 1)
    drift = np.concatenate([[0.0], np.cumsum(direct * deaths[0] / y - later * hazard)])
    influence = -drift[np.minimum(np.searchsorted(moments, time, "right"), until)]
    mine = np.flatnonzero((event > 0) & (time <= at))
    which = np.searchsorted(moments, time[mine], "left")
    influence[mine] += np.where(event[mine] == cause, direct[which], 0.0) - later[which]
    return float(incidence[-1]), n * influence


@dataclass(frozen=True, eq=False)
class CensoringTable:
    """The reverse Kaplan-Meier estimate: distinct times of censoring (J,), at risk and censored at them, G after them.

    At risk of censoring at u: those followed longer than u, and those censored at u; not those with an event at u.
    """

    moments: Floats
    at_risk: Floats
    censored: Floats
    survival: Floats

    def __call__(self, at: ArrayLike, *, left_limit: bool) -> Floats:
        """P(not censored by ``at``), or before ``at`` with ``left_limit``."""
        position = np.searchsorted(self.moments, np.asarray(at, dtype=float), "left" if left_limit else "right")
        return np.concatenate([[1.0], self.survival])[position]


def censoring_table(time: ArrayLike, event: ArrayLike) -> CensoringTable:
    """The survival function G of the censoring time of (n,) patients, as a step function."""
    time, event, _ = _arrays(time, event, [])
    moments, censored = np.unique(time[event == 0], return_counts=True)
    at_risk = len(time) - np.searchsorted(np.sort(time), moments, "left")
    at_risk = at_risk - _count_at(np.sort(time[event > 0]), moments)
    count, left = at_risk.astype(float), censored.astype(float)
    return CensoringTable(moments, count, left, np.cumprod(1.0 - left / count))


def censoring_survival(time: ArrayLike, event: ArrayLike, at: ArrayLike, left_limit: bool) -> Floats:
    """G(t) = P(censoring after t), or G(t-) = P(censoring at t or later), by the reverse Kaplan-Meier estimator.

    Args:
        time: (n,) follow-up times.
        event: (n,) 0 censored, anything positive an event.
        at: times t, any shape.
        left_limit: True for G(t-), the weight of a patient with an event at t; False for G(t).

    Events come before censorings at equal times, as in R's prodlim with ``reverse = TRUE``.
    """
    return censoring_table(time, event)(at, left_limit=left_limit)


def _arrays(time: ArrayLike, event: ArrayLike, grid: ArrayLike) -> tuple[Floats, Integers, Floats]:
    return np.asarray(time, dtype=float), np.asarray(event).astype(np.int64), np.atleast_1d(np.asarray(grid, float))


def _event_table(time: Floats, event: Integers, n_causes: int) -> _EventTable:
    happened = event > 0
    moments = np.unique(time[happened])
    at_risk = len(time) - np.searchsorted(np.sort(time), moments, "left")
    cell = (event[happened] - 1) * len(moments) + np.searchsorted(moments, time[happened])
    events = np.bincount(cell, minlength=n_causes * len(moments)).reshape(n_causes, len(moments))
    return _EventTable(moments, at_risk.astype(float), events.astype(float))


def _count_at(ordered: Floats, moments: Floats) -> Integers:
    return np.searchsorted(ordered, moments, "right") - np.searchsorted(ordered, moments, "left")


def _read(values: Floats, at: Integers) -> Floats:
    return np.concatenate([np.zeros((len(values), 1)), values], axis=1)[:, at]


def _running(values: Floats, at: Integers) -> Floats:
    return _read(np.cumsum(values, axis=1), at)
