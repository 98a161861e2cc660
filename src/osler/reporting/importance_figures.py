"""The chart of what the models of a study rely on."""

from __future__ import annotations

from typing import Any

from osler.reporting.chart import COLOURS, INK, WIDTH, Chart, labelled_rows, params, shown_by
from osler.reporting.positions import start, switch
from osler.reporting.words import known, points

__all__ = ["importance_charts"]

_MOST = 15


def importance_charts(summary: dict[str, Any]) -> list[Chart]:
    """A bar for each variable, in the order of the first model; readers switch the model."""
    told = summary["importance"]
    if told is None:
        return []
    entries = [
        entry for entry in told["variables"] if any(known(value["value"]) for value in entry["values"].values())
    ][:_MOST]
    if not entries:
        return []
    switches = (switch("model", "Model", [(one["model"], one["label"]) for one in told["models"]], None),)
    data = [
        {
            "model": model,
            "row": i,
            "label": entry["label"],
            **{name: round(100 * value[name], 5) for name in ("value", "lower", "upper")},
            "told": f"{points(value['value'], plus=False)} points",
        }
        for i, entry in enumerate(entries)
        for model, value in entry["values"].items()
        if known(value["value"])
    ]
    findings = {one["model"]: _finding(one, entries) for one in told["models"]}
    title = ["Mean absolute contribution, percentage points", f"({summary['confidence']} interval over patients)"]
    x = {"type": "quantitative", "axis": {"title": title, "tickCount": 5}}
    y = labelled_rows(176)
    y |= {"scale": {"domain": list(range(len(entries)))}, "axis": {**y["axis"], "labelFontSize": 12}}
    tooltip = [{"field": "label", "title": "Variable"}, {"field": "told", "title": "Mean absolute contribution"}]
    shown = shown_by(switches)
    spec = {
        "data": {"values": data},
        "params": [*params(switches), {"name": "labels", "value": [entry["label"] for entry in entries]}],
        "width": WIDTH,
        "height": 26 * len(entries),
        "layer": [
            {
                "transform": shown,
                "mark": {"type": "bar", "height": 14, "color": COLOURS["blue"], "opacity": 0.8},
                "encoding": {"y": y, "x": {"field": "value", **x}, "tooltip": tooltip},
            },
            {
                "transform": shown,
                "mark": {"type": "rule", "color": INK, "strokeWidth": 1.2},
                "encoding": {"y": y, "x": {"field": "lower", **x}, "x2": {"field": "upper"}},
            },
        ],
    }
    return [
        Chart(
            id="importance",
            spec=spec,
            title="Which variables move the risks",
            finding=findings[start(switches)],
            group="importance",
            switches=switches,
            findings=findings,
        )
    ]


def _finding(model: dict[str, str], entries: list[dict[str, Any]]) -> str:
    values = [(entry["label"], entry["values"].get(model["model"], {}).get("value")) for entry in entries]
    ranked = sorted(((v, label) for label, v in values if known(v) and v > 0), key=lambda pair: -pair[0])[:3]
    if not ranked:
        return f"{model['label']}: nothing moves the risks."
    (value, first), *others = ranked
    rest = f", then {' and '.join(label for _, label in others)}" if others else ""
    return (
        f"{model['label']}: {first} moves the risks most, by {points(value, plus=False)} points on average, up or "
        f"down{rest}."
    )
