"""The patient report's charts, drawn from its summary alone."""

from __future__ import annotations

from typing import Any

from osler.reporting.chart import COLOURS, INK, MUTED, Chart, Switch, params, shown_by, time_axis
from osler.reporting.words import interval, known, percent, plain_points, points, significant, spell

__all__ = ["cause_colour", "patient_charts"]

_WIDTH = 640
_FEW_COURSES, _FEW_DRIVERS = 9, 10
_ENDS = ("value", "lower", "upper")
#: From the event of interest on; neighbours differ in lightness too, for grey print.
_CAUSES = (COLOURS["vermilion"], "#0B3F63", COLOURS["sky"], COLOURS["purple"], COLOURS["orange"], COLOURS["green"])
_FREE = "#DCE2E8"


def cause_colour(cause: int) -> str:
    """The colour of a cause by position, 0 for the event of interest."""
    return _CAUSES[cause % len(_CAUSES)]


def patient_charts(summary: dict[str, Any]) -> dict[str, list[Chart]]:
    """Charts by the section that shows them: "risk", "course", "drives", "plan"."""
    return {
        "risk": [_risk(summary), _ends(summary)],
        "course": [_course(summary, course, i) for i, course in enumerate(_leading(summary))],
        "drives": _drives(summary),
        "plan": _plan(summary),
    }


def _percent_axis(title: str | None, **more: Any) -> dict[str, Any]:
    return {"format": ".0%", "title": title, "tickCount": 5, **more}


def _near() -> dict[str, Any]:
    """A parameter that follows the pointer to the nearest time."""
    select = {"type": "point", "fields": ["time"], "nearest": True, "on": "pointerover", "clear": "pointerout"}
    return {"name": "near", "select": select}


def _at_pointer() -> dict[str, Any]:
    return {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}


def _risk(summary: dict[str, Any]) -> Chart:
    """Cumulative incidence of one cause beside the average patient's; readers may switch the cause."""
    causes = summary["causes"]
    switch = Switch("cause", "Event", tuple((cause, cause) for cause in causes), causes[0])
    unit, name = time_axis(max(point["time"] for point in summary["curve"]))
    has_band = summary["level"] is not None
    data = [
        {
            **{key: point.get(key) for key in ("cause", "value", "average", "lower", "upper")},
            "time": round(point["time"] / unit, 4),
            "risk": _told(point["value"], point.get("lower"), point.get("upper")),
            "usual": percent(point["average"]),
        }
        for point in summary["curve"]
    ]
    top = max(point.get("upper", point["value"]) for point in summary["curve"])
    top = min(1.0, 1.08 * max([top, 0.005, *(point["average"] for point in summary["curve"])]))
    x = {"field": "time", "type": "quantitative", "axis": {"title": f"{name} from the prediction", "grid": False}}
    scale = {"domain": [0, top], "nice": False}
    y = {
        "type": "quantitative",
        "scale": scale,
        "axis": {"format": _fine(top), "title": "Predicted risk", "tickCount": 5},
    }
    patient, average = "this patient", "average patient"
    who = {"type": "nominal", "scale": {"domain": [patient, average], "range": [COLOURS["vermilion"], MUTED]}}
    colour = {"datum": patient, **who, "legend": {"title": None}}
    tooltip = [
        {"field": "time", "title": name, "format": ".2~f"},
        {"field": "risk", "title": "This patient" + (f" ({summary['level']} band)" if has_band else "")},
        {"field": "usual", "title": "Average patient"},
    ]
    filters = shown_by([switch])
    line = {"type": "line", "strokeWidth": 2.6}
    layers: list[dict[str, Any]] = []
    if has_band:
        layers.append(
            {
                "transform": filters,
                "mark": {"type": "area", "opacity": 0.16, "color": COLOURS["vermilion"]},
                "encoding": {"x": x, "y": {"field": "lower", **y}, "y2": {"field": "upper"}},
            }
        )
    layers += [
        {
            "transform": filters,
            "mark": {**line, "strokeDash": [6, 4], "strokeWidth": 2},
            "encoding": {"x": x, "y": {"field": "average", **y}, "color": {**colour, "datum": average}},
        },
        {"transform": filters, "mark": line, "encoding": {"x": x, "y": {"field": "value", **y}, "color": colour}},
        {
            "transform": filters,
            "params": [_near()],
            "mark": {"type": "point", "filled": True, "size": 70},
            "encoding": {
                "x": x,
                "y": {"field": "value", **y},
                "color": colour,
                "opacity": _at_pointer(),
                "tooltip": tooltip,
            },
        },
    ]
    findings = {cause["name"]: _risk_finding(summary, cause) for cause in summary["horizons"][-1]["causes"]}
    spec = {"data": {"values": data}, "params": params([switch]), "width": _WIDTH, "height": 280, "layer": layers}
    return Chart(
        id="risk",
        spec=spec,
        title="This patient beside the average patient",
        finding=findings[causes[0]],
        group="risk",
        switches=(switch,),
        findings=findings,
    )


