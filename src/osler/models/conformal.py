"""Conformal: prediction intervals of the time to the first event, right on average by construction.

A held-out prediction says with what probability p a patient would have had an event by the day on which it came. If
all were well, p would be uniform. Bounds are set where p really falls below (and above) with the chance that the
interval allows, and a new patient's interval is the days at which their own curve passes these bounds. Whatever the
model is worth, the intervals then hold the time of as many patients as they claim; a poor model has wide ones.

Events after a censoring are not seen: those seen count for those not seen, with the inverse probability of not being
censored (Candes, Lei and Ren, J R Stat Soc B 2023;85:24-45; Gui, Hore, Ren and Barber, Biometrika 2024;111:459-477).

What is guaranteed: coverage averaged over patients like those of training who are at risk at the landmark, up to the
error of the weights (Kaplan-Meier, censoring independent of the event) and of cross-fitting (Barber, Candes, Ramdas and
Tibshirani, Ann Stat 2021;49:486-507). Not coverage in every subgroup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.outcome import Outcome
from osler.survival.nonparametric import censoring_survival

__all__ = ["EventTimes"]

Floats = NDArray[np.float64]

_TAIL = 0.05  # chance allowed at either end
_UPPER = np.linspace(0.5, 1.0, 501)  # upper bounds looked at
_FEWEST = 50  # patients at a landmark, below which bounds are learned from all landmarks together


@dataclass(frozen=True, eq=False)
class EventTimes:
    """Probabilities of having had an event between which its time falls, by landmark.

    Attributes:
        moments: (S,) landmarks in days.
        low, high: (S,) the bounds; without error 0.05 and 0.95.
    """

    moments: Floats
    low: Floats
    high: Floats

    @classmethod
    def learn(cls, free: Floats, times: Floats, outcome: Outcome, landmark: Floats, moments: Sequence[float]) -> Self:
        """From held-out curves.

        Args:
            free: (R, T) probability of no event, by models that did not see the row's patient.
            times: (T,) days since the landmark.
            outcome: of the R rows, since the landmark.
            landmark: (R,) days from the time origin.
            moments: landmarks to be told apart.
        """
        bounds = []
        for moment in moments:
            rows = np.flatnonzero(landmark == moment)
            if len(rows) < _FEWEST:
                rows = np.flatnonzero(np.isin(landmark, moments))
            bounds.append(_bounds(1 - free[rows], times, outcome.take(rows)) if len(rows) else (_TAIL, 1 - _TAIL))
        low, high = np.array(bounds, dtype=float).reshape(-1, 2).T
        return cls(np.asarray(moments, dtype=float), low, high)

    def interval(self, free: Floats, times: Floats, moment: float) -> tuple[Floats, Floats]:
        """(R,) days between which the first event of any cause comes, with 90 % probability.

        Infinite where the bound lies past the last time of the curve.
        """
        nearest = int(np.argmin(np.abs(self.moments - moment)))
        return _day(1 - free, times, self.low[nearest]), _day(1 - free, times, self.high[nearest])

    def state(self) -> dict[str, Any]:
        """Arrays by name."""
        return {"moments": self.moments, "low": self.low, "high": self.high}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(state["moments"], state["low"], state["high"])


def _bounds(had: Floats, times: Floats, outcome: Outcome) -> tuple[float, float]:
    """Lower and upper bound of p from (R, T) probabilities of having had an event."""
    last = times[-1]
    seen = (outcome.event > 0) & (outcome.time <= last)
    p = np.array([np.interp(time, times, curve) for time, curve in zip(outcome.time[seen], had[seen], strict=True)])
    weight = 1 / np.maximum(censoring_survival(outcome.time, outcome.event, outcome.time[seen], True), 1e-6)
    n, heaviest = len(had), float(weight.max(initial=1.0))
    order = np.argsort(p, kind="stable")
    p, below = p[order], np.cumsum(weight[order])
    # The new patient counts as one more who missed: what makes the bound right in finite samples.
    allowed = np.flatnonzero(below + heaviest > _TAIL * (n + heaviest))
    low = float(p[allowed[0]]) if len(allowed) else _TAIL
    return low, _upper(had[:, -1], p, weight[order], had[seen, -1][order])


def _upper(reach: Floats, p: Floats, weight: Floats, reach_of_events: Floats) -> float:
    """The smallest bound that no more than the allowed share of patients outlive, of those whose curve passes it."""
    n = len(reach)
    for bound in _UPPER:
        within = float(weight[(p <= bound) & (reach_of_events >= bound)].sum())
        if (reach >= bound).sum() - within + 1 <= _TAIL * (n + 1):
            return float(bound)
    return 1.0


def _day(had: Floats, times: Floats, bound: float) -> Floats:
    """(R,) day at which each row's (R, T) probability reaches ``bound``, linear in between; infinite where never."""
    reached = had >= bound
    at = reached.argmax(axis=1)
    right = np.maximum(at, 1)
    row = np.arange(len(had))
    left_value, right_value = had[row, right - 1], had[row, right]
    share = np.clip((bound - left_value) / np.maximum(right_value - left_value, 1e-300), 0.0, 1.0)
    day = times[right - 1] + share * (times[right] - times[right - 1])
    return np.where(reached.any(axis=1), day, np.inf)
