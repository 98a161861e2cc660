"""Evaluations of several landmarks made one, and the means over landmarks with every patient counted once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.errors import UsageError
from osler.evaluation.estimate import interval, standard_error
from osler.evaluation.evaluation import FRAMES, Evaluation, Kept, framed
from osler.evaluation.measuring import COMPARED, EVERY_MEASURE
from osler.evaluation.refitting import refitted_error

__all__ = ["Mean", "combine", "mean_over"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mean:
    """A measure of M models averaged over landmarks.

    Attributes:
        value, se: (M,) the means and their standard errors.
        difference, difference_se: (M, M) of the row's model minus the column's.
        landmarks: how many the mean is over.
    """

    value: Floats
    se: Floats
    difference: Floats
    difference_se: Floats
    landmarks: int


def combine(evaluations: Sequence[Evaluation]) -> Evaluation:
    """One Evaluation of many, each of another landmark: cells one below the other, and means over landmarks.

    The means (``overall``, ``overall_differences``) are over the landmarks at which every model has a value at that
    horizon. Rows of one patient at several landmarks count as one in their errors; they are made where ``evaluate``
    was told who the patients are.

    Raises:
        UsageError: nothing to combine, a landmark twice, intervals of different levels, other models or null models.
    """
    if not evaluations:
        raise UsageError("there is no evaluation to combine")
    first = evaluations[0]
    if any(other.level != first.level or other.null != first.null for other in evaluations):
        raise UsageError("only evaluations with intervals of one level, against one null model, can be combined")
    if len({other.models for other in evaluations}) > 1:
        raise UsageError("only evaluations of the same models, in the same order, can be combined")
    landmarks = [moment for each in evaluations for moment in each.metrics["landmark"].unique()]
    if len(set(landmarks)) < len(landmarks):
        raise UsageError(
            "each landmark can be given once; risks of several repeats of a cross-validation are given to evaluate "
            "together, as (repeats, patients, times)"
        )
    stacked = {
        name: pd.concat([each.frames[name] for each in evaluations], ignore_index=True)
        for name in FRAMES
        if not name.startswith("overall")
    }
    kept = tuple(cell for each in evaluations for cell in each.kept)
    overall, differences = _overall(kept, first.models, first.level)
    return Evaluation(
        **stacked,
        overall=framed("overall", overall),
        overall_differences=framed("overall_differences", differences),
        level=first.level,
        null=first.null,
        models=first.models,
        kept=kept,
    )


def mean_over(cells: Sequence[Kept]) -> Mean:
    """The mean of one measure over cells of several landmarks (or horizons), patients counted once.

    Args:
        cells: of the same models; a patient's folds are those of any landmark at which they are held out.
    """
    labels, position = np.unique(np.concatenate([cell.patients for cell in cells]), return_inverse=True)
    ends = np.cumsum([len(cell.patients) for cell in cells])
    where = np.split(position, ends[:-1])
    repeats, models = cells[0].influences.shape[0], cells[0].influences.shape[2]
    summed = np.zeros((repeats, len(labels), models))
    for cell, rows in zip(cells, where, strict=True):
        share = len(labels) / (len(rows) * len(cells))
        for r in range(repeats):
            np.add.at(summed[r], rows, share * cell.influences[r])
    folds = _folds(cells, where, len(labels), repeats)

    def error(influences: Floats) -> Floats:
        return standard_error(influences.mean(axis=0)) if folds is None else refitted_error(influences, folds)

    value = np.mean([cell.value for cell in cells], axis=0)
    pairs = np.stack([error(summed - summed[:, :, [m]]) for m in range(models)], axis=1)
    return Mean(value, error(summed), value[:, None] - value[None, :], pairs, len(cells))


def _folds(cells: Sequence[Kept], where: list[NDArray[np.int64]], n: int, repeats: int) -> NDArray[np.int64] | None:
    if any(cell.folds is None for cell in cells):
        return None
    given = [cell.folds for cell in cells if cell.folds is not None and len(cell.folds) == repeats]
    if len(given) < len(cells):
        return None
    codes = np.unique(np.concatenate(given, axis=1), return_inverse=True)[1].reshape(repeats, -1)
    folds = np.zeros((repeats, n), dtype=np.int64)
    folds[:, np.concatenate(where)] = codes
    return folds


def _overall(kept: Iterable[Kept], models: tuple[str, ...], level: float) -> tuple[list[Any], list[Any]]:
    groups: dict[tuple[float, str], list[Kept]] = {}
    for cell in kept:
        if np.isfinite(cell.value).all():
            groups.setdefault((cell.horizon, cell.measure), []).append(cell)
    order = sorted(groups, key=lambda key: (key[0], EVERY_MEASURE.index(key[1])))
    rows, pairs = [], []
    for horizon, name in order:
        cells = [
            cell for cell in groups[horizon, name] if len(cell.influences) == len(groups[horizon, name][0].influences)
        ]
        mean = mean_over(cells)
        lower, upper = interval(name, mean.value, mean.se, level)
        for m, model in enumerate(models):
            ends = {"value": mean.value[m], "lower": lower[m], "upper": upper[m], "se": mean.se[m]}
            rows.append({"model": model, "horizon": horizon, "measure": name, **ends, "landmarks": mean.landmarks})
        if name not in COMPARED:
            continue
        low, high = interval("difference", mean.difference, mean.difference_se, level)
        for i, j in np.argwhere(~np.eye(len(models), dtype=bool)):
            ends = {
                **{"value": mean.difference[i, j], "lower": low[i, j]},
                **{"upper": high[i, j], "se": mean.difference_se[i, j]},
            }
            pairs.append({"model": models[i], "versus": models[j], "horizon": horizon, "measure": name, **ends})
    return rows, pairs
