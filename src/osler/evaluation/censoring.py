"""Censoring: how likely each patient was to be still followed at a time, of everybody or within groups.

A model of the censoring (``CensoringModel``) is fitted to the outcomes of n patients and then answers three questions
(``FittedCensoring``): the probability of not having been censored before one's own time, the same before one time for
everybody, and what having estimated it adds to each patient's influence on a weighted mean. At equal times events come
before censorings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from osler.errors import UsageError
from osler.evaluation.counting import ascending
from osler.survival.nonparametric import CensoringTable, censoring_table

__all__ = ["CensoringModel", "FittedCensoring", "MarginalCensoring", "ReverseKaplanMeier", "StratifiedCensoring"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Rows = NDArray[np.int64] | NDArray[np.bool_]


class FittedCensoring(ABC):
    """The distribution G of the censoring time of n patients.

    Attributes:
        own: (n,) G(T-), the probability of not having been censored before one's own time.
        groups: in how many groups of patients it was estimated.
        note: what a reader of the weights should know; empty otherwise.
    """

    own: Floats
    groups: int = 1
    note: str = ""

    @abstractmethod
    def at(self, time: float) -> Floats:
        """(n,) G(t-), the probability of not having been censored before ``time``."""

    @abstractmethod
    def term(self, score: Floats, horizon: float) -> Floats:
        """What estimating G adds to the influence of every patient on a mean weighted by it.

        Args:
            score: (n,) or (n, M) contributions, weights included: 1/G at one's own time or at the horizon, whichever
                is earlier. With a power k of the weight, k times the contribution.
            horizon: days.

        Returns:
            Same shape; sums to zero over patients.
        """

    @abstractmethod
    def lacking(self, horizon: float) -> int:
        """In how many of the groups nobody is followed to the horizon, and the last to leave was censored."""


class CensoringModel(ABC):
    """How the censoring of n patients is modelled; ``conditional`` says whether it depends on who they are."""

    conditional: ClassVar[bool] = True

    @abstractmethod
    def fit(self, time: Floats, event: Integers) -> FittedCensoring:
        """Fit to days of follow-up (n,) and event codes (n,; 0 censored). Raises UsageError for another n."""

    @abstractmethod
    def take(self, rows: Rows) -> CensoringModel:
        """The model of some of the patients: positions, which may repeat, or a mask."""


class MarginalCensoring(CensoringModel):
    """Censoring that is the same for everybody, by the reverse Kaplan-Meier estimator."""

    conditional: ClassVar[bool] = False

    def fit(self, time: Floats, event: Integers) -> ReverseKaplanMeier:
        """The reverse Kaplan-Meier estimate."""
        return ReverseKaplanMeier(time, event)

    def take(self, rows: Rows) -> MarginalCensoring:
        """Itself: nothing in it belongs to a patient."""
        return self


@dataclass(frozen=True, eq=False)
class StratifiedCensoring(CensoringModel):
    """Censoring that differs between groups of patients, by the reverse Kaplan-Meier estimator in each of them.

    Args:
        labels: (n,) the group of each patient: numbers or text, none missing.
    """

    labels: ArrayLike

    def fit(self, time: Floats, event: Integers) -> FittedCensoring:
        """The reverse Kaplan-Meier estimate of every group. Raises UsageError for missing labels or another n."""
        return _GroupedCensoring(time, event, self._codes(len(time)))

    def take(self, rows: Rows) -> StratifiedCensoring:
        """The labels of some of the patients."""
        return StratifiedCensoring(np.asarray(self.labels)[rows])

    def _codes(self, n: int) -> Integers:
        labels = np.asarray(self.labels)
        if labels.shape != (n,):
            raise UsageError(f"labels of censoring have shape {labels.shape}; expected one for each of {n} patients")
        codes, _ = pd.factorize(labels)
        missing = int((codes < 0).sum())
        if missing:
            raise UsageError(
                f"labels of censoring are missing for {missing} of {n} patients; expected one for everybody. "
                "Give those without one a group of their own."
            )
        return codes.astype(np.int64)


class ReverseKaplanMeier(FittedCensoring):
    """The Kaplan-Meier estimate of the censoring time of n patients.

    Args:
        time: (n,) days.
        event: (n,) 0 censored, 1.. causes.
    """

    def __init__(self, time: Floats, event: Integers) -> None:
        self.time, self.event = time, event
        self.table: CensoringTable = censoring_table(time, event)
        self.own = np.append(1.0, self.table.survival)[self._places("left")]

    def at(self, time: float) -> Floats:
        """(n,) G(t-), the same for everybody."""
        return np.full(len(self.time), float(self.table(time, left_limit=True)))

    def lacking(self, horizon: float) -> int:
        """1 when nobody is followed to the horizon and the last to leave was censored, else 0."""
        last = float(self.time.max())
        return int(last < horizon and bool((self.event[self.time == last] == 0).any()))

    def term(self, score: Floats, horizon: float) -> Floats:
        """What estimating G adds to the influences.

        The derivative of the mean in the hazard of censoring, times the martingale of every patient's censoring over
        the share at risk. Those with an event at a time of censoring count as at risk here, and the derivative is
        that of exp(-cumulative hazard), as in riskRegression, whose standard errors are met to the last digit.
        """
        until = int(np.searchsorted(self.table.moments, horizon, "left"))
        if until == 0:
            return np.zeros_like(score)
        running = np.cumsum(score[self._order], axis=0)
        later = running[-1] - running[self._followed_past[:until] - 1]  # of those followed longer than each moment
        at_risk = self._at_risk[:until].reshape(-1, *(1,) * (score.ndim - 1))
        hazard = self.table.censored[:until].reshape(at_risk.shape) / at_risk
        jump = later / at_risk
        drift = np.concatenate([np.zeros((1, *jump.shape[1:])), np.cumsum(jump * hazard, axis=0)])
        term = -drift[np.minimum(self._moments_seen, until)]
        left = np.flatnonzero((self.event == 0) & (self.time < horizon))
        term[left] += jump[self._moments_seen[left] - 1]
        return term

    @cached_property
    def _order(self) -> Integers:
        return ascending(self.time)[0].astype(np.int64)

    def _places(self, side: Literal["left", "right"]) -> Integers:
        """(n,) each patient's place among the times of censoring; looked up in order, which memory rewards."""
        place = np.empty(len(self.time), dtype=np.int64)
        place[self._order] = np.searchsorted(self.table.moments, self.time[self._order], side)
        return place

    @cached_property
    def _followed_past(self) -> Integers:
        """(J,) how many patients' follow-up ends at or before each time of censoring."""
        return np.searchsorted(self.time[self._order], self.table.moments, "right")

    @cached_property
    def _at_risk(self) -> Floats:
        """(J,) how many are followed to each time of censoring or longer."""
        before = np.searchsorted(self.time[self._order], self.table.moments, "left")
        return (len(self.time) - before).astype(float)

    @cached_property
    def _moments_seen(self) -> Integers:
        """(n,) how many distinct times of censoring each patient's follow-up reaches."""
        return self._places("right")


class _GroupedCensoring(FittedCensoring):
    """One estimate in each group, where patients weigh on those of their own group only."""

    def __init__(self, time: Floats, event: Integers, codes: Integers) -> None:
        ends = np.cumsum(np.bincount(codes)) if len(codes) else np.zeros(0, dtype=np.int64)
        self._members = np.split(np.argsort(codes, kind="stable"), ends[:-1])
        self._parts = [ReverseKaplanMeier(time[rows], event[rows]) for rows in self._members]
        self.groups = len(self._parts)
        self.own = self._together([part.own for part in self._parts])

    def at(self, time: float) -> Floats:
        return self._together([part.at(time) for part in self._parts])

    def term(self, score: Floats, horizon: float) -> Floats:
        parts = zip(self._parts, self._members, strict=True)
        return self._together([part.term(score[rows], horizon) for part, rows in parts])

    def lacking(self, horizon: float) -> int:
        return sum(part.lacking(horizon) for part in self._parts)

    def _together(self, parts: list[Floats]) -> Floats:
        """(n, ...) what the groups say of their members, in the order of the patients."""
        joined = np.concatenate(parts)
        out = np.empty_like(joined)
        out[np.concatenate(self._members)] = joined
        return out
