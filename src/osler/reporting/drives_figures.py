"""Charts of what drives one patient's risk: by variable, and by visit."""

from __future__ import annotations

from typing import Any

from osler.reporting.chart import COLOURS, INK, MUTED, WIDTH, Chart, fine, labelled_rows, time_axis
from osler.reporting.words import percent, points

__all__ = ["drives_charts", "visits_charts"]

_FEW_DRIVERS = 10
_UP, _DOWN, _TOTAL = COLOURS["vermilion"], COLOURS["blue"], "#5B6673"
_RAISES, _LOWERS = "raises the risk", "lowers the risk"


def drives_charts(summary: dict[str, Any]) -> list[Chart]:
    """From the typical patient's risk to this patient's, one variable at a time."""
    drives = summary["drives"]
    if drives is None or not drives["rows"]:
        return []
    leading, rest = drives["rows"][:_FEW_DRIVERS], drives["rows"][_FEW_DRIVERS:]
    steps = [(row["label"], f"{row['value']} (typical: {row['typical']})", row["contribution"]) for row in leading]
    if rest:
        steps.append((f"{len(rest)} others", "", sum(row["contribution"] for row in rest)))
    level, data = drives["typical"], []
    data.append(_bar(0, "Typical patient", "", 0.0, level, "total", percent(level)))
    for i, (label, value, contribution) in enumerate(steps, 1):
        kind = "raises" if contribution > 0 else "lowers"
        data.append(_bar(i, label, value, level, level + contribution, kind, f"{points(contribution)} points"))
        level += contribution
    data.append(_bar(len(steps) + 1, "This patient", "", 0.0, drives["patient"], "total", percent(drives["patient"])))
    kinds = {"raises": COLOURS["vermilion"], "lowers": COLOURS["blue"], "total": "#5B6673"}
    names = {"raises": "raises the risk", "lowers": "lowers the risk"}
    for row in data:
        row["kind"] = names.get(row["kind"], row["kind"])
    colour = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": [*names.values(), "total"], "range": list(kinds.values())},
        "legend": {"title": None, "values": list(names.values()), "columns": 1},
    }
    y = labelled_rows(170)
    ends = [row[key] for row in data for key in ("start", "end")]
    scale = {"domain": [min(0.0, *ends), max(ends) * 1.14 or 0.01], "nice": False}
    x = {
        "type": "quantitative",
        "scale": scale,
        "axis": {"format": fine(max(ends)), "title": f"Risk of {summary['event']}", "tickCount": 5},
    }
    tooltip = [
        {"field": "label", "title": "Variable"},
        {"field": "value", "title": "Value"},
        {"field": "told", "title": "Contribution"},
    ]
    spec = {
        "data": {"values": data},
        "params": [{"name": "labels", "value": [row["label"] for row in data]}],
        "width": WIDTH,
        "height": 28 * len(data),
        "layer": [
            {
                "mark": {"type": "bar", "height": 17},
                "encoding": {
                    "y": y,
                    "x": {"field": "start", **x},
                    "x2": {"field": "end"},
                    "color": colour,
                    "tooltip": tooltip,
                },
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 12},
                "encoding": {"y": y, "x": {"field": "high", **x}, "text": {"field": "short"}},
            },
        ],
    }
    first = leading[0]
    verb = "raises" if first["contribution"] > 0 else "lowers"
    finding = (
        f"From {percent(drives['typical'])} for the typical patient to {percent(drives['patient'])}: most of all, "
        f"{first['label']} ({first['value']}; typical: {first['typical']}) {verb} the risk by "
        f"{points(abs(first['contribution']), plus=False)} points."
    )
    return [Chart(id="drives", spec=spec, title="", finding=finding)]


def _bar(row: int, label: str, value: str, start: float, end: float, kind: str, told: str) -> dict[str, Any]:
    ends = {"start": start, "end": end, "high": max(start, end)}
    short = told.removesuffix(" points")
    return {"row": row, "label": label, "value": value, "kind": kind, "told": told, "short": short, **ends}


def visits_charts(summary: dict[str, Any]) -> list[Chart]:
    """The risk predicted now, had nothing changed after each visit: a step where a visit told something new."""
    visits = summary["visits"]
    if visits is None:
        return []
    record, *steps = visits["steps"]
    now = summary["landmark"]
    times = [step["time"] for step in steps]
    unit, name = time_axis(max(now, *times) - min(times))
    line = [{"time": times[0] / unit, "risk": record["risk"]}]
    line += [{"time": step["time"] / unit, "risk": step["risk"]} for step in steps]
    line.append({"time": now / unit, "risk": visits["patient"]})
    dots = [
        {
            "time": step["time"] / unit,
            "risk": step["risk"],
            "kind": _RAISES if step["contribution"] >= 0 else _LOWERS,
            "when": step["when"],
            "told": f"{points(step['contribution'])} points",
            "after": percent(step["risk"]),
            "most": "; ".join(f"{c['label']}: {c['before']} to {c['after']}" for c in step["changes"]),
        }
        for step in steps
    ]
    top = 1.12 * max([visits["typical"], *(row["risk"] for row in line), 0.005])
    axis = {"title": f"{name} after time zero", "grid": False, "tickCount": 6}
    x = {"type": "quantitative", "axis": axis, "scale": {"nice": False}}
    y = {
        "type": "quantitative",
        "scale": {"domain": [0, top], "nice": False},
        "axis": {"format": fine(top), "title": f"Risk of {summary['event']}", "tickCount": 5},
    }
    usual = {"values": [{"risk": visits["typical"], "told": percent(visits["typical"])}]}
    tooltip = [
        {"field": "when", "title": "Visit"},
        {"field": "told", "title": "Contribution"},
        {"field": "after", "title": "Risk with it"},
        {"field": "most", "title": "Most of all"},
    ]
    colour = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": [_RAISES, _LOWERS], "range": [_UP, _DOWN]},
        "legend": {"title": None},
    }
    where = {"x": {"field": "time", **x}, "y": {"field": "risk", **y}}
    spec = {
        "width": WIDTH,
        "height": 220,
        "layer": [
            {
                "data": usual,
                "mark": {"type": "rule", "strokeDash": [2, 3], "color": MUTED},
                "encoding": {"y": where["y"], "tooltip": [{"field": "told", "title": "Typical patient"}]},
            },
            {
                "data": {"values": line},
                "mark": {"type": "line", "interpolate": "step-after", "color": INK, "strokeWidth": 1.6},
                "encoding": where,
            },
            {
                "data": {"values": dots},
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {**where, "color": colour, "tooltip": tooltip},
            },
        ],
    }
    return [Chart(id="visits", spec=spec, finding=_visits_finding(visits))]


def _visits_finding(visits: dict[str, Any]) -> str:
    record, *steps = visits["steps"]
    told = (
        f"From {percent(visits['typical'])} for the typical patient (dotted) to {percent(record['risk'])} by the record"
    )
    most = max(steps, key=lambda step: abs(step["contribution"]))
    if abs(most["contribution"]) < 5e-4:
        return f"{told}; what the visits found changes next to nothing."
    verb = "raises" if most["contribution"] > 0 else "lowers"
    share = points(abs(most["contribution"]), plus=False)
    when = most["when"][0].lower() + most["when"][1:]
    why = f" ({most['changes'][0]['label']}: {most['changes'][0]['before']} to {most['changes'][0]['after']})"
    why = why if most["changes"] else ""
    return (
        f"{told}, and to {percent(visits['patient'])} by the visits. "
        f"Most of all, what was found {when} {verb} the risk by {share} points{why}."
    )
