"""Evaluations of several landmarks, or of repeats of a cross-validation, made one."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from osler.errors import UsageError
from osler.evaluation.estimate import interval
from osler.evaluation.evaluation import Evaluation

__all__ = ["combine"]


def combine(evaluations: Sequence[Evaluation]) -> Evaluation:
    """One Evaluation of many: landmarks are put one below the other; repeats of one landmark are averaged.

    Repeats are evaluations of the same patients by models fitted on other folds. A value is the mean over repeats, and
    its standard error the mean of theirs: conservative, since a mean over repeats varies no more than one of them.
    A cell with a value in some repeats only has the mean of those, with the note of the others. The calibration curve
    is that of the first repeat: a mean over repeats would have groups of nobody in particular.

    Raises:
        UsageError: nothing to combine, or intervals of different levels or null models.
    """
    if not evaluations:
        raise UsageError("there is no evaluation to combine")
    first = evaluations[0]
    if any(other.level != first.level or other.null != first.null for other in evaluations):
        raise UsageError("only evaluations with intervals of one level, against one null model, can be combined")
    calibration: dict[tuple[float, ...], pd.DataFrame] = {}
    for evaluation in evaluations:
        moments = tuple(sorted(set(evaluation.metrics["landmark"])))
        calibration.setdefault(moments, evaluation.calibration)
    curves = [curve for curve in calibration.values() if len(curve)] or [first.calibration]
    return Evaluation(
        metrics=_average([e.metrics for e in evaluations], ["model", "landmark", "horizon", "measure"], first.level),
        differences=_average(
            [e.differences for e in evaluations],
            ["model", "versus", "landmark", "horizon", "measure"],
            first.level,
            difference=True,
        ),
        calibration=pd.concat(curves, ignore_index=True),
        level=first.level,
        null=first.null,
    )


def _average(frames: list[pd.DataFrame], keys: list[str], level: float, difference: bool = False) -> pd.DataFrame:
    """Mean of value and standard error per cell, cells in the order of their first appearance."""
    stacked = pd.concat(frames, ignore_index=True)
    if not stacked.duplicated(keys).any():
        return stacked
    columns = list(stacked.columns)
    how = {name: "mean" if name in ("value", "se") else "first" for name in columns if name not in keys}
    if "note" in columns:
        how["note"] = _notes  # type: ignore[assignment]
    averaged = stacked.groupby(keys, sort=False).agg(how).reset_index()
    for measure in averaged["measure"].unique():
        here = averaged["measure"] == measure
        scale = "difference" if difference else str(measure)
        lower, upper = interval(scale, averaged.loc[here, "value"], averaged.loc[here, "se"], level)
        averaged.loc[here, "lower"], averaged.loc[here, "upper"] = lower, upper
    return averaged[columns]


def _notes(notes: pd.Series) -> str:
    return "; ".join(dict.fromkeys(note for note in notes if note))
