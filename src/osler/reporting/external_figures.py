"""The charts of an external validation's report, drawn from its summary alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osler.reporting.calibration_figures import calibration_charts
from osler.reporting.chart import COLOURS, MUTED, Chart, Switch, legend, params, shown_by
from osler.reporting.decision_figures import decision_charts
from osler.reporting.dots import dot, dots, told
from osler.reporting.incidence_figures import incidence_charts
from osler.reporting.measures import MEASURES
from osler.reporting.positions import completed, key, place, start, state, switch, when
from osler.reporting.words import interval, known, percent

__all__ = ["external_charts"]

_HEADINGS = {
    "observed_expected": "Do as many events happen as were predicted?",
    "ipa": "Is it nearer the truth than the average risk?",
}
_SIZE = (480, 420)
_COLOURS = (COLOURS["vermilion"], COLOURS["blue"])


def external_charts(summary: dict[str, Any]) -> dict[str, list[Chart]]:
    """Charts by the section that shows them."""
    return {
        "models": [chart for name in _HEADINGS if (chart := _measured(summary, name)) is not None],
        "updating": _before_and_after(summary),
        "incidence": incidence_charts(summary),
        "calibration": calibration_charts(summary),
        "usefulness": decision_charts(summary),
    }


def _measured(summary: dict[str, Any], name: str) -> Chart | None:
    """One measure of the model and its updates, or of several models, as dots with intervals."""
    measure = MEASURES[name]
    cells = [c for c in summary["cells"] if name in c["measures"] and c["horizon"] is not None]
    if not cells:
        return None
    switches, data, findings = when(summary["primary"], cells), [], {}
    for cell in cells:
        at, said = state(cell), []
        for row in cell["rows"]:
            value = row["values"].get(name, {})
            if known(value.get("value")):
                role = "chosen" if row["model"] == summary["chosen"]["model"] else "other"
                data.append(dot(row["label"], value, measure.show, measure.scale, at, role))
                said.append(f"{row['label']} {told(measure.show, value)}")
        if said:
            findings[key(switches, at)] = f"{place(cell)}: {measure.label}: {'; '.join(said)}."
    findings = completed(findings, switches)
    title = f"{measure.label} ({summary['confidence']} interval)"
    labels = list(summary["labels"].values())
    return Chart(
        id=f"models-{name.replace('_', '-')}",
        spec=dots(data, switches, labels, title, measure.nothing, measure.scale),
        title=_HEADINGS[name],
        finding=findings[start(switches)],
        group="models",
        switches=switches,
        findings=findings,
    )


def _before_and_after(summary: dict[str, Any]) -> list[Chart]:
    """Calibration of the model as it is and of one update, one over the other."""
    base = summary["base"]["model"]
    cells = [cell for cell in summary["calibration"] if any(known(g["predicted"]) for g in cell["groups"])]
    updates = [(c["label"], c["label"]) for c in cells if c["model"] != base]
    if not summary["updated"] or not updates:
        return []
    chosen = summary["chosen"]["label"] if summary["chosen"]["model"] != base else None
    switches = (switch("update", "Update", updates, chosen), *when(summary["primary"], cells))
    before = {(c["landmark"], c["horizon"]): c for c in cells if c["model"] == base}
    curves = {(c["landmark"], c["horizon"], c["model"]): c["points"] for c in summary["smooth"]}
    data, findings = [], {}
    for cell in (c for c in cells if c["model"] != base and (c["landmark"], c["horizon"]) in before):
        at = state(cell, update=cell["label"])
        first = before[cell["landmark"], cell["horizon"]]
        for which, shown in (("as it is", first), ("after the update", cell)):
            data += [_group(group, which, at) for group in shown["groups"] if known(group["predicted"])]
            points = curves.get((cell["landmark"], cell["horizon"], shown["model"]), ())
            data += [_point(point, which, at) for point in points]
        findings[key(switches, at)] = (
            f"{place(cell)}: the observed risk agrees with the predicted one in {_agreeing(first)} groups as it is, "
            f"and in {_agreeing(cell)} after the update ({cell['label'].rpartition(', ')[2]}), among patients whom the "
            "update had not seen."
        )
    findings = completed(findings, switches)
    return [
        Chart(
            id="before-and-after",
            spec=_spec(data, switches, summary["confidence"]),
            title="Predicted and observed, before and after",
            finding=findings[start(switches)],
            group="updating",
            switches=switches,
            findings=findings,
        )
    ]


def _group(group: Mapping[str, Any], which: str, at: Mapping[str, str]) -> dict[str, Any]:
    bounds = interval(group["lower"], group["upper"], percent)
    said = {"told": percent(group["observed"]) + (f" ({bounds})" if bounds else "")}
    ends = {name: group[name] for name in ("predicted", "observed", "lower", "upper")}
    return {**at, **ends, **said, "which": which, "expected": percent(group["predicted"]), "kind": "group"}


def _point(point: Mapping[str, Any], which: str, at: Mapping[str, str]) -> dict[str, Any]:
    ends = {name: round(point[name], 5) for name in ("predicted", "observed")}
    return {**at, **ends, "which": which, "kind": "curve"}


def _agreeing(cell: Mapping[str, Any]) -> str:
    judged = [group for group in cell["groups"] if known(group["lower"]) and known(group["predicted"])]
    held = sum(group["lower"] <= group["predicted"] <= group["upper"] for group in judged)
    return f"{held} of {len(judged)}"


def _spec(data: list[dict[str, Any]], switches: tuple[Switch, ...], confidence: str) -> dict[str, Any]:
    ends = [d[name] for d in data for name in ("predicted", "observed", "upper") if d.get(name) is not None]
    top = min(1.0, max(0.02, 1.05 * max(ends or [1.0])))
    axis, scale = {"format": "%", "tickCount": 6}, {"domain": [0, top], "nice": False, "clamp": True}
    x = {"field": "predicted", "type": "quantitative", "scale": scale, "axis": {**axis, "title": "Predicted risk"}}
    title = f"Observed risk ({confidence} interval)"
    y = {"type": "quantitative", "scale": scale, "axis": {**axis, "title": title}}
    names = ["as it is", "after the update"]
    key_of = {"field": "which", "type": "nominal", "legend": legend(names)}
    colour = {**key_of, "scale": {"domain": names, "range": list(_COLOURS)}}
    shape = {**key_of, "scale": {"domain": names, "range": ["circle", "diamond"]}}
    tooltip = [
        {"field": "which", "title": "Risks"},
        {"field": "expected", "title": "Predicted"},
        {"field": "told", "title": "Observed"},
    ]
    shown = shown_by(switches)
    groups = [*shown, {"filter": "datum.kind === 'group' && isValid(datum.observed)"}]
    ends_of = {"x": x, "y": {"field": "lower", **y}, "y2": {"field": "upper"}, "color": colour}
    observed = {"x": x, "y": {"field": "observed", **y}, "color": colour}
    diagonal = {"predicted": 0, "observed": 0}, {"predicted": top, "observed": top}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": list(diagonal)},
            "mark": {"type": "line", "strokeDash": [4, 4], "color": MUTED, "strokeWidth": 1.5},
            "encoding": {"x": x, "y": {"field": "observed", **y}},
        },
        {
            "transform": [*shown, {"filter": "datum.kind === 'curve'"}],
            "mark": {"type": "line", "strokeWidth": 2, "opacity": 0.8},
            "encoding": observed,
        },
        {
            "transform": groups,
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.5, "strokeCap": "round"},
            "encoding": {**ends_of, "tooltip": tooltip},
        },
        {
            "transform": groups,
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "stroke": "white", "strokeWidth": 1},
            "encoding": {**observed, "shape": shape, "tooltip": tooltip},
        },
    ]
    width, height = _SIZE
    return {
        "data": {"values": data},
        "params": params(switches),
        "width": width,
        "height": height,
        "layer": layers,
    }