def _fine(top: float) -> str:
    """Whole percentages unless the whole axis is below a few percent."""
    return ".0%" if top >= 0.05 else ".1%"


def _told(value: float, lower: float | None, upper: float | None) -> str:
    bounds = interval(lower, upper, percent)
    return f"{percent(value)} ({bounds})" if bounds else percent(value)


def _risk_finding(summary: dict[str, Any], cause: dict[str, Any]) -> str:
    horizon = spell(summary["horizons"][-1]["horizon"])
    risk = _told(cause["value"], cause["lower"], cause["upper"])
    return f"The predicted risk of {cause['name']} reaches {risk} at {horizon}; the average patient's, {percent(cause['average'])}."


def _ends(summary: dict[str, Any]) -> Chart:
    """All ends together: what share of people like this patient meets each by when."""
    unit, name = time_axis(max(point["time"] for point in summary["curve"]))
    causes, free = summary["causes"], "no event"
    by_time: dict[float, dict[str, float]] = {}
    for point in summary["curve"]:
        by_time.setdefault(point["time"], {})[point["cause"]] = point["value"]
    data = [
        {"end": end, "order": i, "time": round(time / unit, 4), "share": max(share, 0.0), "told": percent(share)}
        for time, values in by_time.items()
        for i, (end, share) in enumerate([*values.items(), (free, 1 - sum(values.values()))])
    ]
    colours = [*(cause_colour(i) for i in range(len(causes))), _FREE]
    x = {"field": "time", "type": "quantitative", "axis": {"title": f"{name} from the prediction", "grid": False}}
    spec = {
        "data": {"values": data},
        "width": _WIDTH,
        "height": 280,
        "mark": {"type": "area", "line": {"color": "white", "strokeWidth": 1}, "opacity": 1},
        "encoding": {
            "x": x,
            "y": {
                "field": "share",
                "type": "quantitative",
                "stack": "zero",
                "scale": {"domain": [0, 1]},
                "axis": _percent_axis("Share of people like this patient"),
            },
            "color": {
                "field": "end",
                "type": "nominal",
                "scale": {"domain": [*causes, free], "range": colours},
                "legend": {"title": None},
            },
            "order": {"field": "order"},
        },
    }
    last = summary["horizons"][-1]
    shares = ", ".join(f"{percent(cause['value'])} {cause['name']}" for cause in last["causes"])
    finding = f"By {spell(last['horizon'])}: {shares}, {percent(last['free'])} no event."
    return Chart(id="ends", spec=spec, title="Everything that may come first", finding=finding)


