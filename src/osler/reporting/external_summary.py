"""The content of an external validation's report as one plain dict, before any picture or page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.errors import UsageError
from osler.reporting.calibration import calibration_cells, calibration_measures, smooth_cells
from osler.reporting.cells import SMALLEST, shown
from osler.reporting.comparison import cells, comparisons
from osler.reporting.external_words import headline, limits_of, methods_of, update_rows
from osler.reporting.follow_up import follow_up
from osler.reporting.frames import given, real
from osler.reporting.measures import MEASURES
from osler.reporting.participants import participant_flow
from osler.reporting.provenance import provenance
from osler.reporting.table_one import table_one
from osler.reporting.usefulness import decision_cells, usefulness_sentence
from osler.reporting.words import (
    ABSENT,
    capitalise,
    count,
    interval,
    joined,
    known,
    moments,
    percent,
    significant,
    since,
    spell,
)

__all__ = ["external_summary"]

#: Measures of the first table; the others stand below it and in the section on calibration.
_MAIN = ("auc", "c_index", "brier", "integrated_brier", "ipa", "observed_expected")


def external_summary(
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
) -> dict[str, Any]:
    """Everything the report says. See ``write_external_report`` for the arguments.

    Raises:
        UsageError: the cohort has no outcome.
    """
    if cohort.outcome is None:
        raise UsageError(f"the cohort {cohort.name!r} has no outcome: nothing can be validated on it")
    order = list(labels)
    told = cells(metrics, labels, order)
    base = order[0] if maps is not None or len(order) == 1 else None
    chosen = _chosen(told, order, base, maps)
    primary = _primary(told, chosen)
    opponents = [base] if base is not None else order
    landmarks, horizons = sorted(set(metrics["landmark"])), sorted(set(metrics["horizon"]))
    config = StudyConfig.model_validate({"landmarks": landmarks, "horizons": horizons, "confidence": confidence})
    rivals = [name for name in ([base] if base is not None else order) if name != chosen]
    useful = decision_cells(given(decision), labels, chosen, rivals[:1])
    tested = updates is not None and "p" in updates and bool(updates["p"].notna().any())
    paired = comparisons(differences, labels, order, opponents)
    seen = follow_up(cohort, config)
    return {
        "title": cohort.name,
        "event": event,
        "as_of": as_of,
        "description": cohort.description,
        "question": _question(labels, base, event, cohort, horizons, landmarks),
        "patients": count(len(cohort)),
        "events": shown(cohort.outcome.events()[_cause(cohort, event)]),
        "answer": {
            **headline(told, primary, base, chosen, labels, maps, tested),
            "sentences": [text for text in (sentence, _useful(useful, primary)) if text],
            "facts": _facts(primary, base, chosen),
        },
        "updated": maps is not None,
        "base": {"model": base, "label": labels.get(base or "", "")},
        "chosen": {"model": chosen, "label": labels[chosen]},
        "told_first": labels[chosen],
        "primary": primary and {**primary, "text": f"{since(primary['landmark'])}, {spell(primary['horizon'])} ahead"},
        "flow": participant_flow(cohort),
        "case_mix": _case_mix(cohort, min(landmarks), training),
        "case_mix_at": since(min(landmarks)),
        "trained": training is not None,
        "averages": _averages(predictions, base or chosen, seen, _cause(cohort, event), training),
        "follow_up": seen,
        "cells": told,
        "main": list(_MAIN),
        "comparisons": paired,
        "calibration": calibration_cells(calibration, labels, order),
        "smooth": smooth_cells(given(smooth), labels, order),
        "calibration_measures": calibration_measures(told),
        "decision": useful,
        **dict.fromkeys(("added", "subgroups", "availability", "optimism"), ()),
        "updates": update_rows(given(updates), maps, labels, base),
        "advice": advice,
        "landmarks": landmarks,
        "horizons": horizons,
        "confidence": percent(confidence, 0),
        "labels": dict(labels),
        "warnings": list(warnings),
        "limits": limits_of(cohort, event, told, maps is not None, warnings, run, labels, primary),
        "methods": methods_of(cohort, event, config, maps is not None, training is not None, run),
        "provenance": provenance({key: value for key, value in run.items() if key != "warnings"}, labels, cohort),
    }


def _cause(cohort: Cohort, event: str) -> str:
    """The cohort's own spelling of the event."""
    assert cohort.outcome is not None
    wanted, causes = event.casefold().split(), cohort.outcome.causes
    return next((cause for cause in causes if cause.casefold().split() == wanted), causes[0])


def _chosen(told: list[dict[str, Any]], order: list[str], base: str | None, maps: Mapping[str, Any] | None) -> str:
    """What to use: the recommended update; of several models, the one with the lowest Brier score."""
    if base is not None:
        after = f"{base}:{maps['recommended']}" if maps is not None else base
        return after if after in order else base
    answered = [cell for cell in told if any(known(_value(row, "brier")) for row in cell["rows"])]
    if not answered:
        return order[0]
    first = min(cell["landmark"] for cell in answered)
    cell = max((c for c in answered if c["landmark"] == first), key=lambda c: c["horizon"])
    rows = [row for row in cell["rows"] if known(_value(row, "brier"))]
    return str(min(rows, key=lambda row: row["values"]["brier"]["value"])["model"])


