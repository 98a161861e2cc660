"""Table: columns of text or numbers as they stand in a file, with nothing guessed.

Every cell of a text file is text until a manifest says what it means: "001" stays "001" and "NA" stays "NA" unless
it is declared missing. Space around a cell is taken off; the empty cell is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["Table", "TableFormat"]

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True)
class TableFormat:
    """How a text file is written. ``sep`` None: a comma in .csv, a tab in .tsv and .txt.

    ``comment``: lines that begin with it are left out. ``missing``: cells that mean missing, beside the empty one.
    ``decimal``: "." or ",".
    """

    sep: str | None = None
    comment: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    missing: tuple[str, ...] = ()


@dataclass(eq=False)
class Table:
    """A table as read: ``columns`` in file order, ``rows`` many rows; columns are decoded when asked for.

    Row positions count from 0 here; messages to users count data rows from 1. ``sha256`` is the digest of the file;
    ``key`` is a second digest of the content that is never written anywhere, for drawing pseudonyms.
    """

    name: str
    sha256: str
    key: str
    columns: tuple[str, ...]
    rows: int
    data: pa.Table
    format: TableFormat

    def __contains__(self, column: str) -> bool:
        return column in self._positions

    def __post_init__(self) -> None:
        self._positions = {name: i for i, name in enumerate(self.columns)}

    def raw(self, column: str) -> pa.Array:
        """The column as stored, in one piece."""
        stored = self.data.column(self._positions[column])
        return stored.combine_chunks() if isinstance(stored, pa.ChunkedArray) else stored

    def is_float(self, column: str) -> bool:
        """Whether the file itself stores the column as decimal numbers."""
        return pa.types.is_floating(self.raw(column).type)

    def is_boolean(self, column: str) -> bool:
        """Whether the file itself stores the column as true and false."""
        return pa.types.is_boolean(self.raw(column).type)

    def text(self, column: str, rows: NDArray[np.int64] | None = None) -> pa.Array:
        """Cells as text without surrounding space, null where missing; of some row positions or of all."""
        return self._trimmed(self.raw(column) if rows is None else self.raw(column).take(pa.array(rows)))

    def _trimmed(self, stored: pa.Array) -> pa.Array:
        return _without(pc.utf8_trim_whitespace(stored.cast(pa.string())), ["", *self.format.missing])

    def texts(self, column: str, rows: NDArray[np.int64] | None = None) -> NDArray[np.object_]:
        """``text`` as objects (``str`` or None)."""
        return np.asarray(self.text(column, rows).to_numpy(zero_copy_only=False), dtype=object)

    def numbers(
        self, column: str, rows: NDArray[np.int64] | None = None, missing: Iterable[str] = ()
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Cells as float64 (NaN where missing) and which cells are neither missing nor a finite number.

        ``missing`` are further codes of this column that mean missing.
        """
        stored = self.raw(column) if rows is None else self.raw(column).take(pa.array(rows))
        return self._parsed(stored, list(missing))

    def matrix(
        self, columns: Sequence[str], rows: NDArray[np.int64], missing: Iterable[str] = ()
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """``numbers`` of many columns at once: (len(rows), len(columns)) values, and which cells are no numbers."""
        stored = [self.raw(column) for column in columns]
        if len({column.type for column in stored}) > 1:
            parts = [self._parsed(column, list(missing)) for column in stored]
            values, bad = (np.column_stack(part) for part in zip(*parts, strict=True))
        else:
            values, bad = self._parsed(pa.concat_arrays(stored), list(missing))
            values, bad = (part.reshape(len(columns), self.rows).T for part in (values, bad))
        return values[rows], bad[rows]

    def _parsed(self, stored: pa.Array, missing: list[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        kind = stored.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            values = stored.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
            bad = np.isinf(values)
        else:
            values, bad = _parse_numbers(_without(self._trimmed(stored), missing), self.format.decimal)
        for code in (*self.format.missing, *missing):  # "-9" declared missing is also the cell "-9.0"
            values = np.where(values == _as_float(code), np.nan, values)
        return np.where(bad, np.nan, values), bad

    def factorized(self, column: str, rows: NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], list[str]]:
        """Position of every cell in the list of distinct texts (-1 where missing), and that list."""
        encoded = self.text(column, rows).dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return codes, encoded.dictionary.to_pylist()

    def frame(self, columns: Sequence[str], rows: NDArray[np.int64] | None = None) -> pd.DataFrame:
        """Columns as raw text (None where missing), for conditions."""
        frame = pd.DataFrame({name: self.texts(name, rows) for name in columns}, dtype=object)
        if self.format.decimal != ".":
            pattern = rf"^([+-]?\d+){re.escape(self.format.decimal)}(\d+)$"
            frame = frame.replace(pattern, r"\1.\2", regex=True)
        return frame


def _without(cells: pa.Array, codes: list[str]) -> pa.Array:
    """Cells with those that hold one of ``codes`` taken as missing."""
    if not codes:
        return cells
    gone = pc.is_in(cells, value_set=pa.array(codes, pa.string()))
    return pc.if_else(gone, pa.scalar(None, pa.string()), cells)


def _as_float(code: str) -> float:
    try:
        return float(code)
    except ValueError:
        return np.nan


def _parse_numbers(cells: pa.Array, decimal: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if decimal != ".":
        cells = pc.replace_substring(cells, decimal, ".")
    try:
        values = cells.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
        known = cells.is_valid().to_numpy(zero_copy_only=False)
        if np.isfinite(values[known]).all():
            return values, np.zeros(len(values), dtype=bool)
    except pa.ArrowInvalid:
        pass  # some cell is not a number: find out which
    numeric = pc.fill_null(pc.match_substring_regex(cells, _NUMBER), False).to_numpy(zero_copy_only=False)
    texts = cells.to_numpy(zero_copy_only=False)
    values = np.full(len(texts), np.nan)
    values[numeric] = [float(text) for text in texts[numeric]]
    bad = cells.is_valid().to_numpy(zero_copy_only=False) & ~np.isfinite(values)
    values[bad] = np.nan
    return values, bad
