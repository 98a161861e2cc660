"""FollowUp: what is known of every patient at a horizon, weighted for those whom censoring hid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from osler.errors import UsageError
from osler.evaluation.censoring import CensoringModel, FittedCensoring, MarginalCensoring, Rows
from osler.survival.nonparametric import CensoringTable, censoring_table
from osler.units import duration

__all__ = ["FollowUp", "Status", "Support", "told"]

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


@dataclass(frozen=True)
class Support:
    """How much a statement about a horizon rests on.

    Attributes:
        at_risk: patients followed to the horizon or longer.
        events: events of interest by the horizon.
        effective: effective sample size of the weighted patients; 0 when the horizon is refused.
        refused: why nothing can be said about the horizon; empty otherwise.
        note: what a reader of the weights should know; empty otherwise.
    """

    at_risk: int
    events: int
    effective: float
    refused: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Outcomes of n patients, with the censoring distribution estimated among them.

    Args:
        time: (n,) days since the landmark, above 0.
        event: (n,) 0 censored, 1.. causes.
        cause: the code of the event of interest.
        censoring_model: None or "marginal": the same for everybody, by reverse Kaplan-Meier, which needs censoring
            that has nothing to do with the patients; ``StratifiedCensoring`` or ``CoxCensoring``: one that depends on
            their group or covariates, and on nothing else.

    Events at the horizon have happened by it. A patient censored exactly at the horizon is known to be free of events
    until then, and counts as such: a study that ends at the horizon for everybody can be evaluated at it.

    Raises:
        UsageError: the model of censoring is none of these. What it holds is checked when weights are first asked for.
    """

    time: Floats
    event: NDArray[np.int64]
    cause: int = 1
    censoring_model: CensoringModel | Literal["marginal"] | None = None

    def __post_init__(self) -> None:
        if self.censoring_model not in (None, "marginal") and not isinstance(self.censoring_model, CensoringModel):
            raise UsageError(
                f"unknown model of censoring, a {type(self.censoring_model).__name__}: expected 'marginal', a "
                "StratifiedCensoring or a CoxCensoring"
            )

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: Rows) -> FollowUp:
        """Some of the patients: positions, which may repeat, or a mask; censoring is estimated anew among them."""
        model = self.censoring_model
        kept = model.take(rows) if isinstance(model, CensoringModel) else model
        return FollowUp(self.time[rows], self.event[rows], self.cause, kept)

    @property
    def conditional(self) -> bool:
        """Whether weights depend on who the patients are."""
        return isinstance(self.censoring_model, CensoringModel) and self.censoring_model.conditional

    @cached_property
    def censoring(self) -> CensoringTable:
        """The censoring distribution of everybody together, whatever the weights rest on."""
        return censoring_table(self.time, self.event)

    @cached_property
    def fitted_censoring(self) -> FittedCensoring:
        """The censoring distribution that the weights rest on. Raises UsageError where its model does not fit."""
        model = self.censoring_model if isinstance(self.censoring_model, CensoringModel) else MarginalCensoring()
        return model.fit(self.time, self.event)

    @cached_property
    def own_weight(self) -> Floats:
        """(n,) 1/G(T-), the weight of a patient with an event at T; 1 where censored."""
        return _inverse(np.where(self.event > 0, self.fitted_censoring.own, 1.0))

    def weight_at(self, time: float) -> Floats:
        """(n,) 1/G(t-), the weight of every patient who is free of events at ``time``; infinite where G is 0."""
        return _inverse(self.fitted_censoring.at(time))

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
        weight = np.where(by, self.own_weight, 0.0)
        if free.any():
            weight[free] = self.weight_at(horizon)[free]
        return Status(case, by & ~case, free, weight)

    def effective(self, horizon: float) -> float:
        """Kish's effective sample size of the weights at the horizon, (sum w)^2 / sum w^2; 0 when nobody has one.

        Kish L. Survey Sampling, 1965, section 11.7. Between 0 and n; the nearer to n, the less the censoring cost.
        """
        if self.unsupported(horizon):
            return 0.0
        weight = self.status(horizon).weight
        largest = weight.max(initial=0.0)
        return float((weight / largest).sum() ** 2 / ((weight / largest) ** 2).sum()) if largest > 0 else 0.0

    def support(self, horizon: float) -> Support:
        """What a statement about the horizon rests on."""
        refused, note = self.unsupported(horizon), self.fitted_censoring.note if len(self) else ""
        return Support(self.at_risk(horizon), self.events(horizon), self.effective(horizon), refused, note)

    def unsupported(self, horizon: float) -> str:
        """Why nothing can be said about the horizon, or an empty string.

        Weights need everybody to have had a chance of being followed to the horizon: in no group may the last one to
        leave before it have been censored.
        """
        if not len(self):
            return "no patient is at risk at the landmark"
        ends, followed = f"follow-up ends before {duration(horizon)}", self.at_risk(horizon)
        lacking = self.fitted_censoring.lacking(horizon)
        if lacking and not followed:
            return f"{ends}: 0 patients at risk"
        if lacking:
            counted = f"{told(followed)} at risk at {duration(horizon)}"
            return f"{ends} in {told(lacking)} of the groups in which censoring is estimated ({counted})"
        return self._without_chance(horizon) if self.conditional else ""

    def censoring_term(self, score: Floats, horizon: float) -> Floats:
        """What estimating the weights adds to the influence of every patient on a weighted mean.

        Args:
            score: (n,) or (n, M) contributions, weights included, whose mean (or whose derivative of a ratio) is meant.
            horizon: days.

        Returns:
            Same shape; sums to zero over patients.
        """
        return self.fitted_censoring.term(score, horizon)

    def _without_chance(self, horizon: float) -> str:
        endless = int((~np.isfinite(self.status(horizon).weight)).sum())
        if not endless:
            return ""
        return f"by the model of censoring {told(endless)} patients could not be followed to {duration(horizon)}"


def told(count: int) -> str:
    """A count of patients as text; 1 to 9 is "fewer than 10"."""
    return f"fewer than {_SMALL}" if 0 < count < _SMALL else f"{count:,}"


def _inverse(probability: Floats) -> Floats:
    with np.errstate(divide="ignore", over="ignore"):
        return 1.0 / probability
