"""The report of one patient."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort, Patient
from osler.models.base import RiskModel
from osler.models.explain import explain
from osler.models.explain_visits import explain_visits
from osler.models.image_saliency import SalientImage, salient_images
from osler.planning import plan as make_plan
from osler.reporting.patient_figures import cause_colour, patient_charts
from osler.reporting.patient_summary import patient_summary
from osler.reporting.render import render, write_page
from osler.reporting.saliency_figures import salient_pictures

__all__ = ["report_patient", "write_patient_report"]

_CONTENTS = (
    ("risk", "The risk in brief"),
    ("time", "Risk over time"),
    ("drives", "What drives the risk"),
    ("course", "Course of the biomarkers"),
    ("known", "What is known and missing"),
    ("plan", "Plan"),
    ("limits", "Limits"),
    ("provenance", "Provenance"),
)
#: At how many times, evenly up to the horizon, biomarkers are forecast.
_FORECASTS = 8
#: Fill and outline of those who have no event.
_FREE = ("#E3E8ED", "#C3CBD4")


def write_patient_report(
    path: str | os.PathLike[str],
    *,
    patient: Patient,
    model: RiskModel,
    cohort: Cohort,
    at: float | str,
    plan: Any = None,
    explanation: Any = None,
    visit_explanation: Any = None,
    forecast: pd.DataFrame | None = None,
    images: Sequence[SalientImage] | None = None,
    horizons: Sequence[float | str] | None = None,
    run: Mapping[str, Any] | None = None,
    as_of: str | None = None,
) -> Path:
    """Write one patient's report as one HTML file; the same arguments give the same bytes.

    Args:
        path: the file to write; its folder is made if need be.
        patient: shown by pseudonym; the identifier is not written. Visits after the landmark are not used.
        model: fitted.
        cohort: the patients that the model was fitted on (its name and digest are shown).
        at: the landmark, in days or as "6y".
        plan: a Plan, or its ``to_dict()``; its horizon becomes the headline's.
        explanation: an Explanation for the headline's horizon, or its frame: modality, variable, label, value and
            typical (text), contribution (absolute risk).
        visit_explanation: a VisitExplanation for the headline's horizon.
        forecast: "variable", "time" (days after the landmark), "mean", "lower", "upper" and, if known,
            "event_free" (the probability of no event until then).
        images: what ``salient_images`` found in the patient's images; None when it was not asked.
        horizons: how far ahead; by default those of the model's question. The longest is the headline.
        run: provenance, such as digests of model and code.
        as_of: a date to print, as text; none is read from the clock.

    Returns:
        The path written.

    Raises:
        UsageError: the patient was no longer at risk at the landmark.
        BeyondSupport: a horizon lies past the model's curve.
    """
    summary = patient_summary(
        patient=patient,
        model=model,
        cohort=cohort,
        at=at,
        plan=plan,
        explanation=explanation,
        visit_explanation=visit_explanation,
        forecast=forecast,
        horizons=horizons,
        run=run,
        as_of=as_of,
    )
    summary["images"] = None if images is None else salient_pictures(images)
    for group in summary["people"]:
        for i, end in enumerate(group["ends"]):
            end["look"] = _FREE if i == len(group["ends"]) - 1 else (cause_colour(i), cause_colour(i))
    return write_page(path, render("patient.html.j2", patient_charts(summary), _CONTENTS, p=summary))


def report_patient(
    path: str | os.PathLike[str],
    *,
    model: RiskModel,
    patient: Patient,
    at: float | str,
    forecaster: RiskModel | None = None,
    saliency: bool = False,
    run: Mapping[str, Any] | None = None,
    as_of: str | None = None,
) -> Path:
    """The whole report of one patient: risk, what drives it and since when, forecast and plan where there are any.

    Args:
        path: the file to write.
        model: fitted.
        patient: at risk at the landmark.
        at: the landmark, in days or as "6y".
        forecaster: the model that forecasts the biomarkers; by default ``model``, if it does.
        saliency: also show where the patient's latest images raise and lower the hazard.
        run: provenance, such as digests of model and code.
        as_of: a date to print, as text.

    Raises:
        UsageError: the patient was no longer at risk at the landmark.
    """
    horizon = max(model.question.horizons)
    declared = len(patient.cohort.actions) > 0
    return write_patient_report(
        path,
        patient=patient,
        model=model,
        cohort=patient.cohort,
        at=at,
        plan=make_plan(model, patient, at, horizon=horizon) if declared else None,
        explanation=explain(model, patient, at, horizon=horizon),
        visit_explanation=explain_visits(model, patient, at, horizon=horizon),
        forecast=_forecast(forecaster or model, model, patient, at, horizon),
        images=salient_images(model, patient, at) if saliency else None,
        run=run,
        as_of=as_of,
    )


def _forecast(
    forecaster: RiskModel, model: RiskModel, patient: Patient, at: float | str, horizon: float
) -> pd.DataFrame | None:
    """Biomarkers at even steps up to the horizon, from a model that forecasts them; event-free as the report has it."""
    foretells = forecaster.forecaster
    if foretells is None or not any(v.type == "number" for v in forecaster.schema_.visits):
        return None
    ahead = np.array([horizon * (step + 1) / _FORECASTS for step in range(_FORECASTS)])
    table = foretells.forecast_at(patient.cohort, at, np.zeros(len(ahead), dtype=np.int64), ahead)
    table = table.drop(columns="row").rename(columns={"ahead": "time", "expected": "mean"})
    free = dict(zip(ahead, model.predict(patient, at).event_free_at(ahead)[0], strict=True))
    return table.assign(event_free=table["time"].map(free))
