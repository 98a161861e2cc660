"""Utility: what acting on predicted risks would gain, at every threshold of acting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike, NDArray

from osler.errors import UsageError
from osler.evaluation.arguments import checked_outcomes, codes
from osler.evaluation.estimate import Measured, interval
from osler.evaluation.follow_up import FollowUp, Status
from osler.evaluation.refitting import error_of
from osler.evaluation.simultaneous import simultaneous_interval

__all__ = [
    "TREAT_ALL",
    "TREAT_NONE",
    "checked_thresholds",
    "decision",
    "decision_curve",
    "decision_differences",
    "decision_measured",
    "net_benefit",
    "net_benefit_differences",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: The strategies that need no model, as they are named in a decision curve.
TREAT_ALL, TREAT_NONE = "treat all", "treat none"
_NUMBERS = ["value", "lower", "upper", "se", "simultaneous_lower", "simultaneous_upper"]
_REPEATED = 3


def net_benefit(
    follow_up: FollowUp, risk: Floats, horizon: float, threshold: float, *, status: Status | None = None
) -> Measured:
    """Net benefit of treating those whose predicted risk reaches ``threshold``: higher is better, 0 is treating nobody.

    Per patient: true positives minus false positives weighted by the odds of the threshold, at which one true positive
    is worth (1 - threshold) / threshold false ones. Patients with a competing event are without the event.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, M) risks of the event of interest by the horizon predicted by M models.
        horizon: days since the landmark.
        threshold: risk from which one would act, above 0 and below 1.
        status: the states at the horizon, when at hand.

    Censored patients are made up for by inverse probability of censoring weights. With nobody censored before the
    horizon, and for treating all, this is the estimate of Vickers (2008) by the Kaplan-Meier or Aalen-Johansen
    incidence among those who would be treated; otherwise the two differ by chance alone where censoring does not
    depend on the predicted risk.

    Vickers AJ, Elkin EB. Med Decis Making 2006;26:565-574. Vickers AJ et al. BMC Med Inform Decis Mak 2008;8:53.
    """
    return decision_measured(follow_up, risk, horizon, [threshold], status=status)


def decision_measured(
    follow_up: FollowUp, risk: Floats, horizon: float, thresholds: ArrayLike, *, status: Status | None = None
) -> Measured:
    """Net benefit of M models at K thresholds, with the influences of n patients: M * K columns, model by model.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, M) risks of the event of interest by the horizon. A risk of 1 treats everybody, below 0 nobody.
        horizon: days since the landmark, supported by the follow-up.
        thresholds: (K,) risks from which one would act, above 0 and below 1.
        status: the states at the horizon, when at hand.

    Returns:
        Value (M * K,), of which ``reshape(M, K)`` has a model in each row, and influence (n, M * K).
    """
    cut = checked_thresholds(thresholds)
    status = follow_up.status(horizon) if status is None else status
    acted = (risk[:, :, None] >= cut).reshape(len(risk), -1)
    return _gained(follow_up, horizon, np.tile(cut, risk.shape[1]), acted, status)


def decision(
    follow_up: FollowUp,
    risk: Floats,
    names: Sequence[str],
    horizon: float,
    thresholds: ArrayLike,
    *,
    level: float = 0.95,
    clusters: Integers | None = None,
    folds: Integers | None = None,
    random_state: int = 0,
    landmark: float = 0.0,
) -> pd.DataFrame:
    """Decision curves of M models, of treating all and of treating none.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, M) risks of the event of interest by the horizon, or (R, n, M) of R repeats of a cross-validation,
            over which net benefits are averaged.
        names: of the M models.
        horizon: days since the landmark.
        thresholds: (K,) risks from which one would act, above 0 and below 1.
        level: of the intervals.
        clusters: (n,) codes from 0; rows of one cluster count as one in standard errors.
        folds: (R, n) codes from 0 of the folds in which patients were held out: intervals then hold refitting.
        random_state: of the simultaneous intervals.
        landmark: days from the time origin; a label of the rows.

    Returns:
        model, landmark, horizon, threshold, value, lower, upper, se, simultaneous_lower, simultaneous_upper: a curve
        after the other. The simultaneous bounds hold over all thresholds of one curve. Numbers are missing where the
        follow-up does not reach the horizon.

    One curve is worked on at a time: memory R * n * K.
    """
    cut = checked_thresholds(thresholds)
    task = _Task(follow_up, risk, names, horizon, cut, level, clusters, folds, random_state, landmark)
    rows = [task.row({"model": name}, task.measured(mask)) for name, mask in task.strategies()]
    return pd.concat(rows, ignore_index=True)


def decision_differences(
    follow_up: FollowUp,
    risk: Floats,
    names: Sequence[str],
    horizon: float,
    thresholds: ArrayLike,
    *,
    level: float = 0.95,
    clusters: Integers | None = None,
    folds: Integers | None = None,
    random_state: int = 0,
    landmark: float = 0.0,
) -> pd.DataFrame:
    """Net benefit of each strategy minus that of each other one, models and treating all or none, by threshold.

    Arguments as for ``decision``.

    Returns:
        model, versus, landmark, horizon, threshold, value (above 0: ``model`` gains more), lower, upper, se,
        simultaneous_lower, simultaneous_upper (over all thresholds of one pair); every ordered pair.
    """
    cut = checked_thresholds(thresholds)
    task = _Task(follow_up, risk, names, horizon, cut, level, clusters, folds, random_state, landmark)
    strategies = list(task.strategies())
    rows = []
    for i, (name, mask) in enumerate(strategies):
        for versus, other in strategies[:i]:
            found = task.row({"model": name, "versus": versus}, task.measured(mask, other))
            rows += [found, _turned(found)]
    return pd.concat(rows, ignore_index=True)


def decision_curve(
    time: ArrayLike,
    event: ArrayLike,
    risks: Mapping[str, ArrayLike],
    *,
    horizon: float,
    thresholds: ArrayLike,
    cause: int = 1,
    level: float = 0.95,
    clusters: ArrayLike | None = None,
    random_state: int = 0,
    landmark: float = 0.0,
) -> pd.DataFrame:
    """Net benefit of every model, of treating all and of treating none, by threshold.

    Args:
        time: (n,) days from the landmark to the first event or the end of follow-up.
        event: (n,) 0 censored, 1.. causes.
        risks: for each model (n,) risks of ``cause`` by ``horizon``.
        horizon: days since the landmark.
        thresholds: risks from which one would act, above 0 and below 1.
        cause: code of the event of interest.
        level: of the intervals.
        clusters: (n,) labels; rows of one cluster (a patient seen several times) count as one in standard errors.
        random_state: of the simultaneous intervals.
        landmark: days from the time origin; a label of the rows.

    Returns:
        The frame of ``decision``; empty values where follow-up does not reach the horizon.

    Raises:
        UsageError: a threshold outside (0, 1), or arrays that do not fit together.
    """
    follow_up, risk, groups = _given(time, event, risks, cause, clusters)
    names = list(risks)
    return decision(
        follow_up, risk, names, horizon, thresholds,
        level=level, clusters=groups, random_state=random_state, landmark=landmark,
    )  # fmt: skip


def net_benefit_differences(
    time: ArrayLike,
    event: ArrayLike,
    risks: Mapping[str, ArrayLike],
    *,
    horizon: float,
    thresholds: ArrayLike,
    cause: int = 1,
    level: float = 0.95,
    clusters: ArrayLike | None = None,
    random_state: int = 0,
    landmark: float = 0.0,
) -> pd.DataFrame:
    """Paired differences in net benefit between models, treating all and treating none, by threshold.

    Arguments and errors as for ``decision_curve``; returns the frame of ``decision_differences``.
    """
    follow_up, risk, groups = _given(time, event, risks, cause, clusters)
    names = list(risks)
    return decision_differences(
        follow_up, risk, names, horizon, thresholds,
        level=level, clusters=groups, random_state=random_state, landmark=landmark,
    )  # fmt: skip


def checked_thresholds(thresholds: ArrayLike) -> Floats:
    """(K,) thresholds as given. Raises UsageError unless all lie between 0 and 1."""
    cut = np.atleast_1d(np.asarray(thresholds, dtype=float))
    wrong = int((~((cut > 0) & (cut < 1))).sum())
    if wrong or cut.ndim != 1 or not len(cut):
        raise UsageError(
            f"thresholds of risk must lie between 0 and 1, at least one; {wrong} of {cut.size} do not. "
            "Give them as shares: 0.1 for 10 %."
        )
    return cut


@dataclass(frozen=True)
class _Task:
    """The decision curves of one landmark and horizon under way."""

    follow_up: FollowUp
    risk: Floats
    names: Sequence[str]
    horizon: float
    cut: Floats
    level: float
    clusters: Integers | None
    folds: Integers | None
    random_state: int
    landmark: float

    @cached_property
    def refused(self) -> str:
        return self.follow_up.unsupported(self.horizon)

    @cached_property
    def status(self) -> Status:
        return self.follow_up.status(self.horizon)

    def strategies(self) -> Iterator[tuple[str, NDArray[np.int8]]]:
        """Every strategy with whom it treats in each repeat at each threshold: (R, n, K) ones and zeros."""
        repeats = self.risk if self.risk.ndim == _REPEATED else self.risk[None]
        shape = (len(repeats), len(self.follow_up), len(self.cut))
        for m, name in enumerate(self.names):
            yield name, (repeats[:, :, m, None] >= self.cut).astype(np.int8)
        yield TREAT_ALL, np.broadcast_to(np.int8(1), shape)
        yield TREAT_NONE, np.broadcast_to(np.int8(0), shape)

    def measured(self, acted: NDArray[np.int8], versus: NDArray[np.int8] | None = None) -> list[Measured]:
        """Net benefit of one strategy, or its difference from another, in each repeat; none where there is none."""
        if self.refused:
            return []
        moved = acted if versus is None else acted - versus
        return [_gained(self.follow_up, self.horizon, self.cut, each, self.status) for each in moved]

    def row(self, who: dict[str, str], repeats: list[Measured]) -> pd.DataFrame:
        """One curve as rows of a frame."""
        numbers = dict.fromkeys(_NUMBERS, np.full(len(self.cut), np.nan))
        if repeats:
            value = np.mean([each.value for each in repeats], axis=0)
            influences = np.stack([each.influence for each in repeats])
            se = error_of(influences, self.folds, self.clusters)
            bounds = interval("net_benefit", value, se, self.level)
            mean = influences.mean(axis=0)
            wide = simultaneous_interval(
                value, mean, self.level, se=se, clusters=self.clusters, random_state=self.random_state
            )
            numbers = dict(zip(_NUMBERS, (value, *bounds, se, *wide), strict=True))
        where = {"landmark": self.landmark, "horizon": float(self.horizon), "threshold": self.cut}
        return pd.DataFrame({**who, **where, **numbers})


def _turned(pair: pd.DataFrame) -> pd.DataFrame:
    """The difference the other way round."""
    swapped = {"model": "versus", "lower": "upper", "simultaneous_lower": "simultaneous_upper"}
    both = swapped | {new: old for old, new in swapped.items()}
    turned = pair.rename(columns=both)[list(pair.columns)]
    signed = [name for name in _NUMBERS if name != "se"]
    turned[signed] = 0.0 - turned[signed]
    return turned


def _gained(follow_up: FollowUp, horizon: float, cut: Floats, acted: NDArray, status: Status) -> Measured:
    """The mean over patients of what acting on them gains; ``acted`` (n, C) may be a difference."""
    if not acted.any():
        return Measured(np.zeros(acted.shape[1]), np.zeros(acted.shape))
    gain = _gains(np.ascontiguousarray(acted), status.case, status.weight, cut / (1 - cut))
    value = gain.mean(axis=0)
    influence = follow_up.censoring_term(gain, horizon)
    influence += gain
    influence -= value
    return Measured(value, influence)


@njit(cache=True)
def _gains(acted: NDArray, case: NDArray[np.bool_], weight: Floats, odds: Floats) -> Floats:  # pragma: no cover
    """(n, C) weighted gain of acting: 1 for a case, the odds of the threshold lost for anybody else."""
    gain = np.empty(acted.shape)
    for i in range(len(acted)):
        for k in range(acted.shape[1]):
            gain[i, k] = acted[i, k] * (weight[i] if case[i] else -odds[k] * weight[i])
    return gain


def _given(
    time: ArrayLike, event: ArrayLike, risks: Mapping[str, ArrayLike], cause: int, clusters: ArrayLike | None
) -> tuple[FollowUp, Floats, Integers | None]:
    """Outcomes, risks (n, M) and codes of clusters, checked."""
    follow_up = FollowUp(*checked_outcomes(time, event, cause), cause)
    n = len(follow_up)
    columns = [np.asarray(risk, dtype=float) for risk in risks.values()]
    if not columns or any(column.shape != (n,) for column in columns):
        raise UsageError(f"risks must hold one number for each of {n} patients, for at least one model")
    wrong = int((~np.isfinite(columns)).any(axis=0).sum())
    if wrong:
        raise UsageError(f"risks are missing for {wrong} of {n} patients: models are compared on the same patients")
    return follow_up, np.column_stack(columns), codes(clusters, n, "clusters")
