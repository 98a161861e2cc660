"""How the models did: the frames of an evaluation as nested plain values, one cell per landmark and horizon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from osler.reporting.cells import reveal, shown
from osler.reporting.words import known, number, points

__all__ = ["MEASURES", "Measure", "calibration_cells", "cells", "comparisons", "versus"]


@dataclass(frozen=True)
class Measure:
    """How a measure is told.

    Attributes:
        name: its key in the evaluation.
        label: column heading.
        meaning: one line for readers who do not meet it every day.
        best: "high", "low", or the number that is ideal.
        scale: 100 when values are shown as percentages.
        digits: decimals.
        nothing: the value of a model that knows nothing, where there is one.
    """

    name: str
    label: str
    meaning: str
    best: str | float
    digits: int = 3
    scale: float = 1.0
    nothing: float | None = None

    def show(self, value: Any) -> str:
        """A value as text."""
        if self.scale == 100:
            return f"{number(100 * value, self.digits)}%" if known(value) else number(None)
        return number(value, self.digits)

    def show_difference(self, value: Any) -> str:
        """A difference of two values, with its sign."""
        if self.scale == 100:
            return points(value) if known(value) else number(None)
        return number(value, self.digits, plus=True)


_ALL = (
    Measure(
        "auc",
        "AUC",
        "Of two patients, one with the event by the horizon and one without, how often the first has the higher risk. "
        "0.5 is chance, 1 is perfect.",
        "high",
        nothing=0.5,
    ),
    Measure(
        "c_index", "C-index", "How often, of two patients, the one with the earlier event has the higher risk.", "high"
    ),
    Measure(
        "brier",
        "Brier score",
        "Mean squared distance between predicted risk and what happened. Lower is better.",
        "low",
        4,
    ),
    Measure(
        "integrated_brier",
        "Integrated Brier score",
        "The Brier score averaged over time up to the horizon. Lower is better.",
        "low",
        4,
    ),
    Measure(
        "ipa",
        "IPA",
        "Index of prediction accuracy: how much of the Brier score of the average risk is removed. 0% is nothing, "
        "below 0% is harm.",
        "high",
        1,
        100.0,
        nothing=0.0,
    ),
    Measure(
        "observed_expected",
        "Observed / expected",
        "Events that happened for each event predicted. Above 1: risks were too low; below 1: too high.",
        1.0,
        2,
        nothing=1.0,
    ),
    Measure(
        "calibration_slope", "Calibration slope", "1 is ideal; below 1, risks are too extreme.", 1.0, 2, nothing=1.0
    ),
    Measure(
        "calibration_intercept", "Calibration intercept", "0 is ideal; above 0, risks are too low.", 0.0, 2, nothing=0.0
    ),
    Measure("ici", "ICI", "Mean distance between predicted and observed risk. Lower is better.", "low", 3),
    Measure("e50", "E50", "Median distance between predicted and observed risk. Lower is better.", "low", 3),
    Measure("e90", "E90", "90th percentile of the distance between predicted and observed risk.", "low", 3),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}


def measure_of(name: str) -> Measure:
    """How to tell a measure, known here or not."""
    return MEASURES.get(name) or Measure(name, name.replace("_", " "), "", "high")


def cells(metrics: pd.DataFrame, labels: Mapping[str, str], order: Sequence[str]) -> list[dict[str, Any]]:
    """One entry per landmark and horizon (None for measures over all horizons), in time order.

    Returns:
        ``{"landmark", "horizon", "at_risk", "events", "measures": [name], "notes": [text],
        "rows": [{"model", "label", "values": {measure: {"value", "lower", "upper", "se", "note"}}}]}``.
        ``at_risk`` (followed to the horizon or longer) and ``events`` are text, small counts withheld.
    """
    told = []
    for (landmark, horizon), cell in _split(metrics, ["landmark", "horizon"]):
        models = [name for name in order if name in set(cell["model"])]
        told.append(
            {
                "landmark": float(landmark),
                "horizon": _number(horizon),
                "at_risk": shown(_whole(cell["at_risk"].max())),
                "events": shown(_whole(cell["events"].max())),
                "measures": [name for name in _ordered(cell["measure"])],
                "notes": sorted({str(note) for note in cell["note"].dropna() if str(note)}),
                "rows": [
                    {"model": name, "label": labels[name], "values": _values(cell[cell["model"] == name])}
                    for name in models
                ],
            }
        )
    return sorted(told, key=lambda cell: (cell["landmark"], cell["horizon"] is None, cell["horizon"] or 0.0))


def _split(frame: pd.DataFrame, names: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The parts of a frame that agree in ``names``, missing horizons included, in the order in which they come."""
    yield from frame.groupby(names, dropna=False, sort=False)  # type: ignore[misc]


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else round(float(value))


