"""Calibration of an evaluation as plain values: groups, smooth curves, and measures beside what chance allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from osler.reporting.cells import reveal
from osler.reporting.frames import numbers, rank, real, split, whole
from osler.reporting.measures import measure_of, measures_of_kind
from osler.reporting.words import interval, joined, known, percent

__all__ = ["calibration_cells", "calibration_measures", "curve_finding", "smooth_cells"]

_ENDS = ("predicted", "observed", "lower", "upper", "calibrated_lower", "calibrated_upper")
#: Stretches of a curve outside its range that are told one by one.
_TOLD = 3


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
    for (landmark, horizon, model), part in split(calibration, ["landmark", "horizon", "model"]):
        part = part.sort_values("group")
        hidden = part["suppressed"].astype(bool).to_numpy()
        sizes = reveal([whole(n) or 0 for n in part["n"]])
        groups = [
            {
                "group": int(row["group"]) if known(row["group"]) else str(row["group"]),
                "n": None if suppressed else size,
                **{k: None if suppressed else real(row[k]) for k in ("predicted", "observed", "lower", "upper")},
            }
            for row, size, suppressed in zip(part.to_dict("records"), sizes, hidden, strict=True)
        ]
        told.append({**_named(landmark, horizon, model, labels), "groups": groups})
    return _in_order(told, order)


def smooth_cells(smooth: pd.DataFrame, labels: Mapping[str, str], order: Sequence[str]) -> list[dict[str, Any]]:
    """Smooth calibration curves, one entry per landmark, horizon and model.

    Returns:
        ``{"landmark", "horizon", "model", "label", "points": [{"predicted", "observed", "lower", "upper",
        "calibrated_lower", "calibrated_upper"}]}``, by predicted risk; points without an observed risk are left out.
    """
    told = []
    for (landmark, horizon, model), part in split(smooth, ["landmark", "horizon", "model"]):
        rows = [numbers(row, *_ENDS) for row in part.sort_values("predicted").to_dict("records")]
        points = [row for row in rows if row["observed"] is not None and row["predicted"] is not None]
        if points:
            told.append({**_named(landmark, horizon, model, labels), "points": points})
    return _in_order(told, order)


def calibration_measures(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a model's measures of calibration are, beside the range that perfectly calibrated risks would show.

    Args:
        cells: of ``osler.reporting.comparison.cells``.

    Returns:
        ``{"landmark", "horizon", "model", "label", "ranges": bool, "outside": [label], "rows": [{"measure", "label",
        "value" (text), "interval" (text), "calibrated" (text), "outside", "note"}]}`` for each landmark, horizon and
        model that was answered; ``ranges`` is whether there is any range of perfect calibration.
    """
    told = []
    for cell in cells:
        names = measures_of_kind(cell["measures"], "calibration")
        for row in cell["rows"] if names and cell["horizon"] is not None else []:
            rows = [_measured(name, row["values"][name]) for name in names if name in row["values"]]
            if any(known(row["values"][name]["value"]) for name in names if name in row["values"]):
                told.append(
                    {
                        **{key: cell[key] for key in ("landmark", "horizon")},
                        **{key: row[key] for key in ("model", "label")},
                        "ranges": any(r["calibrated"] for r in rows),
                        "outside": [r["label"] for r in rows if r["outside"]],
                        "rows": rows,
                    }
                )
    return told


def _measured(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    measure = measure_of(name)
    return {
        "measure": name,
        "label": measure.label,
        "value": measure.show(value["value"]),
        "interval": interval(value["lower"], value["upper"], measure.show),
        "calibrated": interval(value["calibrated_lower"], value["calibrated_upper"], measure.show),
        "outside": bool(value["outside"]),
        "note": value["note"],
    }


def curve_finding(points: Sequence[Mapping[str, float | None]]) -> str:
    """Where a smooth curve leaves the range of perfectly calibrated risks, as the end of a sentence."""
    judged = [p for p in points if p["calibrated_lower"] is not None and p["calibrated_upper"] is not None]
    if not judged:
        return f"the curve runs from a predicted risk of {_span(points)}"
    runs: list[tuple[str, list[Mapping[str, float | None]]]] = []
    for point in judged:
        side = _side(point)
        if not runs or runs[-1][0] != side:
            runs.append((side, []))
        runs[-1][1].append(point)
    out = [(side, run) for side, run in runs if side]
    if not out:
        return f"the curve stays within the range of perfectly calibrated risks throughout ({_span(judged)} predicted)"
    if len(out) > _TOLD:
        return f"the curve leaves the range of perfectly calibrated risks in {len(out)} places"
    where = joined(f"at {_span(run)} predicted (risks were {side})" for side, run in out)
    return f"the curve leaves the range of perfectly calibrated risks {where}"


def _side(point: Mapping[str, Any]) -> str:
    if point["observed"] > point["calibrated_upper"]:
        return "too low"
    return "too high" if point["observed"] < point["calibrated_lower"] else ""


def _span(points: Sequence[Mapping[str, Any]]) -> str:
    first, last = (percent(points[i]["predicted"]) for i in (0, -1))
    return first if first == last else f"{first} to {last}"


def _named(landmark: Any, horizon: Any, model: Any, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "landmark": float(landmark),
        "horizon": float(horizon),
        "model": str(model),
        "label": labels.get(str(model), str(model)),
    }


def _in_order(told: list[dict[str, Any]], order: Sequence[str]) -> list[dict[str, Any]]:
    return sorted(told, key=lambda c: (c["landmark"], c["horizon"], rank(order, c["model"])))
