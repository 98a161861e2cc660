"""Frames of an evaluation, read into plain values: missing numbers are None, parts keep the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from osler.evaluation.measuring import UNDEFINED

__all__ = ["given", "numbers", "place_of", "rank", "real", "remark", "remarks", "split", "whole"]


def given(frame: pd.DataFrame | None) -> pd.DataFrame:
    """A frame, empty where there is none."""
    return pd.DataFrame() if frame is None else frame


def split(frame: pd.DataFrame, names: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The parts of a frame that agree in ``names``, missing horizons included, in the order in which they come."""
    if len(frame):
        yield from frame.groupby(names, dropna=False, sort=False)  # type: ignore[misc]


def whole(value: Any) -> int | None:
    """A count, or None where it is missing."""
    return None if value is None or pd.isna(value) else round(float(value))


def real(value: Any) -> float | None:
    """A number, or None where it is missing."""
    return None if value is None or pd.isna(value) else float(value)


def numbers(row: Mapping[Any, Any], *names: str) -> dict[str, float | None]:
    """Some columns of a row as numbers; a column that is not there is missing."""
    return {name: real(row.get(name)) for name in names}


def remark(row: Mapping[Any, Any]) -> str:
    """The note of a row, or nothing."""
    note = row.get("note")
    return "" if note is None or pd.isna(note) else str(note)


def remarks(cell: pd.DataFrame) -> list[str]:
    """What to tell below the measures of one landmark and horizon, each once.

    That one model alone can have no such value (a slope, where risks do not differ) is no remark: its dash says so.
    """
    answered = cell.groupby("measure")["value"].transform(lambda values: values.notna().any()).astype(bool)
    told = cell[~(answered & (cell["note"] == UNDEFINED))]
    return sorted({note for note in map(remark, told.to_dict("records")) if note})


def rank(order: Sequence[str], name: str) -> int:
    """Position of a name in an order; unknown ones come last."""
    return list(order).index(name) if name in order else len(order)


def place_of(cell: Mapping[str, Any]) -> tuple[float, bool, float]:
    """What to sort cells by: landmark, then horizon, with all horizons together last."""
    horizon = cell["horizon"]
    return (float(cell["landmark"]), horizon is None, horizon or 0.0)
