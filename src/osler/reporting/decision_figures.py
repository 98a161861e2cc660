"""The chart of decision curves."""

from __future__ import annotations

from typing import Any

from osler.reporting.chart import COLOURS, INK, MUTED, WIDTH, Chart, Switch, columns, legend, params, shown_by
from osler.reporting.measures import MEASURES
from osler.reporting.positions import completed, key, place, start, state, when
from osler.reporting.usefulness import useful_at
from osler.reporting.words import estimate, percent

__all__ = ["decision_charts"]

_RIVALS = (("orange", [6, 3]), ("green", [2, 2]), ("purple", [9, 3, 2, 3]), ("sky", [4, 4]))
_SHOW = MEASURES["net_benefit"].show


def decision_charts(summary: dict[str, Any]) -> list[Chart]:
    """Net benefit by threshold: the chosen model with its band, its rivals, treating all and treating none."""
    cells = summary["decision"]
    if not cells:
        return []
    switches = when(summary["primary"], cells)
    findings = {}
    for cell in cells:
        findings[key(switches, state(cell))] = f"{place(cell)}, {summary['told_first']}: {useful_at(cell)}."
    findings = completed(findings, switches)
    return [
        Chart(
            id="usefulness",
            spec=_spec(cells, switches),
            title="Does acting on the risks do more good than harm?",
            finding=findings[start(switches)],
            group="usefulness",
            switches=switches,
            findings=findings,
        )
    ]


def _spec(cells: list[dict[str, Any]], switches: tuple[Switch, ...]) -> dict[str, Any]:
    lines = _lines(cells)
    floor, top = _height(cells)
    data = [
        {**state(cell), "line": line["label"], "role": line["role"], **_point(line, point, floor)}
        for cell in cells
        for line in cell["lines"]
        for point in _above(line["points"], floor)
    ]
    labels = [label for label, _, _ in lines]
    domain = {"domain": labels, "range": [colour for _, colour, _ in lines]}
    colour = {"field": "line", "type": "nominal", "scale": domain, "legend": legend(labels)}
    dash = {**colour, "scale": {"domain": labels, "range": [pattern for _, _, pattern in lines]}}
    x, y = _axes(data, floor, top)
    shown = shown_by(switches)
    of_chosen = [*shown, {"filter": "datum.role === 'chosen'"}]
    layers: list[dict[str, Any]] = [
        {
            "transform": [*of_chosen, {"filter": f"isValid(datum.{low})"}],
            "mark": {"type": "area", "color": COLOURS["blue"], "opacity": opacity},
            "encoding": {"x": x, "y": {"field": low, **y}, "y2": {"field": high}},
        }
        for low, high, opacity in (("wide_lower", "wide_upper", 0.1), ("lower", "upper", 0.2))
        if any(low in d for d in data)
    ]
    width = {"condition": {"test": "datum.role === 'chosen'", "value": 2.8}, "value": 1.8}
    encoding = {"x": x, "y": {"field": "value", **y}, "color": colour, "strokeDash": dash, "strokeWidth": width}
    layers.append({"transform": shown, "mark": {"type": "line"}, "encoding": encoding})
    tooltip = [{"field": "at", "title": "Threshold"}]
    tooltip += [{"field": f"told_{k}", "title": label} for k, label in enumerate(labels)]
    layers.append(columns(x, tooltip, data={"values": _by_threshold(cells, labels)}, transform=shown))
    return {"data": {"values": data}, "params": params(switches), "width": WIDTH, "height": 320, "layer": layers}


def _lines(cells: list[dict[str, Any]]) -> list[tuple[str, str, list[int]]]:
    """Label, colour and dashes of every line of any cell."""
    rivals = iter(_RIVALS)
    fixed = {"chosen": (COLOURS["blue"], [1, 0]), "all": (INK, [1, 3]), "none": (MUTED, [1, 0])}
    told: dict[str, tuple[str, list[int]]] = {}
    for line in (line for cell in cells for line in cell["lines"]):
        if line["label"] in told:
            continue
        if line["role"] == "rival":
            name, pattern = next(rivals, ("grey", [1, 3]))
            told[line["label"]] = (COLOURS[name], list(pattern))
        else:
            told[line["label"]] = fixed[line["role"]]
    return [(label, colour, pattern) for label, (colour, pattern) in told.items()]


def _height(cells: list[dict[str, Any]]) -> tuple[float, float]:
    """Lowest and highest net benefit of the picture; treating all may fall out of it, below."""
    ends = [
        point[name]
        for cell in cells
        for line in cell["lines"]
        for point in line["points"]
        for name in (("value", "upper", "wide_upper") if line["role"] == "chosen" else ("value",))
        if point[name] is not None
    ]
    top = 1.08 * max([0.001, *ends])
    return -0.3 * top, top


def _above(points: list[dict[str, Any]], floor: float) -> list[dict[str, Any]]:
    """A line as far as it lies above the floor, cut where it crosses it."""
    seen: list[dict[str, Any]] = []
    for i, point in enumerate(points):
        for near in (points[i - 1 : i] if i else []) + points[i + 1 : i + 2]:
            if point["value"] < floor <= near["value"]:
                share = (floor - point["value"]) / (near["value"] - point["value"])
                threshold = point["threshold"] + share * (near["threshold"] - point["threshold"])
                seen.append({**dict.fromkeys(point), "threshold": threshold, "value": floor})
        if point["value"] >= floor:
            seen.append(point)
    return seen


def _point(line: dict[str, Any], point: dict[str, Any], floor: float) -> dict[str, Any]:
    ends = ("lower", "upper", "wide_lower", "wide_upper") if line["role"] == "chosen" else ()
    shown = {name: max(floor, point[name]) for name in ("value", *ends) if point[name] is not None}
    return {"threshold": round(point["threshold"], 5), **{name: round(value, 5) for name, value in shown.items()}}


def _axes(data: list[dict[str, Any]], floor: float, top: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Thresholds along, net benefit upward."""
    last, first = max(d["threshold"] for d in data), min(d["threshold"] for d in data)
    # One threshold alone still needs an axis with some length.
    ends = [0.0, last] if first < last else [0.0, min(1.0, 2 * last)]
    x = {
        "field": "threshold",
        "type": "quantitative",
        "scale": {"domain": ends, "nice": False},
        "axis": {"format": "%", "title": "Threshold: risk from which one would act", "tickCount": 6, "grid": False},
    }
    y = {
        "type": "quantitative",
        "scale": {"domain": [floor, top], "nice": False},
        "axis": {"title": "Net benefit per patient", "tickCount": 6},
    }
    return x, y


def _by_threshold(cells: list[dict[str, Any]], labels: list[str]) -> list[dict[str, Any]]:
    """What all lines say at each threshold, in words."""
    told: dict[tuple[str, ...], dict[str, Any]] = {}
    for cell in cells:
        at = state(cell)
        for line in cell["lines"]:
            for point in line["points"]:
                row = told.setdefault(
                    (*at.values(), str(point["threshold"])),
                    {**at, "threshold": round(point["threshold"], 5), "at": percent(point["threshold"])},
                )
                words = estimate(point["value"], point["lower"], point["upper"], _SHOW)
                row[f"told_{labels.index(line['label'])}"] = words
    return list(told.values())
