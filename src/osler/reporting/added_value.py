"""What each kind of data adds: models fitted to more and more of the record, as nested plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from osler.reporting.comparison import compared, values
from osler.reporting.frames import given, rank, split
from osler.reporting.measures import ordered

__all__ = ["added_cells", "added_sentences"]

_WHERE = ["landmark", "horizon", "model"]


def added_cells(
    added: pd.DataFrame,
    differences: pd.DataFrame | None,
    verdicts: Sequence[Mapping[str, Any]] | None,
    labels: Mapping[str, str],
    order: Sequence[str],
) -> list[dict[str, Any]]:
    """One entry per landmark, horizon and model.

    Args:
        added: "model", "step" (the data used), "added" (what this step adds), "landmark", "horizon", "measure",
            "value", "lower", "upper", "se".
        differences: the same columns; values are those of a step minus the step before.
        verdicts: "landmark", "horizon", "added", "sentence" and "verdict", and "model" where several were asked.
        labels: what to call each model.
        order: of models.

    Returns:
        ``{"landmark", "horizon", "model", "label", "measures", "gained",
        "sentences": [{"sentence", "finding", "verdict"}], "steps": [{"step", "added", "values", "gains"}]}``: "values"
        and "gains" by measure, gains with a "verdict"; "gained" are the measures that have gains.
    """
    told = []
    gains = given(differences)
    for (landmark, horizon, model), part in split(added, _WHERE):
        here = _here(gains, landmark, horizon, model)
        steps = [
            {
                "step": str(step),
                "added": _text(rows["added"].iloc[0]),
                "values": values(rows),
                "gains": compared(here[here["step"] == step]) if len(here) else {},
            }
            for (step,), rows in split(part, ["step"])
        ]
        told.append(
            {
                "landmark": float(landmark),
                "horizon": float(horizon),
                "model": str(model),
                "label": labels.get(str(model), str(model)),
                "measures": ordered(part["measure"]),
                "gained": ordered(here["measure"]) if len(here) else [],
                "sentences": _said(verdicts or (), landmark, horizon, model),
                "steps": steps,
            }
        )
    return sorted(told, key=lambda cell: (cell["landmark"], cell["horizon"], rank(order, cell["model"])))


def _here(frame: pd.DataFrame, landmark: float, horizon: float, model: str) -> pd.DataFrame:
    if not len(frame):
        return frame
    return frame[(frame["landmark"] == landmark) & (frame["horizon"] == horizon) & (frame["model"] == model)]


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)


def _said(verdicts: Sequence[Mapping[str, Any]], landmark: float, horizon: float, model: str) -> list[dict[str, str]]:
    return [
        {
            "sentence": str(told["sentence"]),
            "finding": str(told.get("finding", told["sentence"])),
            "verdict": str(told["verdict"]),
        }
        for told in verdicts
        if told["landmark"] == landmark and told["horizon"] == horizon and told.get("model", model) == model
    ]


def added_sentences(cells: Sequence[Mapping[str, Any]], landmark: float, horizon: float) -> list[str]:
    """What each kind of data adds at one landmark and horizon, by the first model that was asked, in brief."""
    here = [cell for cell in cells if cell["landmark"] == landmark and cell["horizon"] == horizon]
    return [told["finding"] for told in here[0]["sentences"]] if here else []
