"""Sentence: what an external validation found, in words that claim no more than the numbers bear."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from osler.evaluation import Evaluation
from osler.evaluation.closed_test import Recommendation
from osler.external.updates import SUFFIX
from osler.reporting.words import capitalise, estimate, number, since, spell

__all__ = ["advice", "p_value", "told"]

#: How each update is asked for, and called when it is done.
_ASKED = {
    "in_the_large": "Shift the risks",
    "slope": "Shift and stretch the risks",
    "flexible": "Update the risks by a flexible map",
}
_ENOUGH = {"in_the_large": "a shift", "slope": "a shift and a slope"}


def told(
    evaluation: Evaluation,
    cohort: str,
    labels: Mapping[str, str],
    updated: tuple[str, Recommendation] | None,
) -> str:
    """The finding at the first landmark and the longest horizon that could be answered.

    Args:
        evaluation: of the model and its updates, or of several models.
        cohort: where they were judged.
        labels: what to call each model.
        updated: the model whose risks were updated and what its tests recommend; None when nothing was updated.
    """
    where = _primary(evaluation.metrics)
    if where is None:
        reasons = "; ".join(sorted({str(note) for note in evaluation.metrics["note"] if str(note)}))
        return f"Nothing could be judged in {cohort}: {reasons or 'no measure has a value'}."
    landmark, horizon = where
    place = f"{cohort}, {since(landmark)}, {spell(horizon)} ahead"
    metrics = evaluation.metrics.query("landmark == @landmark and horizon == @horizon")
    differences = evaluation.differences.query("landmark == @landmark and horizon == @horizon")
    if updated is None and metrics["model"].nunique() > 1:
        return _several(metrics, differences, labels, place)
    name = updated[0] if updated is not None else str(metrics["model"].iloc[0])
    first = f"{capitalise(labels[name])}, in {place}: {_skill(metrics, name)}."
    if updated is None:
        return first
    return f"{first} {advice(updated[1])}{_gain(metrics, differences, *updated)}"


def advice(recommendation: Recommendation) -> str:
    """What to do with the risks, and the tests that say so."""
    p, method = recommendation.p, recommendation.method
    if not p:
        return "No update could be tested: too few events, or risks that do not differ."
    if method == "as_is":
        return f"No update is called for: what one would change is within chance ({p_value(p['as_is'])})."
    reasons = [f"as they are they do not fit ({p_value(p['as_is'])})"]
    for simpler, words in _ENOUGH.items():
        if simpler != method and simpler in p:
            reasons.append(f"{words} is not enough ({p_value(p[simpler])})")  # type: ignore[index]
    if method in p:
        reasons.append(f"nothing more is called for ({p_value(p[method])})")
    return f"{_ASKED[method]}: {', '.join(reasons)}."


def p_value(p: float) -> str:
    """``"p = 0.03"``, ``"p < 0.001"``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"


def _primary(metrics: pd.DataFrame) -> tuple[float, float] | None:
    answered = metrics[(metrics["measure"] == "brier") & metrics["value"].notna()]
    if not len(answered):
        return None
    first = float(answered["landmark"].min())
    return first, float(answered.loc[answered["landmark"] == first, "horizon"].max())


def _row(frame: pd.DataFrame, measure: str, **where: str) -> pd.Series | None:
    """The row of one measure that has a value, or None."""
    here = (frame["measure"] == measure) & frame["value"].notna()
    for column, name in where.items():
        here &= frame[column] == name
    found = frame[here]
    return found.iloc[0] if len(found) else None


def _shown(row: pd.Series, digits: int, plus: bool = False) -> str:
    value, lower, upper = (float(row[name]) for name in ("value", "lower", "upper"))
    return estimate(value, lower, upper, lambda shown: number(shown, digits, plus=plus))


def _skill(metrics: pd.DataFrame, name: str) -> str:
    auc, ratio, brier = (_row(metrics, m, model=name) for m in ("auc", "observed_expected", "brier"))
    said = []
    if auc is not None:
        said.append(f"AUC {_shown(auc, 2)}")
    if ratio is not None:
        said.append(f"{_shown(ratio, 2)} events happened for each predicted")
    if not said and brier is not None:
        said.append(f"Brier score {_shown(brier, 4)}")
    return "; ".join(said)


def _gain(metrics: pd.DataFrame, differences: pd.DataFrame, name: str, recommendation: Recommendation) -> str:
    """What the recommended update does to patients whose outcome it had not seen."""
    after = name + SUFFIX[recommendation.method]
    ratio = _row(metrics, "observed_expected", model=after)
    brier = _row(differences, "brier", model=after, versus=name)
    if after == name or ratio is None or brier is None:
        return ""
    return (
        f" Among patients whom the update had not seen, events per event predicted become {_shown(ratio, 2)}, and the "
        f"Brier score changes by {_shown(brier, 4, plus=True)} (below zero is better)."
    )


def _several(metrics: pd.DataFrame, differences: pd.DataFrame, labels: Mapping[str, str], place: str) -> str:
    scores = metrics[(metrics["measure"] == "brier") & metrics["value"].notna()].sort_values("value", kind="stable")
    best, following = (str(name) for name in scores["model"].iloc[:2])
    row = _row(differences, "brier", model=best, versus=following)
    said = f"{capitalise(labels[best])} has the lowest Brier score of {len(scores)} models ({_skill(metrics, best)})"
    if row is None:
        return f"In {place}: {said}."
    apart = "the data tell them apart" if row["upper"] < 0 else "the data do not tell them apart"
    return (
        f"In {place}: {said}; against {labels[following]}, the next, the difference is {_shown(row, 4, plus=True)}: "
        f"{apart}."
    )
