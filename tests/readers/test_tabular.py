"""Tables are read as they stand: codes stay text, damage is named with its rows."""

from __future__ import annotations

import datetime
import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from osler.errors import DataError
from osler.readers.columns import select_columns
from osler.readers.files import Folder, Limits
from osler.readers.table import TableFormat
from osler.readers.tabular import read_table


def table(tmp_path, content, name="t.csv", limits=None, **form):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(Folder(tmp_path, limits or Limits()), name, TableFormat(**form))


def violations(tmp_path, content, name="t.csv", limits=None, **form):
    with pytest.raises(DataError) as caught:
        table(tmp_path, content, name, limits, **form)
    return caught.value.violations


def test_cells_stay_text(tmp_path):
    t = table(tmp_path, 'id,a\n001, x y \n"00,2",NA\n3e5,\n')
    assert (t.columns, t.rows) == (("id", "a"), 3)
    assert t.texts("id").tolist() == ["001", "00,2", "3e5"]
    assert t.texts("a").tolist() == ["x y", "NA", None]
    assert t.texts("a", np.array([2, 0])).tolist() == [None, "x y"]


def test_declared_missing_codes(tmp_path):
    t = table(tmp_path, "a,b\nNA,-9\n-9,-9.0\n1,2\n", missing=("NA", "-9"))
    assert t.texts("a").tolist() == [None, None, "1"]
    np.testing.assert_array_equal(t.numbers("b")[0], [np.nan, np.nan, 2.0])


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("t.csv", b"\xef\xbb\xbfid,v\r\n1,2.5\r\n", {}),
        ("t.tsv", b"id\tv\n1\t2.5\n", {}),
        ("t.txt", b"id|v\n1|2.5\n", {"sep": "|"}),
        ("t.csv", b"id;v\n1;2,5\n", {"sep": ";", "decimal": ","}),
        ("t.csv", b"# a remark, with commas\n\nid,v\n1,2.5\n", {"comment": "#"}),
        ("t.csv.gz", gzip.compress(b"id,v\n1,2.5\n", mtime=0), {}),
        ("t.csv", "id,v\n1,2.5\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("t.csv", b"id,v\r1,2.5\r", {}),
        ("t.csv", b'"id","v"\n"1","2.5"\n', {}),
        ("t.csv", b"id , v\n 1 , 2.5 \n", {}),
    ],
)
def test_ways_of_writing(tmp_path, name, content, form):
    t = table(tmp_path, content, name, **form)
    assert t.columns == ("id", "v")
    assert t.texts("id").tolist() == ["1"]
    assert t.numbers("v")[0].tolist() == [2.5]


def test_decimal_commas_in_conditions(tmp_path):
    t = table(tmp_path, "v;w\n2,5;a,b\n3,5;x\n", sep=";", decimal=",")
    frame = t.frame(["v", "w"])
    assert frame["v"].tolist() == ["2.5", "3.5"]
    assert frame["w"].tolist() == ["a,b", "x"]


def test_latin_1(tmp_path):
    t = table(tmp_path, "name\nMüller\n".encode("latin-1"), encoding="latin-1")
    assert t.texts("name").tolist() == ["Müller"]


def test_numbers_and_what_is_none(tmp_path):
    cells = ["1", "-2.5", "+3", "4.", ".5", "1e3", "", "x", "1,5", "inf", "nan", "1e999", "0x10", "1_000", "١"]
    values, bad = table(tmp_path, "v,end\n" + "".join(f'"{cell}",\n' for cell in cells)).numbers("v")
    np.testing.assert_array_equal(values[:7], [1, -2.5, 3, 4, 0.5, 1000, np.nan])
    assert bad.tolist() == [False] * 7 + [True] * 8
    assert np.isnan(values[7:]).all()


def test_quoted_line_breaks(tmp_path):
    t = table(tmp_path, 'id,note\n1,"two\nlines"\n2,one\n')
    assert t.texts("id").tolist() == ["1", "2"]
    assert t.texts("note").tolist() == ["two\nlines", "one"]


def test_unnamed_columns(tmp_path):
    assert table(tmp_path, ",a,\n1,2,3\n").columns == ("Unnamed: 0", "a", "Unnamed: 2")


def test_header_alone(tmp_path):
    t = table(tmp_path, "id,v\n")
    assert (t.rows, t.columns) == (0, ("id", "v"))
    assert t.numbers("v")[0].shape == (0,)


@pytest.mark.parametrize("content", ["", "\n\n", "  ", b"\xef\xbb\xbf"])
def test_empty(tmp_path, content):
    assert [v.found for v in violations(tmp_path, content)] == ["an empty file"]


def test_ragged_rows_are_named(tmp_path):
    (found,) = violations(tmp_path, "a,b\n1,2\n1\n1,2,3\n1,2\n")
    assert (found.count, found.rows, found.expected) == (2, (2, 3), "2 cells")


def test_twins_in_the_header_and_ragged_rows_together(tmp_path):
    found = violations(tmp_path, "a,b,a\n1,2,3\n1\n")
    assert [(v.rule, v.count) for v in found] == [
        ("column names are unique", 1),
        ("all rows have as many cells as the header", 1),
    ]


def test_open_quote(tmp_path):
    assert violations(tmp_path, 'a,b\n1,"2\n3,4\n')


def test_wrong_encoding_names_the_row(tmp_path):
    (found,) = violations(tmp_path, "id,name\n1,x\n2,Müller\n".encode("latin-1"))
    assert found.rows == (2,)
    assert "latin-1" in found.remedy


