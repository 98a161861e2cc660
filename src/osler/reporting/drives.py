"""What drives one patient's risk, by variable and by visit, as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort, Variable
from osler.reporting.words import known, long, number, unit

__all__ = ["drives", "drives_by_visit", "when_visited"]

_CHANGES = 3
#: What is less than this is less than 0.1 percentage points, which is what readers see.
_NOTHING = 5e-4


def drives(explanation: Any, risk: float, cohort: Cohort) -> dict[str, Any] | None:
    """Contributions to the difference from the typical patient, the largest first, and their sums by modality.

    Args:
        explanation: an Explanation, its frame, or None.
        risk: of the patient, where the explanation is a frame only.
        cohort: knows the units of variables.
    """
    frame = getattr(explanation, "frame", explanation)
    if frame is None:
        return None
    rows: list[dict[str, Any]] = [
        {
            **{key: str(row[key]) for key in ("modality", "variable", "label")},
            **{key: _spoken(str(row[key]), cohort.variables.get(row["variable"])) for key in ("value", "typical")},
            "contribution": float(row["contribution"]),
            "error": float(row.get("error", 0.0)),
            "doubtful": float(row.get("error", 0.0)) >= _NOTHING,
        }
        for row in frame.to_dict("records")
    ]
    rows.sort(key=lambda row: -abs(row["contribution"]))
    total = sum(row["contribution"] for row in rows)
    by_modality: dict[str, float] = {}
    for row in rows:
        by_modality[row["modality"]] = by_modality.get(row["modality"], 0.0) + row["contribution"]
    return {
        "rows": rows,
        "modalities": sorted(by_modality.items(), key=lambda item: -abs(item[1])),
        "typical": float(getattr(explanation, "typical_risk", risk - total)),
        "patient": float(getattr(explanation, "patient_risk", risk)),
        "sampled": any(row["doubtful"] for row in rows),
        "exactness": _exactness(getattr(explanation, "error", None), [row["error"] for row in rows]),
    }


def drives_by_visit(explanation: Any, cohort: Cohort) -> dict[str, Any] | None:
    """What each visit contributed, in the order of time; None where there is no visit or nothing was explained.

    Args:
        explanation: a VisitExplanation or None.
        cohort: knows the units of variables.
    """
    if explanation is None or len(explanation.steps) < 2:
        return None
    by_step = dict(iter(explanation.frame.groupby("step", sort=False)))
    steps = [
        {
            "time": float(row["time"]) if known(row["time"]) else None,
            "when": when_visited(row["time"], int(row["visits"])),
            "contribution": float(row["contribution"]),
            "risk": float(row["risk"]),
            "changes": _changes(by_step.get(row["step"]), cohort),
        }
        for row in explanation.steps.to_dict("records")
    ]
    first = explanation.frame.loc[explanation.frame["step"] == 0, "modality"]
    return {
        "steps": steps,
        "genome": bool(first.isin(list(cohort.genomics)).any()),
        "typical": explanation.typical_risk,
        "patient": explanation.patient_risk,
        "exactness": _exactness(explanation.error, list(explanation.frame["error"])),
    }


def when_visited(time: float, visits: int) -> str:
    """When a step took place, in words; a missing time is that of the record."""
    if not np.isfinite(time):
        return "Record, and what was measured"
    when = "at time zero" if time == 0 else f"{long(abs(time))} {'after' if time > 0 else 'before'} time zero"
    return f"{visits} visits up to {when.removeprefix('at ')}" if visits > 1 else when[0].upper() + when[1:]


def _changes(frame: pd.DataFrame | None, cohort: Cohort) -> list[dict[str, Any]]:
    """The changes that contributed most in a step; those that a reader would see as nothing are left out."""
    rows = [] if frame is None else frame.head(_CHANGES).to_dict("records")
    return [
        {
            "label": str(row["label"]),
            **{key: _spoken(str(row[key]), cohort.variables.get(row["variable"])) for key in ("before", "after")},
            "contribution": float(row["contribution"]),
        }
        for row in rows
        if abs(row["contribution"]) >= _NOTHING
    ]


def _exactness(completeness: float | None, errors: list[float]) -> str:
    """Completeness and sampling error in a sentence; empty where the former is not known."""
    if completeness is None:
        return ""
    off = "less than 0.001" if completeness < 1e-5 else number(100 * completeness, 3)
    told = f"Contributions add up to the difference within {off} points (completeness error)."
    most = max(errors, default=0.0)
    if most == 0:
        return f"{told} Every combination was computed: there is no sampling error."
    share = "less than 0.01" if most < 1e-4 else number(100 * most, 2)
    return f"{told} Orders were drawn: the standard error of a contribution is {share} points at most."


def _spoken(told: str, variable: Variable | None) -> str:
    """A value with its unit as people write it."""
    return told.replace(f" {variable.unit}", f" {unit(variable.unit)}") if variable and variable.unit else told
