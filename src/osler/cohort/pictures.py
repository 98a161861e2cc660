"""Pictures: the image blocks of a manifest, as pixels of one size or as embeddings made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Images
from osler.cohort.decode import note_idle
from osler.cohort.encounters import Dated, Encounters, keep_rows, times_of
from osler.cohort.findings import Findings
from osler.cohort.reading import Reading, Rows
from osler.cohort.specs import ImagesSpec, JoinSpec
from osler.config import digest
from osler.errors import DataError, Violation
from osler.readers.arrays import parse_npy, parse_npz
from osler.readers.columns import select_columns
from osler.readers.files import Folder, refuse, too_large
from osler.readers.genomics import table_matrix
from osler.readers.image_archive import read_archive
from osler.readers.imaging import decode_image

__all__ = ["Pictures", "read_images"]


@dataclass(frozen=True, eq=False)
class Pictures:
    """One block before it is tied to the visits: when each image was taken, by patient and time, and its values."""

    spec: ImagesSpec
    encounters: Encounters
    values: NDArray[np.float32]

    def block(self, visit: NDArray[np.int64]) -> Images:
        """The block at these positions of ``Cohort.visits``."""
        spec = self.spec
        return Images(name=spec.name, form=spec.form, visit=visit, values=self.values, label=spec.label or "")


def read_images(reading: Reading, spec: ImagesSpec, end: NDArray[np.float64] | None) -> Pictures | None:
    """One block of ``reading.patients``; None after violations were noted.

    Files of patients who are not in the cohort are not opened.
    """
    if spec.archive is not None:
        read = _labelled if spec.form == "pixels" else _from_archive
        return read(reading, spec, spec.archive)
    assert spec.index is not None
    asked = [name for name in (spec.time,) if name] + (
        [spec.join.on] if spec.join else [spec.file] if spec.file else []
    )
    rows = reading.rows(spec.index, spec, asked)
    if rows is None:
        return None
    rows, patient = reading.members(rows, spec.extra, spec.name)
    files: NDArray[np.object_] | None = None
    if spec.file is not None:
        found = _joined(reading, spec, spec.join, rows) if spec.join else rows.table.texts(spec.file, rows.position)
        if found is None:
            return None
        named = np.array([name is not None for name in found], dtype=bool)
        reading.dropped(f"{spec.name}: rows without an image", int((~named).sum()), int(named.sum()))
        rows, patient, files = rows.take(named), patient[named], found[named]
    dated = Dated(rows, patient, times_of(reading, spec, rows))
    keep = keep_rows(reading, spec, spec.name, dated, end)
    keep = keep[np.lexsort((dated.time[keep], dated.patient[keep]))]
    dated = dated.take(keep)
    if files is None:
        return _vectors(reading, spec, dated)
    return _from_files(reading, spec, dated, files[keep])


def _pictures(
    spec: ImagesSpec, patient: NDArray[np.int64], time: NDArray[np.float64], values: NDArray[np.float32]
) -> Pictures:
    return Pictures(spec, Encounters(patient, time, pd.DataFrame(index=range(len(patient)))), values)


def _joined(reading: Reading, spec: ImagesSpec, join: JoinSpec, rows: Rows) -> NDArray[np.object_] | None:
    """The file of every row, looked up in the joined table (None where it has no match)."""
    assert spec.file is not None
    if spec.file in rows.table:
        return rows.table.texts(spec.file, rows.position)
    table = reading.table(join.table, spec)
    to = join.to or join.on
    if table is None or not reading.has_columns(table, [to, spec.file]):
        return None
    there = (
        pd.DataFrame({"key": table.texts(to), "file": table.texts(spec.file)}).dropna(subset="key").drop_duplicates()
    )
    twin = there["key"].duplicated().to_numpy()
    if twin.any():
        reading.findings.add(
            table.name,
            "a join finds one row",
            "each key once, or rows that agree",
            "keys with several files",
            "Correct the table.",
            column=to,
            rows=there.index.to_numpy()[twin],
        )
    files = there[~twin].set_index("key")["file"]
    keys = pd.Index(rows.table.texts(join.on, rows.position), dtype=object)
    place = files.index.get_indexer(keys)
    return np.array([None, *files], dtype=object)[place + 1]


def _vectors(reading: Reading, spec: ImagesSpec, dated: Dated) -> Pictures | None:
    """Embeddings that stand in columns of the index; a row that is empty throughout has none."""
    table = dated.rows.table
    columns, idle = select_columns(table.columns, spec.columns)
    for pattern in idle:
        note_idle(reading.findings, table, pattern)
    values = reading.findings.attempt(lambda: table_matrix(table, columns, dated.rows.position))
    if values is None or idle:
        return None
    known = np.isfinite(values)
    partly = known.any(axis=1) & ~known.all(axis=1)
    if partly.any():
        reading.findings.add(
            table.name,
            "an embedding is whole",
            "a number in every column",
            "empty cells in some",
            "Complete them, or leave the rows out.",
            rows=dated.rows.position[partly],
        )
    has = known.all(axis=1)
    return _pictures(spec, dated.patient[has], dated.time[has], values[has])


def _from_archive(reading: Reading, spec: ImagesSpec, archive: str) -> Pictures | None:
    """Embeddings by identifier, known at the time origin."""
    source = reading.findings.attempt(lambda: reading.folder.read(archive))
    arrays = (
        None
        if source is None
        else reading.findings.attempt(lambda: parse_npz(source.data, archive, reading.folder.limits))
    )
    if source is None or arrays is None:
        return None
    reading.sources[archive] = source.sha256
    ids = reading.bare(np.array(list(arrays), dtype=object), spec.prefixes, archive)
    at = reading.place(ids, spec.extra, spec.name, archive)
    vectors = list(arrays.values())
    order = [i for i in np.argsort(at, kind="stable") if at[i] >= 0]
    values = _stack(reading.findings, archive, [vectors[i] for i in order], None)
    return None if values is None else _pictures(spec, at[order], np.zeros(len(order)), values)


def _labelled(reading: Reading, spec: ImagesSpec, name: str) -> Pictures | None:
    """Pixels of an archive of labelled images, each a patient of its own, known at the time origin."""
    source = reading.findings.attempt(lambda: reading.folder.read(name))
    archive = None if source is None else reading.findings.attempt(lambda: read_archive(source, reading.folder.limits))
    if source is None or archive is None:
        return None
    reading.sources[name] = source.sha256
    at = reading.place(np.array(archive.identifiers, dtype=object), spec.extra, spec.name, name)
    order = np.argsort(at, kind="stable")
    order = order[at[order] >= 0]
    limits = reading.folder.limits
    pixels = reading.findings.attempt(lambda: archive.pixels(spec.size, spec.channels, limits, order))
    return None if pixels is None else _pictures(spec, at[order], np.zeros(len(order)), pixels)


def _stack(
    findings: Findings, name: str, vectors: list[NDArray[np.generic]], rows: NDArray[np.int64] | None
) -> NDArray[np.float32] | None:
    """(m, d) float32 of vectors of one length; the length most of them have is taken as meant."""
    lengths = np.array([len(v) if v.ndim == 1 else -1 for v in vectors], dtype=np.int64)
    if not len(vectors):
        return np.empty((0, 0), dtype=np.float32)
    meant = int(np.bincount(lengths[lengths > 0]).argmax()) if (lengths > 0).any() else 0
    wrong = lengths != max(meant, 1)
    if wrong.any():
        findings.add(
            name,
            "embeddings of a block are equally long",
            f"vectors of {max(meant, 1)} numbers",
            "other shapes",
            "Make all embeddings with one network.",
            rows=None if rows is None else rows[wrong],
            count=int(wrong.sum()),
        )
        return None
    with np.errstate(over="ignore"):
        values = np.stack(vectors).astype(np.float32)
    infinite = ~np.isfinite(values).all(axis=1)
    if infinite.any():
        findings.add(
            name,
            "embeddings are finite",
            "finite numbers",
            "missing or infinite ones",
            "Make these embeddings again, or leave them out.",
            rows=None if rows is None else rows[infinite],
            count=int(infinite.sum()),
        )
        return None
    return values


def _from_files(reading: Reading, spec: ImagesSpec, dated: Dated, files: NDArray[np.object_]) -> Pictures | None:
    """Pixels or embeddings from one file each, read one after another into one block."""
    index = dated.rows.table.name
    folder = reading.findings.attempt(lambda: _subfolder(reading.folder, spec.folder))
    if folder is None:
        return None
    shape = (len(files), spec.channels, *spec.size)
    if spec.form == "pixels" and 4 * int(np.prod(shape, dtype=object)) > folder.limits.array_bytes:
        reading.findings.violations += too_large(
            index, "bytes of pixels in memory", folder.limits.array_bytes
        ).violations
        return None
    shown = f"{index} (files named in column {spec.file!r})"  # a file's own name could tell who the patient is
    pixels = np.zeros(shape if spec.form == "pixels" else (0, 1, 1, 1), dtype=np.float32)
    vectors: list[NDArray[np.generic]] = []
    digests: dict[str, str] = {}
    broken = _Broken()
    for i, name in enumerate(files):
        with broken.noting(int(dated.rows.position[i])):
            source = folder.read(str(name), shown=shown)
            digests[str(name)] = source.sha256
            if spec.form == "pixels":
                pixels[i] = decode_image(source.data, shown, spec.size, spec.channels, folder.limits)
            else:
                vectors.append(parse_npy(source.data, shown, folder.limits))
    if broken.tell(reading.findings):
        return None
    reading.sources[f"{spec.folder}/ ({len(digests)} files of {spec.name!r})"] = digest(digests)
    if spec.form == "pixels":
        return _pictures(spec, dated.patient, dated.time, pixels)
    values = _stack(reading.findings, shown, vectors, dated.rows.position)
    return None if values is None else _pictures(spec, dated.patient, dated.time, values)


def _subfolder(folder: Folder, name: str) -> Folder:
    """The folder of the images, which lies inside the root."""
    path = (folder.root / name).resolve()
    if Path(name).is_absolute() or not path.is_relative_to(folder.root) or not path.is_dir():
        raise refuse(
            name,
            "the folder of images lies inside the root",
            "a folder below the root",
            "none there",
            "Correct folder.",
        )
    return Folder(path, folder.limits)


class _Broken:
    """Violations of single files, told once for each kind with the rows that name the files."""

    def __init__(self) -> None:
        self._rows: dict[Violation, list[int]] = {}
        self._row = 0

    def noting(self, row: int) -> _Broken:
        self._row = row
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, DataError):
            return False
        for violation in error.violations:
            self._rows.setdefault(violation, []).append(self._row)
        return True

    def tell(self, findings: Findings) -> bool:
        """Whether there were any."""
        for v, rows in self._rows.items():
            findings.add(v.table, v.rule, v.expected, v.found, v.remedy, rows=rows)
        return bool(self._rows)
