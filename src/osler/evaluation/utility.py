"""Utility: what acting on predicted risks would gain, at every threshold of acting."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from osler.errors import UsageError
from osler.evaluation.estimate import Measured, interval, standard_error
from osler.evaluation.follow_up import FollowUp, Status

__all__ = ["TREAT_ALL", "TREAT_NONE", "decision_curve", "net_benefit"]

Floats = NDArray[np.float64]
#: The strategies that need no model, as they are named in a decision curve.
TREAT_ALL, TREAT_NONE = "treat all", "treat none"


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

    Vickers AJ, Elkin EB. Med Decis Making 2006;26:565-574. Vickers AJ et al. BMC Med Inform Decis Mak 2008;8:53.
    """
    status = follow_up.status(horizon) if status is None else status
    worth = np.where(status.case, 1.0, -threshold / (1 - threshold)) * status.weight
    gain = worth[:, None] * (risk >= threshold)
    value = gain.mean(axis=0)
    return Measured(value, gain - value + follow_up.censoring_term(gain, horizon))


def decision_curve(
    time: ArrayLike,
    event: ArrayLike,
    risks: Mapping[str, ArrayLike],
    *,
    horizon: float,
    thresholds: ArrayLike,
    cause: int = 1,
    level: float = 0.95,
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

    Returns:
        model, threshold, value, lower, upper, se; empty values where follow-up does not reach the horizon.

    Raises:
        UsageError: a threshold outside (0, 1), or risks of another length than the outcomes.
    """
    follow_up = FollowUp(np.asarray(time, dtype=float), np.asarray(event).astype(np.int64), cause)
    cut = np.atleast_1d(np.asarray(thresholds, dtype=float))
    if not ((cut > 0) & (cut < 1)).all():
        raise UsageError("thresholds of risk must lie between 0 and 1")
    columns = {name: np.asarray(risk, dtype=float) for name, risk in risks.items()}
    if any(column.shape != (len(follow_up),) for column in columns.values()):
        raise UsageError(f"risks must hold one number for each of {len(follow_up)} patients")
    names = [*columns, TREAT_ALL, TREAT_NONE]
    matrix = np.column_stack([*columns.values(), np.ones(len(follow_up)), np.full(len(follow_up), -1.0)])
    refused = follow_up.unsupported(horizon)
    status = None if refused else follow_up.status(horizon)
    frames = []
    for threshold in cut:
        value = se = np.full(len(names), np.nan)
        if not refused:
            found = net_benefit(follow_up, matrix, horizon, float(threshold), status=status)
            value, se = found.value, standard_error(found.influence)
        lower, upper = interval("net_benefit", value, se, level)
        part = {"model": names, "threshold": threshold, "value": value, "lower": lower, "upper": upper, "se": se}
        frames.append(pd.DataFrame(part))
    return pd.concat(frames, ignore_index=True)
