"""Pictures: the image blocks of a manifest, as pixels of one size or as embeddings made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.decode import note_idle
from osler.cohort.encounters import Dated, Encounters, keep_rows, times_of
from osler.cohort.findings import Findings
from osler.cohort.image_files import load_encoder, read_pixels, read_vectors, shown_as
from osler.cohort.image_specs import ImagesSpec, JoinSpec
from osler.cohort.images import Images
from osler.cohort.reading import Reading, Rows
from osler.readers.arrays import parse_npz
from osler.readers.columns import select_columns
from osler.readers.genomics import table_matrix
from osler.readers.image_archive import read_archive

__all__ = ["Pictures", "read_images"]


@dataclass(frozen=True, eq=False)
class Pictures:
    """One block before it is tied to the visits: when each image was taken, by patient and time, and its values."""

    spec: ImagesSpec
    encounters: Encounters
    values: NDArray[np.float32]
    embedding: NDArray[np.float32] | None = None
    origin: str = ""

    def block(self, visit: NDArray[np.int64]) -> Images:
        """The block at these positions of ``Cohort.visits``."""
        spec, made = self.spec, {"embedding": self.embedding, "origin": self.origin}
        return Images(spec.name, spec.form, visit, self.values, spec.label or "", spec.augment, **made)  # type: ignore[arg-type]


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
    if spec.form == "pixels":
        return _pixels(reading, spec, dated, files[keep])
    vectors = read_vectors(reading, spec, dated, files[keep])
    values = None if vectors is None else _stack(reading.findings, shown_as(spec, dated), vectors, dated.rows.position)
    return None if values is None else _pictures(spec, dated.patient, dated.time, values)


def _pixels(reading: Reading, spec: ImagesSpec, dated: Dated, files: NDArray[np.object_]) -> Pictures | None:
    """Pixels, and what a network trained elsewhere makes of them where one is named."""
    encoder = None
    if spec.weights is not None:
        encoder = reading.findings.attempt(lambda: load_encoder(reading, spec))
        if encoder is None:
            return None
    pixels = read_pixels(reading, spec, dated, files)
    if pixels is None:
        return None
    pictures = _pictures(spec, dated.patient, dated.time, pixels)
    if encoder is None or reading.findings.violations:
        return pictures
    return replace(pictures, embedding=encoder.encode(pixels), origin=encoder.origin)


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
    height, width = spec.size[-2:]
    pixels = reading.findings.attempt(lambda: archive.pixels((height, width), spec.channels, limits, order))
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
