"""Dots with their intervals, one row each: the picture of an estimate in every comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from osler.reporting.chart import COLOURS, INK, MUTED, WIDTH, Switch, labelled_rows, params, shown_by
from osler.reporting.measures import Measure
from osler.reporting.words import estimate

__all__ = ["dot", "dots", "forest", "told"]

_STEP, _TIGHT = 30, 26
#: Width of the words of a row, in pixels: enough for the longest name of a model.
_LABELS = 176
_ENDS = ("value", "lower", "upper")
#: What stands out is told by shape too, for those who do not see colours.
_STANDS_OUT = "datum.role === 'chosen' || datum.role === 'apart'"
_SHAPE = {"condition": {"test": _STANDS_OUT, "value": "diamond"}, "value": "circle"}
_COLOUR = {
    "condition": [
        {"test": "datum.role === 'chosen' || datum.role === 'level'", "value": COLOURS["blue"]},
        {"test": "datum.role === 'apart'", "value": COLOURS["vermilion"]},
    ],
    "value": COLOURS["grey"],
}
_THICK: dict[str, Any] = {"type": "rule", "strokeWidth": 3, "strokeCap": "round", "opacity": 0.75}
_THIN: dict[str, Any] = {"type": "rule", "strokeWidth": 1, "opacity": 0.9}
_POINT = {"type": "point", "filled": True, "size": 110, "opacity": 1, "stroke": "white", "strokeWidth": 1.5}
_NOTHING = {"type": "rule", "strokeDash": [4, 4], "color": MUTED}


def told(show: Callable[[Any], str], value: Mapping[str, Any]) -> str:
    """An estimate with its interval, as text."""
    return estimate(value["value"], value["lower"], value["upper"], show)


def dot(
    label: str, value: Mapping[str, Any], show: Callable[[Any], str], scale: float, state: Mapping[str, str], role: str
) -> dict[str, Any]:
    """A row of the data of a chart of dots; "wide" bounds are drawn too where ``value`` has them."""
    ends = [*_ENDS, *(name for name in ("wide_lower", "wide_upper") if value.get(name) is not None)]
    drawn = {name: None if value[name] is None else round(scale * value[name], 6) for name in ends}
    return {**state, **drawn, "name": label, "role": role, "told": told(show, value)}


def dots(
    data: list[dict[str, Any]],
    switches: tuple[Switch, ...],
    order: list[str],
    title: str | list[str],
    nothing: float | None,
    scale: float,
) -> dict[str, Any]:
    """Vega-Lite of one measure by model: the same axis at every position of the switches."""
    ends = [d[name] for d in data for name in (*_ENDS, "wide_lower", "wide_upper") if d.get(name) is not None]
    ends += [] if nothing is None else [nothing * scale]
    margin = 0.04 * ((max(ends) - min(ends)) or 1.0) if ends else 1.0
    domain = [min(ends) - margin, max(ends) + margin] if ends else [0, 1]
    axis = {"title": title, "tickCount": 5, **({"labelExpr": "datum.label + '%'"} if scale == 100 else {})}
    x = {"type": "quantitative", "scale": {"domain": domain, "nice": False, "zero": False}, "axis": axis}
    y = {
        "field": "name",
        "type": "nominal",
        "scale": {"domain": order},
        "axis": {"title": None, "labelColor": INK, "labelLimit": _LABELS, "labelFontSize": 12},
    }
    tooltip = [
        {"field": "name", "title": "Model"},
        {"field": "told", "title": title if isinstance(title, str) else title[0]},
    ]
    layers: list[dict[str, Any]] = []
    if nothing is not None:
        at = {"data": {"values": [{"nothing": nothing * scale}]}}
        layers.append({**at, "mark": _NOTHING, "encoding": {"x": {"field": "nothing", **x}}})
    layers += _marks(shown_by(switches), x, {"y": y, "color": _COLOUR, "tooltip": tooltip}, data)
    return {
        "data": {"values": data},
        "params": params(switches),
        "width": WIDTH,
        "height": _STEP * len(order),
        "layer": layers,
    }


def _marks(
    shown: list[dict[str, Any]], x: dict[str, Any], encoding: dict[str, Any], data: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Layers: the wide interval where there is one, the interval, the dot."""
    whiskers = [(_THIN, "wide_lower", "wide_upper")] if any("wide_lower" in d for d in data) else []
    layers: list[dict[str, Any]] = [
        {
            "transform": [*shown, {"filter": f"isValid(datum.{lower})"}],
            "mark": mark,
            "encoding": {**encoding, "x": {"field": lower, **x}, "x2": {"field": upper}},
        }
        for mark, lower, upper in (*whiskers, (_THICK, "lower", "upper"))
    ]
    point = {
        "transform": shown,
        "mark": _POINT,
        "encoding": {**encoding, "x": {"field": "value", **x}, "shape": _SHAPE},
    }
    return [*layers, point]


