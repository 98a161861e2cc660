"""Encounters: dated rows of the visit and image blocks, their time policies, and their merging into one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Variable
from osler.cohort.decode import decode, expand, read_times, variable_of
from osler.cohort.follow_up import SAME_MOMENT
from osler.cohort.image_specs import ImagesSpec
from osler.cohort.reading import Reading, Rows
from osler.cohort.specs import TimedSpec, VariableSpec, VisitsSpec
from osler.units import unit_in_days

__all__ = ["Dated", "Encounters", "keep_rows", "merge", "read_visits", "spread", "times_of"]


@dataclass(frozen=True, eq=False)
class Encounters:
    """What one block measured: row r was patient ``patient[r]`` at ``time[r]`` days, unique pairs.

    ``values`` holds one column for each of ``variables`` (none for images).
    """

    patient: NDArray[np.int64]
    time: NDArray[np.float64]
    values: pd.DataFrame
    variables: tuple[Variable, ...] = ()


def read_visits(
    reading: Reading, spec: VisitsSpec, end: NDArray[np.float64] | None, reserved: set[str]
) -> Encounters | None:
    """One block of visits of ``reading.patients``; ``end`` is the end of each one's follow-up, if known."""
    return _wide(reading, spec, end) if spec.layout == "wide" else _long(reading, spec, end, reserved)


def _long(reading: Reading, spec: VisitsSpec, end: NDArray[np.float64] | None, reserved: set[str]) -> Encounters | None:
    assert spec.time is not None
    rows = reading.rows(spec.table, spec, [spec.time], [v.source for v in spec.variables])
    if rows is None:
        return None
    specs = expand(spec.variables, spec.columns, rows.table, reading.findings, reserved | {spec.time})
    rows, patient = reading.members(rows, spec.extra, spec.name)
    time = times_of(reading, spec, rows)
    keep = keep_rows(reading, spec, spec.name, Dated(rows, patient, time), end)
    rows, patient, time = rows.take(keep), patient[keep], time[keep]
    values = pd.DataFrame({s.name: decode(reading, rows, s) for s in specs}, index=range(len(rows)))
    return Encounters(patient, time, values, tuple(variable_of(s, spec.name) for s in specs))


def _wide(reading: Reading, spec: VisitsSpec, end: NDArray[np.float64] | None) -> Encounters | None:
    """Each column becomes rows at its time; a patient of whom nothing was measured at a time has no visit there."""
    rows = reading.rows(spec.table, spec, [], [m.column for v in spec.variables for m in v.columns])
    if rows is None:
        return None
    rows, patient = reading.members(rows, spec.extra, spec.name)
    moments = sorted({m.at for v in spec.variables for m in v.columns})
    parts = []
    for moment in moments:
        columns = {v.name: _at(reading, rows, v, moment) for v in spec.variables}
        part = pd.DataFrame(columns, index=range(len(rows)))
        parts.append(part[part.notna().any(axis=1)])
    values = pd.concat(parts)
    at = values.index.to_numpy()
    rows, patient = rows.take(at), patient[at]
    time = np.repeat(moments, [len(part) for part in parts])
    keep = keep_rows(reading, spec, spec.name, Dated(rows, patient, time), end)
    variables = tuple(variable_of(v, spec.name) for v in spec.variables)
    return Encounters(patient[keep], time[keep], values.iloc[keep].reset_index(drop=True), variables)


def _at(reading: Reading, rows: Rows, variable: VariableSpec, moment: float) -> Any:
    column = next((m.column for m in variable.columns if m.at == moment), None)
    if column is not None and column in rows.table:
        return decode(reading, rows, variable, column)
    if variable.type == "category":
        return pd.Categorical([None] * len(rows), categories=list(dict.fromkeys(variable.levels.values())))
    return np.full(len(rows), np.nan)


@dataclass(frozen=True, eq=False)
class Dated:
    """Rows with the patient (position) and time in days of each."""

    rows: Rows
    patient: NDArray[np.int64]
    time: NDArray[np.float64]

    def take(self, index: NDArray[np.int64]) -> Dated:
        """Some of them."""
        return Dated(self.rows.take(index), self.patient[index], self.time[index])


def times_of(reading: Reading, spec: TimedSpec, rows: Rows) -> NDArray[np.float64]:
    """Time of every row in days: 0 without a time column; ``missing_time`` instead of an empty cell if it is a time."""
    if spec.time is None:
        return np.zeros(len(rows))
    unit = spec.time_unit or reading.manifest.cohort.time_unit
    time = read_times(reading, rows, spec.time, unit_in_days(unit))
    return time if isinstance(spec.missing_time, str) else np.where(np.isnan(time), spec.missing_time, time)


