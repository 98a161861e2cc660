"""The report of an external validation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from osler.cohort.cohort import Cohort
from osler.reporting.external_figures import external_charts
from osler.reporting.external_summary import external_summary
from osler.reporting.measures import measures_of_kind, ordered
from osler.reporting.render import render, write_page

__all__ = ["write_external_report"]

_CONTENTS = (
    ("answer", "The answer in brief"),
    ("flow", "Participant flow"),
    ("patients", "Who the patients are"),
    ("follow-up", "Risk there and here"),
    ("models", "Measures"),
    ("update", "Before and after updating"),
    ("differences", "Differences on the same patients"),
    ("calibration", "Calibration"),
    ("usefulness", "Usefulness for decisions"),
    ("limits", "Limits"),
    ("methods", "How it was done"),
    ("provenance", "Provenance"),
)


def write_external_report(
    path: str | os.PathLike[str],
    *,
    cohort: Cohort,
    event: str,
    metrics: pd.DataFrame,
    differences: pd.DataFrame,
    calibration: pd.DataFrame,
    predictions: pd.DataFrame,
    labels: Mapping[str, str],
    sentence: str,
    run: Mapping[str, Any],
    confidence: float = 0.95,
    smooth: pd.DataFrame | None = None,
    decision: pd.DataFrame | None = None,
    updates: pd.DataFrame | None = None,
    maps: Mapping[str, Any] | None = None,
    advice: str = "",
    training: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    as_of: str | None = None,
) -> Path:
    """Write the report of an external validation as one HTML file; the same arguments give the same bytes.

    Args:
        path: the file to write; its folder is made if need be.
        cohort: the patients among whom the model was judged, with an outcome. No identifier of theirs is written.
        event: the event whose risk was judged.
        metrics: frames of the evaluation, as for ``write_study_report``; updates carry the model's name, a colon and
            the method.
        differences: paired differences of all models and updates.
        calibration: groups of predicted risk.
        predictions: "model", "landmark_days", "horizon_days", "risk" of every patient.
        labels: model or update -> what to call it, the model itself first.
        sentence: the finding in words.
        run: provenance: digests, versions, seed, "notes" (model -> remarks).
        confidence: level of intervals.
        smooth: smooth calibration curves. What is None or empty from here on has no section.
        decision: net benefit by threshold.
        updates: the closed test of the methods of updating.
        maps: what ``recalibration.json`` holds.
        advice: which update to use, and the tests that say so.
        training: of the model: "variables" it reads, their "typical" values, "times" and "average" risks by landmark.
        warnings: what a reader of the numbers must know.
        as_of: a date to print, as text; none is read from the clock.

    Returns:
        The path written.

    Raises:
        UsageError: the cohort has no outcome.
    """
    summary = external_summary(
        cohort=cohort,
        event=event,
        metrics=metrics,
        differences=differences,
        calibration=calibration,
        predictions=predictions,
        labels=labels,
        sentence=sentence,
        run=run,
        confidence=confidence,
        smooth=smooth,
        decision=decision,
        updates=updates,
        maps=maps,
        advice=advice,
        training=training,
        warnings=warnings,
        as_of=as_of,
    )
    parts = {"update": "updates", "differences": "comparisons", "usefulness": "decision"}
    absent = {anchor for anchor, part in parts.items() if not summary[part]}
    page = render(
        "external.html.j2",
        external_charts(summary),
        [(anchor, words) for anchor, words in _CONTENTS if anchor not in absent],
        s=summary,
        of_kind=measures_of_kind,
        measures_used=ordered(name for cell in summary["cells"] for name in cell["measures"]),
    )
    return write_page(path, page)
