"""Genome: the genomic blocks of a manifest, aligned with the patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Genomics
from osler.cohort.decode import note_idle
from osler.cohort.eligibility import one_row_each
from osler.cohort.gene_sets import gene_sets
from osler.cohort.reading import Reading
from osler.cohort.specs import GenomicsSpec
from osler.readers.codes import canonical
from osler.readers.columns import select_columns
from osler.readers.genomics import check_size, read_matrix, table_matrix
from osler.readers.table import Table

__all__ = ["read_genomics"]


def read_genomics(reading: Reading, spec: GenomicsSpec, reserved: set[str]) -> Genomics | None:
    """One block, (n, p) float32 with a row of NaN for a patient without it; None after violations were noted.

    ``reserved`` columns (identifiers, outcome) are never features.
    """
    block = _from_table(reading, spec, reserved) if spec.table is not None else _from_matrix(reading, spec)
    if block is None:
        return None
    values, at, features = block
    spread = np.full((len(reading.patients), len(features)), np.nan, dtype=np.float32)
    spread[at] = values
    sets, told = gene_sets(reading, spec, features)
    return Genomics(spec.title, spec.kind, features, spread, sets, told)


_Block = tuple[NDArray[np.float32], NDArray[np.int64], tuple[str, ...]]


def _from_table(reading: Reading, spec: GenomicsSpec, reserved: set[str]) -> _Block | None:
    """Values, the position of each row's patient, and the features."""
    assert spec.table is not None
    rows = reading.rows(spec.table, spec, [])
    if rows is None:
        return None
    columns = _features(reading, spec, rows.table, reserved)
    if not columns:
        return None
    members, _ = reading.members(rows, spec.extra, spec.title)
    members = one_row_each(reading, members, spec.repeated)
    at = reading.at(members.patient)
    codes = {canonical(code): 0.0 for code in spec.wildtype} or None

    def work() -> NDArray[np.float32]:
        check_size(members.table.name, (len(reading.patients), len(columns)), reading.folder)
        return table_matrix(members.table, columns, members.position, spec.missing, codes)

    values = reading.findings.attempt(work)
    return None if values is None else (values, at, columns)


def _features(reading: Reading, spec: GenomicsSpec, table: Table, reserved: set[str]) -> tuple[str, ...]:
    """The columns that are features, in file order; idle patterns and an empty block are noted."""
    chosen, idle = select_columns(table.columns, spec.columns or ("*",), spec.leave_out)
    for pattern in idle:
        note_idle(reading.findings, table, pattern)
    columns = tuple(name for name in chosen if name not in reserved)
    if not columns and not idle:
        reading.findings.add(
            table.name, "a genomic block has features", "at least one column", "none", "Widen columns."
        )
    return columns


def _from_matrix(reading: Reading, spec: GenomicsSpec) -> _Block | None:
    matrix, patients = spec.matrix, spec.patients
    assert matrix is not None
    assert patients is not None
    read = reading.findings.attempt(lambda: read_matrix(reading.folder, matrix, patients, spec.features))
    if read is None:
        return None
    values, names, features, sources = read
    reading.sources |= sources
    ids = reading.bare(np.array(names, dtype=object), spec.prefixes, patients)
    at = reading.place(ids, spec.extra, spec.title, patients, np.arange(len(ids)))
    return values[at >= 0], at[at >= 0], features
