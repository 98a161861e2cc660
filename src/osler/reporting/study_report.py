"""The report of a cohort study."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.reporting.measures import measures_of_kind, ordered
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
    ("averages", "Means over landmarks"),
    ("calibration", "Calibration"),
    ("usefulness", "Usefulness for decisions"),
    ("added", "What each kind of data adds"),
    ("subgroups", "Subgroups"),
    ("availability", "When something is not known"),
    ("optimism", "Apparent performance"),
    ("importance", "What the models rely on"),
    ("forecasts", "Where the measurements are heading"),
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
    smooth: pd.DataFrame | None = None,
    decision: pd.DataFrame | None = None,
    decision_differences: pd.DataFrame | None = None,
    overall: pd.DataFrame | None = None,
    overall_differences: pd.DataFrame | None = None,
    subgroups: pd.DataFrame | None = None,
    subgroup_differences: pd.DataFrame | None = None,
    added: pd.DataFrame | None = None,
    added_differences: pd.DataFrame | None = None,
    added_verdict: Sequence[Mapping[str, Any]] | None = None,
    importance: pd.DataFrame | None = None,
    agreement: pd.DataFrame | None = None,
    optimism: pd.DataFrame | None = None,
    forecasts: pd.DataFrame | None = None,
    forecast_differences: pd.DataFrame | None = None,
    availability: pd.DataFrame | None = None,
) -> Path:
    """Write the report of a study as one HTML file; the same arguments give the same bytes.

    Args:
        path: the file to write; its folder is made if need be.
        cohort: the patients, with an outcome. No identifier of theirs is written.
        config: question, models, resampling.
        metrics: one row per model, landmark (days), horizon (days; missing for measures over all horizons) and
            measure: "value", "lower", "upper", "se", "at_risk", "events", "note" (why a value is missing); and, where
            known, "effective" (sample size) and "calibrated_lower", "calibrated_upper" (the range that perfectly
            calibrated risks of the same patients would show).
        differences: "model" minus "versus" on the same patients, with "value", "lower", "upper", "se", and, where
            known, "simultaneous_lower", "simultaneous_upper".
        calibration: groups of predicted risk: "group", "predicted", "observed", "lower", "upper", "n", "suppressed".
        choice: the model to use, with ``model``, ``best``, ``sentence`` and ``simpler_is_as_good``.
        run: provenance: digests, versions, seeds, "notes" (model -> remarks), "labels" (model -> words).
        description: what the data are: study, source, licence.
        as_of: a date to print, as text; none is read from the clock.
        smooth: smooth calibration curves by model, landmark and horizon: "predicted", "observed", "lower", "upper",
            "calibrated_lower", "calibrated_upper". What is None or empty from here on has no section.
        decision: net benefit by model ("treat all" and "treat none" among them), landmark, horizon and "threshold".
        decision_differences: paired, "model" minus "versus" at each threshold; says where a model is of use.
        overall: means over "landmarks" (how many) by model, horizon and measure.
        overall_differences: "model" minus "versus" of these.
        subgroups: measures by "variable" and "level": "n", "events", "suppressed".
        subgroup_differences: each level minus all the other patients, with "p" and "p_adjusted".
        added: measures by "step" of data used, and what is "added" by it.
        added_differences: each step minus the one before.
        added_verdict: "landmark", "horizon", "added", "sentence", "verdict" of each step.
        availability: measures by "level", the pattern of modalities known of a patient; like ``subgroups``.
        importance: what models rely on: mean absolute contributions as ``osler.importance.importance`` gives them.
        agreement: rank correlations of contributions between the models of different folds, likewise.
        optimism: "apparent", "optimism" and "corrected" values by model, landmark, horizon and measure.
        forecasts: scores of forecasts of biomarkers, as ``osler.evaluation.forecasting.ForecastScores`` has them.
        forecast_differences: likewise, "method" minus "versus".

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
        smooth=smooth,
        decision=decision,
        decision_differences=decision_differences,
        overall=overall,
        overall_differences=overall_differences,
        subgroups=subgroups,
        subgroup_differences=subgroup_differences,
        added=added,
        added_differences=added_differences,
        added_verdict=added_verdict,
        importance=importance,
        agreement=agreement,
        optimism=optimism,
        forecasts=forecasts,
        forecast_differences=forecast_differences,
        availability=availability,
    )
    absent = {"about"} if not description else set()
    parts = {"differences": "comparisons", "usefulness": "decision"}
    same = ("averages", "added", "importance", "forecasts", "subgroups", "availability", "optimism")
    parts |= {name: name for name in same}
    absent |= {anchor for anchor, part in parts.items() if not summary[part]}
    page = render(
        "study.html.j2",
        study_charts(summary),
        [(anchor, words) for anchor, words in _CONTENTS if anchor not in absent],
        s=summary,
        of_kind=measures_of_kind,
        measures_used=ordered(name for cell in summary["cells"] for name in cell["measures"]),
    )
    return write_page(path, page)