@pytest.mark.parametrize("encoding", ["nonsense", "zip", "idna", "punycode", "unicode_escape", "utf7", "rot13", "a\0b"])
def test_encodings_that_are_none(tmp_path, encoding):
    (found,) = violations(tmp_path, "id\n1\n", encoding=encoding)
    assert found.rule == "the encoding must be known"


def test_nul_bytes(tmp_path):
    (found,) = violations(tmp_path, b"id,v\n1,\0\0\n")
    assert (found.count, "NUL" in found.found) == (2, True)


def test_other_endings(tmp_path):
    for name in ("t.xlsx", "t", "t.parquet.gz", "t.csv.zip"):
        assert violations(tmp_path, "x", name)[0].rule == "tables are csv, tsv or parquet"


@pytest.mark.parametrize(
    ("limits", "unit"),
    [
        (Limits(columns=3), "columns"),
        (Limits(rows=2), "rows"),
        (Limits(cells=11), "cells"),
        (Limits(file_bytes=20), "bytes"),
        (Limits(header_bytes=5), "header line"),
    ],
)
def test_limits(tmp_path, limits, unit):
    found = violations(tmp_path, "aa,bb,cc,dd\n" + "1,2,3,4\n" * 3, limits=limits)
    assert [unit in v.expected for v in found] == [True]


def test_a_header_of_countless_columns_stops_early(tmp_path):
    bomb = gzip.compress(b"," * 60_000_000, mtime=0)
    (found,) = violations(tmp_path, bomb, "t.csv.gz")
    assert "header line" in found.expected


def test_file_digest_and_secret_key_differ(tmp_path):
    t = table(tmp_path, "id\n1\n")
    assert len(t.sha256) == len(t.key) == 64
    assert t.sha256 != t.key
    assert table(tmp_path, "id\n1\n").key == t.key != table(tmp_path, "id\n2\n").key


# Parquet


def parquet(tmp_path, frame, **form):
    pq.write_table(
        frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False),
        tmp_path / "t.parquet",
    )
    return read_table(Folder(tmp_path), "t.parquet", TableFormat(**form))


def test_parquet_types(tmp_path):
    t = parquet(
        tmp_path,
        pd.DataFrame(
            {
                "id": ["001", "002", None],
                "whole": pd.array([1, 2, None], dtype="Int64"),
                "real": [1.0, np.nan, 2.5],
                "yes": [True, False, True],
                "kind": pd.Categorical(["a", "b", None]),
                "day": [datetime.date(2020, 1, 2)] * 3,
            }
        ),
    )
    assert t.texts("id").tolist() == ["001", "002", None]
    assert t.texts("whole").tolist() == ["1", "2", None]
    np.testing.assert_array_equal(t.numbers("real")[0], [1.0, np.nan, 2.5])
    assert t.texts("yes").tolist() == ["true", "false", "true"]
    assert t.texts("kind").tolist() == ["a", "b", None]
    assert t.texts("day").tolist() == ["2020-01-02"] * 3
    assert t.is_float("real")
    assert not t.is_float("whole")
    assert t.is_boolean("yes")


def test_parquet_missing_codes_and_infinities(tmp_path):
    t = parquet(tmp_path, pd.DataFrame({"v": [-9.0, 1.0, np.inf]}), missing=("-9",))
    values, bad = t.numbers("v")
    np.testing.assert_array_equal(values, [np.nan, 1.0, np.nan])
    assert bad.tolist() == [False, False, True]


def test_parquet_of_lists(tmp_path):
    with pytest.raises(DataError, match="lists, structs or bytes in 'x'"):
        parquet(tmp_path, pa.table({"id": ["1"], "x": [[1, 2]]}))


def test_damaged_parquet(tmp_path):
    pq.write_table(pa.table({"id": list(range(1000))}), tmp_path / "t.parquet")
    data = (tmp_path / "t.parquet").read_bytes()
    for broken in (b"", b"PAR1", data[:-20], data[: len(data) // 2] + b"x" * 20 + data[len(data) // 2 + 20 :]):
        (tmp_path / "t.parquet").write_bytes(broken)
        with pytest.raises(DataError):
            read_table(Folder(tmp_path), "t.parquet").numbers("id")


def test_parquet_bomb_is_judged_by_its_footer(tmp_path):
    pq.write_table(pa.table({"x": pa.array(np.zeros(3_000_000))}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 100_000
    with pytest.raises(DataError, match="1,000,000 rows"):
        read_table(Folder(tmp_path, Limits(rows=1_000_000)), "t.parquet")


# Patterns

COLUMNS = ("id", "c1", "c2", "d", "e:f", "g_mut", "h_mut", "x [1]")


@pytest.mark.parametrize(
    ("patterns", "leave_out", "chosen"),
    [
        (["c1"], [], ["c1"]),
        (["c1:d"], ["c2"], ["c1", "d"]),
        (["*_mut", "c1"], [], ["c1", "g_mut", "h_mut"]),
        (["e:f"], [], ["e:f"]),
        (["e:f:h_mut"], [], ["e:f", "g_mut", "h_mut"]),
        (["x [1]"], [], ["x [1]"]),
        (["c?"], [], ["c1", "c2"]),
        (["*"], ["id", "*_mut"], ["c1", "c2", "d", "e:f", "x [1]"]),
    ],
)
def test_select_columns(patterns, leave_out, chosen):
    assert select_columns(COLUMNS, patterns, leave_out) == (chosen, [])


def test_idle_patterns():
    assert select_columns(COLUMNS, ["z*", "c1", "h_mut:c1"], ["q"]) == (["c1"], ["z*", "h_mut:c1", "q"])
