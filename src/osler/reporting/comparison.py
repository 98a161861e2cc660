"""How the models did: the frames of an evaluation as nested plain values, one cell per landmark and horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from osler.reporting.calibration import calibration_cells
from osler.reporting.cells import shown
from osler.reporting.frames import numbers, place_of, rank, real, remark, remarks, split, whole
from osler.reporting.measures import MEASURES, Measure, measure_of, ordered

__all__ = [
    "MEASURES",
    "Measure",
    "calibration_cells",
    "cells",
    "compared",
    "comparisons",
    "measure_of",
    "values",
    "verdict",
    "versus",
]


def cells(metrics: pd.DataFrame, labels: Mapping[str, str], order: Sequence[str]) -> list[dict[str, Any]]:
    """One entry per landmark and horizon (None for measures over all horizons), in time order.

    Returns:
        ``{"landmark", "horizon", "at_risk", "events", "effective", "measures": [name], "notes": [text],
        "rows": [{"model", "label", "values": {measure: {"value", "lower", "upper", "se", "calibrated_lower",
        "calibrated_upper", "outside", "note"}}}]}``. ``at_risk`` (followed to the horizon or longer), ``events`` and
        ``effective`` (sample size that the weights leave; empty when not known) are text, small counts withheld.
        ``outside`` is whether a value lies outside the range of perfectly calibrated risks; None where there is none.
    """
    told = []
    for (landmark, horizon), cell in split(metrics, ["landmark", "horizon"]):
        models = [name for name in order if name in set(cell["model"])]
        effective = whole(cell["effective"].max()) if "effective" in cell else None
        told.append(
            {
                "landmark": float(landmark),
                "horizon": real(horizon),
                "at_risk": shown(whole(cell["at_risk"].max())),
                "events": shown(whole(cell["events"].max())),
                "effective": "" if effective is None else shown(effective),
                "measures": ordered(cell["measure"]),
                "notes": remarks(cell),
                "rows": [
                    {"model": name, "label": labels[name], "values": values(cell[cell["model"] == name])}
                    for name in models
                ],
            }
        )
    return sorted(told, key=place_of)


def values(part: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The rows of one model by their measure."""
    return {str(row["measure"]): _value(row) for row in part.to_dict("records")}


def _value(row: Mapping[Any, Any]) -> dict[str, Any]:
    told: dict[str, Any] = numbers(row, "value", "lower", "upper", "se", "calibrated_lower", "calibrated_upper")
    value, low, high = told["value"], told["calibrated_lower"], told["calibrated_upper"]
    judged = value is not None and low is not None and high is not None
    return {**told, "outside": not low <= value <= high if judged else None, "note": remark(row)}


def comparisons(
    differences: pd.DataFrame, labels: Mapping[str, str], order: Sequence[str], opponents: Sequence[str]
) -> list[dict[str, Any]]:
    """Paired differences against some opponents, one entry per landmark, horizon and opponent.

    Returns:
        ``{"landmark", "horizon", "versus", "label", "together", "measures", "rows": [{"model", "label", "values"}]}``;
        each value carries "verdict": "better", "worse" or "undecided" (its interval holds zero), the bounds
        "wide_lower" and "wide_upper" that hold for all comparisons read together, and "together": whether the verdict
        stands by these too. The cell's "together" says whether there are such bounds.
    """
    told = []
    differences = differences[differences["versus"].isin(opponents)] if len(differences) else differences
    for (opponent, landmark, horizon), cell in split(differences, ["versus", "landmark", "horizon"]):
        rows: list[dict[str, Any]] = [
            {"model": name, "label": labels[name], "values": compared(cell[cell["model"] == name])}
            for name in order
            if name in set(cell["model"]) and name != opponent
        ]
        told.append(
            {
                "landmark": float(landmark),
                "horizon": real(horizon),
                "versus": str(opponent),
                "label": labels.get(str(opponent), str(opponent)),
                "together": any(v["wide_lower"] is not None for row in rows for v in row["values"].values()),
                "measures": ordered(cell["measure"]),
                "rows": rows,
            }
        )
    return sorted(told, key=lambda cell: (*place_of(cell), rank(order, cell["versus"])))


def compared(part: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Differences by their measure, each with its verdict; see ``comparisons``."""
    told = {}
    for row in part.to_dict("records"):
        measure = measure_of(str(row["measure"]))
        wide = {f"wide_{end}": real(row.get(f"simultaneous_{end}")) for end in ("lower", "upper")}
        value = {**numbers(row, "value", "lower", "upper", "se"), **wide, "note": remark(row)}
        found = verdict(measure, value["lower"], value["upper"])  # type: ignore[arg-type]
        still = verdict(measure, value["wide_lower"], value["wide_upper"])  # type: ignore[arg-type]
        told[measure.name] = {**value, "verdict": found, "together": found != "undecided" and still == found}
    return told


def verdict(measure: Measure, lower: float | None, upper: float | None) -> str:
    """Whether an interval of a difference is all on the better side, all on the worse, or neither.

    Measures of calibration are never called better or worse: their differences are dominated by chance.
    """
    if lower is None or upper is None or lower <= 0 <= upper:
        return "undecided"
    if measure.kind == "calibration" or measure.best not in ("high", "low"):
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
