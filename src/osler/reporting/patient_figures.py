"""The patient report's charts, drawn from its summary alone."""

from __future__ import annotations

from typing import Any

from osler.reporting.chart import (
    COLOURS,
    INK,
    MUTED,
    WIDTH,
    Chart,
    Switch,
    columns,
    fine,
    legend,
    params,
    shown_by,
    time_axis,
)
from osler.reporting.drives_figures import drives_charts, visits_charts
from osler.reporting.plan_figures import plan_charts
from osler.reporting.words import capitalise, estimate, interval, percent, significant, spell

__all__ = ["cause_colour", "patient_charts"]

_FEW_COURSES = 9
#: From the event of interest on; neighbours differ in lightness too, for grey print.
_CAUSES = (COLOURS["vermilion"], "#0B3F63", COLOURS["sky"], COLOURS["purple"], COLOURS["orange"], COLOURS["green"])
_FREE = "#DCE2E8"


def cause_colour(cause: int) -> str:
    """The colour of a cause by position, 0 for the event of interest."""
    return _CAUSES[cause % len(_CAUSES)]


def patient_charts(summary: dict[str, Any]) -> dict[str, list[Chart]]:
    """Charts by the section that shows them: "risk", "course", "drives", "visits", "plan"."""
    return {
        "risk": [] if summary["fixed"] else [_risk(summary), _ends(summary)],
        "course": [_course(summary, course, i) for i, course in enumerate(_leading(summary))],
        "drives": drives_charts(summary),
        "visits": visits_charts(summary),
        "plan": plan_charts(summary),
    }


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
            "risk": estimate(point["value"], point.get("lower"), point.get("upper")),
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
        "axis": {"format": fine(top), "title": "Predicted risk", "tickCount": 5},
    }
    patient, average = "this patient", "average patient"
    colour = {
        "field": "who",
        "type": "nominal",
        "scale": {"domain": [patient, average], "range": [COLOURS["vermilion"], MUTED]},
        "legend": {"title": None},
    }
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
            "transform": [*filters, _called(average)],
            "mark": {**line, "strokeDash": [6, 4], "strokeWidth": 2},
            "encoding": {"x": x, "y": {"field": "average", **y}, "color": colour},
        },
        {
            "transform": [*filters, _called(patient)],
            "mark": line,
            "encoding": {"x": x, "y": {"field": "value", **y}, "color": colour},
        },
        columns(x, tooltip, transform=filters),
    ]
    findings = {cause["name"]: _risk_finding(summary, cause) for cause in summary["horizons"][-1]["causes"]}
    spec = {"data": {"values": data}, "params": params([switch]), "width": WIDTH, "height": 280, "layer": layers}
    return Chart(
        id="risk",
        spec=spec,
        title="This patient beside the average patient",
        finding=findings[causes[0]],
        group="risk",
        switches=(switch,),
        findings=findings,
    )


def _called(who: str) -> dict[str, str]:
    """Rows get a field "who" of our own words (never of data: it is an expression)."""
    return {"calculate": f"'{who}'", "as": "who"}


def _risk_finding(summary: dict[str, Any], cause: dict[str, Any]) -> str:
    horizon = spell(summary["horizons"][-1]["horizon"])
    risk = estimate(cause["value"], cause["lower"], cause["upper"])
    usual = percent(cause["average"])
    return f"The predicted risk of {cause['name']} reaches {risk} at {horizon}; the average patient's, {usual}."


def _ends(summary: dict[str, Any]) -> Chart:
    """All ends together: what share of people like this patient meets each by when."""
    unit, name = time_axis(max(point["time"] for point in summary["curve"]))
    causes, free = summary["causes"], "no event"
    by_time: dict[float, dict[str, float]] = {}
    for point in summary["curve"]:
        by_time.setdefault(point["time"], {})[point["cause"]] = point["value"]
    data = [
        {"end": end, "order": i, "time": round(time / unit, 4), "share": max(share, 0.0)}
        for time, values in by_time.items()
        for i, (end, share) in enumerate(zip([*values, free], _shares(values), strict=True))
    ]
    at_time = [
        {"time": round(time / unit, 4), **{f"told_{k}": percent(share) for k, share in enumerate(_shares(values))}}
        for time, values in by_time.items()
    ]
    tooltip = [{"field": "time", "title": name, "format": ".2~f"}]
    tooltip += [{"field": f"told_{k}", "title": end} for k, end in enumerate([*causes, free])]
    colours = [*(cause_colour(i) for i in range(len(causes))), _FREE]
    x = {"field": "time", "type": "quantitative", "axis": {"title": f"{name} from the prediction", "grid": False}}
    spec = {
        "data": {"values": data},
        "width": WIDTH,
        "height": 280,
        "layer": [
            {
                "mark": {"type": "area", "line": {"color": "white", "strokeWidth": 1}, "opacity": 1},
                "encoding": {
                    "x": x,
                    "y": {
                        "field": "share",
                        "type": "quantitative",
                        "stack": "zero",
                        "scale": {"domain": [0, 1]},
                        "axis": {"format": ".0%", "title": "Share of people like this patient", "tickCount": 5},
                    },
                    "color": {
                        "field": "end",
                        "type": "nominal",
                        "scale": {"domain": [*causes, free], "range": colours},
                        "legend": legend([*causes, free]),
                    },
                    "order": {"field": "order"},
                },
            },
            columns(x, tooltip, data={"values": at_time}),
        ],
    }
    last = summary["horizons"][-1]
    shares = ", ".join(f"{percent(cause['value'])} {cause['name']}" for cause in last["causes"])
    finding = f"By {spell(last['horizon'])}: {shares}, {percent(last['free'])} no event."
    return Chart(id="ends", spec=spec, title="Everything that may come first", finding=finding)


def _shares(values: dict[str, float]) -> list[float]:
    """Shares of the causes, and of no event, which add up to one."""
    return [*values.values(), max(0.0, 1 - sum(values.values()))]


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
        rule: dict[str, Any] = {"type": "rule", "strokeDash": [2, 3], "color": MUTED}
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
        mean: dict[str, Any] = {**at, "y": {"field": "mean", **y}, "tooltip": tip}
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
    values = [significant(point["value"]) for point in course["points"]]
    told = []
    if len(values) == 1:
        told.append(f"{values[0]}{unit}, measured once")
    elif len(set(values)) == 1:
        told.append(f"{values[0]}{unit} in all {len(values)} measurements")
    elif values:
        told.append(f"From {values[0]} to {values[-1]}{unit} in {len(values)} measurements")
    if course["forecast"]:
        end = course["forecast"][-1]
        told.append(f"forecast {estimate(end['mean'], end['lower'], end['upper'], significant)}")
    if course["typical"] is not None:
        told.append(f"typical {significant(course['typical'])}")
    return capitalise("; ".join(told)) + "."
