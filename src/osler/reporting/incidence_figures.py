"""The chart of observed cumulative incidence."""

from __future__ import annotations

from typing import Any

from osler.reporting.chart import COLOURS, WIDTH, Chart, columns, legend, time_axis
from osler.reporting.words import interval, percent

__all__ = ["incidence_charts"]

_CAUSE_COLOURS = ("vermilion", "blue", "green", "purple", "orange", "sky", "grey")
_CAUSE_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [1, 3], [12, 4])


def incidence_charts(summary: dict[str, Any]) -> list[Chart]:
    """Observed cumulative incidence of every cause from the first landmark on."""
    curves = summary["follow_up"]["curves"]
    if not curves:
        return []
    last = max(point["time"] for curve in curves for point in curve["points"])
    unit, name = time_axis(last)
    data = [
        {
            "cause": curve["cause"],
            "time": round(point["time"] / unit, 4),
            **{key: point[key] for key in ("value", "lower", "upper")},
        }
        for curve in curves
        for point in curve["points"]
    ]
    causes = [curve["cause"] for curve in curves]
    colour = {
        "field": "cause",
        "type": "nominal",
        "scale": {"domain": causes, "range": [COLOURS[c] for c in _CAUSE_COLOURS[: len(causes)]]},
        "legend": legend(causes),
    }
    dash = {
        "field": "cause",
        "type": "nominal",
        "scale": {"domain": causes, "range": list(_CAUSE_DASHES[: len(causes)])},
        "legend": legend(causes),
    }
    x = {
        "field": "time",
        "type": "quantitative",
        "axis": {"title": f"{name} {_origin(summary['landmarks'][0])}", "grid": False, "tickCount": 6},
    }
    y = {"type": "quantitative", "axis": {"format": "%", "title": "Cumulative incidence", "tickCount": 5}}
    at_time = [
        {"time": round(time / unit, 4), **{f"told_{k}": told for k, told in enumerate(values)}}
        for time, values in _by_time(curves).items()
    ]
    tooltip = [{"field": "time", "title": name, "format": ".2~f"}]
    tooltip += [{"field": f"told_{k}", "title": cause} for k, cause in enumerate(causes)]
    step = "step-after"
    spec = {
        "data": {"values": data},
        "width": WIDTH,
        "height": 280,
        "layer": [
            {
                "mark": {"type": "area", "interpolate": step, "opacity": 0.14},
                "encoding": {"x": x, "y": {"field": "lower", **y}, "y2": {"field": "upper"}, "color": colour},
            },
            {
                "mark": {"type": "line", "interpolate": step, "strokeWidth": 2.2},
                "encoding": {"x": x, "y": {"field": "value", **y}, "color": colour, "strokeDash": dash},
            },
            columns(x, tooltip, data={"values": at_time}),
        ],
    }
    return [Chart(id="incidence", spec=spec, title="", finding=summary["follow_up"]["finding"])]


def _origin(landmark: float) -> str:
    return "after time zero" if landmark == 0 else "after the landmark"


def _by_time(curves: list[dict[str, Any]]) -> dict[float, list[str]]:
    """What the curves say at each time, in words, in their order."""
    told: dict[float, list[str]] = {}
    for curve in curves:
        for point in curve["points"]:
            bounds = interval(point["lower"], point["upper"], percent)
            told.setdefault(point["time"], []).append(f"{percent(point['value'])} ({bounds})")
    return told
