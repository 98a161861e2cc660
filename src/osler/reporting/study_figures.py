"""The study report's charts, drawn from its summary alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from osler.reporting.chart import (
    COLOURS,
    INK,
    MUTED,
    WIDTH,
    Chart,
    Switch,
    columns,
    legend,
    params,
    shown_by,
    time_axis,
)
from osler.reporting.comparison import MEASURES, Measure, measure_of
from osler.reporting.words import estimate, interval, known, moment, percent, since, spell
from osler.units import duration

__all__ = ["study_charts"]

_STEP = 30
_ENDS = ("value", "lower", "upper")
_ACCURACY = ("integrated_brier", "brier")
#: The chosen model is told by shape too, for those who do not see colours.
_SHAPE = {"condition": {"test": "datum.role === 'chosen'", "value": "diamond"}, "value": "circle"}
_CAUSE_COLOURS = ("vermilion", "blue", "green", "purple", "orange", "sky", "grey")
_CAUSE_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [1, 3], [12, 4])


def study_charts(summary: dict[str, Any]) -> dict[str, list[Chart]]:
    """Charts by the section that shows them: "incidence", "models", "paired", "calibration"."""
    return {
        "incidence": _incidence(summary),
        "models": [chart for name in ("auc", "ipa") if (chart := _skill(summary, name)) is not None],
        "paired": _paired(summary),
        "calibration": _calibration(summary),
    }


def _switch(name: str, label: str, values: Iterable[tuple[str, str]], start: str | None) -> Switch:
    options = tuple(dict.fromkeys(values))
    started = start if start in {value for value, _ in options} else options[0][0]
    return Switch(name, label, options, started)


def _when(summary: dict[str, Any], cells: list[dict[str, Any]]) -> tuple[Switch, ...]:
    """Switches for the landmark and, where measures have one, the horizon; at the start, what the headline is about."""
    primary = summary["primary"] or {}
    landmarks = [(duration(c["landmark"]), moment(c["landmark"])) for c in cells]
    horizons = [(duration(c["horizon"]), spell(c["horizon"])) for c in cells if c["horizon"] is not None]
    switches = [_switch("landmark", "Predicted at", landmarks, _duration(primary.get("landmark")))]
    if horizons:
        switches.append(_switch("horizon", "Ahead", horizons, _duration(primary.get("horizon"))))
    return tuple(switches)


def _duration(days: float | None) -> str | None:
    return None if days is None else duration(days)


def _state(cell: dict[str, Any]) -> dict[str, str]:
    state = {"landmark": duration(cell["landmark"])}
    return state if cell["horizon"] is None else {**state, "horizon": duration(cell["horizon"])}


def _place(cell: dict[str, Any]) -> str:
    ahead = "" if cell["horizon"] is None else f", {spell(cell['horizon'])} ahead"
    return f"{since(cell['landmark'])[0].upper()}{since(cell['landmark'])[1:]}{ahead}"


def _key(switches: tuple[Switch, ...], state: dict[str, str]) -> str:
    return "|".join(state[switch.name] for switch in switches)


def _start(switches: tuple[Switch, ...]) -> str:
    return "|".join(switch.start for switch in switches)


def _told(show: Callable[[Any], str], value: dict[str, Any]) -> str:
    return estimate(value["value"], value["lower"], value["upper"], show)


def _skill(summary: dict[str, Any], name: str) -> Chart | None:
    """One measure of every model as a dot with its interval."""
    measure = MEASURES[name]
    cells = [c for c in summary["cells"] if name in c["measures"] and c["horizon"] is not None]
    if not cells:
        return None
    switches = _when(summary, cells)
    data, findings = [], {}
    for cell in cells:
        state = _state(cell)
        values = [(row, row["values"][name]) for row in cell["rows"] if name in row["values"]]
        answered = [(row, value) for row, value in values if known(value["value"])]
        data += [_dot(summary, row, value, measure.show, measure.scale, state) for row, value in answered]
        findings[_key(switches, state)] = _skill_finding(measure, cell, answered)
    order = [summary["labels"][model] for model in summary["labels"]]
    title = f"{measure.label} ({summary['confidence']} interval)"
    spec = _dots(data, switches, order, title, measure.nothing, measure.scale)
    return Chart(
        id=f"models-{name.replace('_', '-')}",
        spec=spec,
        title=_heading(measure),
        finding=findings.get(_start(switches), ""),
        group="models",
        switches=switches,
        findings=findings,
    )


def _heading(measure: Measure) -> str:
    return {"auc": "Does it rank patients rightly?", "ipa": "Is it nearer the truth than the average risk?"}[
        measure.name
    ]


def _skill_finding(measure: Measure, cell: dict[str, Any], answered: list[Any]) -> str:
    if not answered:
        return f"{_place(cell)}: not answered{': ' + '; '.join(cell['notes']) if cell['notes'] else ''}."
    row, value = max(answered, key=lambda pair: pair[1]["value"])
    return f"{_place(cell)}: {measure.label} is highest for {row['label']}, {_told(measure.show, value)}."


def _dot(
    summary: dict[str, Any], row: dict[str, Any], value: dict[str, Any], show: Any, scale: float, state: dict[str, str]
) -> dict[str, Any]:
    ends = {key: None if value[key] is None else round(scale * value[key], 6) for key in ("value", "lower", "upper")}
    role = "chosen" if row["model"] == summary["chosen"]["model"] else "other"
    return {
        **state,
        **ends,
        "model": row["label"],
        "role": role,
        "told": _told(show, value),
    }


def _dots(
    data: list[dict[str, Any]],
    switches: tuple[Switch, ...],
    order: list[str],
    title: str | list[str],
    nothing: float | None,
    scale: float,
) -> dict[str, Any]:
    ends = [d[key] for d in data for key in ("value", "lower", "upper") if d[key] is not None]
    ends += [] if nothing is None else [nothing * scale]
    margin = 0.04 * ((max(ends) - min(ends)) or 1.0) if ends else 1.0
    domain = [min(ends) - margin, max(ends) + margin] if ends else [0, 1]
    axis = {"title": title, "tickCount": 5, **({"labelExpr": "datum.label + '%'"} if scale == 100 else {})}
    x = {"type": "quantitative", "scale": {"domain": domain, "nice": False, "zero": False}, "axis": axis}
    colour = {"condition": {"test": "datum.role === 'chosen'", "value": COLOURS["blue"]}, "value": COLOURS["grey"]}
    y = {
        "field": "model",
        "type": "nominal",
        "scale": {"domain": order},
        "axis": {"title": None, "labelColor": INK, "labelLimit": 170, "labelFontSize": 13},
    }
    tooltip = [
        {"field": "model", "title": "Model"},
        {"field": "told", "title": title if isinstance(title, str) else title[0]},
    ]
    layers: list[dict[str, Any]] = []
    if nothing is not None:
        rule = {"type": "rule", "strokeDash": [4, 4], "color": MUTED}
        layers.append(
            {
                "data": {"values": [{"nothing": nothing * scale}]},
                "mark": rule,
                "encoding": {"x": {"field": "nothing", **x}},
            }
        )
    shown = shown_by(switches)
    encoding = {"y": y, "color": colour, "tooltip": tooltip}
    layers += [
        {
            "transform": shown,
            "mark": {"type": "rule", "strokeWidth": 3, "strokeCap": "round", "opacity": 0.75},
            "encoding": {**encoding, "x": {"field": "lower", **x}, "x2": {"field": "upper"}},
        },
        {
            "transform": shown,
            "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1, "stroke": "white", "strokeWidth": 1.5},
            "encoding": {**encoding, "x": {"field": "value", **x}, "shape": _SHAPE},
        },
    ]
    return {
        "data": {"values": data},
        "params": params(switches),
        "width": WIDTH,
        "height": _STEP * len(order),
        "layer": layers,
    }


def _paired(summary: dict[str, Any]) -> list[Chart]:
    """Paired differences in accuracy against the average risk and against Cox, switched together."""
    told = summary["comparisons"]
    name = next((m for m in _ACCURACY if any(m in cell["measures"] for cell in told)), None)
    cells = [cell for cell in told if name in cell["measures"]]
    if name is None or not cells:
        return []
    measure = measure_of(name)
    opponents = _switch("versus", "Against", [(c["label"], c["label"]) for c in cells], None)
    switches = (opponents, *_when(summary, cells))
    data, findings = [], {}
    for cell in cells:
        state = {**_state(cell), "versus": cell["label"]}
        answered = [(r, r["values"][name]) for r in cell["rows"] if known(r["values"].get(name, {}).get("value"))]
        data += [_dot(summary, row, value, measure.show_difference, 1.0, state) for row, value in answered]
        none = {"value": 0.0, "lower": None, "upper": None}
        data.append({**state, **none, "model": cell["label"], "role": "opponent", "told": "the opponent itself"})
        better = [row["label"] for row, value in answered if value["verdict"] == "better"]
        credibly = f"credibly better: {', '.join(better)}" if better else "no model is credibly better"
        findings[_key(switches, state)] = f"{_place(cell)}, against {cell['label']}: {credibly}."
    title = [f"Difference in {measure.label} ({summary['confidence']} interval)", "left of zero is better"]
    spec = _dots(data, switches, list(summary["labels"].values()), title, 0.0, 1.0)
    return [
        Chart(
            id="paired",
            spec=spec,
            title="Is the difference more than chance?",
            finding=findings.get(_start(switches), ""),
            group="paired",
            switches=switches,
            findings=findings,
        )
    ]


def _calibration(summary: dict[str, Any]) -> list[Chart]:
    cells = summary["calibration"]
    if not cells:
        return []
    primary = summary["primary"] or {}
    models = _switch("model", "Model", [(c["label"], c["label"]) for c in cells], summary["told_first"])
    switches = (models, *_when({"primary": primary}, cells))
    data, findings = [], {}
    for cell in cells:
        state = {**_state(cell), "model": cell["label"]}
        groups = [group for group in cell["groups"] if known(group["predicted"])]
        for group in groups:
            size = {} if group["n"] is None else {"n": group["n"]}
            told = f"{percent(group['observed'])} ({interval(group['lower'], group['upper'], percent)})"
            ends = {key: group[key] for key in ("predicted", "observed", "lower", "upper")}
            data.append({**state, **ends, **size, "told": told, "expected": percent(group["predicted"])})
        findings[_key(switches, state)] = _calibration_finding(cell, groups)
    spec = _calibration_spec(data, switches, summary)
    return [
        Chart(
            id="calibration",
            spec=spec,
            title="Do the stated risks come true?",
            finding=findings.get(_start(switches), ""),
            group="calibration",
            switches=switches,
            findings=findings,
        )
    ]


def _calibration_finding(cell: dict[str, Any], groups: list[dict[str, Any]]) -> str:
    held = sum(group["lower"] <= group["predicted"] <= group["upper"] for group in groups if known(group["lower"]))
    judged = sum(known(group["lower"]) for group in groups)
    return (
        f"{cell['label']}, {_place(cell).lower()}: in {held} of {judged} groups of patients the observed risk agrees "
        "with the predicted one (its interval holds the diagonal)."
    )


def _calibration_spec(
    data: list[dict[str, Any]], switches: tuple[Switch, ...], summary: dict[str, Any]
) -> dict[str, Any]:
    top = max([d[key] for d in data for key in ("predicted", "observed", "upper") if d[key] is not None] or [1.0])
    top = min(1.0, max(0.02, 1.05 * top))
    axis = {"format": "%", "tickCount": 6}
    scale = {"domain": [0, top], "nice": False, "clamp": True}
    x = {"field": "predicted", "type": "quantitative", "scale": scale, "axis": {**axis, "title": "Predicted risk"}}
    y = {
        "type": "quantitative",
        "scale": scale,
        "axis": {**axis, "title": f"Observed risk ({summary['confidence']} interval)"},
    }
    tooltip = [
        {"field": "expected", "title": "Predicted"},
        {"field": "told", "title": "Observed"},
        {"field": "n", "title": "Patients"},
    ]
    diagonal = {"data": {"values": [{"predicted": 0, "observed": 0}, {"predicted": top, "observed": top}]}}
    shown = shown_by(switches)
    return {
        "data": {"values": data},
        "params": params(switches),
        "width": 480,
        "height": 420,
        "layer": [
            {
                **diagonal,
                "mark": {"type": "line", "strokeDash": [4, 4], "color": MUTED, "strokeWidth": 1.5},
                "encoding": {"x": x, "y": {"field": "observed", **y}},
            },
            {
                "transform": shown,
                "mark": {
                    "type": "rule",
                    "strokeWidth": 2.5,
                    "color": COLOURS["blue"],
                    "opacity": 0.55,
                    "strokeCap": "round",
                },
                "encoding": {"x": x, "y": {"field": "lower", **y}, "y2": {"field": "upper"}, "tooltip": tooltip},
            },
            {
                "transform": shown,
                "mark": {"type": "point", "filled": True, "size": 90, "color": COLOURS["blue"], "opacity": 1},
                "encoding": {"x": x, "y": {"field": "observed", **y}, "tooltip": tooltip},
            },
        ],
    }


def _incidence(summary: dict[str, Any]) -> list[Chart]:
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
        "axis": {"title": f"{name} {_origin(summary['landmarks'][0])}", "grid": False},
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
