"""Measures of one model in subgroups of patients, as nested plain values in which no small group can be counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from osler.reporting.cells import SMALLEST, WITHHELD, reveal
from osler.reporting.frames import given, numbers, real, remark, split, whole
from osler.reporting.measures import ordered
from osler.reporting.words import count

__all__ = ["probability", "subgroup_cells"]

Place = tuple[float, float, str, str, str]


def subgroup_cells(
    subgroups: pd.DataFrame, differences: pd.DataFrame | None, model: str, variables: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One entry per landmark, horizon and measure of one model.

    Args:
        subgroups: "variable", "level", "model", "landmark", "horizon", "measure", "value", "lower", "upper", "n",
            "events", "suppressed", "note".
        differences: a level minus all the other patients: the same keys, "value", "lower", "upper", "p", "p_adjusted".
        model: the model to tell; the first of the frame where it is not in it.
        variables: what to call each variable.

    Returns:
        ``{"landmark", "horizon", "measure", "model", "groups": [{"variable", "label", "levels": [{"level", "n",
        "events", "withheld", "value", "difference", "p", "p_adjusted", "chance"}]}]}``. ``n``, ``events`` and p values
        are text ("chance" is the adjusted p value as a number); a level of fewer than ten patients carries no value,
        and where a level or all the others are so few, there is no difference either.
    """
    if not len(subgroups):
        return []
    present = list(dict.fromkeys(subgroups["model"]))
    told_of = model if model in present else str(present[0])
    apart = _differences(given(differences))
    mine = subgroups[subgroups["model"] == told_of]
    told = [
        {
            "landmark": float(landmark),
            "horizon": float(horizon),
            "measure": str(measure),
            "model": told_of,
            "groups": [
                _group(str(variable), rows, apart, variables) for (variable,), rows in split(part, ["variable"])
            ],
        }
        for (landmark, horizon, measure), part in split(mine, ["landmark", "horizon", "measure"])
    ]
    order = ordered(mine["measure"])
    return sorted(told, key=lambda cell: (cell["landmark"], cell["horizon"], order.index(cell["measure"])))


def _differences(frame: pd.DataFrame) -> dict[Place, dict[str, Any]]:
    return {_place(row): {str(key): value for key, value in row.items()} for row in frame.to_dict("records")}


def _place(row: Mapping[Any, Any]) -> Place:
    return float(row["landmark"]), float(row["horizon"]), *(str(row[k]) for k in ("measure", "variable", "level"))  # type: ignore[return-value]


def _group(
    variable: str, rows: pd.DataFrame, apart: Mapping[Place, Mapping[str, Any]], variables: Mapping[str, str]
) -> dict[str, Any]:
    """The levels of one variable."""
    records = rows.to_dict("records")
    small = [_small(row) for row in records]
    # What a suppressed level does not tell counts as one, so that other levels protect it from being worked out.
    sizes = [_told(row["n"]) for row in records]
    events = [_told(row["events"]) for row in records]
    seen_sizes, seen_events = reveal(sizes), reveal(events)
    levels = []
    for i, (row, hidden) in enumerate(zip(records, small, strict=True)):
        alone = hidden or sum(sizes) - sizes[i] < SMALLEST
        other = {} if alone else apart.get(_place(row), {})
        levels.append(
            {
                "level": str(row["level"]),
                "n": WITHHELD if hidden or seen_sizes[i] is None else count(seen_sizes[i]),
                "events": WITHHELD if hidden or seen_events[i] is None else count(seen_events[i]),
                "withheld": hidden,
                "value": None if hidden else {**numbers(row, "value", "lower", "upper"), "note": remark(row)},
                "difference": {**numbers(other, "value", "lower", "upper"), "note": ""} if other else None,
                "p": probability(other.get("p")),
                "p_adjusted": probability(other.get("p_adjusted")),
                "chance": real(other.get("p_adjusted")),
            }
        )
    return {"variable": variable, "label": variables.get(variable, variable), "levels": levels}


def _told(count: Any) -> int:
    """A count; one that the evaluation does not tell is a small one."""
    found = whole(count)
    return 1 if found is None else found


def _small(row: Mapping[Any, Any]) -> bool:
    n = whole(row["n"])
    return bool(row["suppressed"]) or n is None or 0 < n < SMALLEST


def probability(p: Any) -> str:
    """A p value as text, two digits below 0.1; empty where there is none."""
    value = real(p)
    if value is None:
        return ""
    if value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
