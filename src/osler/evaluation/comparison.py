"""Choice: the simplest model that is as good as the best, and the words to say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from osler.errors import UsageError
from osler.evaluation.combining import mean_over
from osler.evaluation.evaluation import Evaluation
from osler.units import duration

__all__ = ["Choice", "choose"]

_MEASURE = "integrated_brier"
_NOTHING = "reference"


@dataclass(frozen=True)
class Choice:
    """The model to use.

    Attributes:
        model: the simplest model within one standard error of the best.
        best: the model with the least integrated Brier score.
        sentence: the reason in plain words.
        simpler_is_as_good: whether ``model`` is simpler than ``best``.
    """

    model: str
    best: str
    sentence: str
    simpler_is_as_good: bool


def choose(evaluation: Evaluation, *, order: Sequence[str], labels: Mapping[str, str] | None = None) -> Choice:
    """The simplest model whose integrated Brier score is within one standard error of the best.

    Compared is the mean over landmarks of the integrated Brier score at the longest horizon that could be evaluated
    at each. The standard error is that of the paired difference from the best; over landmarks, whose patients are
    largely the same, each patient counts once where it is known who they are, and otherwise it is the mean of the
    landmarks' (which is never too small).

    Args:
        evaluation: with paired differences of all models in ``order``.
        order: names of models, from the simplest to the richest.
        labels: names for the sentence; a name without one stands for itself.

    Raises:
        UsageError: a model of ``order`` was not evaluated.
    """
    names = {name: name for name in order} | dict(labels or {})
    metrics = evaluation.metrics
    missing = [name for name in order if name not in set(metrics["model"])]
    if missing or not len(order):
        raise UsageError(f"these models were not evaluated: {', '.join(missing) or 'none is given'}")
    usable = metrics[(metrics["measure"] == _MEASURE) & metrics["value"].notna() & metrics["model"].isin(order)]
    complete = usable.groupby(["landmark", "horizon"])["model"].nunique().eq(len(order))
    cells = complete[complete].reset_index().groupby("landmark")[["horizon"]].max().reset_index()
    if not len(cells):
        sentence = (
            f"No horizon could be evaluated for all models; {names[order[0]]}, the simplest, is named for that reason."
        )
        return Choice(order[0], order[0], sentence, simpler_is_as_good=False)
    mean = usable.merge(cells, on=["landmark", "horizon"]).groupby("model")["value"].mean().reindex(list(order))
    best = str(mean.idxmin())
    distance, error = _from_best(evaluation, cells, best, order)
    model = next(name for name in order if name == best or distance[name] <= error[name])
    where = _where(cells)
    sentence = _sentence(model, best, mean, distance, error, names, where, _nothing(evaluation, order))
    return Choice(model, best, sentence, simpler_is_as_good=model != best)


def _from_best(
    evaluation: Evaluation, cells: pd.DataFrame, best: str, order: Sequence[str]
) -> tuple[pd.Series, pd.Series]:
    """Mean distance of every model from the best, and its standard error."""
    wanted = set(zip(cells["landmark"].astype(float), cells["horizon"].astype(float), strict=True))
    kept = [k for k in evaluation.kept if k.measure == _MEASURE and (k.landmark, k.horizon) in wanted]
    if len(kept) == len(wanted) and len({len(k.influences) for k in kept}) == 1:
        mean, names = mean_over(kept), list(evaluation.models)
        column = names.index(best)
        distance = pd.Series(mean.difference[:, column], index=names).reindex(list(order))
        return distance, pd.Series(mean.difference_se[:, column], index=names).reindex(list(order))
    differences = evaluation.differences
    pairs = differences[(differences["measure"] == _MEASURE) & (differences["versus"] == best)]
    pairs = (
        pairs.merge(cells, on=["landmark", "horizon"])
        .groupby("model")[["value", "se"]]
        .mean()
        .reindex(list(order))
        .astype(float)
    )
    return pairs["value"].fillna(np.inf), pairs["se"].fillna(0.0)


def _nothing(evaluation: Evaluation, order: Sequence[str]) -> str | None:
    """The model that knows nothing, when it is among those to choose from."""
    name = evaluation.null or _NOTHING
    return name if name in order else None


def _where(cells: pd.DataFrame) -> str:
    horizons = sorted({duration(float(h)) for h in cells["horizon"]})
    over = f", averaged over {len(cells)} landmarks" if len(cells) > 1 else ""
    return f"integrated Brier score up to {' or '.join(horizons)}{over}"


def _sentence(
    model: str,
    best: str,
    mean: pd.Series,
    distance: pd.Series,
    error: pd.Series,
    names: Mapping[str, str],
    where: str,
    nothing: str | None,
) -> str:
    lowest = f"the lowest {where} ({mean[best]:.4f})"
    gap = f"difference {distance[model]:.4f}, standard error {error[model]:.4f}"
    if model == nothing and model == best:
        return f"No model is better than knowing nothing of the patient: {names[model]} has {lowest}."
    if model == nothing:
        return (
            f"No model is better than knowing nothing of the patient: {names[best]} has {lowest}, but "
            f"{names[model]} is within one standard error of it ({mean[model]:.4f}; {gap})."
        )
    if model != best:
        return (
            f"The simpler model is as good: {names[best]} has {lowest}, but {names[model]} is within one standard "
            f"error of it ({mean[model]:.4f}; {gap})."
        )
    if len(mean) == 1:
        return f"{names[best]} is the only model evaluated ({where}: {mean[best]:.4f})."
    if best == mean.index[0]:
        return f"{names[best]}, the simplest model, has {lowest}."
    rival = str(mean[: list(mean.index).index(best)].idxmin())
    return (
        f"{names[best]} has {lowest}; no simpler model comes within one standard error of it (the nearest is "
        f"{names[rival]}, {mean[rival]:.4f}; difference {distance[rival]:.4f}, standard error {error[rival]:.4f})."
    )
