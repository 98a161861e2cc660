"""Chart: one Vega-Lite picture with its words, drawn once as SVG for pages without scripts."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import vl_convert

from osler.units import DAYS_PER

__all__ = [
    "COLOURS",
    "INK",
    "MUTED",
    "RULE",
    "Chart",
    "Switch",
    "bundle",
    "columns",
    "fine",
    "labelled_rows",
    "params",
    "shown_by",
    "theme",
    "time_axis",
]

#: Okabe and Ito's palette (distinct in every common colour blindness), darkened where it was too pale on white.
COLOURS = {
    "blue": "#0067A5",
    "vermilion": "#C8501E",
    "green": "#00805A",
    "orange": "#B87900",
    "sky": "#4BA3D3",
    "purple": "#A8527F",
    "grey": "#6B7280",
}
#: Width of the picture, in pixels; live charts take the width of their place.
WIDTH = 640
INK, MUTED, RULE = "#1B2430", "#56606E", "#D9DEE4"
FONT = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
_VERSION = vl_convert.get_vegalite_versions()[-1]


@dataclass(frozen=True)
class Switch:
    """A choice that readers make on a live chart.

    Attributes:
        name: the Vega-Lite parameter that it sets.
        label: what the choice is about.
        options: (value, words) pairs.
        start: the value shown at the start and in the picture.
    """

    name: str
    label: str
    options: tuple[tuple[str, str], ...]
    start: str


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification and what it shows, in words.

    Attributes:
        id: unique on its page, a plain word; the page puts "chart-" before it.
        spec: Vega-Lite; its data stand inside, and it loads nothing.
        finding: what a reader should see in it: the caption, and the alternative text of the picture.
        title: heading over the picture.
        switches: what readers may change; charts of one ``group`` are switched together.
        findings: words for every position of the switches, by their values joined with "|", in their order.
    """

    id: str
    spec: dict[str, Any]
    finding: str
    title: str = ""
    group: str = ""
    switches: tuple[Switch, ...] = ()
    findings: dict[str, str] = field(default_factory=dict)

    def picture(self) -> str:
        """The chart at the start of every switch, as a data URI of an SVG."""
        svg = vl_convert.vegalite_to_svg(
            {**self.spec, "config": theme()}, vl_version=_VERSION, allowed_base_urls=[], show_warnings=False
        )
        return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")

    def live(self) -> dict[str, Any]:
        """What the page's script needs, as JSON values."""
        return {
            "id": f"chart-{self.id}",
            "group": self.group,
            "spec": {**self.spec, "width": "container", "config": theme()},
            "switches": [switch.name for switch in self.switches],
            "findings": self.findings,
        }


def params(switches: Iterable[Switch]) -> list[dict[str, Any]]:
    """Vega-Lite parameters, one for each switch, at their starts."""
    return [{"name": switch.name, "value": switch.start} for switch in switches]


def shown_by(switches: Iterable[Switch]) -> list[dict[str, Any]]:
    """Transforms that keep the rows which the switches ask for: a row carries a field named like each switch."""
    return [{"filter": f"datum.{switch.name} === {switch.name}"} for switch in switches]


def time_axis(last: float) -> tuple[float, str]:
    """The unit that suits times up to ``last`` days: how many days it has, and its name."""
    if last >= 2 * DAYS_PER["y"]:
        return DAYS_PER["y"], "Years"
    return (DAYS_PER["mo"], "Months") if last > 60 else (1.0, "Days")


def fine(top: float) -> str:
    """The format of an axis of risks: whole percentages unless the whole axis is below a few percent."""
    return ".0%" if top >= 0.05 else ".1%"


def legend(labels: Iterable[str]) -> dict[str, Any]:
    """A legend without a title, in one column where its words would not fit beside each other on a phone."""
    return {"title": None, "columns": 1 if sum(len(label) + 4 for label in labels) > 44 else 0}


def columns(x: dict[str, Any], tooltip: list[dict[str, str]], **more: Any) -> dict[str, Any]:
    """A layer of upright bands, one for each time, unseen until the pointer is on one; it then tells all of that time.

    (A selection of the nearest point would do the same, but Vega-Lite's tooltips for it lose fields of text.)
    """
    select = {"type": "point", "on": "pointerover", "clear": "pointerout"}
    return {
        **more,
        "params": [{"name": "near", "select": select}],
        "mark": {"type": "rule", "strokeWidth": 12, "color": MUTED},
        "encoding": {
            "x": x,
            "opacity": {"condition": {"param": "near", "empty": False, "value": 0.18}, "value": 0},
            "tooltip": tooltip,
        },
    }


def labelled_rows(limit: int) -> dict[str, Any]:
    """Rows 0, 1, ... whose words stand in the parameter "labels": two rows may then carry the same words."""
    axis = {
        "title": None,
        "labelExpr": "labels[datum.value]",
        "labelColor": INK,
        "labelLimit": limit,
        "labelFontSize": 13,
    }
    return {"field": "row", "type": "ordinal", "axis": axis}


def theme() -> dict[str, Any]:
    """Vega-Lite configuration of every chart: quiet axes, one typeface, no screen-reader noise from single marks."""
    axis = {
        "labelColor": MUTED,
        "titleColor": INK,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": "#E8EBEF",
        "domainColor": RULE,
        "tickColor": RULE,
        "labelPadding": 6,
        "titlePadding": 10,
    }
    return {
        "font": FONT,
        "background": "transparent",
        "view": {"stroke": None},
        "aria": False,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {"left": 2, "right": 12, "top": 6, "bottom": 2},
        "axis": axis,
        "axisX": {"titleAnchor": "end"},
        "axisY": {"domain": False, "ticks": False},
        "legend": {
            "labelColor": INK,
            "titleColor": MUTED,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "orient": "top",
            "symbolOpacity": 1,
            "symbolStrokeWidth": 2,
            "labelLimit": 320,
            "offset": 8,
        },
        "text": {"fontSize": 12, "color": INK},
        "title": {"anchor": "start", "fontSize": 13, "fontWeight": 600, "color": INK, "offset": 10},
        "header": {"labelColor": INK, "titleColor": INK},
    }


@cache
def bundle() -> str:
    """The Vega runtime as one script, to be inlined; computed once in a process."""
    script = vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;", vl_version=_VERSION)
    # The bundle is a module: its names stay inside, and a page can never be closed early by a string in it.
    script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--").replace("\r\n", "\n")
    return f"(()=>{{{script}}})();"
