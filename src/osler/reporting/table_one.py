"""Who the patients are: Table 1 and what is missing, as plain values in which no small cell can be recovered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort, Variable
from osler.reporting.cells import SMALLEST, WITHHELD, reveal
from osler.reporting.words import ABSENT, count, percent, significant, unit

__all__ = ["modality_label", "modality_rows", "table_one"]

_KINDS = {
    "expression": "gene expression",
    "mutation": "mutations",
    "copy_number": "copy number",
    "dosage": "genotype dosages",
    "other": "genomic features",
}


def table_one(cohort: Cohort, landmark: float) -> list[dict[str, Any]]:
    """Groups of rows, one group per modality of record and visits.

    Visit variables are told by each patient's last value on or before ``landmark`` (days). Every percentage is of
    all patients, so that the cells of a variable, the missing one included, add up.

    Returns:
        ``{"modality", "visits": bool, "rows": [{"label", "unit", "levels": [...]}]}`` with
        levels ``{"label", "value", "share", "missing": bool}``: text for the page.
    """
    known = cohort.at(landmark, at_risk=False).known
    last = known.visits.groupby("patient").last().reindex(np.arange(len(cohort)))
    tables = [(False, v, cohort.record[v.name]) for v in cohort.record_variables]
    tables += [(True, v, last[v.name]) for v in cohort.visit_variables]
    groups: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for visits, variable, values in tables:
        groups.setdefault((variable.modality, visits), []).append(_row(variable, values))
    return [{"modality": name, "visits": visits, "rows": rows} for (name, visits), rows in groups.items()]


def _row(variable: Variable, values: pd.Series) -> dict[str, Any]:
    levels = _measured(values) if variable.type == "number" else _counted(variable, values)
    return {"label": variable.label, "unit": unit(variable.unit), "levels": levels}


def _measured(values: pd.Series) -> list[dict[str, Any]]:
    known = values.dropna()
    missing = len(values) - len(known)
    few = len(known) < SMALLEST
    quartiles = [significant(float(q)) for q in known.quantile([0.25, 0.5, 0.75])] if not few else []
    summary = f"{quartiles[1]} ({quartiles[0]} to {quartiles[2]})" if quartiles else WITHHELD if len(known) else ABSENT
    rows = [{"label": "median (quartiles)", "value": summary, "share": "", "missing": False}]
    if missing:
        # The number of known values is told nowhere: "fewer than 10" leaves nothing to subtract from.
        small = missing < SMALLEST or 0 < len(known) < SMALLEST
        told = (f"fewer than {SMALLEST}" if missing < SMALLEST else WITHHELD) if small else count(missing)
        share = "" if small else percent(missing / len(values))
        rows.append({"label": "missing", "value": told, "share": share, "missing": True})
    return rows


def _counted(variable: Variable, values: pd.Series) -> list[dict[str, Any]]:
    if variable.type == "flag":
        names, counts = ["yes", "no"], [int((values == 1).sum()), int((values == 0).sum())]
    else:
        names = list(variable.levels)
        counts = [int((values == name).sum()) for name in names]
    missing = int(values.isna().sum())
    told = reveal([*counts, missing])
    rows = [
        {"label": name, "value": _count(n), "share": _share(n, len(values)), "missing": i == len(names)}
        for i, (name, n) in enumerate(zip([*names, "missing"], told, strict=True))
    ]
    return rows if missing else rows[:-1]


def _count(n: int | None) -> str:
    return WITHHELD if n is None else count(n)


def _share(n: int | None, total: int) -> str:
    return "" if n is None or not total else percent(n / total) if n else "0%"


def modality_rows(cohort: Cohort, landmark: float) -> list[dict[str, Any]]:
    """What was measured of whom by ``landmark``: one row per modality.

    Returns:
        ``{"name", "content", "patients": int or None, "share": float or None, "missing_values": float or None}``:
        patients with anything of it (None: withheld), and the share of missing values among those patients.
    """
    known = cohort.at(landmark, at_risk=False).known
    owner = known.visits["patient"].to_numpy()
    n = len(cohort)
    rows = []
    by_modality: dict[str, list[Variable]] = {}
    for variable in (*cohort.record_variables, *cohort.visit_variables):
        by_modality.setdefault(variable.modality, []).append(variable)
    for name, variables in by_modality.items():
        here = [v.name for v in variables if v.name in known.record]
        there = [v.name for v in variables if v.name in known.visits]
        measured = known.record[here].notna().to_numpy(dtype=bool).reshape(n, -1)
        last = known.visits[there].notna().groupby(owner).any().reindex(np.arange(n), fill_value=False)
        filled = np.hstack([measured, last.to_numpy(dtype=bool).reshape(n, -1)])
        has = np.asarray(filled.any(axis=1))
        content = f"{len(variables)} variable{'s' if len(variables) != 1 else ''}"
        if there:
            content += f", {count(int(known.visits[there].notna().any(axis=1).sum()))} visits"
        rows.append(_modality(name, content, has, filled))
    for name, block in known.genomics.items():
        content = f"{count(len(block.features))} features ({_KINDS[block.kind]})"
        rows.append(_modality(name, content, block.available, np.isfinite(block.values)))
    for name, images in known.images.items():
        has = np.zeros(n, dtype=bool)
        has[owner[images.visit]] = True
        kind = "images" if images.form == "pixels" else f"embeddings of {images.values.shape[1]} numbers"
        rows.append(_modality(name, f"{count(len(images.visit))} {kind}", has, has[:, None]))
    return [{**row, "name": modality_label(cohort, row["name"])} for row in rows]


def modality_label(cohort: Cohort, name: str) -> str:
    """What reports call a modality."""
    images = cohort.images.get(name)
    return (images.label if images is not None else "") or name.replace("_", " ")


def _modality(name: str, content: str, has: np.ndarray, filled: np.ndarray) -> dict[str, Any]:
    patients, absent = reveal([int(has.sum()), int((~has).sum())])
    hidden = patients is None or absent is None
    empty = int((~filled[has]).sum())
    telling = has.sum() < SMALLEST or 0 < empty < SMALLEST or filled.shape[1] < 2
    gaps = None if telling else empty / filled[has].size
    return {
        "name": name,
        "content": content,
        "patients": None if hidden else patients,
        "share": None if hidden else int(has.sum()) / len(has),
        "missing_values": gaps,
    }