def keep_rows(
    reading: Reading, spec: TimedSpec, block: str, dated: Dated, end: NDArray[np.float64] | None
) -> NDArray[np.int64]:
    """Places of the rows that pass the time policies, in table order; what is dropped is counted, errors are noted."""
    keep = np.flatnonzero(~np.isinf(dated.time))  # what was noted already is not told twice
    keep = _policy(
        reading,
        block,
        spec,
        dated,
        keep,
        lambda d: np.isnan(d.time),
        spec.missing_time,
        "without a time",
        'missing_time = "drop", or the time to take instead such as "0d"',
    )
    keep = _policy(
        reading,
        block,
        spec,
        dated,
        keep,
        lambda d: d.time < 0,
        spec.before_zero,
        "before the time origin",
        'before_zero = "keep" (known at landmark 0) or "drop"',
    )
    if end is not None:
        keep = _policy(
            reading,
            block,
            spec,
            dated,
            keep,
            lambda d: d.time > end[d.patient] + SAME_MOMENT,
            spec.after_end,
            "after the end of follow-up",
            'after_end = "drop"',
        )
    return _unique(reading, block, spec, dated, keep)


def _policy(
    reading: Reading,
    block: str,
    spec: TimedSpec,
    dated: Dated,
    keep: NDArray[np.int64],
    broken: Callable[[Dated], NDArray[np.bool_]],
    policy: str | float,
    what: str,
    remedy: str,
) -> NDArray[np.int64]:
    here = dated.take(keep)
    with np.errstate(invalid="ignore"):
        wrong = broken(here)
    if policy == "keep" or not wrong.any():
        return keep
    if policy == "error":
        reading.findings.add(
            here.rows.table.name,
            f"no row of {block!r} is {what}",
            "times from the origin to the end of follow-up",
            f"rows {what}",
            f"Correct them, or say {remedy}.",
            column=spec.time,
            rows=np.unique(here.rows.position[wrong]),
        )
    else:
        reading.dropped(f"{block}: rows {what}", int(wrong.sum()), int((~wrong).sum()))
    return keep[~wrong]


def _unique(reading: Reading, block: str, spec: TimedSpec, dated: Dated, keep: NDArray[np.int64]) -> NDArray[np.int64]:
    here = dated.take(keep)
    keys = pd.DataFrame({"patient": here.patient, "time": here.time})
    twin = keys.duplicated(keep="last" if spec.duplicates == "last" else "first").to_numpy()
    if not twin.any() or spec.duplicates == "keep":
        return keep
    if spec.duplicates == "error":
        keeping = ' (or "keep": several images of a visit)' if isinstance(spec, ImagesSpec) else ""
        reading.findings.add(
            here.rows.table.name,
            f"a patient has one row of {block!r} at a time",
            "each patient and time once",
            "several rows",
            f'Correct them, or say duplicates = "first" or "last"{keeping}.',
            column=spec.time,
            rows=np.unique(here.rows.position[twin]),
        )
    else:
        reading.dropped(f"{block}: further rows at the same time", int(twin.sum()), int((~twin).sum()))
    return keep[~twin]


def merge(blocks: Sequence[Encounters]) -> tuple[pd.DataFrame, list[NDArray[np.int64]]]:
    """One table of all encounters, and for each block the positions of its rows there.

    Columns "patient" (int64), "time" (float64 days), then the variables of the blocks in order; sorted by patient and
    time, each pair once. Blocks that measured at the same moment share a row.
    """
    patient = np.concatenate([np.empty(0, np.int64), *(block.patient for block in blocks)])
    time = np.concatenate([np.empty(0), *(block.time for block in blocks)]) + 0.0  # -0.0 is 0.0
    order = np.lexsort((time, patient))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(patient[order]) != 0) | (np.diff(time[order]) != 0)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.cumsum(new) - 1
    cuts = np.cumsum([len(block.patient) for block in blocks])[:-1]
    places = np.split(place, cuts) if blocks else []
    first = order[new]
    table = pd.DataFrame({"patient": patient[first], "time": time[first]})
    columns = {"patient": table["patient"], "time": table["time"]}
    for block, at in zip(blocks, places, strict=True):
        for name in block.values.columns:
            columns[name] = spread(block.values[name], at, len(table))
    return pd.DataFrame(columns), places


def spread(values: Any, at: NDArray[np.int64], n: int) -> Any:
    """A column of ``n`` cells with ``values`` (floats or a categorical) at positions ``at``, missing elsewhere."""
    if isinstance(values, pd.Series):
        values = values.array
    if isinstance(values, pd.Categorical):
        codes = np.full(n, -1, dtype=np.int64)
        codes[at] = values.codes
        return pd.Categorical.from_codes(codes, dtype=values.dtype)
    column = np.full(n, np.nan)
    column[at] = np.asarray(values, dtype=np.float64)
    return column
