"""The report of a cohort study."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.reporting.render import render, write_page
from osler.reporting.study_figures import study_charts
from osler.reporting.study_summary import study_summary

__all__ = ["write_study_report"]

_CONTENTS = (
    ("answer", "The answer in brief"),
    ("about", "The data"),
    ("flow", "Participant flow"),
    ("patients", "Who the patients are"),
    ("follow-up", "Follow-up and events"),
    ("models", "How the models compare"),
    ("differences", "Differences on the same patients"),
    ("calibration", "Calibration"),
    ("limits", "Limits"),
    ("methods", "How it was done"),
    ("provenance", "Provenance"),
)


def write_study_report(
    path: str | os.PathLike[str],
    *,
    cohort: Cohort,
    config: StudyConfig,
    metrics: pd.DataFrame,
    differences: pd.DataFrame,
    calibration: pd.DataFrame,
    choice: Any,
    run: Mapping[str, Any],
    description: str | None = None,
    as_of: str | None = None,
) -> Path:
    """Write the report of a study as one HTML file; the same arguments give the same bytes.

    Args:
        path: the file to write; its folder is made if need be.
        cohort: the patients, with an outcome. No identifier of theirs is written.
        config: question, models, resampling.
        metrics: one row per model, landmark (days), horizon (days; missing for measures over all horizons) and
            measure: "value", "lower", "upper", "se", "at_risk", "events", "note" (why a value is missing).
        differences: "model" minus "versus" on the same patients, with "value", "lower", "upper", "se".
        calibration: groups of predicted risk: "group", "predicted", "observed", "lower", "upper", "n", "suppressed".
        choice: the model to use, with ``model``, ``best``, ``sentence`` and ``simpler_is_as_good``.
        run: provenance: digests, versions, seeds, "notes" (model -> remarks), "labels" (model -> words).
        description: what the data are: study, source, licence.
        as_of: a date to print, as text; none is read from the clock.

    Returns:
        The path written.

    Raises:
        UsageError: the cohort has no outcome.
    """
    summary = study_summary(
        cohort=cohort,
        config=config,
        metrics=metrics,
        differences=differences,
        calibration=calibration,
        choice=choice,
        run=run,
        description=description,
        as_of=as_of,
    )
    absent = {"about"} if not description else set()
    absent |= {"differences"} if not summary["comparisons"] else set()
    used = list(dict.fromkeys(name for cell in summary["cells"] for name in cell["measures"]))
    page = render(
        "study.html.j2",
        study_charts(summary),
        [(anchor, words) for anchor, words in _CONTENTS if anchor not in absent],
        s=summary,
        measures_used=used,
    )
    return write_page(path, page)
