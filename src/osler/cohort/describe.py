"""Describe: a cohort in numbers that may leave the house; see ``osler.cohort.cells`` for what is not shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cells import SMALL, SMALL_CELL, parts, small, steps
from osler.cohort.cohort import Cohort, Genomics, Images, Variable
from osler.cohort.diagnosis import Diagnosis
from osler.cohort.outcome import Outcome

__all__ = ["describe", "reverse_kaplan_meier"]


def describe(cohort: Cohort) -> dict[str, Any]:
    """What is in a cohort, ready for JSON: plain numbers, texts, lists and dicts; None where nothing can be said.

    Returns:
        ``cohort``: name, and counts of patients, visits, variables, features and images.
        ``flow``: one row per step of the participant flow.
        ``modalities``: one row per block: how many patients have any of it, the percentage of cells missing among
        those of all patients (of visits at which the block measured anything, for visits).
        ``variables``: one row per variable: missing (of patients, or of the block's visits) and its distribution:
        median and quartiles, or the share of each level in percent of what is known.
        ``visits``: visits per patient and times in days, as median and quartiles; absent without visits.
        ``follow_up``: in days, by reverse Kaplan-Meier; absent without an outcome.
        ``events``: one row per cause and one for the censored; absent without an outcome.
        ``classes``: one row per class, and one for those not known; absent where the outcome is no class.
    """
    n = len(cohort)
    found: dict[str, Any] = {
        "cohort": {
            "name": cohort.name,
            "patients": SMALL if small(n) else n,
            "visits": len(cohort.visits),
            "variables": len(cohort.variables),
            "genomic_features": sum(len(block.features) for block in cohort.genomics.values()),
            "images": sum(len(block.visit) for block in cohort.images.values()),
        },
        "flow": steps(cohort.flow),
        "modalities": [_modality(cohort, name) for name in cohort.modalities],
        "variables": [_variable(cohort, v) for v in (*cohort.record_variables, *cohort.visit_variables)],
    }
    if len(cohort.visits):
        found["visits"] = _visits(cohort)
    if cohort.outcome is not None:
        found["follow_up"] = _follow_up(cohort.outcome)
        found["events"] = _events(cohort.outcome)
    if cohort.diagnosis is not None:
        found["classes"] = _classes(cohort.diagnosis)
    return found


def reverse_kaplan_meier(outcome: Outcome, level: float = 0.5) -> float | None:
    """Days by which a share ``level`` of the patients would have ended follow-up, had there been no events.

    The Kaplan-Meier estimate with censoring as the event and every event as censoring (Schemper M, Smith TL. Control
    Clin Trials 1996;17:343-346); 0.5 gives the median follow-up. None when the curve does not come down so far.
    """
    time, inverse = np.unique(outcome.time, return_inverse=True)
    lost = np.bincount(inverse, weights=outcome.event == 0, minlength=len(time))
    at_risk = len(outcome) - np.concatenate([[0], np.cumsum(np.bincount(inverse, minlength=len(time)))[:-1]])
    followed = np.cumprod(1 - lost / at_risk)
    reached = np.flatnonzero(followed <= 1 - level + 1e-12)
    return float(time[reached[0]]) if len(reached) else None


def _modality(cohort: Cohort, name: str) -> dict[str, Any]:
    """One block: what it is, patients who have any of it, and percent of cells missing among those who do."""
    if name in cohort.genomics:
        kind, size, has, missing = _genomics(cohort.genomics[name])
    elif name in cohort.images:
        kind, size, has, missing = _images(cohort, cohort.images[name])
    else:
        kind, size, has, missing = _table(cohort, name)
    with_any, without = parts([int(has.sum()), int((~has).sum())])
    return {
        "modality": name,
        "label": cohort.images[name].label if name in cohort.images else "",
        "kind": kind,
        "size": size,
        "patients_with": with_any,
        "patients_without": without,
        "cells_missing_percent": missing,
    }


_Block = tuple[str, str, NDArray[np.bool_], float | None]


def _genomics(block: Genomics) -> _Block:
    has = block.available
    missing = _percent(float(np.isnan(block.values[has]).mean())) if has.any() else None
    sets = f" ({block.sets_told})" if block.sets_told else ""
    return block.kind, f"{len(block.features)} features{sets}", has, missing


def _images(cohort: Cohort, block: Images) -> _Block:
    has = np.zeros(len(cohort), dtype=bool)
    has[cohort.visits["patient"].to_numpy()[block.visit]] = True
    shape = " x ".join(str(side) for side in block.values.shape[1:])
    return block.form, f"{len(block.visit)} of {shape}", has, None


def _table(cohort: Cohort, name: str) -> _Block:
    names = [v.name for v in cohort.variables.values() if v.modality == name]
    if names[0] in cohort.record:
        known = cohort.record[names].notna()
        has = known.any(axis=1).to_numpy()
        kind = "record"
    else:
        known = cohort.visits[names].notna()
        measured = known.any(axis=1).to_numpy()
        has = np.zeros(len(cohort), dtype=bool)
        has[cohort.visits["patient"].to_numpy()[measured]] = True
        known, kind = known[measured], "visits"
    cells = known.to_numpy()
    if kind == "record":
        cells = cells[has]
    missing = _percent(1 - float(cells.mean())) if cells.size else None
    return kind, f"{len(names)} variables", has, missing


def _variable(cohort: Cohort, variable: Variable) -> dict[str, Any]:
    """One variable; of a visit variable the rows are the visits at which its block measured anything."""
    if variable.name in cohort.record:
        values, owner = cohort.record[variable.name], pd.Series(range(len(cohort)))
    else:
        block = [v.name for v in cohort.visit_variables if v.modality == variable.modality]
        measured = cohort.visits[block].notna().any(axis=1)
        values, owner = cohort.visits.loc[measured, variable.name], cohort.visits.loc[measured, "patient"]
    gone = int(values.isna().sum())
    row: dict[str, Any] = {
        "variable": variable.name,
        "label": variable.label,
        "modality": variable.modality,
        "unit": variable.unit,
        "rows": SMALL if small(len(values)) else len(values),
        "missing": SMALL if small(gone) else gone,
        "missing_percent": None if small(gone) or not len(values) else _percent(gone / len(values)),
        "median": None,
        "lower_quartile": None,
        "upper_quartile": None,
        "levels": None,
    }
    known, owner = values.dropna(), owner[values.notna().to_numpy()]
    if owner.nunique() < SMALL_CELL:
        return row
    if variable.type == "number":
        row |= _quartiles(known.to_numpy(dtype=np.float64))
    else:
        row["levels"] = _shares(known, owner, variable)
    return row


def _quartiles(values: NDArray[np.float64]) -> dict[str, float | None]:
    names = ("lower_quartile", "median", "upper_quartile")
    if len(values) < SMALL_CELL:
        return dict.fromkeys(names)
    return {name: float(q) for name, q in zip(names, np.quantile(values, [0.25, 0.5, 0.75]), strict=True)}


def _shares(known: pd.Series, owner: pd.Series, variable: Variable) -> str:
    """Such as "female 57.1 %; male 42.9 %"; levels of few patients, and what would give them away, without a number."""
    labels = {"yes": 1.0, "no": 0.0} if variable.type == "flag" else {level: level for level in variable.levels}
    has = {label: (known == level).to_numpy() for label, level in labels.items()}
    counts = [int(mask.sum()) for mask in has.values()]
    shown = parts(counts, [owner[mask].nunique() for mask in has.values()])
    return "; ".join(
        f"{label} {number}" if isinstance(number, str) else f"{label} {100 * number / len(known):.1f} %"
        for label, number in zip(labels, shown, strict=True)
    )


def _visits(cohort: Cohort) -> dict[str, Any]:
    owner, time = cohort.visits["patient"].to_numpy(), cohort.visits["time"].to_numpy(dtype=np.float64)
    each = np.bincount(owner, minlength=len(cohort)).astype(np.float64)
    gaps = np.diff(time)[np.diff(owner) == 0]
    with_any, without = parts([int((each > 0).sum()), int((each == 0).sum())])
    found: dict[str, Any] = {"patients_with": with_any, "patients_without": without}
    if (each > 0).sum() < SMALL_CELL:
        return found
    for name, values in (("per_patient", each[each > 0]), ("days_between", gaps), ("days_from_origin", time)):
        found |= {f"{name}_{quartile}": value for quartile, value in _quartiles(values).items()}
    return found


def _follow_up(outcome: Outcome) -> dict[str, Any]:
    if len(outcome) < SMALL_CELL:
        return {"median_days": None, "lower_quartile_days": None, "upper_quartile_days": None}
    return {
        "median_days": reverse_kaplan_meier(outcome),
        "lower_quartile_days": reverse_kaplan_meier(outcome, 0.25),
        "upper_quartile_days": reverse_kaplan_meier(outcome, 0.75),
        "method": "reverse Kaplan-Meier",
    }


def _classes(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    unknown = int((~diagnosis.known).sum())
    counts = {**diagnosis.counts(), **({"not known": unknown} if unknown else {})}
    rows = []
    for (name, n), number in zip(counts.items(), parts(list(counts.values())), strict=True):
        percent = None if isinstance(number, str) or not len(diagnosis) else _percent(n / len(diagnosis))
        rows.append({"class": name, "patients": number, "percent": percent})
    return rows


def _events(outcome: Outcome) -> list[dict[str, Any]]:
    names = [*outcome.causes, "censored"]
    counts = [*outcome.events().values(), int((outcome.event == 0).sum())]
    rows = []
    for name, count, number in zip(names, counts, parts(counts), strict=True):
        percent = None if isinstance(number, str) or not len(outcome) else _percent(count / len(outcome))
        rows.append({"event": name, "patients": number, "percent": percent})
    return rows


def _percent(share: float) -> float:
    return round(100 * share, 1)