def forest(
    data: list[dict[str, Any]],
    switches: tuple[Switch, ...],
    labels: Sequence[str],
    heads: Sequence[bool],
    measures: Mapping[str, tuple[Measure, list[str]]],
) -> dict[str, Any]:
    """Vega-Lite of rows of estimates in one of several measures, which a switch called "measure" picks.

    Args:
        data: rows of ``dot`` with "row" (a position among ``labels``), and "at" for an upright line of reference,
            "text" for words instead of a dot, or "before" for an open circle beside it.
        switches: "measure" among them; the axis fits what they show.
        labels: words of the rows.
        heads: which rows are headings of those below.
        measures: the measures, and lines to write over the axes for each.
    """
    titles = {name: words for name, (_, words) in measures.items()}
    percent = {name: measure.scale == 100 for name, (measure, _) in measures.items()}
    axis = {"title": None, "tickCount": 5, "labelExpr": "datum.label + (percent[measure] ? '%' : '')"}
    x = {"type": "quantitative", "scale": {"nice": True, "zero": False}, "axis": axis}
    y = labelled_rows(_LABELS)
    bold = {"condition": {"test": "heads[datum.value]", "value": "bold"}, "value": "normal"}
    y = {
        **y,
        "scale": {"domain": list(range(len(labels)))},
        "axis": {**y["axis"], "labelFontWeight": bold, "labelFontSize": 12},
    }
    layers = _rows(data, shown_by(switches), x, y)
    names = {"labels": list(labels), "heads": list(heads), "titles": titles, "percent": percent}
    return {
        "data": {"values": data},
        "title": {"text": {"expr": "titles[measure]"}, "fontWeight": "normal", "fontSize": 12, "anchor": "end"},
        "params": [*params(switches), *({"name": name, "value": value} for name, value in names.items())],
        "width": WIDTH,
        "height": _TIGHT * len(labels),
        "layer": layers,
    }


def _rows(
    data: list[dict[str, Any]], shown: list[dict[str, Any]], x: dict[str, Any], y: dict[str, Any]
) -> list[dict[str, Any]]:
    """Layers of a forest: the line of reference, estimates, open circles and words; only those that there are."""
    tooltip = [{"field": "name", "title": "Of"}, {"field": "told", "title": "Value"}]
    layers: list[dict[str, Any]] = []
    if any("at" in d for d in data):
        at = {"transform": [*shown, {"filter": "isValid(datum.at)"}]}
        layers.append({**at, "mark": _NOTHING, "encoding": {"x": {"field": "at", **x}}})
    rows = [*shown, {"filter": "isValid(datum.value)"}]
    layers += _marks(rows, x, {"y": y, "color": _COLOUR, "tooltip": tooltip}, data)
    if any("before" in d for d in data):
        ring = {"type": "point", "filled": False, "size": 80, "opacity": 1, "color": MUTED, "strokeWidth": 1.8}
        layers.append(
            {
                "transform": [*shown, {"filter": "isValid(datum.before)"}],
                "mark": ring,
                "encoding": {"y": y, "x": {"field": "before", **x}, "tooltip": tooltip},
            }
        )
    if any("text" in d for d in data):
        words = {"type": "text", "align": "left", "color": MUTED, "fontStyle": "italic"}
        layers.append(
            {
                "transform": [*shown, {"filter": "isValid(datum.text)"}],
                "mark": words,
                "encoding": {"y": y, "x": {"value": 6}, "text": {"field": "text"}},
            }
        )
    return layers
