"""Broken cohorts, hostile ones among them: all violations at once, OslerError only, and no patient in the message."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from folders import SENTINEL, Folder, identifier, npz, png
from osler.cohort.tables import read_cohort, validate
from osler.errors import DataError, OslerError
from osler.readers.files import Limits

#: A value that only a patient has: no message may hold it, nor SENTINEL, which every identifier holds.
VALUE = "98765.4321"
LIMITS = Limits(file_bytes=3_000_000, header_bytes=1_000_000, columns=5_000, cells=400_000, pixels=1_000_000)

Expected = list[tuple[str, str, int]]  # table, what the rule or its column says, how many
Case = tuple[Callable[[Folder], Folder], Expected]

CASES: dict[str, Case] = {}


def case(*expected: tuple[str, str, int]) -> Callable[[Callable[[Folder], Folder]], Callable[[Folder], Folder]]:
    def register(make: Callable[[Folder], Folder]) -> Callable[[Folder], Folder]:
        CASES[make.__name__] = (make, list(expected))
        return make

    return register


class Evil:
    def __reduce__(self):
        return (os.system, (f"touch {SENTINEL}",))


def _npy(array, **kwargs):
    stream = io.BytesIO()
    np.save(stream, array, **kwargs)
    return stream.getvalue()


def _png_claiming(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"x")) + chunk(b"IEND", b"")


# Manifests


@case(("cohort.toml", "line 2", 1))
def not_toml(f):
    return f.manifest('name = "Sound cohort"', 'name = "Sound cohort')


@case(("cohort.toml", "other bytes in line 2", 1))
def manifest_in_another_encoding(f):
    return f.put("cohort.toml", '[cohort]\nname = "Müller"\n'.encode("latin-1"))


@case(
    ("cohort.toml", "the unknown key 'tabel'", 1),
    ("cohort.toml", "the key 'table'", 1),
    ("cohort.toml", "'horizon'", 1),
    ("cohort.toml", "the key 'horizons'", 1),
    ("cohort.toml", "'unti'", 1),
)
def misspelt_keys(f):
    f.manifest('table = "record.csv"', 'tabel = "record.csv"').manifest("horizons", "horizon")
    return f.manifest('unit = "a"', 'unti = "a"')


@case(
    ("cohort.toml", "a category needs levels", 1),
    ("cohort.toml", "min may not be above max", 1),
    ("cohort.toml", "lower <= value <= upper", 1),
    ("cohort.toml", "cannot read the duration", 1),
    ("cohort.toml", "unknown unit of time", 1),
)
def declarations_that_contradict_themselves(f):
    f.manifest(', levels = { 1 = "male", 2 = "female" }', "").manifest("min = 18", "min = 180").manifest(
        "value = 0.8", "value = 1.8"
    )
    return f.manifest('"1y"', '"soon"').manifest('name = "Sound cohort"', 'name = "Sound cohort"\ntime_unit = "moons"')


@case(
    ("cohort.toml", "a variable is declared once", 2),
    ("cohort.toml", "a block is declared once", 2),
    ("cohort.toml", "a outcome code is declared once", 2),
    ("cohort.toml", "acts on a declared event", 1),
)
def names_given_twice(f):
    f.manifest('name = "slide"', 'name = "scan"').manifest('name = "smoker"', 'name = "sbp"').manifest(
        "codes = [2]", "codes = [0]"
    )
    return f.manifest('where = "sbp >= 140"', 'cause = "strok"')


@case(
    ("cohort.toml", "unexpected '.'", 1),
    ("cohort.toml", "expected the name of a column", 1),
    ("cohort.toml", "nested more than", 1),
)
def conditions_that_would_run_code(f):
    f.manifest("prevalent == 1", "__import__('os').system('touch " + SENTINEL + "')").manifest(
        'where = "sbp >= 140"', 'where = "sbp >= (1)"'
    )
    return f.manifest('table = "visits.csv"', 'table = "visits.csv"\nwhere = "' + "(" * 3000 + '"')


@case(("cohort.toml", "the outcome is no predictor", 1), ("cohort.toml", "the outcome is no predictor", 1))
def outcome_among_the_predictors(f):
    f.manifest('table = "outcome.csv"', 'table = "record.csv"')
    return f.manifest('name = "smoker", type', 'name = "later", column = "days", type').manifest(
        '{ name = "sex", type = "category", levels = { 1 = "male", 2 = "female" } }',
        '{ name = "status", type = "flag" }',
    )


# Files and where they lie


@case(
    ("../secret.csv", "inside the root", 1), ("/etc/passwd.csv", "inside the root", 1), ("genes.csv", "must exist", 1)
)
def paths_that_lead_out(f):
    f.manifest('table = "visits.csv"', 'table = "../secret.csv"').manifest(
        'table = "outcome.csv"', 'table = "/etc/passwd.csv"'
    )
    return f.remove("genes.csv")


@case(
    ("images.csv (files named in column 'file')", "inside the root", 2),
    ("images.csv (files named in column 'file')", "must exist", 1),
    ("images.csv (files named in column 'file')", "regular file", 1),
)
def image_names_that_lead_out(f):
    f.cell("images.csv", 1, "file", "../record.csv").cell("images.csv", 2, "file", "/etc/hostname")
    return f.cell("images.csv", 3, "file", f"{SENTINEL}-gone.png").cell("images.csv", 4, "file", ".")


@case(
    ("record.csv", "must exist", 1),
    ("slides.npz", "must exist", 1),
    ("outcome.csv", "must exist", 1),
    ("visits.xlsx", "csv, tsv or parquet", 1),
)
def missing_files(f):
    return f.remove("record.csv").remove("slides.npz").remove("outcome.csv").manifest('"visits.csv"', '"visits.xlsx"')


@case(("pics", "folder of images", 1), ("slides.npz", "archive is whole", 1), ("genes.csv", "the file must exist", 1))
def folders_and_damaged_archives(f):
    f.manifest('folder = "pictures"', 'folder = "pics"').put("slides.npz", b"PK\x03\x04 nothing")
    return f.put("genes/csv", "").remove("genes.csv")


# Text


@case(
    ("record.csv", "column names are unique", 1),
    ("visits.csv", "as many cells", 2),
    ("outcome.csv", "an empty file", 1),
)
def headers_and_ragged_rows(f):
    f.put("outcome.csv", "").put("record.csv", str(f.files["record.csv"]).replace("smoker", "sex"))
    return f.append("visits.csv", identifier(1)).append("visits.csv", f"{identifier(1)},1,2,3,{VALUE}")


@case(("record.csv", "stated encoding", 1), ("visits.csv", "NUL", 2), ("genes.csv", "quote", 1))
def bytes_that_are_no_text(f):
    f.put("record.csv", str(f.files["record.csv"]).encode() + f"{identifier(13)},1,1,Ä,0\n".encode("latin-1"))
    f.put("visits.csv", str(f.files["visits.csv"]) + f"{identifier(1)},1,\0,\0\n")
    return f.put("genes.csv", str(f.files["genes.csv"]) + f'{identifier(11)},1,2,"3\n{identifier(12)},1,2,3\n')


@case(
    ("record.csv", "at most 5,000 columns", 1),
    ("visits.csv.gz", "decompression", 1),
    ("genes.csv.gz", "damaged or truncated", 1),
    ("outcome.csv", "at most 3,000,000 bytes", 1),
)
def bombs_of_text(f):
    f.put("record.csv", "id," + ",".join(f"c{i}" for i in range(100_000)) + "\n")
    f.put("visits.csv.gz", gzip.compress(bytes(200_000_000), 1)).manifest('"visits.csv"', '"visits.csv.gz"')
    f.put("genes.csv.gz", gzip.compress(str(f.files["genes.csv"]).encode())[:-8]).manifest(
        '"genes.csv"', '"genes.csv.gz"'
    )
    return f.put("outcome.csv", "x" * 3_000_001)


@case(("record.csv.gz", "at most 1,000,000 bytes in the header line", 1), ("outcome.csv", "at most 400,000 cells", 1))
def a_header_without_end_and_countless_rows(f):
    rows = "\n".join(f"{identifier(i)},1,0" for i in range(140_000))
    f.manifest('"record.csv"', '"record.csv.gz"').put("record.csv.gz", gzip.compress(b"x" * 2_500_000, mtime=0))
    return f.put("outcome.csv", "id,days,status\n" + rows)


@case(
    ("record.parquet", "damaged or truncated", 1),
    ("visits.parquet", "at most 400,000 cells", 1),
    ("genes.parquet", "lists, structs or bytes", 1),
    ("outcome.parquet", "identifiers are text", 3),
)
def broken_parquet(f):
    def parquet(frame):
        stream = io.BytesIO()
        frame.to_parquet(stream, index=False)
        return stream.getvalue()

    for name in ("record", "visits", "genes", "outcome"):
        f.manifest(f'"{name}.csv"', f'"{name}.parquet"')
    f.put("record.parquet", parquet(pd.DataFrame({"id": ["a"]}))[:-9])
    f.put("visits.parquet", parquet(pd.DataFrame({"id": np.zeros(500_000)})))
    f.put("genes.parquet", parquet(pd.DataFrame({"id": [identifier(1)], "g1": [[1.0, 2.0]]})))
    return f.put("outcome.parquet", parquet(pd.DataFrame({"id": [1.0, 2.0, np.nan], "days": 1, "status": 0})))


# Columns and cells


@case(
    ("record.csv", "sex", 1),
    ("visits.csv", "day", 1),
    ("visits.csv", "sbp", 1),
    ("images.csv", "id", 1),
    ("outcome.csv", "days", 1),
    ("genes.csv", "patterns fit", 1),
)
def missing_columns(f):
    for name, column in (("record", "sex"), ("visits", "day"), ("images", "id"), ("outcome", "days")):
        f.put(f"{name}.csv", str(f.files[f"{name}.csv"]).replace(f"{column},", "other,", 1))
    f.put("visits.csv", str(f.files["visits.csv"]).replace("sbp", "SBP", 1))
    return f.manifest('["g*"]', '["z*"]')


@case(
    ("record.csv", "plausible", 2),
    ("record.csv", "categories hold declared codes", 1),
    ("record.csv", "flags hold declared codes", 2),
    ("visits.csv", "numbers are numbers", 1),
    ("visits.csv", "categories hold declared codes", 1),
    ("genes.csv", "features are numbers", 2),
)
def cells_that_break_their_declarations(f):
    f.cell("record.csv", 1, "age", VALUE).cell("record.csv", 2, "age", "-5").cell(
        "record.csv", 3, "sex", f"{SENTINEL}x"
    )
    f.cell("record.csv", 4, "smoker", "2").cell("record.csv", 5, "smoker", f"{SENTINEL}y")
    f.cell("visits.csv", 1, "sbp", f"{SENTINEL}z").cell("visits.csv", 2, "stage", f"{SENTINEL}w")
    return f.cell("genes.csv", 1, "g1", f"{SENTINEL}v").cell("genes.csv", 2, "g2", "1e39")


@case(
    ("record.csv", "a patient has one row", 1),
    ("record.csv", "every row has an identifier", 1),
    ("record.csv", "every row has an identifier", 2),
    ("outcome.csv", "every patient has an outcome", 1),
    ("outcome.csv", "a patient has one outcome", 1),
)
def identifiers(f):
    f.append("record.csv", f"{identifier(3)},50,1,0,0").append("record.csv", ",50,1,0,0")
    f.append("record.csv", "2448.0,50,1,0,0").append("record.csv", "1.23E+12,50,1,0,0")
    return f.put("outcome.csv", str(f.files["outcome.csv"]).replace(identifier(5), identifier(4)[:-2] + "04"))


@case(
    ("visits.csv", "in the record", 2),
    ("genes.csv", "in the record", 1),
    ("images.csv", "in the record", 1),
    ("slides.npz", "in the record", 1),
)
def unknown_patients_in_side_tables(f):
    f.append("visits.csv", f"{SENTINEL}-x,0,120,I").append("visits.csv", f"{SENTINEL}-x,9,120,I").append(
        "genes.csv", f"{SENTINEL}-y,1,2,3"
    )
    f.append("images.csv", f"{SENTINEL}-z,0,{SENTINEL}.png")
    return f.put("slides.npz", npz(**{identifier(1): np.ones(4), f"{SENTINEL}-w": np.ones(4)}))


# Time


@case(
    ("visits.csv", "before the time origin", 1),
    ("visits.csv", "after the end of follow-up", 1),
    ("visits.csv", "without a time", 1),
    ("visits.csv", "one row of 'visits' at a time", 2),
    ("images.csv", "after the end of follow-up", 1),
    ("images.csv", "times are numbers", 1),
)
def visits_at_wrong_times(f):
    f.cell("visits.csv", 1, "day", "-4").cell("visits.csv", 4, "day", "5000").cell("visits.csv", 6, "day", "")
    f.append("visits.csv", f"{identifier(5)},100,150,I").append("visits.csv", f"{identifier(5)},100.0,150,I")
    return f.cell("images.csv", 2, "day", "201").cell("images.csv", 4, "day", f"{SENTINEL} soon")


@case(
    ("outcome.csv", "longer than nothing", 2),
    ("outcome.csv", "times are numbers", 1),
    ("outcome.csv", "event codes are declared", 2),
    ("outcome.csv", "every patient has an outcome", 1),
)
def outcomes_that_are_none(f):
    f.cell("outcome.csv", 1, "days", "0").cell("outcome.csv", 2, "days", "-7").cell(
        "outcome.csv", 3, "days", f"{SENTINEL} long"
    )
    f.cell("outcome.csv", 4, "status", "9").cell("outcome.csv", 5, "status", SENTINEL).cell(
        "outcome.csv", 6, "status", "NA"
    )
    f.manifest('table = "visits.csv"', 'table = "visits.csv"\nafter_end = "drop"')
    return f.manifest('index = "images.csv"', 'index = "images.csv"\nafter_end = "drop"')


@case(("outcome.csv", "a patient has one outcome", 1), ("outcome.csv", "every patient has an outcome", 1))
def outcomes_that_disagree(f):
    return (
        f.append("outcome.csv", f"{identifier(2)},999,1")
        .cell("outcome.csv", 7, "id", identifier(6))
        .cell("outcome.csv", 7, "days", "250")
        .cell("outcome.csv", 7, "status", "2")
    )


@case(("cohort.toml", "a cohort has patients", 1))
def nobody_is_left(f):
    return f.manifest("prevalent == 1", "prevalent in [0, 1]")


@case(
    ("outcome.csv", "times are those of a life", 11),
    ("visits.csv", "times are those of a life", 1),
)
def times_in_another_unit(f):
    f.manifest('time = "days"', 'time = "days"\ntime_unit = "years"').cell("visits.csv", 2, "day", "999999")
    for i in range(1, 13):
        f.cell("outcome.csv", i, "days", str(3000 + i))
    return f


@case(
    ("record.csv", "column names are unique", 2),
    ("outcome.csv", "declared columns exist", 1),
    ("outcome.csv", "declared columns exist", 1),
    ("outcome.csv", "declared columns exist", 1),
)
def tables_without_a_header(f):
    f.put("record.csv", f"{identifier(1)},7,7,{VALUE},{VALUE}\n{identifier(2)},7,7,1,1\n")
    return f.put("outcome.csv", f"{identifier(1)},7,{SENTINEL}-days,{SENTINEL}-status\n")


# Pixels and arrays


@case(
    ("images.csv (files named in column 'file')", "can be decoded", 3),
    ("images.csv (files named in column 'file')", "at most 1,000,000 pixels", 3),
    ("images.csv (files named in column 'file')", "arrays hold numbers", 1),
    ("images.csv (files named in column 'file')", "pixel arrays are height x width", 1),
)
def pictures_that_are_none(f):
    names = [f"pictures/{identifier(i)}-{day}.png" for i in range(1, 6) for day in (0, 50)]
    rng = np.random.default_rng(0)
    stream = io.BytesIO()
    np.save(stream, rng.random((8, 8, 5)))
    broken = [
        png(noise=True)[:200],
        b"",
        b"GIF89a",
        _png_claiming(4_000, 4_000),
        _png_claiming(2**31 - 1, 2**31 - 1),
        _png_claiming(50_000, 50_000),
    ]
    broken += [_npy(np.array([Evil()], dtype=object), allow_pickle=True), stream.getvalue()]
    for name, data in zip(names, broken, strict=False):
        f.put(name, data)
    return f


@case(("slides.npz", "equally long", 2), ("genes.csv", "a patient has one row", 1))
def embeddings_of_other_sizes(f):
    arrays = {identifier(i): np.ones(4) for i in range(1, 6)}
    return f.put("slides.npz", npz(**arrays, **{identifier(6): np.ones(5), identifier(7): np.ones((2, 2))})).append(
        "genes.csv", f"{identifier(1)},1,1,1"
    )


@case(("slides.npz (a member)", "never loaded", 1), ("genes.npy", "never loaded", 1))
def pickles(f):
    data = io.BytesIO()
    np.savez(data, **{identifier(1): np.array([Evil()], dtype=object)})
    f.put("slides.npz", data.getvalue()).put("genes.npy", pickle.dumps(Evil()))
    f.put("genes.npy", _npy(np.array([[Evil()]], dtype=object), allow_pickle=True)).put("ids.txt", identifier(1))
    return f.manifest('table = "genes.csv"\ncolumns = ["g*"]', 'matrix = "genes.npy"\npatients = "ids.txt"')


@case(
    ("slides.npz", "finite", 1),
    ("ids.txt", "one row per line", 1),
    ("ids.txt", "lines are unique", 1),
    ("genes.npy", "features are numbers", 1),
)
def matrices_that_do_not_fit_their_lists(f):
    f.put("slides.npz", npz(**{identifier(1): np.ones(3), identifier(2): np.array([1, np.inf, 0])}))
    f.put("genes.npy", _npy(np.array([[1.0, np.inf], [2, 3]]))).put(
        "ids.txt", f"{identifier(1)}\n{identifier(2)}\n{identifier(2)}\n"
    )
    return f.manifest('table = "genes.csv"\ncolumns = ["g*"]', 'matrix = "genes.npy"\npatients = "ids.txt"')


@case(("slides.npz", "bytes after decompression", 1), ("genes.npy", "as long as it says", 1))
def bombs_of_arrays(f):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{identifier(1)}.npy", bytes(50_000_000))
    f.put("slides.npz", stream.getvalue()).put("genes.npy", _npy(np.zeros((3, 3)))[:-8]).put("ids.txt", identifier(1))
    return f.manifest('table = "genes.csv"\ncolumns = ["g*"]', 'matrix = "genes.npy"\npatients = "ids.txt"')


# Everything at once


@case(
    ("record.csv", "plausible", 1),
    ("visits.csv", "in the record", 1),
    ("visits.csv", "after the end", 1),
    ("visits.csv", "numbers are numbers", 1),
    ("genes.csv", "features are numbers", 1),
    ("images.csv (files named in column 'file')", "can be decoded", 1),
    ("slides.npz", "in the record", 1),
    ("outcome.csv", "every patient has an outcome", 1),
    ("cohort.toml", "actions speak of variables", 1),
)
def one_of_each(f):
    f.cell("record.csv", 1, "age", VALUE).append("visits.csv", f"{SENTINEL}-x,0,120,I").cell(
        "visits.csv", 4, "day", "9999"
    ).cell("visits.csv", 5, "sbp", "high")
    f.cell("genes.csv", 2, "g3", SENTINEL).put(f"pictures/{identifier(1)}-0.png", b"no picture")
    f.put("slides.npz", npz(**{f"{SENTINEL}-w": np.ones(4)})).cell("outcome.csv", 3, "status", "NA")
    return f.manifest('modifies = "sbp"', 'modifies = "spb"')


def _tell(violation) -> str:
    return f"{violation.rule} | {violation.expected} | {violation.found} | {violation.column}"


@pytest.mark.parametrize("name", CASES)
def test_all_violations_at_once(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, expected = CASES[name]
    (tmp_path / "secret.csv").write_text("id,day,sbp,stage\n")
    folder = make(Folder()).write(tmp_path / "cohort")
    with pytest.raises(DataError) as caught:
        read_cohort(folder, limits=LIMITS)
    violations = list(caught.value.violations)
    message = str(caught.value)
    for table, text, count in expected:
        found = [v for v in violations if v.table == table and text in _tell(v) and v.count == count]
        assert found, f"no violation of {table!r} about {text!r} x {count} in:\n{message}"
        violations.remove(found[0])
    assert not violations, "not expected:\n" + "\n".join(map(str, violations))
    assert SENTINEL not in message.replace(f"touch {SENTINEL}", "")
    assert VALUE not in message
    assert not (tmp_path / SENTINEL).exists(), "code of the data was run"
    assert all(v.remedy and v.expected and v.found for v in caught.value.violations)


def test_there_are_at_least_twenty():
    assert len(CASES) >= 20


def test_a_link_out_of_the_root(tmp_path):
    folder = Folder().write(tmp_path / "cohort")
    (tmp_path / "secret.csv").write_text("id,day,sbp,stage\n")
    (folder / "visits.csv").unlink()
    (folder / "visits.csv").symlink_to(tmp_path / "secret.csv")
    image = folder / "pictures" / f"{identifier(1)}-0.png"
    image.unlink()
    image.symlink_to("/etc/hostname")
    found = validate(folder)
    assert [(v.table, v.rule) for v in found] == [
        ("visits.csv", "files lie inside the root folder"),
        ("images.csv (files named in column 'file')", "files lie inside the root folder"),
    ]


def test_a_folder_of_images_that_leads_out(tmp_path):
    folder = Folder().manifest('folder = "pictures"', 'folder = "away"').write(tmp_path / "cohort")
    (folder / "away").symlink_to(tmp_path)
    assert [v.rule for v in validate(folder)] == ["the folder of images lies inside the root"]


def test_a_pipe_does_not_hang(tmp_path):
    folder = Folder().remove("visits.csv").write(tmp_path)
    os.mkfifo(folder / "visits.csv")
    assert [v.rule for v in validate(folder)] == ["the file must be a regular file"]


def test_pixels_are_bounded_before_memory_is_taken(tmp_path):
    folder = Folder().manifest("size = [16, 16]", "size = [1024, 1024]").write(tmp_path)
    with pytest.raises(DataError, match="bytes of pixels in memory"):
        read_cohort(folder, limits=Limits(array_bytes=1_000_000))


@pytest.mark.parametrize("seed", range(25))
def test_random_damage_never_escapes_as_another_error(seed, tmp_path):
    rng = np.random.default_rng(seed)
    folder = Folder().write(tmp_path)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for _ in range(3):
        file: Path = files[rng.integers(len(files))]
        data = bytearray(file.read_bytes())
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(0, 256)
        if rng.random() < 0.3:
            data = data[: rng.integers(0, len(data))]
        file.write_bytes(bytes(data))
    # Whatever the damage does, nothing but a cohort or an OslerError comes out.
    with contextlib.suppress(OslerError):
        assert len(read_cohort(folder, limits=LIMITS)) > 0
