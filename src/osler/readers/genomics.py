"""Genomics: tables of thousands of columns and stored matrices become patients x features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from osler.errors import DataError, Violation
from osler.readers.arrays import parse_npy
from osler.readers.codes import canonical
from osler.readers.files import Folder, gunzip, refuse, too_large
from osler.readers.table import Table

__all__ = ["check_size", "read_lines", "read_matrix", "table_matrix"]

#: Cells that are decoded in one go: enough to be quick, few enough for the memory of a laptop.
_CELLS_AT_ONCE = 2_000_000


def check_size(name: str, shape: Sequence[int], folder: Folder) -> None:
    """Refuse a float32 block of that shape when it would not fit ``limits.array_bytes``."""
    if 4 * int(np.prod([int(side) for side in shape], dtype=object)) > folder.limits.array_bytes:
        raise too_large(name, "bytes in memory", folder.limits.array_bytes)


def table_matrix(
    table: Table,
    columns: Sequence[str],
    rows: NDArray[np.int64],
    missing: Iterable[str] = (),
    codes: Mapping[str, float] | None = None,
    other: float = 1.0,
) -> NDArray[np.float32]:
    """(len(rows), len(columns)) float32, NaN where missing.

    Args:
        table: where the cells stand.
        columns: the features.
        rows: 0-based positions.
        missing: codes that mean missing.
        codes: texts and the number each stands for, every other text standing for ``other``; None: cells are numbers.
        other: see ``codes``.

    Raises:
        DataError: cells that are no finite numbers (in float32), told once for all columns.
    """
    missing = tuple(missing)
    matrix = np.empty((len(rows), len(columns)), dtype=np.float32)
    broken: list[str] = []
    where = np.zeros(len(rows), dtype=np.int64)
    step = max(1, _CELLS_AT_ONCE // max(table.rows, 1))
    for first in range(0, len(columns), step):
        names = columns[first : first + step]
        if codes is None:
            values, bad = table.matrix(names, rows, missing)
            bad = bad | (np.abs(values) > np.finfo(np.float32).max)
        else:
            values = np.column_stack([_coded(table, name, rows, missing, codes, other) for name in names])
            bad = np.zeros(values.shape, dtype=bool)
        broken += [name for name, wrong in zip(names, np.any(bad, axis=0).tolist(), strict=True) if wrong]
        where += bad.sum(axis=1)
        matrix[:, first : first + len(names)] = np.where(bad, np.nan, values)
    if broken:
        raise DataError(
            [
                Violation(
                    table.name,
                    "features are numbers",
                    "finite numbers",
                    f"other text in {len(broken)} columns",
                    "Declare codes of missing, narrow columns, or say wildtype for mutations given as text.",
                    column=broken[0],
                    rows=tuple(int(row) + 1 for row in np.sort(rows[where > 0])[:10]),
                    count=int(where.sum()),
                )
            ]
        )
    return matrix


def _coded(
    table: Table,
    column: str,
    rows: NDArray[np.int64],
    missing: tuple[str, ...],
    codes: Mapping[str, float],
    other: float,
) -> NDArray[np.float64]:
    place, texts = table.factorized(column, rows)
    stands = [np.nan if text in missing else codes.get(canonical(text), other) for text in texts]
    return np.array([*stands, np.nan])[place]


def read_lines(folder: Folder, name: str) -> tuple[list[str], str]:
    """The lines of a small text file without surrounding space, and its digest; raises DataError if one is empty."""
    source = folder.read(name)
    if name.lower().endswith(".gz"):
        source = gunzip(source, folder.limits)
    try:
        lines = [line.strip() for line in source.data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise refuse(name, "the text must be UTF-8", "UTF-8", "other bytes", "Save the list as UTF-8 text.") from None
    empty = [i for i, line in enumerate(lines, 1) if not line]
    if empty:
        raise refuse(
            name,
            "each line holds one name",
            "a name in every line",
            "empty lines",
            "Remove them.",
            rows=tuple(empty[:10]),
            count=len(empty),
        )
    return lines, source.sha256


def read_matrix(
    folder: Folder, name: str, patients: str, features: str | None
) -> tuple[NDArray[np.float32], list[str], tuple[str, ...], dict[str, str]]:
    """A stored matrix: values (n, p) float32 with NaN where missing, identifiers, features, digests by file name.

    Raises:
        DataError: any file is unreadable; lengths differ; a name stands twice; a value is infinite.
    """
    source = folder.read(name)
    array = parse_npy(source.data, name, folder.limits)
    ids, digest = read_lines(folder, patients)
    sources = {name: source.sha256, patients: digest}
    titles: list[str] = []
    if features is not None:
        titles, sources[features] = read_lines(folder, features)
    if array.ndim != 2:
        raise refuse(name, "a matrix is patients x features", "2 axes", f"{array.ndim}", "Save it as a matrix.")
    titles = titles if features is not None else [f"feature {i}" for i in range(1, array.shape[1] + 1)]
    check_size(name, array.shape, folder)
    violations = [
        Violation(
            file,
            f"the matrix has one {axis} per line",
            f"{size} lines",
            f"{len(lines)} lines",
            "Write both from one table.",
        )
        for file, lines, axis, size in (
            (patients, ids, "row", array.shape[0]),
            (features or name, titles, "column", array.shape[1]),
        )
        if len(lines) != size
    ]
    for file, lines in ((patients, ids), (features or name, titles)):
        twins = sum(count > 1 for count in Counter(lines).values())
        if twins:
            violations.append(
                Violation(file, "lines are unique", "each name once", "names twice", "Remove the twins.", count=twins)
            )
    values = array.astype(np.float32)
    infinite = np.isinf(values)
    if infinite.any():
        rows = tuple(int(row) + 1 for row in np.flatnonzero(infinite.any(axis=1))[:10])
        violations.append(
            Violation(
                name,
                "features are numbers",
                "finite numbers, NaN where missing",
                "infinite values",
                "Correct them.",
                rows=rows,
                count=int(infinite.sum()),
            )
        )
    if violations:
        raise DataError(violations)
    return values, ids, tuple(titles), sources
