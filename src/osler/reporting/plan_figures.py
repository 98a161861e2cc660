"""The chart of a patient's plan."""

from __future__ import annotations

from typing import Any

from osler.reporting.chart import COLOURS, MUTED, WIDTH, Chart, labelled_rows
from osler.reporting.words import estimate, interval, known, plain_points, spell

__all__ = ["plan_charts"]

_ENDS = ("value", "lower", "upper")


def plan_charts(summary: dict[str, Any]) -> list[Chart]:
    """Reduction in risk by each action that is for this patient, with its interval."""
    plan = summary["plan"] or {}
    able = [a for a in plan.get("actions", []) if a.get("eligible") and known((a.get("reduction") or {}).get("value"))]
    if not able:
        return []
    data = [
        {
            "row": i,
            "label": action["name"],
            **{key: None if action["reduction"][key] is None else 100 * action["reduction"][key] for key in _ENDS},
            "avoided": f"{plain_points(action['reduction']['value'])} ({_ends_of(action['reduction'])})",
            "without": estimate(*(action["risk_without"][key] for key in _ENDS)),
            "with": estimate(*(action["risk_with"][key] for key in _ENDS)),
        }
        for i, action in enumerate(able)
    ]
    ends = [row[key] for row in data for key in _ENDS if row[key] is not None] + [0.0]
    margin = 0.05 * ((max(ends) - min(ends)) or 1.0)
    scale = {"domain": [min(ends) - margin, max(ends) + margin], "nice": False}
    horizon = spell(summary["headline"]["horizon"])
    title = f"Fewer people of 100 with {summary['event']} within {horizon}"
    x = {"type": "quantitative", "scale": scale, "axis": {"tickCount": 5, "title": title}}
    tooltip = [
        {"field": "label", "title": "Action"},
        {"field": "avoided", "title": "Fewer of 100"},
        {"field": "without", "title": "Risk without"},
        {"field": "with", "title": "Risk with"},
    ]
    base: dict[str, Any] = {"y": labelled_rows(200), "tooltip": tooltip}
    blue = COLOURS["blue"]
    spec = {
        "data": {"values": data},
        "params": [{"name": "labels", "value": [row["label"] for row in data]}],
        "width": WIDTH,
        "height": 40 * len(data),
        "layer": [
            {
                "data": {"values": [{"none": 0}]},
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": MUTED},
                "encoding": {"x": {"field": "none", **x}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.6, "color": blue, "strokeCap": "round"},
                "encoding": {**base, "x": {"field": "lower", **x}, "x2": {"field": "upper"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1, "color": blue},
                "encoding": {**base, "x": {"field": "value", **x}},
            },
        ],
    }
    best = data[0]
    finding = (
        f"{able[0]['name']}: risk {best['without']} without, {best['with']} with it; {best['avoided']} fewer of 100."
    )
    return [Chart(id="plan", spec=spec, title="How many would be spared", finding=finding)]


def _ends_of(value: dict[str, Any]) -> str:
    return interval(value["lower"], value["upper"], plain_points)
