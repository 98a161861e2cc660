"""FollowUp: what is known of every patient at a horizon, weighted for those whom censoring hid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from osler.survival.nonparametric import CensoringTable, censoring_table
from osler.units import duration

__all__ = ["FollowUp", "Status", "told"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
#: Counts from 1 to one less than this are not spelled out in a note.
_SMALL = 10


@dataclass(frozen=True, eq=False)
class Status:
    """The state of n patients at a horizon; those censored before it are in none of the three states.

    Attributes:
        case: (n,) the event of interest by the horizon.
        competing: (n,) another event by the horizon.
        free: (n,) followed to the horizon or longer without any event.
        weight: (n,) inverse probability of not having been censored: 1/G(T-) with an event by the horizon t, 1/G(t-)
            when free, 0 when censored before.
    """

    case: Mask
    competing: Mask
    free: Mask
    weight: Floats


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Outcomes of n patients, with the censoring distribution estimated among them by reverse Kaplan-Meier.

    Args:
        time: (n,) days since the landmark, above 0.
        event: (n,) 0 censored, 1.. causes.
        cause: the code of the event of interest.

    Events at the horizon have happened by it. A patient censored exactly at the horizon is known to be free of events
    until then, and counts as such: a study that ends at the horizon for everybody can be evaluated at it.
    """

    time: Floats
    event: NDArray[np.int64]
    cause: int = 1

    def __len__(self) -> int:
        return len(self.time)

    @cached_property
    def censoring(self) -> CensoringTable:
        """The censoring distribution."""
        return censoring_table(self.time, self.event)

    def at_risk(self, horizon: float) -> int:
        """How many patients are followed to the horizon or longer."""
        return int((self.time >= horizon).sum())

    def events(self, horizon: float) -> int:
        """How many have the event of interest by the horizon."""
        return int(((self.event == self.cause) & (self.time <= horizon)).sum())

    def status(self, horizon: float) -> Status:
        """States and weights at a horizon that ``unsupported`` does not refuse."""
        by = (self.time <= horizon) & (self.event > 0)
        case = by & (self.event == self.cause)
        free = (self.time > horizon) | ((self.time == horizon) & (self.event == 0))
        weight = np.zeros(len(self))
        weight[by] = self._event_weight[by]
        if free.any():
            weight[free] = 1.0 / self.censoring(horizon, left_limit=True)
        return Status(case, by & ~case, free, weight)

    def unsupported(self, horizon: float) -> str:
        """Why nothing can be said about the horizon, or an empty string."""
        if not len(self):
            return "no patient is at risk at the landmark"
        if self._last < horizon and not self._ends_with_event:
            return f"follow-up ends before {duration(horizon)}: 0 patients at risk"
        return ""

    def censoring_term(self, score: Floats, horizon: float) -> Floats:
        """What estimating the weights adds to the influence of every patient on a weighted mean.

        Args:
            score: (n,) or (n, M) contributions, weights included, whose mean (or whose derivative of a ratio) is meant.
            horizon: days.

        Returns:
            Same shape; sums to zero over patients. The derivative of the mean in the hazard of censoring, times the
            martingale of every patient's censoring over the share at risk. Those with an event at a time of
            censoring count as at risk here, as in riskRegression, whose standard errors are met to the last digit.
        """
        table = self.censoring
        until = int(np.searchsorted(table.moments, horizon, "left"))
        if until == 0:
            return np.zeros_like(score)
        running = np.cumsum(score[self._order], axis=0)
        later = running[-1] - running[self._followed_past[:until] - 1]  # of those followed longer than each moment
        at_risk = self._at_risk[:until].reshape(-1, *(1,) * (score.ndim - 1))
        hazard = table.censored[:until].reshape(at_risk.shape) / at_risk
        jump = later / at_risk
        drift = np.concatenate([np.zeros((1, *jump.shape[1:])), np.cumsum(jump * hazard, axis=0)])
        term = -drift[np.minimum(self._moments_seen, until)]
        left = np.flatnonzero((self.event == 0) & (self.time < horizon))
        term[left] += jump[self._moments_seen[left] - 1]
        return term

    @cached_property
    def _last(self) -> float:
        return float(self.time.max())

    @cached_property
    def _ends_with_event(self) -> bool:
        return not (self.event[self.time == self._last] == 0).any()

    @cached_property
    def _event_weight(self) -> Floats:
        return 1.0 / np.where(self.event > 0, self.censoring(self.time, left_limit=True), 1.0)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.time, kind="stable")

    @cached_property
    def _followed_past(self) -> NDArray[np.int64]:
        """(J,) how many patients' follow-up ends at or before each time of censoring."""
        return np.searchsorted(self.time[self._order], self.censoring.moments, "right")

    @cached_property
    def _at_risk(self) -> Floats:
        """(J,) how many are followed to each time of censoring or longer."""
        before = np.searchsorted(self.time[self._order], self.censoring.moments, "left")
        return (len(self) - before).astype(float)

    @cached_property
    def _moments_seen(self) -> NDArray[np.int64]:
        """(n,) how many distinct times of censoring each patient's follow-up reaches."""
        return np.searchsorted(self.censoring.moments, self.time, "right")


def told(count: int) -> str:
    """A count of patients as text; 1 to 9 is "fewer than 10"."""
    return f"fewer than {_SMALL}" if 0 < count < _SMALL else f"{count:,}"
