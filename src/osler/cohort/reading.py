"""Reading: tables named by the manifest, opened once, with their rows chosen and their patients identified."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from osler.cohort.cohort import FlowStep
from osler.cohort.findings import Findings
from osler.cohort.manifest import MANIFEST, Manifest
from osler.cohort.specs import RowsSpec
from osler.errors import UsageError
from osler.readers.columns import names_of
from osler.readers.files import Folder
from osler.readers.table import Table, TableFormat
from osler.readers.tabular import read_table
from osler.readers.where import parse_where

__all__ = ["Reading", "Rows", "open_folder"]

#: What spreadsheets make of whole identifiers: "2448.0" and "1.23E+12".
_DAMAGED_ID = r"^[0-9]+\.0+$|^[0-9](\.[0-9]+)?E\+[0-9]+$"


@dataclass(frozen=True, eq=False)
class Rows:
    """Chosen rows of a table: their 0-based positions in it and the identifier of each."""

    table: Table
    position: NDArray[np.int64]
    patient: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.position)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Rows:
        """Some of the rows, by place or mask."""
        return Rows(self.table, self.position[index], self.patient[index])


@dataclass
class Reading:
    """What one reading of a cohort shares: the manifest, the folder, findings, flow and digests.

    ``file`` is what messages call the manifest.
    ``known`` are the identifiers of the first record table, set once it was read; ``patients`` those who stay.
    ``vectors`` is the folder where vectors that a network makes of images are kept; None to keep none.
    ``blind`` says that the first record table could not be read: the other files are looked at without patients.
    """

    manifest: Manifest
    folder: Folder
    file: str = MANIFEST
    findings: Findings = field(default_factory=Findings)
    flow: list[FlowStep] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    known: pd.Index = field(default_factory=lambda: pd.Index([], dtype=object))
    patients: pd.Index = field(default_factory=lambda: pd.Index([], dtype=object))
    vectors: Path | None = None
    blind: bool = False
    _tables: dict[tuple[str, TableFormat], Table | None] = field(default_factory=dict)

    def table(self, name: str, spec: RowsSpec) -> Table | None:
        """The table, read once for each way of writing; None after its violations were noted."""
        form = TableFormat(spec.sep, spec.comment, spec.encoding, spec.decimal, self.manifest.cohort.missing)
        key = (name, form)
        if key not in self._tables:
            self._tables[key] = self.findings.attempt(lambda: read_table(self.folder, name, form))
            if (table := self._tables[key]) is not None:
                self.sources[name] = table.sha256
        return self._tables[key]

    def rows(self, name: str, spec: RowsSpec, needed: Sequence[str], wanted: Sequence[str] = ()) -> Rows | None:
        """Rows of a block that its ``where`` chooses, with identifiers; None when something basic is wrong.

        ``needed`` are further columns without which the block makes no sense, ``wanted`` those without which the rest
        of it can still be looked at. All that are not there are noted.
        """
        table = self.table(name, spec)
        if table is None:
            return None
        ids = spec.patient_id or self.manifest.cohort.patient_id
        asked = parse_where(spec.where).names if spec.where else ()
        everything = self.has_columns(table, [ids, *asked, *needed, *wanted])
        if not everything and not all(column in table for column in (ids, *asked, *needed)):
            return None
        position = np.arange(table.rows)
        if spec.where:
            chosen = self.fulfil(table, spec.where, position)
            if chosen is None:
                return None
            position = position[chosen]
        return self._identify(table, ids, spec.prefixes, position)

    def fulfil(self, table: Table, where: str, position: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Which rows fulfil a condition; None after a violation was noted."""
        condition = parse_where(where)
        if not self.has_columns(table, condition.names):
            return None
        return condition.evaluate(table.frame(condition.names, position))

    def has_columns(self, table: Table, columns: Sequence[str]) -> bool:
        """Whether the table has them all; each that it lacks is noted."""
        absent = [name for name in dict.fromkeys(columns) if name not in table]
        for name in absent:
            near = difflib.get_close_matches(name, names_of(table.columns), n=2)
            remedy = "Correct the name in the manifest, or the table."
            if near:
                remedy = f"Did you mean {' or '.join(map(repr, near))}?"
            if len(table.columns) == 1:
                remedy = 'The table was read as one column: say how its cells are parted, such as sep = ";".'
            self.findings.add(
                table.name, "declared columns exist", "the column", "none of that name", remedy, column=name
            )
        return not absent

    def _identify(
        self, table: Table, column: str, prefixes: tuple[str, ...], position: NDArray[np.int64]
    ) -> Rows | None:
        if table.is_float(column):
            self.findings.add(
                table.name,
                "identifiers are text",
                "text or whole numbers",
                "decimal numbers",
                "Write the identifiers as text; a missing one often turns the column into decimals.",
                column=column,
                count=len(position),
            )
            return None
        cells = table.text(column, position)
        damaged = pc.fill_null(pc.match_substring_regex(cells, _DAMAGED_ID), False).to_numpy(zero_copy_only=False)
        absent = cells.is_null().to_numpy(zero_copy_only=False)
        bare = np.zeros(len(cells), dtype=bool)
        if prefixes:
            bare = ~absent
            for prefix in prefixes:
                has = bare & pc.fill_null(pc.starts_with(cells, prefix), False).to_numpy(zero_copy_only=False)
                cells = pc.if_else(pa.array(has), pc.utf8_slice_codeunits(cells, len(prefix)), cells)
                bare &= ~has
        for broken, expected, found, remedy in (
            (damaged, "text such as 2448", "text such as 2448.0 or 1.2E+09", "Export identifiers as text."),
            (absent, "an identifier in every row", "empty cells", "Fill them in, or leave the rows out with where."),
            (
                bare,
                f"the prefix {' or '.join(map(repr, prefixes))}",
                "other text",
                "Correct id_prefix, or leave the rows out with where.",
            ),
        ):
            if broken.any():
                self.findings.add(
                    table.name,
                    "every row has an identifier",
                    expected,
                    found,
                    remedy,
                    column=column,
                    rows=position[broken],
                )
        good = ~(damaged | absent | bare)
        patient = np.asarray(cells.to_numpy(zero_copy_only=False), dtype=object)
        return Rows(table, position[good], patient[good])

    def members(self, rows: Rows, extra: str, block: str) -> tuple[Rows, NDArray[np.int64]]:
        """Rows of the patients who stay, and the position of each row's patient; see ``place``."""
        at = self.place(rows.patient, extra, block, rows.table.name, rows.position)
        return rows.take(at >= 0), at[at >= 0]

    def place(
        self, ids: NDArray[np.object_], extra: str, block: str, file: str, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Position of each identifier among the patients who stay, -1 for others.

        Patients who are not in the first record table at all are a violation, or counted if ``extra`` is "ignore".
        """
        unknown = self.known.get_indexer(pd.Index(ids, dtype=object)) < 0
        count = 0 if self.blind else int(unknown.sum())
        if count and extra == "error":
            self.findings.add(
                file,
                "patients of a side table are in the record",
                "patients of the first record table",
                f"{len(set(ids[unknown]))} who are not",
                'Add them to the record, or say extra = "ignore" in this block.',
                rows=None if rows is None else rows[unknown],
                count=count,
            )
        elif count:
            self.dropped(f"{block}: rows of patients outside the record", count, len(ids) - count)
        return self.at(ids)

    def at(self, ids: NDArray[np.object_]) -> NDArray[np.int64]:
        """Position of each identifier among the patients who stay, -1 for others; nothing is noted."""
        return self.patients.get_indexer(pd.Index(ids, dtype=object)).astype(np.int64)

    def bare(self, ids: NDArray[np.object_], prefixes: tuple[str, ...], file: str) -> NDArray[np.object_]:
        """Identifiers without their prefix; those that lack it are noted."""
        found = [next((p for p in prefixes or ("",) if name.startswith(p)), None) for name in ids]
        wrong = np.array([prefix is None for prefix in found], dtype=bool)
        if wrong.any():
            self.findings.add(
                file,
                "every row has an identifier",
                f"the prefix {' or '.join(map(repr, prefixes))}",
                "other text",
                "Correct id_prefix.",
                count=int(wrong.sum()),
            )
        return np.array([name.removeprefix(p or "") for name, p in zip(ids, found, strict=True)], dtype=object)

    def dropped(self, reason: str, excluded: int, remaining: int) -> None:
        """Count rows that a policy left out."""
        if excluded:
            self.flow.append(FlowStep(reason, excluded, remaining, "rows"))


def open_folder(manifest: Manifest, manifest_file: Path, root: Path | None, environment: str | None) -> Path:
    """The folder of the cohort's files.

    ``root`` (an argument) comes first, then ``environment`` (OSLER_DATA) if the manifest names a folder that lies in
    it, then the manifest's own folder; below it the manifest's ``root``.

    Raises:
        UsageError: there is no such folder, or it leads out of the base.
    """
    wanted = Path(manifest.cohort.root)
    beside = manifest_file.resolve().parent
    if root is not None:
        base = root
    elif environment and wanted != Path(".") and (Path(environment) / wanted).is_dir():
        base = Path(environment)
    else:
        base = beside
    base = base.resolve()
    folder = (base / wanted).resolve()
    if wanted.is_absolute() or not folder.is_relative_to(base):
        raise UsageError(
            f"the root of the cohort, {manifest.cohort.root!r}, must lie below --root, OSLER_DATA or the manifest: "
            "choose where the files lie with --root"
        )
    if not folder.is_dir():
        raise UsageError(
            f"no folder {manifest.cohort.root!r} below {base}: "
            "say where the cohort's files lie with --root or OSLER_DATA"
        )
    return folder