def _leading(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Courses worth a picture: those that drive the risk first, where that is known."""
    drives = summary["drives"]
    rank = {row["variable"]: i for i, row in enumerate(drives["rows"])} if drives else {}
    return sorted(summary["course"], key=lambda course: rank.get(course["variable"], len(rank)))[:_FEW_COURSES]


def _course(summary: dict[str, Any], course: dict[str, Any], i: int) -> Chart:
    """One biomarker up to the landmark, and its forecast after it."""
    now = summary["landmark"]
    times = [point["time"] for point in (*course["points"], *course["forecast"])]
    unit, name = time_axis(max([*times, now]) - min([*times, 0.0]))
    seen = [{"time": p["time"] / unit, "value": p["value"], "told": significant(p["value"])} for p in course["points"]]
    later = [
        {
            "time": p["time"] / unit,
            **{key: p[key] for key in ("mean", "lower", "upper")},
            "told": f"{significant(p['mean'])} ({interval(p['lower'], p['upper'], significant)})",
        }
        for p in course["forecast"]
    ]
    x = {"type": "quantitative", "axis": {"title": f"{name} after time zero", "tickCount": 5, "grid": False}}
    y = {
        "type": "quantitative",
        "scale": {"zero": False},
        "axis": {"title": course["unit"] or None, "tickCount": 4},
    }
    layers: list[dict[str, Any]] = []
    if course["typical"] is not None:
        rule = {"type": "rule", "strokeDash": [2, 3], "color": MUTED}
        data = {"values": [{"value": course["typical"], "told": significant(course["typical"])}]}
        tip = [{"field": "told", "title": "Typical patient"}]
        layers.append({"data": data, "mark": rule, "encoding": {"y": {"field": "value", **y}, "tooltip": tip}})
    rule = {"type": "rule", "color": "#8b95a1", "strokeWidth": 1}
    layers.append({"data": {"values": [{"time": now / unit}]}, "mark": rule, "encoding": {"x": {"field": "time", **x}}})
    if later:
        tip = [{"field": "told", "title": "Forecast"}, {"field": "time", "title": name, "format": ".2~f"}]
        blue = {"color": COLOURS["blue"]}
        band = {"y": {"field": "lower", **y}, "y2": {"field": "upper"}}
        at = {"x": {"field": "time", **x}}
        data = {"values": later}
        layers.append({"data": data, "mark": {"type": "area", "opacity": 0.16, **blue}, "encoding": {**at, **band}})
        mean = {**at, "y": {"field": "mean", **y}, "tooltip": tip}
        layers.append(
            {
                "data": data,
                "mark": {"type": "line", "strokeDash": [5, 3], "point": {"size": 20, **blue}, **blue},
                "encoding": mean,
            }
        )
    if seen:
        tip = [{"field": "told", "title": "Measured"}, {"field": "time", "title": name, "format": ".2~f"}]
        mark = {"type": "line", "color": INK, "strokeWidth": 1.6, "point": {"size": 42, "color": INK, "filled": True}}
        encoding = {"x": {"field": "time", **x}, "y": {"field": "value", **y}, "tooltip": tip}
        layers.append({"data": {"values": seen}, "mark": mark, "encoding": encoding})
    spec = {"width": 290, "height": 150, "layer": layers}
    return Chart(id=f"course-{i}", spec=spec, title=course["label"], finding=_course_finding(course))


def _course_finding(course: dict[str, Any]) -> str:
    unit = f" {course['unit']}" if course["unit"] else ""
    told = []
    if course["points"]:
        first, last = course["points"][0]["value"], course["points"][-1]["value"]
        moved = (
            f"From {significant(first)} to {significant(last)}{unit}"
            if len(course["points"]) > 1
            else f"{significant(last)}{unit}"
        )
        told.append(
            f"{moved} in {len(course['points'])} measurements"
            if len(course["points"]) > 1
            else f"{moved}, measured once"
        )
    if course["forecast"]:
        end = course["forecast"][-1]
        told.append(f"forecast {significant(end['mean'])} ({interval(end['lower'], end['upper'], significant)})")
    if course["typical"] is not None:
        told.append(f"typical {significant(course['typical'])}")
    return "; ".join(told) + "."


def _drives(summary: dict[str, Any]) -> list[Chart]:
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
        "legend": {"title": None, "values": list(names.values())},
    }
    y = _labelled_rows(170)
    ends = [row[key] for row in data for key in ("start", "end")]
    scale = {"domain": [min(0.0, *ends), max(ends) * 1.14 or 0.01], "nice": False}
    x = {
        "type": "quantitative",
        "scale": scale,
        "axis": {"format": _fine(max(ends)), "title": f"Risk of {summary['event']}", "tickCount": 5},
    }
    tooltip = [
        {"field": "label", "title": "Variable"},
        {"field": "value", "title": "Value"},
        {"field": "told", "title": "Contribution"},
    ]
    spec = {
        "data": {"values": data},
        "params": [{"name": "labels", "value": [row["label"] for row in data]}],
        "width": _WIDTH,
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


def _plan(summary: dict[str, Any]) -> list[Chart]:
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
            "without": _told(*(action["risk_without"][key] for key in _ENDS)),
            "with": _told(*(action["risk_with"][key] for key in _ENDS)),
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
    base = {"y": _labelled_rows(200), "tooltip": tooltip}
    blue = COLOURS["blue"]
    spec = {
        "data": {"values": data},
        "params": [{"name": "labels", "value": [row["label"] for row in data]}],
        "width": _WIDTH,
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


def _labelled_rows(limit: int) -> dict[str, Any]:
    """Rows 0, 1, ... whose words stand in the parameter "labels": two rows may then carry the same words."""
    axis = {
        "title": None,
        "labelExpr": "labels[datum.value]",
        "labelColor": INK,
        "labelLimit": limit,
        "labelFontSize": 13,
    }
    return {"field": "row", "type": "ordinal", "axis": axis}