def _ordered(names: pd.Series) -> list[str]:
    present = list(dict.fromkeys(names))
    return [name for name in MEASURES if name in present] + [name for name in present if name not in MEASURES]


def _values(part: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {
        str(row["measure"]): {
            **{key: _number(row.get(key)) for key in ("value", "lower", "upper", "se")},
            "note": "" if pd.isna(row.get("note")) else str(row["note"]),
        }
        for row in part.to_dict("records")
    }


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def comparisons(
    differences: pd.DataFrame, labels: Mapping[str, str], order: Sequence[str], opponents: Sequence[str]
) -> list[dict[str, Any]]:
    """Paired differences against some opponents, one entry per landmark, horizon and opponent.

    Returns:
        ``{"landmark", "horizon", "versus", "label", "measures", "rows": [{"model", "label", "values"}]}``; each value
        carries "verdict": "better", "worse" or "undecided" (its interval holds zero).
    """
    told = []
    differences = differences[differences["versus"].isin(opponents)]
    if not len(differences):
        return []
    for (versus_name, landmark, horizon), cell in _split(differences, ["versus", "landmark", "horizon"]):
        rows = []
        for name in (m for m in order if m in set(cell["model"]) and m != versus_name):
            values = _values(cell[cell["model"] == name])
            for measure, value in values.items():
                value["verdict"] = _verdict(measure_of(measure), value["lower"], value["upper"])
            rows.append({"model": name, "label": labels[name], "values": values})
        told.append(
            {
                "landmark": float(landmark),
                "horizon": _number(horizon),
                "versus": str(versus_name),
                "label": labels.get(str(versus_name), str(versus_name)),
                "measures": _ordered(cell["measure"]),
                "rows": rows,
            }
        )
    return sorted(
        told, key=lambda c: (c["landmark"], c["horizon"] is None, c["horizon"] or 0.0, _rank(order, c["versus"]))
    )


def _rank(order: Sequence[str], name: str) -> int:
    return list(order).index(name) if name in order else len(order)


def _verdict(measure: Measure, lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None or measure.best not in ("high", "low") or lower <= 0 <= upper:
        return "undecided"
    return "better" if (lower > 0) == (measure.best == "high") else "worse"


def versus(told: list[dict[str, Any]], model: str, opponent: str, measure: str) -> list[dict[str, Any]]:
    """All differences of one model against one opponent in one measure: the values with their landmark and horizon."""
    return [
        {**row["values"][measure], "landmark": cell["landmark"], "horizon": cell["horizon"]}
        for cell in told
        if cell["versus"] == opponent
        for row in cell["rows"]
        if row["model"] == model and measure in row["values"]
    ]


def calibration_cells(
    calibration: pd.DataFrame, labels: Mapping[str, str], order: Sequence[str]
) -> list[dict[str, Any]]:
    """Calibration in groups of predicted risk, one entry per landmark, horizon and model.

    A group that the evaluation suppressed carries no number here, and no other group's size gives it away.

    Returns:
        ``{"landmark", "horizon", "model", "label", "groups": [{"group", "n", "predicted", "observed", "lower",
        "upper"}]}``; ``n`` is None when withheld, the others None in a suppressed group.
    """
    told = []
    for (landmark, horizon, model), part in _split(calibration, ["landmark", "horizon", "model"]):
        part = part.sort_values("group")
        hidden = part["suppressed"].astype(bool).to_numpy()
        sizes = reveal([_whole(n) or 0 for n in part["n"]])
        groups = [
            {
                "group": int(row["group"]) if known(row["group"]) else str(row["group"]),
                "n": None if suppressed else size,
                **{k: None if suppressed else _number(row[k]) for k in ("predicted", "observed", "lower", "upper")},
            }
            for row, size, suppressed in zip(part.to_dict("records"), sizes, hidden, strict=True)
        ]
        told.append(
            {
                "landmark": float(landmark),
                "horizon": float(horizon),
                "model": str(model),
                "label": labels.get(str(model), str(model)),
                "groups": groups,
            }
        )
    return sorted(told, key=lambda c: (c["landmark"], c["horizon"], _rank(order, c["model"])))
