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
    gap = _gap(evaluation, _RICH, _SIMPLE)
    level = f"{100 * evaluation.level:g}%"
    told = f"{gap['value']:+.4f}".replace("-", "−")
    bounds = f"{gap['lower']:+.4f} to {gap['upper']:+.4f}".replace("-", "−")
    numbers = f"difference of Brier scores {told}, {level} interval {bounds}"
    if gap["upper"] < 0:
        return f"{labels[_RICH]} is better than {labels[_SIMPLE].lower()} ({numbers})."
    if gap["lower"] > 0:
        return f"{labels[_RICH]} is worse than {labels[_SIMPLE].lower()} ({numbers}): use the simple model."
    return f"{labels[_RICH]} is no better than {labels[_SIMPLE].lower()}, as far as these patients tell ({numbers})."


def _gap(evaluation: ClassEvaluation, model: str, versus: str) -> pd.Series:
    d = evaluation.differences
    found = d[(d["model"] == model) & (d["versus"] == versus) & (d["measure"] == _MEASURE) & (d["class"] == "")]
    return found.iloc[0] if len(found) else pd.Series({"value": 0.0, "lower": np.nan, "upper": np.nan, "se": 0.0})
