"""D-calibration: are the predicted probabilities of what happened spread evenly over 0 to 1?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from osler.evaluation.bootstrap import CASE, AtHorizon
from osler.evaluation.follow_up import FollowUp
from osler.units import duration

__all__ = ["BINS", "Risen", "d_calibration", "d_statistic", "too_discrete"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Equal parts of 0 to 1 among which patients are counted.
BINS = 10
#: With fewer distinct times of the event of interest, predicted probabilities at them cannot be spread evenly.
_FEWEST_TIMES = 10
_TOLERANCE = 1e-6


def d_calibration(follow_up: FollowUp, curves: Floats, times: Floats, horizon: float) -> float | str:
    """Chi-square distance of the predicted probabilities of what happened from an even spread; higher is worse.

    A patient with the event of interest at T, by the horizon h, counts at F(T), the predicted incidence by then; one
    who is known to be without it at h (free of events, or with a competing one) is spread evenly over F(h) to 1. Both
    count by inverse probability of censoring. If the risks are right, each tenth of 0 to 1 holds a tenth of the
    patients; the statistic is n times the sum of (share - 1/10)^2 / (1/10). Without censoring and competing events
    before h it is that of Haider et al. with everybody censored at h.

    Args:
        follow_up: outcomes of n patients.
        curves: (n, T) predicted incidence of the event of interest, linear in between and from 0 at time 0.
        times: (T,) days since the landmark.
        horizon: days since the landmark, not past the last of ``times``.

    Returns:
        The statistic, whose distribution under perfect calibration depends on the censoring
        (``osler.evaluation.perfect`` draws it); or, in words, why there is none.

    Haider H et al. J Mach Learn Res 2020;21(85):1-63.
    """
    reason = follow_up.unsupported(horizon) or too_discrete(follow_up, horizon)
    if reason:
        return reason
    risen, at = Risen.until(curves, times, horizon), AtHorizon.of(follow_up, horizon)
    ones = np.ones(len(follow_up))
    reached = risen.by(at.time, at.state == CASE)
    return float(d_statistic(at.state, reached, risen.last, at.observed(ones).weight, ones))


def too_discrete(follow_up: FollowUp, horizon: float) -> str:
    """Why predicted probabilities at the times of the events cannot be judged, or an empty string."""
    mine = (follow_up.event == follow_up.cause) & (follow_up.time <= horizon)
    if not mine.any():
        return "no event of interest by the horizon"
    few = len(np.unique(follow_up.time[mine])) < _FEWEST_TIMES
    return f"events fall on fewer than {_FEWEST_TIMES} distinct times until {duration(horizon)}" if few else ""


@dataclass(frozen=True, eq=False)
class Risen:
    """Predicted incidence from 0 at time 0 to a horizon, linear in between and never falling.

    Attributes:
        bends: (K,) times, the first 0 and the last the horizon.
        levels: (n, K) incidence at them.
    """

    bends: Floats
    levels: Floats

    @classmethod
    def until(cls, curves: Floats, times: Floats, horizon: float) -> Risen:
        """Curves (n, T) given at ``times`` (T,), cut at a horizon within them."""
        near = np.flatnonzero(np.isclose(times, horizon, rtol=_TOLERANCE, atol=0.0))
        inside = np.flatnonzero((times > 0) & (times < horizon * (1 - _TOLERANCE)))
        if len(near):
            last = curves[:, near[0]]
        else:
            right = int(np.searchsorted(times, horizon))
            before = times[right - 1] if right else 0.0
            earlier = curves[:, right - 1] if right else np.zeros(len(curves))
            last = earlier + (curves[:, right] - earlier) * (horizon - before) / (times[right] - before)
        levels = np.column_stack([np.zeros(len(curves)), curves[:, inside], last])
        levels = np.maximum.accumulate(np.clip(levels, 0.0, 1.0), axis=1)
        return cls(np.concatenate([[0.0], times[inside], [horizon]]), levels)

    @cached_property
    def last(self) -> Floats:
        """(n,) incidence at the horizon."""
        return self.levels[:, -1].copy()

    def by(self, time: Floats, whom: NDArray[np.bool_]) -> Floats:
        """(n,) incidence of the patients ``whom`` at their own times, 0 for all others."""
        rows = np.flatnonzero(whom)
        right = np.clip(np.searchsorted(self.bends, time[rows], "left"), 1, len(self.bends) - 1)
        start, end = self.bends[right - 1], self.bends[right]
        low, high = self.levels[rows, right - 1], self.levels[rows, right]
        reached = np.zeros(len(time))
        reached[rows] = low + (high - low) * np.clip((time[rows] - start) / (end - start), 0.0, 1.0)
        return reached


@njit(cache=True)
def d_statistic(
    state: Integers, reached: Floats, last: Floats, weight: Floats, count: Floats
) -> float:  # pragma: no cover
    """The statistic from states at the horizon (n,), see ``osler.evaluation.bootstrap``.

    Args:
        state: of every patient.
        reached: predicted incidence at the time of the event, of cases.
        last: predicted incidence at the horizon.
        weight: inverse probability of censoring.
        count: how many times each patient is there.
    """
    held, beyond = np.zeros(BINS), np.zeros(BINS + 1)  # `beyond` is what every later bin gets more than the one before
    total, patients = 0.0, 0.0
    for i in range(len(state)):
        patients += count[i]
        mass = weight[i] * count[i]
        if state[i] == 0 or mass == 0:
            continue
        total += mass
        place = reached[i] if state[i] == 1 else last[i]
        bin_ = min(int(place * BINS), BINS - 1)
        if state[i] == 1 or last[i] >= 1:
            held[bin_] += mass
        else:
            density = mass / (1 - place) / BINS
            held[bin_] += density * (bin_ + 1 - place * BINS)
            beyond[bin_ + 1] += density
    statistic, each = 0.0, 0.0
    for b in range(BINS):
        each += beyond[b]
        statistic += ((held[b] + each) / total - 1 / BINS) ** 2 * BINS
    return patients * statistic
