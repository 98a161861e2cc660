"""Within: some of the patients, judged with the censoring distribution of all of them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from osler.evaluation.censoring import CensoringModel, FittedCensoring, Rows
from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp

__all__ = ["as_mean", "within"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def within(follow_up: FollowUp, member: Mask) -> FollowUp:
    """The follow-up of all n patients in which those who are no ``member`` (n,) say nothing but how they were censored.

    They are censored at once and so weigh nothing: a measure of order or a regression on all n rows is that of the
    members, and its influences hold what everybody adds to the estimated weights. A mean over patients is one over n;
    see ``as_mean``.
    """
    lent = (_LentByCovariates if follow_up.conditional else _Lent)(follow_up.fitted_censoring)
    time, event = np.where(member, follow_up.time, 0.0), np.where(member, follow_up.event, 0)
    return FollowUp(time, event, follow_up.cause, lent)


def as_mean(found: Measured, member: Mask) -> Measured:
    """A mean over the members, from a mean over n rows of which those of others are 0, such as a Brier score."""
    share = member.mean()
    value = found.value / share
    return Measured(value, (found.influence + found.value) / share - member[:, None] * (value / share))


class _LentFit(FittedCensoring):
    """An estimate that was made among others."""

    def __init__(self, fitted: FittedCensoring) -> None:
        self.fitted = fitted
        self.own, self.groups, self.note = fitted.own, fitted.groups, fitted.note

    def at(self, time: float) -> Floats:
        return self.fitted.at(time)

    def term(self, score: Floats, horizon: float) -> Floats:
        return self.fitted.term(score, horizon)

    def lacking(self, horizon: float) -> int:
        return self.fitted.lacking(horizon)


class _Lent(CensoringModel):
    """A model that is fitted already."""

    conditional: ClassVar[bool] = False

    def __init__(self, fitted: FittedCensoring) -> None:
        self.fitted = fitted

    def fit(self, time: Floats, event: Integers) -> FittedCensoring:
        return _LentFit(self.fitted)

    def take(self, rows: Rows) -> CensoringModel:
        raise TypeError("an estimate lent by all patients is not one of some of them")


class _LentByCovariates(_Lent):
    conditional: ClassVar[bool] = True
