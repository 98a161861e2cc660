"""Render: a summary and its charts become one HTML file that needs nothing else and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from osler.outputs import write_whole
from osler.reporting.chart import Chart, bundle
from osler.reporting.comparison import measure_of
from osler.reporting.words import (
    ABSENT,
    capitalise,
    count,
    interval,
    known,
    long,
    moment,
    needed,
    percent,
    plain_points,
    points,
    significant,
    since,
    spell,
)
from osler.units import duration

__all__ = ["render", "write_page"]

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, charts: dict[str, list[Chart]], contents: Iterable[tuple[str, str]], **values: Any) -> str:
    """The page as text.

    Args:
        template: file name in the templates folder; everything put into it is escaped.
        charts: by section; they are drawn as pictures here, and made live by the page's script.
        contents: (anchor, words) of the table of contents.
        values: what else the template names.
    """
    css, script = _text("report.css"), _text("report.js")
    drawn = [chart for section in charts.values() for chart in section]
    scripts = [bundle(), script] if drawn else [script]
    # Escaped for a script element: "<", ">", "&" and quotes become \u00XX, so that no label can end it.
    data = htmlsafe_json_dumps([chart.live() for chart in drawn]) if drawn else ""
    return (
        _environment()
        .get_template(template)
        .render(
            charts=charts,
            contents=list(contents),
            css=Markup(css),  # noqa: S704 - our own files
            script=Markup(script),  # noqa: S704
            bundle=Markup(scripts[0]) if drawn else "",  # noqa: S704
            data=data,
            policy=_policy(css, scripts),
            **values,
        )
    )


def write_page(path: str | os.PathLike[str], page: str) -> Path:
    """Write ``page`` so that a file of that name is always whole; returns its path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, lambda part: part.write_text(page, encoding="utf-8", newline="\n"))
    return target


def _policy(css: str, scripts: list[str]) -> str:
    """Content security policy: these scripts and this style by their hashes, pictures inside the page, nothing else."""
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(css)}; "
        f"script-src {' '.join(_hash(script) for script in scripts)}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["capitalise"] = capitalise
    environment.globals.update(
        absent=ABSENT,
        capitalise=capitalise,
        count=count,
        duration=duration,
        interval=interval,
        known=known,
        long=long,
        measure=measure_of,
        moment=moment,
        needed=needed,
        percent=percent,
        plain_points=plain_points,
        points=points,
        significant=significant,
        since=since,
        spell=spell,
    )
    return environment
