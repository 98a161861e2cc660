"""Decode: cells of a table become numbers, flags and categories, by what the manifest declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Variable
from osler.cohort.findings import Findings
from osler.cohort.reading import Reading, Rows
from osler.cohort.specs import ColumnsSpec, VariableSpec
from osler.readers.codes import canonical
from osler.readers.columns import select_columns
from osler.readers.table import Table
from osler.units import DAYS_PER

__all__ = ["declared", "decode", "expand", "lookup", "read_times", "variable_of"]

#: Days. Nobody is followed longer: such a time has another unit, or is a code.
_LONGEST_LIFE = 200 * DAYS_PER["y"]
_FLAG = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}


def variable_of(spec: VariableSpec, modality: str) -> Variable:
    """The meaning that travels with the cohort."""
    return Variable(
        name=spec.name,
        label=spec.label or spec.name,
        type=spec.type,
        modality=modality,
        unit=spec.unit,
        levels=spec.labels,
        minimum=None if spec.cuts else spec.min,
        maximum=None if spec.cuts else spec.max,
        modifiable=spec.modifiable,
    )


def expand(
    variables: tuple[VariableSpec, ...],
    patterns: tuple[ColumnsSpec, ...],
    table: Table,
    findings: Findings,
    reserved: set[str],
) -> list[VariableSpec]:
    """The variables of a block that its table has: those declared one by one, then those of patterns.

    ``reserved`` columns (identifier, time, outcome) are never taken by a pattern. Idle patterns are noted.
    """
    specs = [spec for spec in variables if spec.source in table]
    taken = {spec.source for spec in variables} | {spec.name for spec in variables} | reserved
    for pattern in patterns:
        chosen, idle = select_columns(table.columns, [pattern.pattern], pattern.leave_out)
        for text in idle:
            note_idle(findings, table, text)
        meaning = pattern.model_dump(exclude={"pattern", "leave_out"})
        specs += [VariableSpec(name=name, **meaning) for name in chosen if name not in taken]
        taken |= set(chosen)
    return specs


def note_idle(findings: Findings, table: Table, pattern: str) -> None:
    """Note a pattern that fits no column."""
    findings.add(
        table.name,
        "patterns fit some column",
        f"columns like {pattern!r}",
        "none",
        "Correct the pattern: a name, a glob such as *_mut, or a range first:last in file order.",
    )


def declared(table: Table, column: str, codes: Mapping[str, Any]) -> dict[str, Any]:
    """Codes in the form in which cells are compared; a stored true/false column is also met by 1 and 0."""
    known = {canonical(code): meaning for code, meaning in codes.items()}
    if table.is_boolean(column):
        for text, number in (("true", "1"), ("false", "0")):
            if number in known:
                known.setdefault(text, known[number])
    return known


def lookup(
    rows: Rows, column: str, codes: Mapping[str, float], missing: tuple[str, ...] = ()
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The number each cell's code stands for (NaN where missing), and which cells hold no declared code."""
    known = declared(rows.table, column, codes)
    gone = {canonical(code) for code in (*rows.table.format.missing, *missing)}
    place, texts = rows.table.factorized(column, rows.position)
    values = np.array([np.nan if text in gone else known.get(canonical(text), np.inf) for text in texts] + [np.nan])
    values = np.where(np.array([canonical(text) in gone for text in texts] + [True]), np.nan, values)
    cells = values[place]  # -1, the missing cell, is the last
    unknown = np.isinf(cells)
    return np.where(unknown, np.nan, cells), unknown


def decode(
    reading: Reading, rows: Rows, spec: VariableSpec, column: str | None = None
) -> NDArray[np.float64] | pd.Categorical:
    """One variable on chosen rows: float64 with NaN, or a categorical of its labels; violations are noted."""
    column = column or spec.source
    if spec.cuts:
        return _classes(_number(reading, rows, spec, column), spec)
    if spec.type == "category":
        return _category(reading.findings, rows, spec, column)
    if spec.type == "flag":
        values, unknown = lookup(rows, column, spec.codes or _FLAG, spec.missing)
        if unknown.any():
            codes = ", ".join(spec.codes) or "0 or 1"
            reading.findings.add(
                rows.table.name,
                "flags hold declared codes",
                codes,
                "other codes",
                "Declare them with codes = { Yes = 1, No = 0 }, or as missing.",
                column=column,
                rows=rows.position[unknown],
            )
        return values
    return _number(reading, rows, spec, column)


