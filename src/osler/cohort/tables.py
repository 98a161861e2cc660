"""The gate: a manifest and its tables become a Cohort, or one error that lists everything that is wrong."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import pandas as pd

from osler.cohort.action_check import check_actions
from osler.cohort.classes import Classes
from osler.cohort.cohort import VISIT_KEYS, Cohort, Variable, draw_pseudonyms
from osler.cohort.decode import decode, expand, variable_of
from osler.cohort.eligibility import admit, find_patients, one_row_each
from osler.cohort.encounters import merge, read_visits, spread
from osler.cohort.follow_up import FollowUp
from osler.cohort.gate import check_frames
from osler.cohort.genome import read_genomics
from osler.cohort.manifest import Manifest, manifest_path, read_manifest
from osler.cohort.pictures import read_images
from osler.cohort.reading import Reading, Rows, open_folder
from osler.errors import DataError, Violation
from osler.readers.files import LIMITS, Folder, Limits

__all__ = ["read_cohort", "validate"]


def read_cohort(
    path: str | Path,
    root: str | Path | None = None,
    *,
    outcome: bool = True,
    limits: Limits = LIMITS,
    vectors: str | Path | None = None,
) -> Cohort:
    """Read a cohort as its ``cohort.toml`` declares it.

    Args:
        path: the manifest, or the folder that holds it.
        root: where the tables lie. If not given, the folder OSLER_DATA (environment) when it holds the folder that the
            manifest names as its root; else the manifest's own folder.
        outcome: read the outcome too; False for patients who are only to be scored (their tables need not have it).
        limits: how large files, tables and images may be.
        vectors: folder where vectors that a network trained elsewhere makes of images are kept from one reading to the
            next; if not given, the folder OSLER_VECTORS (environment), else none.

    Returns:
        The patients who meet the criteria, in the order of the first record table, with the participant flow.

    Raises:
        UsageError: there is no manifest or no such root.
        DataError: all violations of the contract at once; nothing is half read.
    """
    manifest = read_manifest(path)
    file = manifest_path(path)
    base = open_folder(manifest, file, None if root is None else Path(root), os.environ.get("OSLER_DATA"))
    reading = Reading(manifest, Folder(base, limits), file.name)
    kept = vectors or os.environ.get("OSLER_VECTORS")
    reading.vectors = None if kept is None else Path(kept)
    reading.sources[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    cohort = _read(reading, outcome=outcome)
    reading.findings.raise_all()
    assert cohort is not None
    return cohort


def validate(path: str | Path, root: str | Path | None = None, *, limits: Limits = LIMITS) -> list[Violation]:
    """All violations of the contract, an empty list when there are none; raises UsageError like ``read_cohort``."""
    try:
        read_cohort(path, root, limits=limits)
    except DataError as error:
        return list(error.violations)
    return []


def _read(reading: Reading, *, outcome: bool) -> Cohort | None:
    """The cohort, or None after violations, which are in ``reading.findings``."""
    manifest = reading.manifest
    first = find_patients(reading)
    admitted = admit(reading, first, outcome=outcome)
    follow_up = admitted if isinstance(admitted, FollowUp) else None
    record, variables = _record(reading, first)
    end = None if follow_up is None else follow_up.end
    reserved = _reserved(manifest)
    blocks = [block for spec in manifest.visits if (block := read_visits(reading, spec, end, reserved)) is not None]
    genomics = [g for spec in manifest.genomics if (g := read_genomics(reading, spec, reserved)) is not None]
    pictures = [p for spec in manifest.images if (p := read_images(reading, spec, end)) is not None]
    visits, places = merge([*blocks, *(picture.encounters for picture in pictures)])
    variables += [variable for block in blocks for variable in block.variables]
    _check_names(reading, variables)
    meanings = {variable.name: variable for variable in variables}
    if not reading.blind and len(blocks) == len(manifest.visits):
        check_actions(reading.findings, reading.file, manifest.actions, meanings)
    if not reading.findings.violations:
        check_frames(reading.findings, record, visits, meanings, len(reading.patients))
    if reading.findings.violations or first is None:
        return None
    return Cohort(
        name=manifest.cohort.name,
        patients=reading.patients.to_numpy(dtype=object),
        record=record,
        visits=visits,
        variables=meanings,
        genomics={block.name: block for block in genomics},
        images={p.spec.name: p.block(at) for p, at in zip(pictures, places[len(blocks) :], strict=True)},
        outcome=None if follow_up is None else follow_up.outcome(_causes(manifest)),
        diagnosis=admitted.diagnosis() if isinstance(admitted, Classes) else None,
        flow=tuple(reading.flow),
        actions=manifest.actions,
        sources=dict(sorted(reading.sources.items())),
        description=manifest.cohort.description,
        study=manifest.study,
        question=manifest.diagnosis,
        pseudonyms=draw_pseudonyms(first.table.key, reading.known)[reading.known.get_indexer(reading.patients)],
    )


def _record(reading: Reading, first: Rows | None) -> tuple[pd.DataFrame, list[Variable]]:
    """All record blocks side by side, one row per patient."""
    n = len(reading.patients)
    columns: dict[str, object] = {}
    variables: list[Variable] = []
    for spec in reading.manifest.record:
        if spec is reading.manifest.record[0]:
            rows = first
        else:
            rows = reading.rows(spec.table, spec, [], [v.source for v in spec.variables])
        if rows is None:
            continue
        specs = expand(spec.variables, spec.columns, rows.table, reading.findings, _reserved(reading.manifest))
        rows, at = reading.members(rows, spec.extra, spec.name)
        if spec is not reading.manifest.record[0]:
            rows = one_row_each(reading, rows, spec.repeated)
            at = reading.at(rows.patient)
        for variable in specs:
            columns[variable.name] = spread(decode(reading, rows, variable), at, n)
            variables.append(variable_of(variable, spec.name))
    return pd.DataFrame(columns, index=range(n)), variables


def _reserved(manifest: Manifest) -> set[str]:
    """Columns that no pattern may take as a predictor: identifiers and the outcome."""
    specs = [*manifest.record, *manifest.visits, *manifest.genomics, *manifest.images]
    ids = {manifest.cohort.patient_id, *(spec.patient_id for spec in specs if spec.patient_id)}
    return ids | (set(manifest.outcome.columns) if manifest.outcome else set())


def _causes(manifest: Manifest) -> tuple[str, ...]:
    assert manifest.outcome is not None
    return (manifest.outcome.name, *(competing.name for competing in manifest.outcome.competing))


def _check_names(reading: Reading, variables: list[Variable]) -> None:
    """Patterns may bring in a name that another block has already."""
    for name, count in Counter(variable.name for variable in variables).items():
        if count > 1 or name in VISIT_KEYS:
            reading.findings.add(
                reading.file,
                "variable names are unique and free",
                "each name in one block",
                f"{name!r} again",
                'Leave it out of a pattern with except, or declare it with its own name and column = "...".',
                count=count,
            )
