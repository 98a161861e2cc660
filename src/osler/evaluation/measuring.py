"""Measuring: every measure by its name, of several models on the same patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from osler.evaluation.accuracy import brier, integrated_brier, prediction_accuracy
from osler.evaluation.antolini import time_dependent_concordance
from osler.evaluation.calibration import observed_expected
from osler.evaluation.concordance import concordance
from osler.evaluation.discrimination import Controls, auc
from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.recalibration import calibration_intercept, calibration_slope
from osler.evaluation.royston import royston
from osler.survival.nonparametric import aalen_johansen

__all__ = [
    "COMPARED",
    "EVERY_MEASURE",
    "FURTHER_MEASURES",
    "MEASURES",
    "RANKS",
    "SMOOTH_MEASURES",
    "UNDEFINED",
    "Pooled",
    "measure",
    "null_risk",
    "pooled",
    "risks_at",
]

Floats = NDArray[np.float64]
Found = Measured | str
#: What is measured unless told otherwise.
MEASURES = ("auc", "brier", "integrated_brier", "ipa", "observed_expected")
#: What needs a smooth curve of calibration, bootstrap and simulation: costlier than the others.
SMOOTH_MEASURES = ("ici", "e50", "e90", "d_calibration")
#: What can be asked for besides.
FURTHER_MEASURES = (
    *("c_index", "harrell_c", "antolini_c", "royston_d", "royston_r2"),
    *("calibration_intercept", "calibration_slope", *SMOOTH_MEASURES),
)
EVERY_MEASURE = (*MEASURES, *FURTHER_MEASURES)
#: Measures for which models are compared in pairs.
COMPARED = ("auc", "brier", "integrated_brier", "ipa", "c_index", "harrell_c", "antolini_c")
#: Measures of order alone, which few patients can meet perfectly by chance.
RANKS = ("auc", "c_index", "harrell_c", "antolini_c")
#: The note of a value that some predictions cannot have, such as the slope of risks that are all alike.
UNDEFINED = "not defined for these predictions"
_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Pooled:
    """One measure of M models, averaged over repeats of a cross-validation.

    Attributes:
        value: (M,) means over the repeats in which it could be had.
        influences: (R, n, M) of those repeats; none where it never could.
        reason: why it could not be had, in some repeat or in all.
    """

    value: Floats
    influences: Floats
    reason: str = ""

    @classmethod
    def nothing(cls, models: int, n: int, reason: str) -> Pooled:
        """A measure that could not be had."""
        return cls(np.full(models, np.nan), np.empty((0, n, models)), reason)

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return bool(len(self.influences))


def pooled(repeats: Sequence[Found], models: int, n: int = 0) -> Pooled:
    """The mean over the repeats that have a value."""
    known = [each for each in repeats if isinstance(each, Measured)]
    reasons = "; ".join(dict.fromkeys(each for each in repeats if isinstance(each, str)))
    if not known:
        return Pooled.nothing(models, n, reasons)
    value = np.mean([each.value for each in known], axis=0)
    return Pooled(value, np.stack([each.influence for each in known]), reasons)


def measure(
    names: Iterable[str],
    follow_up: FollowUp,
    curves: Sequence[Floats],
    times: Floats,
    horizon: float,
    *,
    strata: NDArray[np.int64] | None = None,
    controls: Controls = "free_of_cause",
    null: Floats | None = None,
    integrated: Found | None = None,
) -> dict[str, Found]:
    """Measures of M models at one horizon that the follow-up supports.

    Args:
        names: of ``EVERY_MEASURE``, but ``SMOOTH_MEASURES``, which ``calibration_report.assess`` makes.
        follow_up: outcomes of n patients.
        curves: of each model, (n, T) risks of the event of interest by each of ``times``.
        times: (T,) days since the landmark, ascending.
        horizon: days since the landmark.
        strata: (n,) codes within which AUC and the C-indices compare.
        controls: of AUC.
        null: (n,) risks of the model that knows nothing; by default the Aalen-Johansen estimate among these patients.
        integrated: the integrated Brier score, where it is at hand.

    Returns:
        For each name the values and influences or, in words, why there are none.
    """
    wanted = tuple(names)
    risk = risks_at(curves, times, horizon)
    status = follow_up.status(horizon)
    found: dict[str, Found] = {}
    if {"brier", "ipa"} & set(wanted):
        reference = null_risk(follow_up, horizon) if null is None else null
        scores = brier(follow_up, np.column_stack([risk, reference]), horizon, status=status)
        models = Measured(scores.value[:-1], scores.influence[:, :-1])
        found["brier"] = models
        found["ipa"] = prediction_accuracy(models, Measured(scores.value[-1:], scores.influence[:, -1:]))
    if "integrated_brier" in wanted:
        found["integrated_brier"] = (
            integrated_brier(follow_up, list(curves), times, [horizon])[horizon] if integrated is None else integrated
        )
    if {"royston_d", "royston_r2"} & set(wanted):
        found |= royston(follow_up, risk, horizon)
    how: dict[str, Callable[[], Found]] = {
        "auc": partial(auc, follow_up, risk, horizon, status=status, strata=strata, controls=controls),
        "c_index": partial(concordance, follow_up, risk, horizon, strata=strata),
        "harrell_c": partial(concordance, follow_up, risk, horizon, weighted=False, strata=strata),
        "antolini_c": partial(time_dependent_concordance, follow_up, list(curves), times, horizon, strata=strata),
        "observed_expected": partial(observed_expected, follow_up, risk, horizon),
        "calibration_intercept": partial(calibration_intercept, follow_up, risk, horizon, status=status),
        "calibration_slope": partial(calibration_slope, follow_up, risk, horizon, status=status),
    }
    return {name: found[name] if name in found else how[name]() for name in wanted}


def risks_at(curves: Sequence[Floats], times: Floats, at: float) -> Floats:
    """(n, M) risks at a time, linear between the times given, from 0 at time 0; curves (n, T) of M models."""
    right = min(int(np.searchsorted(times, at, "left")), len(times) - 1)
    if np.isclose(times[right], at, rtol=_TOLERANCE, atol=0.0):
        return np.column_stack([curve[:, right] for curve in curves])
    before = times[right - 1] if right else 0.0
    share = (at - before) / (times[right] - before)
    earlier = [curve[:, right - 1] if right else 0.0 for curve in curves]
    return np.column_stack([(1 - share) * a + share * c[:, right] for a, c in zip(earlier, curves, strict=True)])


def null_risk(follow_up: FollowUp, at: float) -> Floats:
    """(n,) the Aalen-Johansen estimate at a time, the same for everybody; with weights that depend on the patients, the
    weighted share of cases.

    How the estimate varies does not matter: it is where the Brier score of a common risk is least.
    """
    if follow_up.conditional:
        status = follow_up.status(at)
        return np.full(len(follow_up), float(status.weight @ status.case) / max(float(status.weight.sum()), 1e-300))
    event = np.where(follow_up.event == follow_up.cause, 1, np.where(follow_up.event > 0, 2, 0))
    incidence, _ = aalen_johansen(follow_up.time, event, [at], 2)
    return np.full(len(follow_up), incidence[0, 0])