def _value(row: Mapping[str, Any], measure: str) -> Any:
    return row["values"].get(measure, {}).get("value")


def _primary(told: list[dict[str, Any]], model: str) -> dict[str, Any] | None:
    """The cell that headlines use: the first landmark, and at it the longest horizon that was answered."""
    answered = [
        cell for cell in told if any(row["model"] == model and known(_value(row, "brier")) for row in cell["rows"])
    ]
    if not answered:
        return None
    first = min(cell["landmark"] for cell in answered)
    return max((cell for cell in answered if cell["landmark"] == first), key=lambda cell: cell["horizon"])


def _question(
    labels: Mapping[str, str],
    base: str | None,
    event: str,
    cohort: Cohort,
    horizons: Sequence[float],
    landmarks: Sequence[float],
) -> str:
    who = labels[base].removesuffix(", as it is") if base is not None else f"{len(labels)} models"
    ahead = joined((spell(h) for h in horizons), "or")
    return (
        f"Do the risks of {event} within {ahead} that {who} predicted, {moments(landmarks)}, come true among other "
        f"patients: {cohort.name}?"
    )


def _useful(useful: list[dict[str, Any]], primary: dict[str, Any] | None) -> str:
    return usefulness_sentence(useful, primary["landmark"], primary["horizon"]) if primary is not None else ""


def _facts(primary: dict[str, Any] | None, base: str | None, chosen: str) -> list[dict[str, str]]:
    """Headline numbers, each with its interval and its meaning."""
    if primary is None:
        return []
    rows = {row["model"]: row["values"] for row in primary["rows"]}
    first, updated = base or chosen, base is not None and chosen != base
    after = " after the update" if updated else ""
    wanted = [
        (
            "auc",
            first,
            "",
            "Of 100 pairs, one patient with and one without the event, about {} are ranked rightly.",
        ),
        ("observed_expected", first, "", "events happened for each event predicted."),
        ("observed_expected", chosen, after, "events for each predicted, among patients the update had not seen."),
        ("ipa", chosen, after, "of the prediction error of the average risk here is removed."),
    ]
    facts = []
    for name, model, when, meaning in wanted if updated else [*wanted[:2], wanted[3]]:
        value, show = rows.get(model, {}).get(name, {}), MEASURES[name].show
        if known(value.get("value")):
            facts.append(
                {
                    "label": MEASURES[name].label + when,
                    "value": show(value["value"]),
                    "interval": interval(value["lower"], value["upper"], show),
                    "meaning": meaning.format(round(100 * value["value"])),
                }
            )
    return facts


def _case_mix(cohort: Cohort, landmark: float, training: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Table 1 of this cohort, beside the typical patient of those the model was fitted on."""
    variables: dict[tuple[str, bool], list[str]] = {}
    for visits, listed in ((False, cohort.record_variables), (True, cohort.visit_variables)):
        for variable in listed:
            variables.setdefault((variable.modality, visits), []).append(variable.name)
    groups = table_one(cohort, landmark)
    for group in groups:
        for name, row in zip(variables[group["modality"], group["visits"]], group["rows"], strict=True):
            row["typical"] = _typical(name, cohort, training)
    return groups


def _typical(name: str, cohort: Cohort, training: Mapping[str, Any] | None) -> str:
    if training is None:
        return ""
    if name not in training["variables"]:
        return "not read by the model"
    value = training["typical"].get(name)
    if isinstance(value, str):
        return value
    if cohort.variables[name].type == "flag" and known(value):
        return "yes" if value else "no"
    return significant(value) if known(value) else ABSENT


def _averages(
    predictions: pd.DataFrame,
    model: str,
    seen: Mapping[str, Any],
    event: str,
    training: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Average risk among the patients the model was fitted on, predicted here, and observed here."""
    mine = predictions[predictions["model"] == model]
    mean = mine.groupby(["landmark_days", "horizon_days"])["risk"].agg(["mean", "size"])
    rows = []
    for row in seen["rows"]:
        where = (row["landmark"], row["horizon"])
        observed = row["causes"][seen["causes"].index(event)] if event in seen["causes"] else None
        enough = where in mean.index and mean.loc[where, "size"] >= SMALLEST
        rows.append(
            {
                "place": f"{capitalise(since(where[0]))}, {spell(where[1])} ahead",
                "at_risk": row["at_risk"],
                "there": _there(training, *where),
                "predicted": real(mean.loc[where, "mean"]) if enough else None,
                "observed": None if observed is None else {"note": "", **observed},
            }
        )
    return rows


def _there(training: Mapping[str, Any] | None, landmark: float, horizon: float) -> float | None:
    times = None if training is None else np.asarray(training["times"])
    if training is None or times is None or horizon > times[-1] * (1 + 1e-9):
        return None
    near = [average for moment, average in training["average"].items() if np.isclose(moment, landmark)]
    return float(np.interp(horizon, times, near[0])) if near else None
