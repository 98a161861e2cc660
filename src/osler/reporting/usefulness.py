"""Usefulness of acting on predicted risks: decision curves as nested plain values, and where a model is of use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from osler.evaluation.utility import TREAT_ALL, TREAT_NONE
from osler.reporting.frames import given, numbers, real, split
from osler.reporting.words import joined, known, percent

__all__ = ["decision_cells", "useful_at", "usefulness_sentence"]

#: Rows of a table of thresholds, at most; between them nothing new happens.
_MOST_ROWS = 12
_STRATEGIES = {TREAT_ALL: "Treat all", TREAT_NONE: "Treat none"}


def decision_cells(
    decision: pd.DataFrame,
    labels: Mapping[str, str],
    chosen: str,
    rivals: Sequence[str],
    differences: pd.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """Decision curves of one model beside some others, treating all and treating none.

    Args:
        decision: "model", "landmark", "horizon", "threshold", "value", "lower", "upper", and simultaneous bounds.
        labels: what to call each model.
        chosen: the model whose usefulness is asked.
        rivals: the models shown beside it.
        differences: paired, "model" minus "versus" (treating all and none among them): with the same columns. Without
            them, curves are compared by whether their intervals meet, which asks more.

    Returns:
        One entry per landmark and horizon in which the chosen model was answered: ``{"landmark", "horizon", "lines",
        "useful": [(from, to)], "asked": (from, to), "paired": whether compared by paired differences, "rows":
        [{"threshold", "values": [...], "useful"}]}``. A line is
        ``{"model", "label", "role", "points"}``, role "chosen", "rival", "all" or "none"; a point is "threshold",
        "value", "lower", "upper", "wide_lower", "wide_upper" (over all thresholds together). "useful" holds the
        stretches of thresholds in which the chosen model is credibly better than treating all and than treating none.
    """
    told = []
    paired = _paired(given(differences), chosen)
    for (landmark, horizon), part in split(decision, ["landmark", "horizon"]):
        names = [name for name in (chosen, *rivals, TREAT_ALL, TREAT_NONE) if name in set(part["model"])]
        lines = [_line(name, part[part["model"] == name], labels, chosen) for name in names]
        lines = [line for line in lines if line["points"]]
        if lines and lines[0]["role"] == "chosen":
            against = paired.get((float(landmark), float(horizon)))
            useful = _apart(lines) if against is None else against
            thresholds = [point["threshold"] for point in lines[0]["points"]]
            told.append(
                {
                    "landmark": float(landmark),
                    "horizon": float(horizon),
                    "lines": lines,
                    "useful": _stretches(thresholds, useful),
                    "asked": (thresholds[0], thresholds[-1]),
                    "paired": against is not None,
                    "rows": _rows(lines, useful),
                }
            )
    return sorted(told, key=lambda cell: (cell["landmark"], cell["horizon"]))


def _line(name: str, part: pd.DataFrame, labels: Mapping[str, str], chosen: str) -> dict[str, Any]:
    role = {TREAT_ALL: "all", TREAT_NONE: "none", chosen: "chosen"}.get(name, "rival")
    points = []
    for row in part.sort_values("threshold").to_dict("records"):
        if known(real(row["value"])):
            wide = {f"wide_{end}": real(row.get(f"simultaneous_{end}")) for end in ("lower", "upper")}
            points.append({**numbers(row, "threshold", "value", "lower", "upper"), **wide})
    return {"model": name, "label": _STRATEGIES.get(name) or labels.get(name, name), "role": role, "points": points}


def _paired(differences: pd.DataFrame, chosen: str) -> dict[tuple[float, float], set[float]]:
    """By landmark and horizon, thresholds at which the model is credibly better than both, patient by patient.

    The lower bounds of both paired differences, over all thresholds together where there are such, lie above zero.
    """
    found: dict[tuple[float, float], set[float]] = {}
    if not len(differences):
        return found
    mine = differences[(differences["model"] == chosen) & differences["versus"].isin((TREAT_ALL, TREAT_NONE))]
    for (landmark, horizon), part in split(mine, ["landmark", "horizon"]):
        better: dict[str, set[float]] = {}
        for row in part.to_dict("records"):
            low = next((x for x in (real(row.get("simultaneous_lower")), real(row["lower"])) if x is not None), None)
            if low is not None and low > 0:
                better.setdefault(str(row["versus"]), set()).add(float(row["threshold"]))
        if set(part["versus"]) == {TREAT_ALL, TREAT_NONE}:
            found[float(landmark), float(horizon)] = better.get(TREAT_ALL, set()) & better.get(TREAT_NONE, set())
    return found


def _apart(lines: Sequence[Mapping[str, Any]]) -> set[float]:
    """Thresholds at which the chosen model is credibly better than treating all and than treating none.

    Its lower bound lies above zero and above the upper bound of treating all. Two intervals that do not meet differ
    whatever the correlation of their estimates is; a paired comparison would find more.
    """
    every: list[dict[str, Any]] = next((line["points"] for line in lines if line["role"] == "all"), [])
    top = {point["threshold"]: _first(point, "wide_upper", "upper", "value") for point in every}
    found = set()
    for point in lines[0]["points"]:
        low, rival = _first(point, "wide_lower", "lower"), top.get(point["threshold"])
        if low is not None and rival is not None and low > max(0.0, rival):
            found.add(point["threshold"])
    return found


def _first(point: Mapping[str, Any], *names: str) -> float | None:
    return next((float(point[name]) for name in names if known(point[name])), None)


def _stretches(thresholds: Sequence[float], useful: set[float]) -> list[tuple[float, float]]:
    """Thresholds that follow one another, as pairs of the first and the last."""
    runs: list[list[float]] = []
    for before, threshold in zip([None, *thresholds], thresholds, strict=False):
        if threshold in useful:
            if before is None or before not in useful:
                runs.append([])
            runs[-1].append(threshold)
    return [(run[0], run[-1]) for run in runs]


def _rows(lines: Sequence[Mapping[str, Any]], useful: set[float]) -> list[dict[str, Any]]:
    """The table: at every threshold, or at some spread evenly where there are many."""
    thresholds = [point["threshold"] for point in lines[0]["points"]]
    step = max(1, -(-len(thresholds) // _MOST_ROWS))
    by_line = [{point["threshold"]: point for point in line["points"]} for line in lines if line["role"] != "none"]
    return [
        {"threshold": t, "values": [points.get(t) for points in by_line], "useful": t in useful}
        for t in thresholds[step - 1 :: step]
    ]


def useful_at(cell: Mapping[str, Any]) -> str:
    """Where acting on the chosen model is of use, as the end of a sentence."""
    asked = "between {} and {}".format(*map(percent, cell["asked"]))
    if not cell["useful"]:
        return f"at no threshold {asked} is acting on it credibly better than both treating all and treating none"
    where = joined(f"of {percent(a)}" if a == b else f"from {percent(a)} to {percent(b)}" for a, b in cell["useful"])
    at = "a threshold" if len(cell["useful"]) == 1 and where.startswith("of") else "thresholds"
    return f"acting on it is credibly better than both treating all and treating none at {at} {where}"


def usefulness_sentence(cells: Sequence[Mapping[str, Any]], landmark: float, horizon: float) -> str:
    """Where the chosen model is of use, for the answer in brief; empty where it was not asked."""
    for cell in cells:
        if cell["landmark"] == landmark and cell["horizon"] == horizon:
            told = useful_at(cell)
            return f"For decisions, {told}."
    return ""
