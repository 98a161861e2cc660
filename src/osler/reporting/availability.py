"""Measures of one model by what is known of the patients, as nested plain values in which no small group is counted."""

from __future__ import annotations

from typing import Any

import pandas as pd

from osler.evaluation.availability import COVERAGE
from osler.reporting.frames import numbers, remark
from osler.reporting.measures import ordered
from osler.reporting.subgroups import subgroup_cells

__all__ = ["availability_cells"]


def availability_cells(availability: pd.DataFrame, model: str) -> list[dict[str, Any]]:
    """One entry per landmark and horizon.

    Args:
        availability: measures by "level" (the pattern of modalities known), as ``osler.judging`` finds them.
        model: the model to tell; the first of the frame where it is not in it.

    Returns:
        ``{"landmark", "horizon", "model", "measures": [names], "held": bool, "rows": [{"pattern", "n", "events",
        "withheld", "values": {measure: value}, "held": value or None}]}``. ``held`` is the share of patients whose
        event came when its interval said; where the model states no such intervals it is False.
    """
    if not len(availability):
        return []
    of_risk = availability[availability["measure"] != COVERAGE]
    told = subgroup_cells(of_risk, None, model, {})
    coverage = _coverage(availability, told[0]["model"])
    places: dict[tuple[float, float], list[dict[str, Any]]] = {}
    for cell in told:
        places.setdefault((cell["landmark"], cell["horizon"]), []).append(cell)
    return [_cell(*place, cells, coverage) for place, cells in places.items()]


def _cell(
    landmark: float, horizon: float, cells: list[dict[str, Any]], coverage: dict[tuple[float, str], dict[str, Any]]
) -> dict[str, Any]:
    rows = []
    for i, level in enumerate(cells[0]["groups"][0]["levels"]):
        values = {cell["measure"]: cell["groups"][0]["levels"][i]["value"] for cell in cells}
        held = None if level["withheld"] else coverage.get((landmark, level["level"]))
        size = {name: level[name] for name in ("n", "events", "withheld")}
        rows.append({"pattern": level["level"], **size, "values": values, "held": held})
    return {
        "landmark": landmark,
        "horizon": horizon,
        "model": cells[0]["model"],
        "measures": ordered(cell["measure"] for cell in cells),
        "held": any(row["held"] for row in rows),
        "rows": rows,
    }


def _coverage(availability: pd.DataFrame, model: str) -> dict[tuple[float, str], dict[str, Any]]:
    """Coverage of intervals of the time to the event by landmark and pattern."""
    mine = availability[(availability["measure"] == COVERAGE) & (availability["model"] == model)]
    return {
        (float(row["landmark"]), str(row["level"])): {**numbers(row, "value", "lower", "upper"), "note": remark(row)}
        for row in mine.to_dict("records")
    }
