"""Columns by pattern: thousands of them are named by a glob or a range, not by hand."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence

__all__ = ["names_of", "select_columns"]


def select_columns(
    columns: Sequence[str], patterns: Iterable[str], leave_out: Iterable[str] = ()
) -> tuple[list[str], list[str]]:
    """Columns that fit any pattern, in file order, and the patterns that fit none.

    A pattern is a column's own name, a range "first:last" in file order (both included), or a glob ("*_mut").
    """
    position = {name: i for i, name in enumerate(columns)}
    chosen: set[int] = set()
    idle: list[str] = []
    for pattern in patterns:
        fits = _fits(columns, position, pattern)
        chosen |= fits
        if not fits:
            idle.append(pattern)
    for pattern in leave_out:
        fits = _fits(columns, position, pattern)
        chosen -= fits
        if not fits:
            idle.append(pattern)
    return [columns[i] for i in sorted(chosen)], idle


def _fits(columns: Sequence[str], position: dict[str, int], pattern: str) -> set[int]:
    if pattern in position:
        return {position[pattern]}
    for cut in (i for i, letter in enumerate(pattern) if letter == ":"):  # a name may itself hold a colon
        first, last = position.get(pattern[:cut].strip()), position.get(pattern[cut + 1 :].strip())
        if first is not None and last is not None:
            return set(range(first, last + 1))
    matches = re.compile(fnmatch.translate(pattern)).match
    return {i for i, name in enumerate(columns) if matches(name)}


def names_of(columns: Sequence[str]) -> Sequence[str]:
    """The columns, if they may be shown: none when a number stands among the first, as in a table without a header.

    There the first patient's values stand where names should, and no message may show those.
    """
    first = (name.replace(".", "", 1).replace(",", "", 1).lstrip("+-") for name in columns[:50])
    return () if any(name.isdigit() for name in first) else columns
