"""Charts of calibration: the smooth curve beside what chance allows, and groups of predicted risk."""

from __future__ import annotations

from typing import Any

from osler.reporting.calibration import curve_finding
from osler.reporting.chart import COLOURS, MUTED, Chart, Switch, params, shown_by
from osler.reporting.positions import completed, key, place, start, state, switch, when
from osler.reporting.words import interval, known, percent

__all__ = ["calibration_charts", "smooth_layers"]

_SIZE = (480, 420)
_CURVE = ("observed", "lower", "upper", "calibrated_lower", "calibrated_upper")
Axes = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def calibration_charts(summary: dict[str, Any]) -> list[Chart]:
    """The smooth curve and the groups, switched together by model, landmark and horizon."""
    smooth, groups, measured = (summary[name] for name in ("smooth", "calibration", "calibration_measures"))
    cells = [*groups, *smooth, *measured]
    if not smooth and not groups:
        return []
    known_labels = [(label, label) for label in summary["labels"].values()]
    present = {cell["label"] for cell in cells}
    models = [option for option in known_labels if option[0] in present]
    switches = (switch("model", "Model", models, summary["told_first"]), *when(summary["primary"], cells))
    axes = _axes(_top(smooth, groups), summary["confidence"])
    charts = []
    if smooth:
        charts.append(_smooth(smooth, switches, axes))
    if groups:
        charts.append(_groups(groups, switches, axes))
    return charts


def _chart(name: str, title: str, spec: dict[str, Any], switches: tuple[Switch, ...], found: dict[str, str]) -> Chart:
    findings = completed(found, switches)
    return Chart(
        id=name,
        spec=spec,
        title=title,
        finding=findings[start(switches)],
        group="calibration",
        switches=switches,
        findings=findings,
    )


def _smooth(cells: list[dict[str, Any]], switches: tuple[Switch, ...], axes: Axes) -> Chart:
    data, findings = [], {}
    for cell in cells:
        at = state(cell, model=cell["label"])
        for point in cell["points"]:
            ends = {name: round(point[name], 5) for name in ("predicted", *_CURVE) if point[name] is not None}
            band = interval(point["lower"], point["upper"], percent)
            words = {"told": percent(point["observed"]) + (f" ({band})" if band else "")}
            words["chance"] = interval(point["calibrated_lower"], point["calibrated_upper"], percent)
            data.append({**at, **ends, **words, "expected": percent(point["predicted"])})
        finding = f"{cell['label']}, {place(cell).lower()}: {curve_finding(cell['points'])}."
        findings[key(switches, at)] = finding
    return _chart("calibration-curve", "As a smooth curve", _smooth_spec(data, switches, axes), switches, findings)


def _smooth_spec(data: list[dict[str, Any]], switches: tuple[Switch, ...], axes: Axes) -> dict[str, Any]:
    tooltip = [
        {"field": "expected", "title": "Predicted"},
        {"field": "told", "title": "Observed"},
        {"field": "chance", "title": "If perfectly calibrated"},
    ]
    return _square(data, switches, smooth_layers(axes, shown_by(switches), tooltip))


