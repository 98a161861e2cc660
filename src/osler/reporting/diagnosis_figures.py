"""The charts of a study of classes, drawn from its summary alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from osler.reporting.calibration import curve_finding
from osler.reporting.calibration_figures import smooth_layers
from osler.reporting.chart import COLOURS, MUTED, Chart, Switch, legend, params, shown_by
from osler.reporting.diagnosis_measures import MEASURES
from osler.reporting.dots import dot, dots, told
from osler.reporting.positions import completed, key, start, switch
from osler.reporting.words import interval, known, percent

__all__ = ["diagnosis_charts"]

_HEADINGS = {"auc": "Are the classes told apart?", "brier": "Are the probabilities near the truth?"}
_SIZE = (480, 420)
_LINES = tuple(COLOURS[name] for name in ("grey", "vermilion", "green", "blue", "purple", "orange"))
_BOUNDS = ("observed", "lower", "upper", "calibrated_lower", "calibrated_upper")


def diagnosis_charts(s: dict[str, Any]) -> dict[str, list[Chart]]:
    """Charts by the section that shows them."""
    return {
        "models": [chart for name in _HEADINGS if (chart := _measured(s, name)) is not None],
        "roc": _roc(s),
        "calibration": _calibration(s),
    }


def _measured(s: dict[str, Any], name: str) -> Chart | None:
    """One measure of all models, as dots with intervals."""
    measure, data, said = MEASURES[name], [], []
    for row in s["models"]:
        value = row["values"].get(name, {})
        if known(value.get("value")):
            role = "chosen" if row["model"] == s["chosen"]["model"] else "other"
            data.append(dot(row["label"], value, measure.show, measure.scale, {}, role))
            said.append(f"{row['label']} {told(measure.show, value)}")
    if not data:
        return None
    title = f"{measure.label} ({s['confidence']} interval)"
    return Chart(
        id=f"models-{name}",
        spec=dots(data, (), list(s["labels"].values()), title, measure.nothing, measure.scale),
        title=_HEADINGS[name],
        finding=f"{measure.label}: {'; '.join(said)}.",
    )


def _of_class(s: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> tuple[Switch, ...]:
    """A switch over the classes, where several are judged."""
    present = list(dict.fromkeys(cell["class"] for cell in cells))
    return (switch("class", "Class", [(name, name) for name in present], s["positive"]),) if len(present) > 1 else ()


def _roc(s: dict[str, Any]) -> list[Chart]:
    if not s["roc"]:
        return []
    switches = _of_class(s, s["roc"])
    data, findings = [], {}
    for cell in s["roc"]:
        words = {"class": cell["class"], "name": cell["label"]}
        data += [{**words, "false": round(p["false"], 4), "found": round(p["found"], 4)} for p in cell["points"]]
    for of in dict.fromkeys(cell["class"] for cell in s["roc"]):
        mine = [cell for cell in s["roc"] if cell["class"] == of]
        at_tenth = "; ".join(f"{cell['label']} {percent(cell['points'][5]['found'])}" for cell in mine)
        said = (
            f"Where one in ten of the others is taken for {of}, of those who are of that class are found: {at_tenth}."
        )
        findings[key(switches, {"class": of})] = said
    findings = completed(findings, switches)
    names = list(dict.fromkeys(cell["label"] for cell in s["roc"]))
    return [
        Chart(
            id="roc",
            spec=_roc_spec(data, switches, names),
            title="Found, for how many false alarms",
            finding=findings[start(switches)],
            group="roc",
            switches=switches,
            findings=findings if switches else {},
        )
    ]


def _roc_spec(data: list[dict[str, Any]], switches: tuple[Switch, ...], names: list[str]) -> dict[str, Any]:
    axis = {"format": "%", "tickCount": 5}
    scale = {"domain": [0, 1], "nice": False}
    x = {"field": "false", "type": "quantitative", "scale": scale, "axis": {**axis, "title": "Falsely taken for it"}}
    y = {"field": "found", "type": "quantitative", "scale": scale, "axis": {**axis, "title": "Rightly found"}}
    colour = {
        "field": "name",
        "type": "nominal",
        "scale": {"domain": names, "range": list(_LINES[: len(names)])},
        "legend": legend(names),
    }
    dash = {"field": "name", "type": "nominal", "scale": {"domain": names, "range": [[1, 0], [6, 3], [2, 2], [1, 0]]}}
    diagonal = [{"false": 0, "found": 0}, {"false": 1, "found": 1}]
    line = {"type": "line", "strokeWidth": 2.2, "interpolate": "linear"}
    encoding = {"x": x, "y": y, "color": colour, "strokeDash": {**dash, "legend": None}}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": diagonal},
            "mark": {"type": "line", "strokeDash": [4, 4], "color": MUTED, "strokeWidth": 1.5},
            "encoding": {"x": x, "y": y},
        },
        {"transform": shown_by(switches), "mark": line, "encoding": encoding},
    ]
    return _square(data, switches, layers)


def _calibration(s: dict[str, Any]) -> list[Chart]:
    """The smooth curve of each model and class, beside what chance allows."""
    cells = s["smooth"]
    if not cells:
        return []
    models = [(label, label) for label in s["labels"].values() if label in {cell["label"] for cell in cells}]
    switches = (switch("model", "Model", models, s["chosen"]["label"]), *_of_class(s, cells))
    data, findings = [], {}
    for cell in cells:
        at = {"model": cell["label"], "class": cell["class"]}
        for point in cell["points"]:
            ends = {name: round(point[name], 5) for name in ("predicted", *_BOUNDS) if point[name] is not None}
            band = interval(point["lower"], point["upper"], percent)
            words = {"told": percent(point["observed"]) + (f" ({band})" if band else "")}
            data.append({**at, **ends, **words, "expected": percent(point["predicted"])})
        findings[key(switches, at)] = f"{cell['label']}, {cell['class']}: {curve_finding(cell['points'])}."
    findings = completed(findings, switches)
    return [
        Chart(
            id="calibration-curve",
            spec=_calibration_spec(data, switches, s["confidence"]),
            title="Predicted and observed",
            finding=findings[start(switches)],
            group="calibration",
            switches=switches,
            findings=findings,
        )
    ]


def _calibration_spec(data: list[dict[str, Any]], switches: tuple[Switch, ...], confidence: str) -> dict[str, Any]:
    axis, scale = {"format": "%", "tickCount": 5}, {"domain": [0, 1], "nice": False, "clamp": True}
    title = {"x": "Predicted probability", "y": f"Observed share ({confidence} interval)"}
    x = {"field": "predicted", "type": "quantitative", "scale": scale, "axis": {**axis, "title": title["x"]}}
    y = {"type": "quantitative", "scale": scale, "axis": {**axis, "title": title["y"]}}
    diagonal = {
        "data": {"values": [{"predicted": 0, "observed": 0}, {"predicted": 1, "observed": 1}]},
        "mark": {"type": "line", "strokeDash": [4, 4], "color": MUTED, "strokeWidth": 1.5},
        "encoding": {"x": x, "y": {"field": "observed", **y}},
    }
    tooltip = [{"field": "expected", "title": "Predicted"}, {"field": "told", "title": "Observed"}]
    layers = smooth_layers((x, y, diagonal), shown_by(switches), tooltip)
    return _square(data, switches, layers)


def _square(data: list[dict[str, Any]], switches: tuple[Switch, ...], layers: list[dict[str, Any]]) -> dict[str, Any]:
    width, height = _SIZE
    return {"data": {"values": data}, "params": params(switches), "width": width, "height": height, "layer": layers}
