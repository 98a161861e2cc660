"""Participant flow of a cohort, in counts that give no small one away."""

from __future__ import annotations

from typing import Any

from osler.cohort.cohort import Cohort
from osler.reporting.cells import SMALLEST, WITHHELD, group_flow, reveal, shown
from osler.reporting.words import count, percent

__all__ = ["participant_flow"]


def participant_flow(cohort: Cohort) -> dict[str, Any]:
    """Who was assessed, left out and analysed, and how follow-up ended or which classes were found; no small counts.

    Returns:
        ``{"origin", "start", "steps": [{"reasons", "excluded", "remaining"}], "rows": [{"reason", "count"}], "final",
        "ends": [{"name", "count", "share"}]}``, all text but ``start``, which may be None.
    """
    steps = [(step.reason, step.excluded, step.remaining) for step in cohort.flow if step.unit == "patients"]
    # A flow may begin with the patients found, whom no reason has excluded yet.
    origin = steps.pop(0)[0] if steps and not steps[0][1] else "patients assessed"
    start, groups = group_flow(steps)
    rows = [{"reason": s.reason, "count": shown(s.excluded)} for s in cohort.flow if s.unit == "rows"]
    ends = _ends(cohort)
    # Events are told again elsewhere: what protects a rare cause is the number censored.
    told = reveal(list(ends.values()), rather=len(ends) - 1)
    return {
        "origin": origin,
        "start": None if start is None else count(start),
        "steps": [
            {
                "reasons": list(group.reasons),
                "excluded": f"fewer than {SMALLEST}" if group.excluded is None else count(group.excluded),
                "remaining": count(group.remaining),
            }
            for group in groups
        ],
        "rows": rows,
        "final": count(len(cohort)),
        "ends": [
            {"name": name, "count": WITHHELD if n is None else count(n), "share": percent(n / len(cohort)) if n else ""}
            for name, n in zip(ends, told, strict=True)
        ],
    }


def _ends(cohort: Cohort) -> dict[str, int]:
    """Patients by how their follow-up ended, or by class."""
    if cohort.diagnosis is not None:
        unknown = int((~cohort.diagnosis.known).sum())
        return {**cohort.diagnosis.counts(), **({"not known": unknown} if unknown else {})}
    outcome = cohort.outcome
    assert outcome is not None
    return {**outcome.events(), "censored": int((outcome.event == 0).sum())}
