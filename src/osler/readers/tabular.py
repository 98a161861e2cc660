"""Tabular files: csv, tsv (plain or gzip) and parquet become a Table, within limits and with damage named by row."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from osler.errors import DataError, Violation
from osler.readers.columns import names_of
from osler.readers.files import Folder, Limits, Source, gunzip, refuse, too_large
from osler.readers.image_archive import read_archive
from osler.readers.table import Table, TableFormat

__all__ = ["read_table"]

#: Encodings of other things than text files, some of them slow to decode.
_NO_ENCODING = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
#: Endings of tables that are not text.
_WHOLE = (".parquet", ".npz")


def read_table(folder: Folder, name: str, form: TableFormat | None = None) -> Table:
    """Read a table by its name in ``folder``: .csv, .tsv, .txt (each also .gz), .parquet, or an image archive (.npz).

    Raises:
        DataError: the file is missing, too large, damaged, not text in the stated encoding, ragged, has no header,
            or names a column twice; every reason that can be known at once.
    """
    form = form or TableFormat()
    stem = name.lower().removesuffix(".gz")
    suffix = stem[stem.rfind(".") :] if "." in stem else ""
    if suffix not in (*_SEPARATORS, *_WHOLE) or (suffix in _WHOLE and name.lower().endswith(".gz")):
        raise refuse(
            name,
            "tables are csv, tsv or parquet",
            ".csv, .tsv, .txt (or these with .gz), .parquet",
            "another ending",
            "Convert the table.",
        )
    source = folder.read(name)
    if name.lower().endswith(".gz"):
        source = gunzip(source, folder.limits)
    if suffix == ".parquet":
        return _read_parquet(source, form, folder.limits)
    if suffix == ".npz":
        return read_archive(source, folder.limits).table(source, form)
    return _read_text(source, form, form.sep or _SEPARATORS[suffix], folder.limits)


def _read_text(source: Source, form: TableFormat, sep: str, limits: Limits) -> Table:
    data = _as_utf8(source, form)
    if form.comment:
        data = re.sub(rb"(?m)^" + re.escape(form.comment.encode()) + rb"[^\n]*\n?", b"", data)
    data = data.lstrip(b"\r\n")  # the header is the first line that says something
    columns = _header(source.name, data, sep, limits)
    ragged: list[tuple[int, int]] = []

    def note(row: pa.csv.InvalidRow) -> str:
        ragged.append((row.number, row.actual_columns))
        return "skip"

    names = [str(i) for i in range(len(columns))]  # by place: a twin in the header may not merge two columns
    try:
        body = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(
                use_threads=False,
                block_size=max(1024**2, min(len(data) + 1, 2**30)),
                column_names=names,
                skip_rows_after_names=1,
            ),
            parse_options=pa.csv.ParseOptions(delimiter=sep, newlines_in_values=True, invalid_row_handler=note),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException:
        raise refuse(
            source.name,
            "the table must be well formed",
            "rows of equal length with closed quotes",
            "text that cannot be read as a table",
            "Check the separator (sep) and the quotes.",
        ) from None
    _check_shape(source.name, columns, body.num_rows, limits, ragged)
    if body.num_rows and data.count(b'"') % 2 and b"\n" in body.column(len(columns) - 1)[-1].as_py().encode():
        raise refuse(
            source.name,
            "quotes are closed",
            "an even number of quotes",
            "a quote that swallows the rest of the file",
            "Close it.",
        )
    return Table(source.name, source.sha256, _key(source), columns, body.num_rows, body, form)


def _as_utf8(source: Source, form: TableFormat) -> bytes:
    """The text as UTF-8 without byte order mark."""
    try:
        if codecs.lookup(form.encoding).name in _NO_ENCODING:
            raise LookupError
        text = source.data.decode("utf-8-sig" if form.encoding.lower() in ("utf-8", "utf8") else form.encoding)
    except UnicodeDecodeError as error:
        row = source.data.count(b"\n", 0, error.start)
        raise refuse(
            source.name,
            "the text must be in the stated encoding",
            form.encoding,
            "bytes that are not",
            'Say encoding = "..." (often "latin-1", "cp1252" or "utf-16").',
            rows=(max(row, 1),),
        ) from None
    except (LookupError, ValueError):  # ValueError: UnicodeError, and names that hold NUL
        raise refuse(
            source.name,
            "the encoding must be known",
            "a name such as utf-8, latin-1 or cp1252",
            "another",
            'Correct encoding = "...".',
        ) from None
    if "\0" in text:
        raise refuse(
            source.name,
            "a text table holds no NUL bytes",
            "text",
            "NUL bytes",
            'Export the table again; if it is UTF-16, say encoding = "utf-16".',
            count=text.count("\0"),
        )
    return text.encode()


def _header(name: str, data: bytes, sep: str, limits: Limits) -> tuple[str, ...]:
    start = data[: limits.header_bytes + 1]
    line_ends = b"\n" in start or b"\r" in start
    if len(start) > limits.header_bytes and not line_ends:
        raise too_large(name, "bytes in the header line", limits.header_bytes)
    if not start.strip():
        raise refuse(
            name, "a table must have a header", "a line of column names", "an empty file", "Export the table again."
        )
    if start.split(b"\n", 1)[0].count(sep.encode()) >= limits.columns:
        raise too_large(name, "columns", limits.columns)
    try:
        cells = next(csv.reader(io.StringIO(start.decode(errors="replace"), newline=""), delimiter=sep))
    except (csv.Error, StopIteration):
        raise refuse(
            name,
            "the header must be readable",
            "a line of column names",
            "a line that cannot be split",
            "Check the separator (sep) and the quotes.",
        ) from None
    return tuple(cell.strip() or f"Unnamed: {i}" for i, cell in enumerate(cells))


def _key(source: Source) -> str:
    hasher = hashlib.sha256(b"pseudonyms of ")
    hasher.update(source.data)
    return hasher.hexdigest()


def _check_shape(
    name: str, columns: tuple[str, ...], rows: int, limits: Limits, ragged: Sequence[tuple[int, int]] = ()
) -> None:
    violations = []
    twins = [column for column, count in Counter(columns).items() if count > 1]
    if twins:
        named = names_of(twins)
        shown = ", ".join(repr(twin) for twin in named[:5]) + (", ..." if len(named) > 5 else "") or "names"
        violations.append(
            Violation(
                name,
                "column names are unique",
                "each name once",
                f"{shown} more than once",
                "Rename or remove the twins.",
                count=len(twins),
            )
        )
    if ragged:
        violations.append(
            Violation(
                name,
                "all rows have as many cells as the header",
                f"{len(columns)} cells",
                "other numbers of cells",
                "Check separators and quotes in these rows.",
                rows=tuple(max(number - 1, 0) for number, _ in ragged[:10]),
                count=len(ragged),
            )
        )
    for found, limit, unit in (
        (len(columns), limits.columns, "columns"),
        (rows, limits.rows, "rows"),
        (rows * len(columns), limits.cells, "cells"),
    ):
        if found > limit:
            violations += too_large(name, unit, limit).violations
    if violations:
        raise DataError(violations)


def _read_parquet(source: Source, form: TableFormat, limits: Limits) -> Table:
    try:
        file = pa.parquet.ParquetFile(pa.BufferReader(source.data))
        columns = tuple(file.schema_arrow.names)
        _check_shape(source.name, columns, file.metadata.num_rows, limits)
        stored = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if stored > limits.file_bytes:
            raise too_large(source.name, "bytes after decompression", limits.file_bytes)
        body = file.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError):
        raise refuse(
            source.name,
            "a parquet file must be whole",
            "parquet",
            "a damaged or truncated one",
            "Write the file again.",
        ) from None
    plain = [_plain(column) for column in body.columns]
    nested = [name for name, column in zip(columns, plain, strict=True) if column is None]
    if nested:
        shown = ", ".join(repr(name) for name in nested[:5]) + (", ..." if len(nested) > 5 else "")
        raise refuse(
            source.name,
            "cells hold one value",
            "text, numbers, dates or true/false",
            f"lists, structs or bytes in {shown}",
            "Leave these columns out, or write one value per cell.",
            count=len(nested),
        )
    return Table(
        source.name,
        source.sha256,
        _key(source),
        columns,
        body.num_rows,
        pa.table(plain, names=[str(i) for i in range(len(plain))]),
        form,
    )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column without dictionary coding, large offsets or decimals; None when its cells are not single values."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    if pa.types.is_decimal(column.type) or pa.types.is_float16(column.type):
        return column.cast(pa.float64())
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return None
    return column
