"""The study report's content as one plain dict: every number and sentence, before any picture or page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.errors import UsageError
from osler.reporting.added_value import added_cells, added_sentences
from osler.reporting.availability import availability_cells
from osler.reporting.averages import average_cells, optimism_cells
from osler.reporting.calibration import calibration_cells, calibration_measures, smooth_cells
from osler.reporting.cells import shown
from osler.reporting.comparison import cells, comparisons
from osler.reporting.follow_up import follow_up
from osler.reporting.forecasts import forecasts_told
from osler.reporting.frames import given
from osler.reporting.importance import importance_told
from osler.reporting.limits import limits
from osler.reporting.methods import methods
from osler.reporting.participants import participant_flow
from osler.reporting.provenance import model_labels, provenance
from osler.reporting.subgroups import subgroup_cells
from osler.reporting.table_one import modality_label, modality_rows, table_one
from osler.reporting.usefulness import decision_cells, usefulness_sentence
from osler.reporting.verdict import answer, primary_cell, spokesman
from osler.reporting.words import count, joined, moments, percent, since, spell

__all__ = ["study_summary"]

_OPPONENTS = ("reference", "cox")


def study_summary(
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
) -> dict[str, Any]:
    """Everything the study report says. See ``write_study_report`` for the arguments.

    Raises:
        UsageError: the cohort has no outcome.
    """
    if cohort.outcome is None:
        raise UsageError(f"the cohort {cohort.name!r} has no outcome: there is no study to report")
    labels = model_labels(config.models, run)
    event, *competing = cohort.outcome.causes
    told = cells(metrics, labels, config.models)
    # Everybody is set against the average risk, the usual model, and the best.
    opponents = [name for name in dict.fromkeys([*_OPPONENTS, choice.best]) if name in config.models]
    paired = comparisons(differences, labels, config.models, opponents)
    first = min(config.landmarks)
    modalities = modality_rows(cohort, first)
    told_first = spokesman(told, choice)
    primary = primary_cell(told, told_first)
    rivals = [name for name in dict.fromkeys([choice.best, *opponents]) if name not in (told_first, "reference")]
    variables = {variable.name: variable.label for variable in cohort.variables.values()}
    evaluated = {
        "decision": decision_cells(given(decision), labels, told_first, rivals, decision_differences),
        "averages": average_cells(given(overall), overall_differences, labels, config.models, opponents),
        "smooth": smooth_cells(given(smooth), labels, config.models),
        "calibration": calibration_cells(calibration, labels, config.models),
        "calibration_measures": calibration_measures(told),
        "added": added_cells(given(added), added_differences, added_verdict, labels, config.models),
        "subgroups": subgroup_cells(given(subgroups), subgroup_differences, told_first, variables),
        "availability": availability_cells(given(availability), told_first),
        "importance": importance_told(importance, agreement, labels, told_first, cohort),
        "optimism": optimism_cells(given(optimism), labels, config.models),
        "forecasts": forecasts_told(forecasts, forecast_differences, labels, variables, config.horizons),
    }
    return {
        "title": cohort.name,
        "event": event,
        "as_of": as_of,
        "description": description,
        "question": _question(cohort, config, event, competing),
        "patients": count(len(cohort)),
        "events": shown(cohort.outcome.events()[event]),
        "answer": answer(told, paired, choice, labels, event, _further(evaluated, primary)),
        "chosen": {"model": choice.model, "label": labels.get(choice.model, choice.model)},
        "told_first": labels.get(told_first, told_first),
        "primary": _where(primary),
        "flow": participant_flow(cohort),
        "table_one": table_one(cohort, first),
        "table_one_at": since(first),
        "modalities": modalities,
        "follow_up": follow_up(cohort, config),
        "cells": told,
        "comparisons": paired,
        **evaluated,
        "landmarks": list(config.landmarks),
        "horizons": list(config.horizons),
        "confidence": percent(config.confidence, 0),
        "chance": 1 - config.confidence,
        "labels": labels,
        "limits": limits(cohort, config, told, modalities, run, labels, evaluated),
        "methods": methods(cohort, config, labels, evaluated, set(metrics["measure"])),
        "provenance": provenance(run, labels, cohort),
    }


def _further(evaluated: Mapping[str, Any], primary: Mapping[str, Any] | None) -> list[str]:
    """What the answer in brief says besides: usefulness for decisions, and what each kind of data adds."""
    if primary is None:
        return []
    where = primary["landmark"], primary["horizon"]
    useful = usefulness_sentence(evaluated["decision"], *where)
    return [text for text in (useful, " ".join(added_sentences(evaluated["added"], *where))) if text]


def _question(cohort: Cohort, config: StudyConfig, event: str, competing: list[str]) -> str:
    asked = f"How well can the risk of {event} within {joined((spell(h) for h in config.horizons), 'or')} be predicted"
    when = moments(config.landmarks)
    known = joined(modality_label(cohort, name) for name in cohort.modalities)
    rival = (
        f", with {joined(competing)} as {'competing events' if len(competing) > 1 else 'a competing event'}"
        if competing
        else ""
    )
    return f"{asked}, {when}, from what was known of each patient by then ({known}){rival}?"


def _where(cell: dict[str, Any] | None) -> dict[str, Any] | None:
    """The landmark and horizon that the headline numbers are about."""
    if cell is None:
        return None
    return {
        "landmark": cell["landmark"],
        "horizon": cell["horizon"],
        "text": f"{since(cell['landmark'])}, {spell(cell['horizon'])} ahead",
        "at_risk": cell["at_risk"],
        "events": cell["events"],
    }