def _category(findings: Findings, rows: Rows, spec: VariableSpec, column: str) -> pd.Categorical:
    labels = list(spec.labels)
    codes = {code: float(labels.index(label)) for code, label in spec.levels.items()}
    values, unknown = lookup(rows, column, codes, spec.missing)
    if unknown.any():
        findings.add(
            rows.table.name,
            "categories hold declared codes",
            f"one of {', '.join(list(spec.levels)[:20])}",
            "other codes",
            "Declare them in levels, or as missing.",
            column=column,
            rows=rows.position[unknown],
        )
    place = np.where(np.isnan(values), -1, values).astype(np.int64)
    return pd.Categorical.from_codes(place, categories=pd.Index(labels, dtype=object))


def _classes(values: NDArray[np.float64], spec: VariableSpec) -> pd.Categorical:
    """Numbers as levels; a number at a cut belongs to the level that ends there."""
    place = np.where(np.isnan(values), -1, np.searchsorted(spec.cuts, values, "left")).astype(np.int64)
    return pd.Categorical.from_codes(place, categories=pd.Index(spec.labels, dtype=object))


def _number(reading: Reading, rows: Rows, spec: VariableSpec, column: str) -> NDArray[np.float64]:
    table = rows.table
    coded = np.zeros(len(rows), dtype=bool)
    missing = spec.missing
    if spec.codes:
        stands, other = lookup(rows, column, spec.codes, spec.missing)
        coded = ~other & ~np.isnan(stands)
        missing = (*missing, *spec.codes)
    values, bad = table.numbers(column, rows.position, missing)
    if bad.any():
        reading.findings.add(
            table.name,
            "numbers are numbers",
            "a finite number",
            "other text",
            "Declare codes of missing (missing = [...]), or the type this column has.",
            column=column,
            rows=rows.position[bad],
        )
    values = values * spec.factor
    if spec.codes:
        values = np.where(coded, stands, values)
    return _in_range(reading, rows, spec, column, values)


def _in_range(
    reading: Reading, rows: Rows, spec: VariableSpec, column: str, values: NDArray[np.float64]
) -> NDArray[np.float64]:
    lowest, highest = -np.inf if spec.min is None else spec.min, np.inf if spec.max is None else spec.max
    outside = (values < lowest) | (values > highest)
    if not outside.any():
        return values
    if spec.outside == "error":
        reading.findings.add(
            rows.table.name,
            "values are plausible",
            f"{lowest:g} to {highest:g} {spec.unit}".rstrip(),
            "values outside",
            'Correct them, widen min and max, or say outside = "missing" or "clip".',
            column=column,
            rows=rows.position[outside],
        )
        return values
    done = "taken as missing" if spec.outside == "missing" else "clipped to the range"
    reading.dropped(
        f"{spec.name}: values outside {lowest:g} to {highest:g} {done}",
        int(outside.sum()),
        int((~outside & ~np.isnan(values)).sum()),
    )
    return np.where(outside, np.nan, values) if spec.outside == "missing" else np.clip(values, lowest, highest)


def read_times(reading: Reading, rows: Rows, column: str, days_per_unit: float) -> NDArray[np.float64]:
    """Times in days, NaN where missing.

    Cells that are no numbers, or no time of a life, are noted, and infinite, so that no other rule tells of them again.
    """
    values, bad = rows.table.numbers(column, rows.position)
    if bad.any():
        reading.findings.add(
            rows.table.name,
            "times are numbers",
            "a finite number",
            "other text",
            "Declare codes of missing in [cohort], or correct the cells.",
            column=column,
            rows=rows.position[bad],
        )
    with np.errstate(over="ignore"):
        days = values * days_per_unit
    impossible = np.abs(days) > _LONGEST_LIFE
    if impossible.any():
        reading.findings.add(
            rows.table.name,
            "times are those of a life",
            f"at most {_LONGEST_LIFE / DAYS_PER['y']:g} years from the time origin",
            "longer times",
            "Check time_unit, and declare codes of missing.",
            column=column,
            rows=rows.position[impossible],
        )
    return np.where(bad | impossible, np.inf, days)
