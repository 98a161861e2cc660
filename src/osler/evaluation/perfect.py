"""Perfect calibration: outcomes of the same patients, drawn as if every predicted risk were right.

What a calibration measure shows on such outcomes is what chance alone makes of it at this number of patients, this
much censoring and these risks: the yardstick for what it shows on the true ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from osler.evaluation.bootstrap import CENSORED, AtHorizon
from osler.evaluation.d_calibration import Risen
from osler.evaluation.follow_up import FollowUp

__all__ = ["PerfectWorld"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Where censoring depends on covariates, its distribution is followed at so many times.
_STEPS = 32


@dataclass(frozen=True, eq=False)
class PerfectWorld:
    """Draws outcomes by a horizon of n patients whose risks are right.

    A patient has the event of interest with the predicted probability, at a time drawn from the predicted curve; or
    else a competing event, with the probability that leaves its incidence among these patients (Aalen-Johansen) as it
    is, at a time drawn from that; or else is free at the horizon. Censoring is drawn from its distribution among these
    patients: reverse Kaplan-Meier, or given the covariates where censoring depends on them; in that case the weights
    are those that were drawn from, and not estimating them anew makes ranges slightly wider.

    Attributes:
        risen: predicted incidence of the event of interest.
        rival: probability of a competing event by the horizon given no event of interest.
        rival_times: (J,) times of competing events.
        rival_share: (J,) share of the competing events until the horizon that happen by each of them.
        leaving_times: (L,) times of censoring before the horizon.
        staying: (1 or n, L) probability of not being censored by each of them.
        given: whether weights are those of ``staying``; otherwise they are estimated from what is drawn.
    """

    risen: Risen
    rival: float
    rival_times: Floats
    rival_share: Floats
    leaving_times: Floats
    staying: Floats
    given: bool

    @classmethod
    def of(cls, follow_up: FollowUp, risen: Risen) -> PerfectWorld:
        """The world of patients with this follow-up and these predictions; the horizon is the last of its bends."""
        horizon = float(risen.bends[-1])
        status = follow_up.status(horizon)
        mine, other = (status.weight[who].sum() / len(follow_up) for who in (status.case, status.competing))
        rival = float(np.clip(other / max(1 - mine, 1e-9), 0.0, 1.0))
        moments, which = np.unique(follow_up.time[status.competing], return_inverse=True)
        share = np.cumsum(np.bincount(which, status.weight[status.competing])) / (len(follow_up) * other or 1.0)
        leaving = (_given_covariates if follow_up.conditional else _reverse_kaplan_meier)(follow_up, horizon)
        return cls(risen, rival, moments, share, *leaving, given=follow_up.conditional)

    def draw(self, rng: np.random.Generator) -> tuple[AtHorizon, Floats]:
        """States at the horizon, and (n,) the predicted incidence at the time of the event of those who have it."""
        n = len(self.risen.last)
        fate, patience, time, state = rng.random(n), rng.random(n), np.empty(n), np.empty(n, dtype=np.int64)
        risen, rivals = self.risen, (self.rival, self.rival_times, self.rival_share)
        _draw_events(fate, risen.bends, risen.levels, risen.last, *rivals, time, state)
        _draw_censoring(patience, self.leaving_times, self.staying, time, state)
        return AtHorizon.ordered(time, state, self._weights(time, state) if self.given else None), fate

    def _weights(self, time: Floats, state: Integers) -> Floats:
        past = np.searchsorted(self.leaving_times, time, "left")
        certain = np.ones((len(self.staying), 1))
        stayed = np.concatenate([certain, self.staying], axis=1)[np.arange(len(time)) % len(self.staying), past]
        return np.where(state == CENSORED, 0.0, 1.0 / np.where(state == CENSORED, 1.0, stayed))


def _reverse_kaplan_meier(follow_up: FollowUp, horizon: float) -> tuple[Floats, Floats]:
    table = follow_up.censoring
    before = table.moments < horizon
    return table.moments[before], table.survival[None, before]


def _given_covariates(follow_up: FollowUp, horizon: float) -> tuple[Floats, Floats]:
    """Censoring between two of some times, quantiles of those observed, is put at the earlier one."""
    moments = np.unique(follow_up.time[(follow_up.event == 0) & (follow_up.time < horizon)])
    if not len(moments):
        return moments, np.ones((1, 0))
    steps = np.unique(np.quantile(moments, np.linspace(0, 1, _STEPS), method="lower"))
    staying = np.column_stack([1 / follow_up.weight_at(t) for t in [*steps[1:], horizon]])
    return steps, np.ascontiguousarray(np.minimum.accumulate(staying, axis=1))


@njit(cache=True)
def _draw_events(
    fate: Floats,
    bends: Floats,
    levels: Floats,
    last: Floats,
    rival: float,
    rival_times: Floats,
    rival_share: Floats,
    time: Floats,
    state: Integers,
) -> None:  # pragma: no cover
    """Fills in time and state; one number of chance, ``fate``, decides on the event and on its time."""
    for i in range(len(fate)):
        time[i], state[i] = bends[-1], 3
        if fate[i] < last[i]:
            right = np.searchsorted(levels[i], fate[i], "right")
            low, high = levels[i, right - 1], levels[i, right]
            time[i] = bends[right - 1] + (bends[right] - bends[right - 1]) * (fate[i] - low) / (high - low)
            state[i] = 1
        elif rival > 0:
            rest = (fate[i] - last[i]) / (1 - last[i])
            if rest < rival:
                place = np.searchsorted(rival_share, rest / rival, "right")
                time[i] = rival_times[min(place, len(rival_times) - 1)]
                state[i] = 2


@njit(cache=True)
def _draw_censoring(
    patience: Floats, leaving_times: Floats, staying: Floats, time: Floats, state: Integers
) -> None:  # pragma: no cover
    """Censors those who leave before their time: at the first step that does not stay above ``patience``."""
    for i in range(len(patience)):
        row = i if len(staying) > 1 else 0
        first, last = 0, len(leaving_times)
        while first < last:
            middle = (first + last) // 2
            if staying[row, middle] > patience[i]:
                first = middle + 1
            else:
                last = middle
        if first < len(leaving_times) and leaving_times[first] < time[i]:
            time[i], state[i] = leaving_times[first], 0
