"""Accuracy: how far predicted risks are from what happened, by the Brier score and what is derived from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from osler.evaluation.censoring import ReverseKaplanMeier
from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp, Status
from osler.units import duration

__all__ = ["brier", "integrated_brier", "prediction_accuracy", "trapezoid_weights"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_TOLERANCE = 1e-6
#: An integral over fewer times up to the horizon is not given.
_FEWEST_TIMES = 2
#: Risks are read so many patients at a time.
_ROWS = 4096


def brier(follow_up: FollowUp, risk: Floats, horizon: float, *, status: Status | None = None) -> Measured:
    """Brier score at a horizon by inverse probability of censoring weights; 0 is perfect, lower is better.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, M) risks of the event of interest by the horizon predicted by M models.
        horizon: days since the landmark.
        status: the states at the horizon, when at hand.

    Returns:
        Values and influences, those of the estimated weights included.

    Graf E et al. Stat Med 1999;18:2529-2545. Gerds TA, Schumacher M. Biom J 2006;48:1029-1040.
    """
    status = follow_up.status(horizon) if status is None else status
    loss = status.weight[:, None] * (status.case[:, None] - risk) ** 2
    value = loss.mean(axis=0)
    return Measured(value, loss - value + follow_up.censoring_term(loss, horizon))


def trapezoid_weights(times: Floats, horizon: float) -> Floats:
    """(T,) weights with which values at ``times`` sum to their mean over 0 to ``horizon``; the value at 0 is zero.

    Trapezoid rule over the times up to the horizon, which must be one of them; later times get no weight. A Brier
    score is zero at time 0, when nobody has had an event and no risk has been run.
    """
    inside = times[(times > 0) & (times <= horizon)]
    edges = np.concatenate([[0.0], inside])
    half = np.diff(edges) / 2
    weights = np.zeros(len(times))
    weights[(times > 0) & (times <= horizon)] = (half + np.append(half[1:], 0.0)) / horizon
    return weights


def prediction_accuracy(score: Measured, null: Measured) -> Measured | str:
    """Index of prediction accuracy: 1 - Brier / Brier(null); 0 is no better than knowing nothing, higher is better.

    Args:
        score: Brier scores of M models.
        null: the Brier score of the null model, one column, on the same patients.

    Kattan MW, Gerds TA. Diagn Progn Res 2018;2:7.
    """
    if not null.value[0] > 0:
        return "the null model predicts without error: there is nothing to improve on"
    ratio = score.value / null.value[0]
    return Measured(1 - ratio, (ratio * null.influence - score.influence) / null.value[0])


def integrated_brier(
    follow_up: FollowUp, curves: Sequence[ArrayLike], times: ArrayLike, horizons: Iterable[float]
) -> dict[float, Measured | str]:
    """Mean of the Brier score over the time up to each horizon; 0 is perfect, lower is better.

    By the trapezoid rule over ``times`` and the horizons, from 0 at time 0. O(n T) for n patients and T times.

    Args:
        follow_up: outcomes of n patients.
        curves: for each of M models (n, T) risks of the event of interest at ``times``.
        times: (T,) days since the landmark, increasing; between two of them risks are interpolated.
        horizons: days since the landmark, above 0.

    Returns:
        By horizon, values and influences, those of the estimated weights included; or, in words, why there is none.

    Graf E et al. Stat Med 1999;18:2529-2545. Gerds TA, Schumacher M. Biom J 2006;48:1029-1040.
    """
    grid = np.asarray(times, dtype=float)
    found: dict[float, Measured | str] = {horizon: _refusal(follow_up, grid, horizon) for horizon in horizons}
    asked = sorted(horizon for horizon, reason in found.items() if not reason)
    if not asked:
        return found
    reading = _Reading.of(grid, asked)
    fitted = follow_up.fitted_censoring
    if isinstance(fitted, ReverseKaplanMeier):
        integral = _Integral(follow_up, fitted, reading)
        each = [integral.of(np.asarray(curve)) for curve in curves]
        values, influences = (np.stack(part, axis=-1) for part in zip(*each, strict=True))
    else:
        values, influences = _summed(follow_up, [np.asarray(curve, dtype=float) for curve in curves], reading, asked)
    scarce = f"risks are given at fewer than {_FEWEST_TIMES} times up to the horizon: nothing to integrate over"
    for h, horizon in enumerate(asked):
        enough = reading.ends[h] + 1 >= _FEWEST_TIMES
        found[horizon] = Measured(values[h], influences[h]) if enough else scarce
    return found


def _refusal(follow_up: FollowUp, grid: Floats, horizon: float) -> str:
    if horizon > grid[-1] * (1 + _TOLERANCE):
        return f"predictions end at {duration(float(grid[-1]))}"
    return follow_up.unsupported(horizon)


@dataclass(frozen=True, eq=False)
class _Reading:
    """How risks given on a grid are read at K moments, the grid's and the horizons'.

    Attributes:
        moments: (K,) days, increasing.
        right, share: (K,) a risk is the column ``right`` times ``share`` plus the column before times the rest.
        ends: (H,) the moment that is each horizon.
    """

    moments: Floats
    right: Integers
    share: Floats
    ends: Integers

    @classmethod
    def of(cls, grid: Floats, horizons: list[float]) -> _Reading:
        moments = np.union1d(grid[grid <= max(horizons)], horizons)
        moments = moments[moments > 0]
        right = np.minimum(np.searchsorted(grid, moments, "left"), len(grid) - 1)
        before = np.where(right > 0, grid[right - 1], 0.0)
        exact = np.isclose(grid[right], moments, rtol=_TOLERANCE, atol=0.0)
        share = np.where(exact, 1.0, (moments - before) / np.where(exact, 1.0, grid[right] - before))
        return cls(moments, right, share, np.searchsorted(moments, horizons))

    def at(self, curves: list[Floats], k: int) -> Floats:
        """(n, M) risks at one moment."""
        right, share = self.right[k], self.share[k]
        later = np.column_stack([curve[:, right] for curve in curves])
        if share == 1:
            return later
        earlier = np.column_stack([curve[:, right - 1] for curve in curves]) if right else np.zeros_like(later)
        return (1 - share) * earlier + share * later

    @cached_property
    def plan(self) -> tuple[Integers, Floats, Integers, Floats, Integers]:
        """Columns, shares, which moments are not on the grid, days since the moment before, and horizons."""
        steps = np.diff(self.moments, prepend=0.0)
        return self.right, self.share, np.flatnonzero(self.share != 1), steps, self.ends


def _summed(
    follow_up: FollowUp, curves: list[Floats], reading: _Reading, horizons: list[float]
) -> tuple[Floats, Floats]:
    """Values (H, M) and influences (H, n, M), moment by moment."""
    values, influences = (np.zeros((len(horizons), *shape, len(curves))) for shape in ((), (len(follow_up),)))
    weights = [trapezoid_weights(reading.moments, horizon) for horizon in horizons]
    for k, moment in enumerate(reading.moments):
        score = brier(follow_up, reading.at(curves, k), float(moment))
        for h, weight in enumerate(weights):
            values[h] += weight[k] * score.value
            influences[h] += weight[k] * score.influence
    return values, influences


class _Integral:
    """The integral where the weights are those of one reverse Kaplan-Meier estimate.

    What its estimation adds to the influences needs, for every time of censoring u, the losses after u of all who are
    followed longer than u. It is had from three sums per patient: the integral up to the horizon, the integral up to
    the end of follow-up, and (summed over patients) the integral up to each moment within follow-up.
    """

    def __init__(self, follow_up: FollowUp, fitted: ReverseKaplanMeier, reading: _Reading) -> None:
        table, time, event = fitted.table, follow_up.time, follow_up.event
        self.reading, self.time, self.own = reading, time, follow_up.own_weight
        self.kind = np.where(event == follow_up.cause, 1, np.where(event > 0, 2, 0)).astype(np.int8)
        probability = table(reading.moments, left_limit=True)
        self.free = 1.0 / np.where(reading.moments <= time.max(), probability, 1.0)  # nobody is free past the last time
        self.censored = table.censored
        # Times of censoring before and until each patient's own; moments up to it, and up to each time of censoring.
        self.before = np.searchsorted(table.moments, time, "left")
        reached = np.append(table.moments, np.inf)[self.before] == time
        self.seen = self.before + reached
        self.inside = np.searchsorted(reading.moments, time, "right")
        self.still = self.inside - ((event > 0) & (np.append(0.0, reading.moments)[self.inside] == time))
        self.next = np.minimum(np.searchsorted(reading.moments, table.moments, "right"), len(reading.moments) - 1)
        self.at_risk = self._beyond(self.seen, None)
        self.until = np.searchsorted(table.moments, reading.moments[reading.ends], "left")

    def of(self, curve: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Values (H,) and influences (H, n) of one model's risks (n, T)."""
        n, horizons = len(self.time), self.reading.moments[self.reading.ends]
        upto, ended, column = np.empty((n, len(horizons))), np.empty(n), np.zeros(len(self.reading.moments) + 1)
        for start in range(0, n, _ROWS):
            rows = slice(start, start + _ROWS)
            risk = np.ascontiguousarray(curve[rows], dtype=float)
            who = self.kind[rows], self.own[rows], self.still[rows], self.inside[rows]
            _accumulate(risk, who, self.reading.plan, self.free, upto[rows], ended[rows], column)
        # Of those followed past each time of censoring, the integral up to the first moment after it.
        past = column[self.next] + self._beyond(self.before, ended)
        past -= np.append(np.cumsum(np.bincount(self.inside, ended, len(column))[::-1])[::-1], 0.0)[self.next + 1]
        values, influences = np.empty(len(horizons)), np.empty((len(horizons), n))
        for h, horizon in enumerate(horizons):
            mean = upto[:, h].mean()
            adjusted = self._adjusted(self._beyond(self.before, upto[:, h]) - past, h)
            values[h], influences[h] = mean / horizon, (upto[:, h] - mean + adjusted) / horizon
        return values, influences

    def _beyond(self, passed: Integers, amount: Floats | None) -> Floats:
        """(J,) sum of the amounts of those who have passed more than 0, 1, .. J - 1 times of censoring."""
        j = len(self.censored)
        return np.cumsum(np.bincount(passed, amount, j + 1)[::-1])[::-1][1:].astype(float)

    def _adjusted(self, later: Floats, h: int) -> Floats:
        """(n,) what estimating the weights adds, from the losses later than each time of censoring (J,)."""
        until = self.until[h]
        jump = later[:until] / self.at_risk[:until]
        drift = np.append(0.0, np.cumsum(jump * self.censored[:until] / self.at_risk[:until]))
        term = -drift[np.minimum(self.seen, until)]
        left = np.flatnonzero((self.kind == 0) & (self.seen <= until))
        term[left] += jump[self.seen[left] - 1]
        return term


