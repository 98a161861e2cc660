"""Positions of the switches of a chart: which there are, where they start, and words for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from osler.reporting.chart import Switch
from osler.reporting.words import capitalise, moment, since, spell
from osler.units import duration

__all__ = ["completed", "key", "place", "start", "state", "switch", "when"]


def switch(name: str, label: str, values: Iterable[tuple[str, str]], begin: str | None) -> Switch:
    """A switch over some (value, words), each once; it begins at the first where ``begin`` is none of them."""
    options = tuple(dict.fromkeys(values))
    started = begin if begin in {value for value, _ in options} else options[0][0]
    return Switch(name, label, options, started)


def when(primary: Mapping[str, Any] | None, cells: Sequence[Mapping[str, Any]]) -> tuple[Switch, ...]:
    """Switches for the landmark and, where measures have one, the horizon; at the start, what the headline is about."""
    first = primary or {}
    landmarks = sorted({cell["landmark"] for cell in cells})
    horizons = sorted({cell["horizon"] for cell in cells if cell["horizon"] is not None})
    switches = [
        switch("landmark", "Predicted at", [(duration(x), moment(x)) for x in landmarks], _text(first.get("landmark")))
    ]
    if horizons:
        ahead = [(duration(x), spell(x)) for x in horizons]
        switches.append(switch("horizon", "Ahead", ahead, _text(first.get("horizon"))))
    return tuple(switches)


def _text(days: float | None) -> str | None:
    return None if days is None else duration(days)


def state(cell: Mapping[str, Any], **more: str) -> dict[str, str]:
    """Where the switches stand when ``cell`` is shown."""
    told = {"landmark": duration(cell["landmark"])}
    return {**told, **({} if cell["horizon"] is None else {"horizon": duration(cell["horizon"])}), **more}


def place(cell: Mapping[str, Any]) -> str:
    """Landmark and horizon, as the beginning of a sentence."""
    ahead = "" if cell["horizon"] is None else f", {spell(cell['horizon'])} ahead"
    return f"{capitalise(since(cell['landmark']))}{ahead}"


def key(switches: Sequence[Switch], at: Mapping[str, str]) -> str:
    """The name of a position among a chart's findings."""
    return "|".join(at[one.name] for one in switches)


def start(switches: Sequence[Switch]) -> str:
    """The position at the start."""
    return "|".join(one.start for one in switches)


def completed(
    findings: Mapping[str, str], switches: Sequence[Switch], absent: Callable[[str], str] = "{}: not answered.".format
) -> dict[str, str]:
    """Findings with words for the positions that have none."""
    told = dict(findings)
    for options in product(*(one.options for one in switches)):
        position = "|".join(value for value, _ in options)
        told.setdefault(position, absent(capitalise(", ".join(words for _, words in options))))
    return told