def smooth_layers(axes: Axes, shown: list[dict[str, Any]], tooltip: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A curve of observed over predicted, its band, and behind it the band of perfectly calibrated predictions.

    Args:
        axes: x and y as encodings, and the layer of the diagonal.
        shown: transforms that keep what switches ask for.
        tooltip: fields told of the nearest point.
    """
    x, y, diagonal = axes
    blue = COLOURS["blue"]
    bands = [("calibrated_lower", "calibrated_upper", "#9AA3AE", 0.32), ("lower", "upper", blue, 0.2)]
    line = {"type": "line", "color": blue, "strokeWidth": 2.4}
    near = {"type": "point", "filled": True, "size": 120, "opacity": 0, "color": blue}
    encoding = {"x": x, "y": {"field": "observed", **y}}
    return [
        *(
            {
                "transform": [*shown, {"filter": f"isValid(datum.{low})"}],
                "mark": {"type": "area", "color": colour, "opacity": opacity},
                "encoding": {"x": x, "y": {"field": low, **y}, "y2": {"field": high}},
            }
            for low, high, colour, opacity in bands
        ),
        diagonal,
        {"transform": shown, "mark": line, "encoding": encoding},
        {"transform": shown, "mark": near, "encoding": {**encoding, "tooltip": tooltip}},
    ]


def _groups(cells: list[dict[str, Any]], switches: tuple[Switch, ...], axes: Axes) -> Chart:
    data, findings = [], {}
    for cell in cells:
        at = state(cell, model=cell["label"])
        groups = [group for group in cell["groups"] if known(group["predicted"])]
        for group in groups:
            size = {} if group["n"] is None else {"n": group["n"]}
            told = f"{percent(group['observed'])} ({interval(group['lower'], group['upper'], percent)})"
            ends = {name: group[name] for name in ("predicted", "observed", "lower", "upper")}
            data.append({**at, **ends, **size, "told": told, "expected": percent(group["predicted"])})
        findings[key(switches, at)] = _groups_finding(cell, groups)
    return _chart("calibration", "In groups of patients", _groups_spec(data, switches, axes), switches, findings)


def _groups_finding(cell: dict[str, Any], groups: list[dict[str, Any]]) -> str:
    held = sum(group["lower"] <= group["predicted"] <= group["upper"] for group in groups if known(group["lower"]))
    judged = sum(known(group["lower"]) for group in groups)
    return (
        f"{cell['label']}, {place(cell).lower()}: in {held} of {judged} groups of patients the observed risk agrees "
        "with the predicted one (its interval holds the diagonal)."
    )


def _groups_spec(data: list[dict[str, Any]], switches: tuple[Switch, ...], axes: Axes) -> dict[str, Any]:
    x, y, diagonal = axes
    tooltip = [
        {"field": "expected", "title": "Predicted"},
        {"field": "told", "title": "Observed"},
        {"field": "n", "title": "Patients"},
    ]
    shown = shown_by(switches)
    blue = COLOURS["blue"]
    rule = {"type": "rule", "strokeWidth": 2.5, "color": blue, "opacity": 0.55, "strokeCap": "round"}
    point = {"type": "point", "filled": True, "size": 90, "color": blue, "opacity": 1}
    interval_of = {"x": x, "y": {"field": "lower", **y}, "y2": {"field": "upper"}, "tooltip": tooltip}
    layers = [
        diagonal,
        {"transform": shown, "mark": rule, "encoding": interval_of},
        {"transform": shown, "mark": point, "encoding": {"x": x, "y": {"field": "observed", **y}, "tooltip": tooltip}},
    ]
    return _square(data, switches, layers)


def _top(smooth: list[dict[str, Any]], groups: list[dict[str, Any]]) -> float:
    """Where the axes of both charts end."""
    ends = [point[name] for cell in smooth for point in cell["points"] for name in ("predicted", *_CURVE)]
    ends += [group[name] for cell in groups for group in cell["groups"] for name in ("predicted", "observed", "upper")]
    top = max([end for end in ends if end is not None] or [1.0])
    return float(min(1.0, max(0.02, 1.05 * top)))


def _axes(top: float, confidence: str) -> Axes:
    """Both axes, to one end, and the diagonal between them."""
    axis = {"format": "%", "tickCount": 6}
    scale = {"domain": [0, top], "nice": False, "clamp": True}
    x = {"field": "predicted", "type": "quantitative", "scale": scale, "axis": {**axis, "title": "Predicted risk"}}
    observed = {"axis": {**axis, "title": f"Observed risk ({confidence} interval)"}}
    y = {"type": "quantitative", "scale": scale, **observed}
    diagonal = {
        "data": {"values": [{"predicted": 0, "observed": 0}, {"predicted": top, "observed": top}]},
        "mark": {"type": "line", "strokeDash": [4, 4], "color": MUTED, "strokeWidth": 1.5},
        "encoding": {"x": x, "y": {"field": "observed", **y}},
    }
    return x, y, diagonal


def _square(data: list[dict[str, Any]], switches: tuple[Switch, ...], layers: list[dict[str, Any]]) -> dict[str, Any]:
    width, height = _SIZE
    return {
        "data": {"values": data},
        "params": params(switches),
        "width": width,
        "height": height,
        "layer": layers,
    }