@njit(cache=True)
def _accumulate(
    risk: Floats,
    who: tuple[NDArray[np.int8], Floats, Integers, Integers],
    plan: tuple[Integers, Floats, Integers, Floats, Integers],
    free: Floats,
    upto: Floats,
    ended: Floats,
    column: Floats,
) -> None:  # pragma: no cover (compiled)
    """Integrals of each patient's weighted loss, not divided by the horizon.

    Args:
        risk: (n, T) on the grid.
        who: (n,) each: 0 censored, 1 case, 2 competing; 1/G(T-); at how many moments free of events; and followed.
        plan: how risks are read at K moments; see ``_Reading``.
        free: (K,) weight of those free of events.
        upto: (n, H) filled with the integral up to each horizon.
        ended: (n,) filled with the integral up to the first moment after the end of follow-up; 0 when there is none.
        column: (K + 1,) to which is added the integral up to each moment, of those followed to it.
    """
    kind, own, still, inside = who
    right, share, between, steps, ends = plan
    k_moments = len(free)
    row, loss, sums = np.empty(k_moments), np.empty(k_moments), np.empty(k_moments + 1)
    width = 0.5 * steps
    width[:-1] += 0.5 * steps[1:]
    for i in range(len(risk)):
        for k in range(k_moments):
            row[k] = risk[i, right[k]]
        for k in between:
            earlier = risk[i, right[k] - 1] if right[k] else 0.0
            row[k] = share[k] * row[k] + (1.0 - share[k]) * earlier
        happened, weight = 1.0 if kind[i] == 1 else 0.0, own[i] if kind[i] else 0.0
        for k in range(still[i]):
            loss[k] = free[k] * row[k] ** 2
        for k in range(still[i], k_moments):
            loss[k] = weight * (happened - row[k]) ** 2
        total = 0.0
        for k in range(k_moments):
            sums[k] = total
            total += width[k] * loss[k]
        for k in range(inside[i]):
            column[k] += sums[k]
        ended[i] = sums[inside[i]] if inside[i] < k_moments else 0.0
        for h in range(len(ends)):
            upto[i, h] = sums[ends[h]] + 0.5 * steps[ends[h]] * loss[ends[h]]
