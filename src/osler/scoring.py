"""Scoring: a fitted model's risks for every patient of a cohort, written as a table of pseudonyms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from osler.cohort.cohort import Cohort
from osler.errors import UsageError
from osler.models.base import RiskModel
from osler.outputs import write_whole
from osler.units import days

__all__ = ["score", "scores"]

#: Patients scored at a time: bounded memory, whatever the size of the cohort.
_BATCH = 10_000

_SCHEMA = pa.schema(
    [
        ("patient", pa.string()),
        ("model", pa.string()),
        ("landmark_days", pa.float64()),
        ("horizon_days", pa.float64()),
        ("cause", pa.string()),
        ("risk", pa.float64()),
        ("lower", pa.float64()),
        ("upper", pa.float64()),
    ]
)


def scores(model: RiskModel, cohort: Cohort, at: float | str) -> Iterator[pd.DataFrame]:
    """Frames of risks (pseudonym, landmark, horizon, cause, risk, lower, upper of the 90% band), batch by batch.

    One row per patient, horizon of the model's question, and cause; bounds are missing where the model states none.
    """
    horizons = np.asarray(model.question.horizons)
    for first in range(0, len(cohort), _BATCH):
        part = cohort.subset(np.arange(first, min(first + _BATCH, len(cohort))))
        curve = model.predict(part, at)
        kept = part.positions(curve.patients)
        n, k, h = len(curve), len(curve.causes), len(horizons)
        bands = {"lower": curve.lower, "upper": curve.upper}
        grid = np.searchsorted(curve.times, horizons - 1e-6)
        yield pd.DataFrame(
            {
                "patient": np.repeat(part.pseudonyms[kept], k * h),
                "model": model.name,
                "landmark_days": days(at),
                "horizon_days": np.tile(horizons, n * k),
                "cause": np.tile(np.repeat(np.array(curve.causes, dtype=object), h), n),
                "risk": curve.incidence[:, :, grid].ravel(),
                **{name: np.nan if band is None else band[:, :, grid].ravel() for name, band in bands.items()},
            }
        )


def score(model: RiskModel, cohort: Cohort, *, at: float | str, out: Path, key: Path | None = None) -> int:
    """Write the risks of every patient to ``out`` (.csv or .parquet) and return the number of rows.

    ``key``, when asked for, receives the identifier of each pseudonym in a file that only its owner can read.
    Files appear under their names only when they are whole. Raises UsageError for another kind of file.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"cannot write {out.name!r}: expected a name ending in .csv or .parquet")

    def stream(part: Path) -> int:
        rows = 0
        opened = pa_csv.CSVWriter(part, _SCHEMA) if out.suffix == ".csv" else pa_parquet.ParquetWriter(part, _SCHEMA)
        with opened as writer:
            for frame in scores(model, cohort, at):
                writer.write_table(pa.Table.from_pandas(frame, schema=_SCHEMA, preserve_index=False))
                rows += len(frame)
        return rows

    rows = write_whole(out, stream)
    if key is not None:
        _write_key(cohort, key)
    return rows


def _write_key(cohort: Cohort, path: Path) -> None:
    table = pd.DataFrame({"pseudonym": cohort.pseudonyms, "identifier": cohort.patients}).sort_values("pseudonym")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        os.fchmod(descriptor, 0o600)
        table.to_csv(file, index=False, lineterminator="\n")
