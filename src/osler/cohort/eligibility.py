"""Eligibility: who is in the first record table, who meets the criteria, whose outcome is known, step by step."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.classes import Classes, read_classes
from osler.cohort.cohort import FlowStep
from osler.cohort.follow_up import FollowUp, read_follow_up
from osler.cohort.manifest import Manifest
from osler.cohort.outcome_specs import OutcomeSpec
from osler.cohort.reading import Reading, Rows
from osler.cohort.specs import ExcludeSpec, RowsSpec, TableSpec

__all__ = ["admit", "find_patients", "one_row_each"]


def find_patients(reading: Reading) -> Rows | None:
    """Rows of the first record block, one per patient; sets ``reading.known`` and ``reading.patients``.

    None, and ``reading.blind``, when they cannot be told.

    The flow begins with all patients of that table; those of whom ``where`` chooses no row leave first.
    """
    spec = reading.manifest.record[0]
    rows = reading.rows(spec.table, spec, [], [v.source for v in spec.variables])
    if rows is None:
        reading.blind = True
        return None
    everyone = rows if spec.where is None else _identified(reading, rows, spec)
    reading.known = pd.Index(everyone.patient, dtype=object).unique()
    chosen = one_row_each(reading, rows, spec.repeated)
    reading.patients = pd.Index(chosen.patient, dtype=object)
    total, left = len(reading.known), len(reading.patients)
    reading.flow.append(FlowStep(f"patients in {spec.table}", 0, total))
    if total > left:
        reading.flow.append(FlowStep(f"no row with {spec.where}", total - left, left))
    return chosen


def _identified(reading: Reading, rows: Rows, spec: RowsSpec) -> Rows:
    """All rows of the table that have an identifier, whatever ``where`` chooses; nothing is noted twice."""
    table, column = rows.table, spec.patient_id or reading.manifest.cohort.patient_id
    texts = table.texts(column)
    prefixes = spec.prefixes or ("",)
    known = np.array([text is not None and text.startswith(prefixes) for text in texts], dtype=bool)
    bare = [text[len(next(p for p in prefixes if text.startswith(p))) :] for text in texts[known]]
    return Rows(table, np.flatnonzero(known), np.array(bare, dtype=object))


def one_row_each(reading: Reading, rows: Rows, repeated: str) -> Rows:
    """The first row of every patient; further rows are a violation unless ``repeated`` is "first"."""
    twin = pd.Series(rows.patient, dtype=object).duplicated().to_numpy()
    if twin.any() and repeated == "error":
        reading.findings.add(
            rows.table.name,
            "a patient has one row",
            "each patient once",
            "several rows",
            'Choose the row with where, or say repeated = "first" if they differ only in unused columns.',
            rows=rows.position[twin],
        )
    return rows.take(~twin)


def admit(reading: Reading, first: Rows | None, *, outcome: bool) -> FollowUp | Classes | None:
    """Apply the criteria, then the policies of the outcome; ``reading.patients`` are those who stay.

    Returns:
        Their follow-up or classes (some unknown if violations were noted), or None when not read or unreadable.
    """
    for step in reading.manifest.cohort.exclude:
        _exclude(reading, first, step)
    spec = reading.manifest.outcome
    rows = None if not outcome or spec is None else _outcome_rows(reading, first, spec)
    if reading.blind:
        return None
    if not len(reading.patients):
        _nobody(reading, "the criteria leave no patient")
        return None
    if rows is None or spec is None:
        return None
    return (_known_classes if spec.kind == "class" else _known_follow_up)(reading, spec, rows)


def _known_classes(reading: Reading, spec: OutcomeSpec, rows: Rows) -> Classes:
    """Classes of the patients who can be used."""
    classes = read_classes(reading, spec, rows)
    if spec.unknown == "keep" or not classes.unknown.any():
        return classes
    if spec.unknown == "exclude":
        unknown = classes.unknown
        reading.patients = reading.patients[~unknown]
        reading.flow.append(FlowStep("without a known class", int(unknown.sum()), len(reading.patients)))
        if not len(reading.patients):
            _nobody(reading, "nobody has a known class")
        return classes.take(~unknown)
    reading.findings.add(
        rows.table.name,
        "every patient has a class",
        "a declared class code",
        "patients without one",
        'Fill them in, or say unknown = "exclude" or unknown = "keep".',
        column=spec.event,
        count=int(classes.unknown.sum()),
    )
    return classes


def _known_follow_up(reading: Reading, spec: OutcomeSpec, rows: Rows) -> FollowUp:
    """Follow-up of the patients whose outcome can be used."""
    follow_up = read_follow_up(reading, spec, rows)
    follow_up = _outcome_policy(
        reading,
        spec,
        rows,
        follow_up,
        follow_up.unknown,
        spec.unknown,
        "every patient has an outcome",
        "without a known outcome",
        'unknown = "exclude", or declare more codes',
    )
    with np.errstate(invalid="ignore"):
        nothing = follow_up.known & (follow_up.time <= 0)
    follow_up = _outcome_policy(
        reading,
        spec,
        rows,
        follow_up,
        nothing,
        spec.zero_time,
        "follow-up is longer than nothing",
        "with a follow-up of zero or less",
        'zero_time = "exclude", or exclude those who had the event before the time origin',
    )
    if not len(reading.patients):
        _nobody(reading, "nobody has a usable outcome")
    return follow_up


def _outcome_rows(reading: Reading, first: Rows | None, spec: OutcomeSpec) -> Rows | None:
    columns = list(spec.columns)
    if spec.table is not None:
        return reading.rows(spec.table, spec, columns)
    return first if first is not None and reading.has_columns(first.table, columns) else None


def _exclude(reading: Reading, first: Rows | None, step: ExcludeSpec) -> None:
    record = reading.manifest.record[0]
    if step.table is not None:
        rows = reading.rows(step.table, _form_of(reading.manifest, step.table), [])
    elif first is not None and record.repeated == "first":
        # Any of a patient's rows may speak against it, not only the one that is kept.
        rows = reading.rows(record.table, record, [])
    else:
        rows = first
    if rows is None:
        return
    hit = reading.fulfil(rows.table, step.where, rows.position)
    if hit is None:
        return
    leaving = reading.patients.isin(rows.patient[hit])
    reading.patients = reading.patients[~leaving]
    reading.flow.append(FlowStep(step.reason, int(leaving.sum()), len(reading.patients)))


def _form_of(manifest: Manifest, table: str) -> RowsSpec:
    """How a table is written, as its own block says (else the first record block), without a choice of rows."""
    blocks: list[TableSpec] = [*manifest.record, *manifest.visits]
    like = next((block for block in blocks if block.table == table), blocks[0])
    return RowsSpec.model_validate({name: getattr(like, name) for name in RowsSpec.model_fields if name != "where"})


def _outcome_policy(
    reading: Reading,
    spec: OutcomeSpec,
    rows: Rows,
    follow_up: FollowUp,
    broken: NDArray[np.bool_],
    policy: str,
    rule: str,
    what: str,
    remedy: str,
) -> FollowUp:
    if not broken.any():
        return follow_up
    if policy == "exclude":
        reading.patients = reading.patients[~broken]
        reading.flow.append(FlowStep(what, int(broken.sum()), len(reading.patients)))
        return follow_up.take(~broken)
    at = reading.at(rows.patient)
    theirs = (at >= 0) & broken[at]
    reading.findings.add(
        rows.table.name,
        rule,
        "a time above 0 and a declared event code",
        f"patients {what}",
        f"Correct them, or say {remedy}.",
        column=spec.time or spec.event,
        rows=np.unique(rows.position[theirs]) if theirs.any() else None,
        count=int(broken.sum()),
    )
    return follow_up


def _nobody(reading: Reading, why: str) -> None:
    reading.findings.add(
        reading.file,
        "a cohort has patients",
        "at least one patient",
        why,
        "Correct the criteria; the flow counts each step.",
    )
