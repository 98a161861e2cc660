"""Calibration: do as many events happen as were predicted, overall and in groups of predicted risk?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp
from osler.survival.nonparametric import aalen_johansen, aalen_johansen_influence

__all__ = ["CALIBRATION_COLUMNS", "SMALLEST_CELL", "calibration_groups", "observed_expected"]

Floats = NDArray[np.float64]
CALIBRATION_COLUMNS = ("group", "predicted", "observed", "lower", "upper", "n", "events", "suppressed")
#: Groups of fewer patients are suppressed.
SMALLEST_CELL = 10
_PER_GROUP = 20


def observed_expected(follow_up: FollowUp, risk: Floats, horizon: float) -> Measured | str:
    """Aalen-Johansen incidence at the horizon over the mean predicted risk: 1 is ideal, above it risks are too low.

    Where censoring depends on covariates the incidence is the weighted share of cases; the two are the same otherwise.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, M) risks of the event of interest by the horizon predicted by M models.
        horizon: days since the landmark.

    Returns:
        Values and influences (of the observed and of the mean predicted risk); or, in words, why there is none.
    """
    observed, influence = _incidence(follow_up, horizon)
    expected = risk.mean(axis=0)
    if observed == 0:
        return "no event of interest by the horizon"
    expected = np.where(expected > 0, expected, np.nan)  # a model that predicts no risk at all has no ratio
    value = observed / expected
    return Measured(value, value * (influence[:, None] / observed - (risk - expected) / expected))


def _incidence(follow_up: FollowUp, horizon: float) -> tuple[float, Floats]:
    """Incidence of the event of interest by the horizon, and its influences (n,)."""
    if not follow_up.conditional:
        return aalen_johansen_influence(follow_up.time, follow_up.event, horizon, follow_up.cause)
    status = follow_up.status(horizon)
    cases = status.weight * status.case
    return float(cases.mean()), cases - cases.mean() + follow_up.censoring_term(cases, horizon)


def calibration_groups(
    follow_up: FollowUp, risk: Floats, horizon: float, *, level: float = 0.95, groups: int = 10
) -> pd.DataFrame:
    """Observed and mean predicted risk in quantile groups of one model's predicted risk.

    Args:
        follow_up: outcomes of n patients.
        risk: (n,) predicted risks; equal risks stay in one group.
        horizon: days since the landmark.
        level: of the intervals, which are symmetric on the scale log(-log(1 - observed)).
        groups: at most so many, and not more than one for each 20 patients.

    Returns:
        One row per group, lowest risk first: group (from 1), predicted, observed (Aalen-Johansen), lower, upper, n,
        events, suppressed. A group of fewer than 10 patients is suppressed: it keeps ``n``, and no other number. Where
        a group's follow-up ends before the horizon its observed risk is missing. Where censoring depends on
        covariates, observed is the weighted share of cases, with the weights of all patients together.
    """
    n = len(follow_up)
    cases = None
    if follow_up.conditional and n and not follow_up.unsupported(horizon):
        status = follow_up.status(horizon)
        cases = status.weight * status.case
    wanted = max(1, min(groups, n // _PER_GROUP))
    edges = np.quantile(risk, np.arange(1, wanted) / wanted, method="inverted_cdf") if n else np.zeros(0)
    _, group = np.unique(np.searchsorted(np.unique(edges), risk, "left"), return_inverse=True)
    rows = []
    for code in range(int(group.max()) + 1 if n else 0):
        members = group == code
        part = FollowUp(follow_up.time[members], follow_up.event[members], follow_up.cause)
        numbers = dict.fromkeys(("predicted", "observed", "lower", "upper", "events"), np.nan)
        suppressed = len(part) < SMALLEST_CELL
        if not suppressed:
            weighted = None if cases is None else cases[members]
            numbers.update(_observed(part, horizon, level, weighted), predicted=float(risk[members].mean()))
        rows.append({"group": code + 1, **numbers, "n": len(part), "suppressed": suppressed})
    return pd.DataFrame(rows, columns=list(CALIBRATION_COLUMNS))


def _observed(part: FollowUp, horizon: float, level: float, cases: Floats | None) -> dict[str, float]:
    events = part.events(horizon)
    if part.unsupported(horizon):
        return {"events": float(events)}
    if cases is None:
        event = np.where(part.event == part.cause, 1, np.where(part.event > 0, 2, 0))
        incidence, error = aalen_johansen(part.time, event, [horizon], 2)
        p, se = float(incidence[0, 0]), float(error[0, 0])
    else:
        p, se = min(float(cases.mean()), 1.0), float(cases.std(ddof=1) / np.sqrt(len(part)))
    tail = (1 - level) / 2
    if p == 0 or p >= 1 - 1e-12 or se == 0:  # no error can be read off: the exact bound for those whose state is known
        known = int((part.status(horizon).weight > 0).sum())
        bound = tail ** (1 / known)
        lower, upper = (0.0, 1 - bound) if p < 0.5 else (bound, 1.0)
    else:
        centre, half = np.log(-np.log1p(-p)), ndtri(1 - tail) * se / ((1 - p) * -np.log1p(-p))
        lower, upper = -np.expm1(-np.exp(np.array([centre - half, centre + half])))
    return {"observed": p, "lower": float(lower), "upper": float(upper), "events": float(events)}
