"""The answer of a study in brief: what may be claimed, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from osler.reporting.comparison import versus
from osler.reporting.measures import MEASURES
from osler.reporting.words import interval, known

__all__ = ["answer", "primary_cell", "spokesman"]

#: The model that knows nothing of the patient.
_NOTHING = "reference"
_ACCURACY = ("integrated_brier", "brier", "ipa")


def primary_cell(cells: list[dict[str, Any]], model: str) -> dict[str, Any] | None:
    """The cell that headlines use: the first landmark, and at it the longest horizon that could be answered."""
    answered = [
        cell
        for cell in cells
        if cell["horizon"] is not None
        and any(known(row["values"].get("auc", {}).get("value")) for row in cell["rows"] if row["model"] == model)
    ]
    if not answered:
        return None
    first = min(cell["landmark"] for cell in answered)
    return max((cell for cell in answered if cell["landmark"] == first), key=lambda cell: cell["horizon"])


def answer(
    cells: list[dict[str, Any]],
    comparisons: list[dict[str, Any]],
    choice: Any,
    labels: Mapping[str, str],
    event: str,
    further: Sequence[str] = (),
) -> dict[str, Any]:
    """The verdict: a headline, the sentences under it, and a tone for the page ("good", "mixed" or "none").

    A headline claims skill only where the interval of a paired difference from the average risk excludes zero.
    ``further`` are sentences on the numbers of the headline, told last where there is a model to use.
    """
    won, asked, together = _beats_reference(comparisons, choice.model)
    best_won, _, _ = _beats_reference(comparisons, choice.best)
    if primary_cell(cells, choice.model) is None:
        tone, headline = "none", "No model could be judged."
        advice = "No landmark and horizon could be evaluated; the limits below say why."
    elif choice.model == _NOTHING or (asked and not best_won):
        tone, headline = "none", "No model was shown to predict better than the average risk of all patients."
        advice = "Do not use individual predictions from this study: everybody's best estimate is the average."
    elif asked and won < asked:
        tone = "mixed"
        headline = f"{_use(choice, labels)} Its gain over the average risk is not certain everywhere."
        advice = f"It is credibly better than the average risk of all patients in {won} of {asked} comparisons"
        advice += f"{_together(together, won)}."
    else:
        tone, headline = "good", _use(choice, labels)
        everywhere = f" in all {asked} comparisons" if asked > 1 else ""
        better = f"It predicts {event} better than the average risk of all patients{everywhere}"
        advice = f"{better}{_together(together, won)}." if asked else ""
    sentences = [text for text in (advice, str(choice.sentence), *(further if tone != "none" else ())) if text]
    model = spokesman(cells, choice)
    return {"headline": headline, "tone": tone, "sentences": sentences, "facts": _facts(cells, model)}


def spokesman(cells: list[dict[str, Any]], choice: Any) -> str:
    """The model whose numbers are told first: the choice or, where nothing beats the average risk, what is nearest."""
    if choice.model != _NOTHING:
        return str(choice.model)
    if choice.best != _NOTHING:
        return str(choice.best)
    cell = primary_cell(cells, _NOTHING)
    rivals = [] if cell is None else [row for row in cell["rows"] if row["model"] != _NOTHING]
    scored = [row for row in rivals if known(row["values"].get("ipa", {}).get("value"))]
    return str(max(scored, key=lambda row: row["values"]["ipa"]["value"])["model"]) if scored else _NOTHING


def _use(choice: Any, labels: Mapping[str, str]) -> str:
    chosen, best = (labels.get(name, name) for name in (choice.model, choice.best))
    if choice.simpler_is_as_good and choice.model != choice.best:
        return f"{chosen}, the simpler model, is as good as {best}: use it."
    return f"{chosen} is the model to use."


def _beats_reference(comparisons: list[dict[str, Any]], model: str) -> tuple[int, int, int | None]:
    """In how many landmarks and horizons the model is credibly more accurate than the average risk, and of how many.

    The third number counts those in which that holds for all comparisons read together; None where this is not known.
    """
    for measure in _ACCURACY:
        found = [value for value in versus(comparisons, model, _NOTHING, measure) if known(value["value"])]
        if found:
            better = [value for value in found if value["verdict"] == "better"]
            judged = any(value["wide_lower"] is not None for value in found)
            return len(better), len(found), sum(value["together"] for value in better) if judged else None
    return 0, 0, None


def _together(together: int | None, won: int) -> str:
    if together is None or not won:
        return ""
    held = "also" if together == won else f"{together} of these also" if together else "none of these"
    return f" ({held} when all comparisons are read together)"


def _facts(cells: list[dict[str, Any]], model: str) -> list[dict[str, str]]:
    """Headline numbers of a model, each with its interval and its meaning."""
    cell = primary_cell(cells, model)
    if cell is None:
        return []
    values = next(row["values"] for row in cell["rows"] if row["model"] == model)
    told = {
        name: values[name] for name in ("auc", "ipa", "observed_expected") if known(values.get(name, {}).get("value"))
    }
    return [
        {
            "label": MEASURES[name].label,
            "value": MEASURES[name].show(value["value"]),
            "interval": interval(value["lower"], value["upper"], MEASURES[name].show),
            "meaning": _meaning(name, value["value"]),
        }
        for name, value in told.items()
    ]


def _meaning(name: str, value: float) -> str:
    if name == "auc":
        rightly = round(100 * value)
        return f"Of 100 pairs of patients, one with and one without the event, about {rightly} are ranked rightly."
    if name == "ipa":
        return "of the prediction error of the average risk is removed (index of prediction accuracy)."
    return "events happened for each event predicted."
