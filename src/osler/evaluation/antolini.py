"""Antolini's concordance: at the moment of an event, was the patient's risk by then the highest of all still free?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from osler.evaluation.counting import Lineup, weigh_pairs
from osler.evaluation.estimate import Measured, halved_within
from osler.evaluation.follow_up import FollowUp
from osler.units import duration

__all__ = ["time_dependent_concordance"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
_TOLERANCE = 1e-6


def time_dependent_concordance(
    follow_up: FollowUp,
    curves: Sequence[ArrayLike],
    times: ArrayLike,
    horizon: float,
    *,
    strata: Integers | None = None,
) -> Measured | str:
    """Time-dependent C-index of whole risk curves, of events up to the horizon; 0.5 is chance, higher is better.

    A pair counts when patient i has the event of interest at t_i and patient j is then still free of any event
    (censored at that very time counts as free), or has a competing event at any time and so never has the event of
    interest. It is won when the risk of i by t_i is higher than that of j by the same t_i; equal risks count a half.
    Where curves do not cross this is Harrell's C. Like it, it depends on the censoring.

    Args:
        follow_up: outcomes of n patients.
        curves: for each of M models (n, T) risks of the event of interest at ``times``.
        times: (T,) days since the landmark, increasing. The risk by t_i is read at the first of them at or after t_i:
            exact when all times of events are among them.
        horizon: days since the landmark; later events do not count.
        strata: (n,) codes; only pairs within a stratum are compared, as in ``concordance``.

    Returns:
        Values and influences; or, in words, why there is none. O(T n log n) time, O(n) memory beside the curves.

    Antolini L, Boracchi P, Biganzoli E. Stat Med 2005;24:3927-3944. Wolbers M et al. Epidemiology 2009;20:555-561.
    """
    grid = np.asarray(times, dtype=float)
    case = (follow_up.event == follow_up.cause) & (follow_up.time <= horizon)
    if not case.any():
        return "no event of interest by the horizon"
    if follow_up.time[case].max() > grid[-1] * (1 + _TOLERANCE):
        return f"predictions end at {duration(float(grid[-1]))}"
    parts = [np.arange(len(case))] if strata is None else [np.flatnonzero(strata == code) for code in np.unique(strata)]
    pairs, won = np.zeros(len(case)), np.zeros((len(case), len(curves)))
    for rows in (rows for rows in parts if case[rows].any()):
        stages = _Stages(follow_up, case, grid, rows)
        pairs[rows] = stages.pairs
        for m, curve in enumerate(curves):
            won[rows, m] = stages.won(np.asarray(curve)[rows])
    total = float(pairs.sum()) / 2
    if total == 0:
        return "no two patients can be compared"
    value = won.sum(axis=0) / (2 * total)
    return Measured(value, halved_within((won - value * pairs[:, None]) * (len(follow_up) / total), strata))


class _Stages:
    """The line of some patients, cut into stages: the events whose risks are read at the same time.

    Attributes:
        pairs: (p,) by patient, pairs as the case and as the other.
    """

    def __init__(self, follow_up: FollowUp, case: Mask, grid: Floats, patients: Integers) -> None:
        event, case = follow_up.event[patients], case[patients]
        rival = (event > 0) & (event != follow_up.cause)
        time = np.where(rival, np.inf, follow_up.time[patients])
        self.line = Lineup(time, (event > 0) & ~rival)
        rows, moment, start = self.line.rows, self.line.moment, self.line.start
        self.case, self.time = case[rows], time[rows]
        column = np.minimum(np.searchsorted(grid, self.time, "left"), len(grid) - 1)
        self.stages = np.unique(column[self.case])
        # The last column also takes in those who stay longer: they are no cases, and later than every case.
        self.first = np.searchsorted(column, self.stages, "left")
        self.last = np.searchsorted(self.time, np.append(grid[:-1], self.time[self.case][-1])[self.stages], "right")
        earlier = np.append(0, np.cumsum(self.case))[start[moment]]
        later = np.where(self.case, len(rows) - start[moment + 1].astype(np.int64), 0)
        self.pairs = np.empty(len(rows))
        self.pairs[rows] = earlier + later

    def won(self, curve: NDArray[np.floating]) -> Floats:
        """(p,) pairs in the right order to which each patient belongs, as the case or as the other one."""
        rows, won = self.line.rows, np.zeros(len(self.line))
        for column, first, last in zip(self.stages, self.first, self.last, strict=True):
            risk = np.ascontiguousarray(curve[:, column], dtype=float)[rows[first:]]
            within, case = slice(first, last), self.case[first:last]
            if last - first > 1:
                won[within] += _within(self.time[within], case, risk[: last - first])
            order = np.flatnonzero(case)
            order = order[np.argsort(risk[order], kind="stable")]
            value, count = np.unique(risk[order], return_counts=True)
            own = np.zeros(len(value))
            _against(risk[last - first :], value, np.append(0, np.cumsum(count)), won[last:], own)
            won[first + order] += np.repeat(own, count)
        out = np.empty(len(won))
        out[rows] = won
        return out


def _within(time: Floats, case: Mask, risk: Floats) -> Floats:
    """The same for the patients of one stage among themselves."""
    line = Lineup(time, case)
    weight = case[line.rows].astype(float)
    lower, higher, _ = weigh_pairs(line, line.ranked(risk), weight, weight, rivals=False)
    won = np.empty(len(time))
    won[line.rows] = weight * lower + higher
    return won


@njit(cache=True)
def _against(
    risk: Floats, value: Floats, up_to: Integers, won: Floats, own: Floats
) -> None:  # pragma: no cover (compiled)
    """Pairs of the cases of one stage, who have one of the risks ``value``, and all who are later in line.

    Args:
        risk: (L,) of those later in line.
        value: (V,) risks of the cases, rising.
        up_to: (V + 1,) cases with one of the first 0, 1, .. V risks.
        won: (L,) to which is added the number of cases with a higher risk, a half for an equal one.
        own: (V,) filled with the number of later patients with a lower risk than that, a half for an equal one.
    """
    found = np.zeros(len(value) + 1)
    for j in range(len(risk)):
        low, high = 0, len(value)
        while low < high:
            middle = (low + high) >> 1
            if value[middle] < risk[j]:
                low = middle + 1
            else:
                high = middle
        past = low + 1 if low < len(value) and value[low] == risk[j] else low
        won[j] += up_to[len(value)] - 0.5 * (up_to[low] + up_to[past])
        found[low] += 0.5
        found[past] += 0.5
    total = 0.0
    for v in range(len(value)):
        total += found[v]
        own[v] = total
