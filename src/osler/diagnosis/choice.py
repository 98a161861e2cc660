"""Choice: the simplest classifier that is as good as the best, and whether the network is worth its weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from osler.diagnosis.evaluation import ClassEvaluation
from osler.evaluation.comparison import Choice

__all__ = ["choose_classifier", "verdict"]

_MEASURE = "brier"
_NOTHING, _SIMPLE, _RICH = "shares", "logistic", "network"


def choose_classifier(evaluation: ClassEvaluation, order: Sequence[str], labels: Mapping[str, str]) -> Choice:
    """The simplest model whose Brier score is within one standard error (of the paired difference) of the best.

    Args:
        evaluation: of all models in ``order``.
        order: names, from the simplest to the richest.
        labels: what to call them.
    """
    score = {name: float(evaluation.value(name, _MEASURE)["value"]) for name in order}
    best = min(order, key=score.__getitem__)
    gaps = {name: _gap(evaluation, name, best) for name in order if name != best}
    model = next(name for name in order if name == best or gaps[name]["value"] <= gaps[name]["se"])
    told = f"{labels[best]} has the lowest Brier score ({score[best]:.4f})"
    if model != best:
        gap = gaps[model]
        near = f"difference {gap['value']:.4f}, standard error {gap['se']:.4f}"
        said = "knowing nothing of the patient is as good" if model == _NOTHING else "the simpler model is as good"
        sentence = f"{told}, but {said}: {labels[model]} is within one standard error of it ({near})."
    elif best == order[0]:
        sentence = f"{told}; nothing richer is better."
    else:
        sentence = f"{told}; no simpler model comes within one standard error of it."
    return Choice(model, best, sentence, simpler_is_as_good=model != best)


def verdict(evaluation: ClassEvaluation, order: Sequence[str], labels: Mapping[str, str]) -> str:
    """Whether the network is better than logistic regression, by the interval of the difference of Brier scores.

    Empty where one of the two was not asked.
    """
    if not {_SIMPLE, _RICH} <= set(order):
        return ""
    brier, auc = (_gap(evaluation, _RICH, _SIMPLE, measure) for measure in (_MEASURE, "auc"))
    level = f"{100 * evaluation.level:g}%"
    numbers = f"difference of Brier scores {_told(brier, 4)}, {level} interval {_bounds(brier, 4)}"
    ranks = f" Its AUC differs by {_told(auc, 3)} ({_bounds(auc, 3)})." if np.isfinite(auc["value"]) else ""
    if brier["upper"] < 0:
        return f"{labels[_RICH]} is better than {labels[_SIMPLE].lower()} ({numbers}).{ranks}"
    if brier["lower"] > 0:
        return f"{labels[_RICH]} is worse than {labels[_SIMPLE].lower()} ({numbers}): use the simple model.{ranks}"
    simple = labels[_SIMPLE].lower()
    return f"{labels[_RICH]} is no better than {simple}, as far as these patients tell ({numbers}).{ranks}"


def _told(gap: pd.Series, digits: int) -> str:
    return f"{gap['value']:+.{digits}f}".replace("-", "−")


def _bounds(gap: pd.Series, digits: int) -> str:
    return f"{gap['lower']:+.{digits}f} to {gap['upper']:+.{digits}f}".replace("-", "−")


def _gap(evaluation: ClassEvaluation, model: str, versus: str, measure: str = _MEASURE) -> pd.Series:
    d = evaluation.differences
    found = d[(d["model"] == model) & (d["versus"] == versus) & (d["measure"] == measure) & (d["class"] == "")]
    return found.iloc[0] if len(found) else pd.Series({"value": np.nan, "lower": np.nan, "upper": np.nan, "se": 0.0})
