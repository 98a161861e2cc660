"""Gate: the inner check that frames are what the rest of Osler trusts them to be, written with pandera."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa

from osler.cohort.cohort import Variable
from osler.cohort.findings import Findings

__all__ = ["check_frames", "record_schema", "visits_schema"]


def record_schema(variables: tuple[Variable, ...], n: int) -> pa.DataFrameSchema:
    """The record of ``n`` patients: exactly these columns, in this order, one row per patient."""
    return pa.DataFrameSchema(
        {variable.name: _column(variable) for variable in variables},
        checks=pa.Check(lambda frame: len(frame) == n, error="one row per patient"),
        index=pa.Index(int, unique=True),
        strict=True,
        ordered=True,
    )


def visits_schema(variables: tuple[Variable, ...], n: int) -> pa.DataFrameSchema:
    """Visits of ``n`` patients: position and time first, then the variables; sorted by both, each pair once."""
    keys = {
        "patient": pa.Column("int64", pa.Check.in_range(0, max(n - 1, 0))),
        "time": pa.Column("float64", pa.Check(lambda time: np.isfinite(time), error="finite")),
    }
    return pa.DataFrameSchema(
        {**keys, **{variable.name: _column(variable) for variable in variables}},
        checks=pa.Check(_sorted, error="sorted by patient and time"),
        unique=["patient", "time"],
        strict=True,
        ordered=True,
    )


def check_frames(
    findings: Findings, record: pd.DataFrame, visits: pd.DataFrame, variables: dict[str, Variable], n: int
) -> None:
    """Note what breaks the schemas. The reader has checked the cells before; what is found here is its own mistake."""
    for name, frame, schema in (
        ("record", record, record_schema(tuple(variables[c] for c in record.columns), n)),
        ("visits", visits, visits_schema(tuple(variables[c] for c in visits.columns[2:]), n)),
    ):
        try:
            schema.validate(frame, lazy=True)
        except pa.errors.SchemaErrors as error:
            broken = sorted({f"{case['column']}: {case['check']}" for case in error.failure_cases.to_dict("records")})
            findings.add(
                name,
                "frames keep the contract",
                "the declared columns and ranges",
                "; ".join(broken[:10]),
                "This is a mistake of Osler, not of the data: please report it.",
                count=len(broken),
            )


def _column(variable: Variable) -> pa.Column:
    if variable.type == "category":
        return pa.Column(pd.CategoricalDtype(list(variable.levels)), nullable=True)
    if variable.type == "flag":
        return pa.Column("float64", pa.Check.isin([0.0, 1.0]), nullable=True)
    lowest, highest = variable.minimum, variable.maximum
    checks = [pa.Check.ge(lowest)] if lowest is not None else []
    checks += [pa.Check.le(highest)] if highest is not None else []
    return pa.Column("float64", checks, nullable=True)


def _sorted(visits: pd.DataFrame) -> bool:
    patient, time = visits["patient"].to_numpy(), visits["time"].to_numpy()
    later = (patient[1:] > patient[:-1]) | ((patient[1:] == patient[:-1]) & (time[1:] > time[:-1]))
    return bool(later.all())
