"""The patient report's content as one plain dict: every number and sentence, before any picture or page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort, Patient, Variable
from osler.cohort.landmark import Landmark
from osler.errors import UsageError
from osler.models.base import RiskModel
from osler.reporting.drives import drives, drives_by_visit
from osler.reporting.provenance import provenance
from osler.reporting.table_one import modality_label
from osler.reporting.words import ABSENT, known, long, moments, of_people, percent, significant, since, unit
from osler.survival.curve import RiskCurve
from osler.units import days

__all__ = ["patient_summary"]

_PEOPLE = 100
#: A risk within this ratio of the average patient's is called about the same.
_SAME = 1.1


def patient_summary(
    *,
    patient: Patient,
    model: RiskModel,
    cohort: Cohort,
    at: float | str,
    plan: Any = None,
    explanation: Any = None,
    visit_explanation: Any = None,
    forecast: pd.DataFrame | None = None,
    horizons: Sequence[float | str] | None = None,
    run: Mapping[str, Any] | None = None,
    as_of: str | None = None,
) -> dict[str, Any]:
    """Everything the patient report says. See ``write_patient_report`` for the arguments.

    Raises:
        UsageError: the patient was no longer at risk at the landmark.
        BeyondSupport: a horizon lies past the model's curve.
    """
    curve = model.predict(patient, at)
    if len(curve) != 1:
        raise UsageError(f"the follow-up of patient {patient.pseudonym} ended before the landmark: nothing to predict")
    told = None if plan is None else plan if isinstance(plan, Mapping) else plan.to_dict()
    asked = sorted(days(horizon) for horizon in (horizons or model.question.horizons))
    headline = float(told["horizon_days"]) if told and "horizon_days" in told else asked[-1]
    asked = sorted({*asked, headline})
    average = _average(model, curve)
    landmark = model.schema_.conform(patient.cohort).at(at)
    return {
        "pseudonym": patient.pseudonym,
        "cohort": cohort.name,
        "model": {"name": model.name, "label": model.label},
        "as_of": as_of,
        "event": curve.causes[0],
        "causes": list(curve.causes),
        "landmark": curve.landmark,
        "when": since(curve.landmark),
        "level": percent(curve.level, 0) if curve.lower is not None else None,
        "headline": _headline(curve, average, headline),
        "horizons": [_at_horizon(curve, average, horizon) for horizon in asked],
        "people": _people(curve, average, headline),
        "curve": _points(curve, average),
        "fixed": _known_only_at_the_end(curve),
        "known": _known(landmark, model),
        "course": _course(landmark, model, forecast),
        "has_forecast": forecast is not None and len(forecast) > 0,
        "drives": drives(explanation, _one(curve.risk(headline)), patient.cohort),
        "visits": drives_by_visit(visit_explanation, patient.cohort),
        "missing": _missing(landmark),
        "plan": told,
        "limits": _limits(model, curve, cohort),
        "provenance": provenance({"model": model.label, **(run or {})}, {}, cohort),
    }


def _one(values: Any) -> float:
    return float(np.asarray(values).ravel()[0])


def _average(model: RiskModel, curve: RiskCurve) -> RiskCurve:
    """The average patient at the landmark, as a curve of its own."""
    return RiskCurve(
        patients=np.array(["average"], dtype=object),
        landmark=curve.landmark,
        times=curve.times,
        causes=curve.causes,
        incidence=model.average(curve.landmark)[None],
    )


def _headline(curve: RiskCurve, average: RiskCurve, horizon: float) -> dict[str, Any]:
    risk, mean = _one(curve.risk(horizon)), _one(average.risk(horizon))
    band = curve.band(horizon)
    return {
        "horizon": horizon,
        "risk": risk,
        "lower": None if band is None else _one(band[0]),
        "upper": None if band is None else _one(band[1]),
        "average": mean,
        "words": of_people(risk),
        "compared": _compared(risk, mean),
    }


def _compared(risk: float, mean: float) -> str:
    usual = f"{percent(mean)}, {of_people(mean)}"
    if min(risk, mean) <= 0:
        return f"The average patient's chance is {usual}."
    ratio = risk / mean
    if 1 / _SAME <= ratio <= _SAME:
        return f"That is about the chance of the average patient ({usual})."
    if ratio > 1:
        return f"That is {significant(ratio, 2)} times the chance of the average patient ({usual})."
    return f"The average patient's chance is {significant(1 / ratio, 2)} times as high ({usual})."


def _at_horizon(curve: RiskCurve, average: RiskCurve, horizon: float) -> dict[str, Any]:
    causes: list[dict[str, Any]] = []
    for cause, name in enumerate(curve.causes, 1):
        band = curve.band(horizon, cause)
        causes.append(
            {
                "name": name,
                "value": _one(curve.risk(horizon, cause)),
                "lower": None if band is None else _one(band[0]),
                "upper": None if band is None else _one(band[1]),
                "average": _one(average.risk(horizon, cause)),
            }
        )
    return {
        "horizon": horizon,
        "causes": causes,
        "free": 1 - sum(cause["value"] for cause in causes),
        "average_free": 1 - sum(cause["average"] for cause in causes),
        "event_free_time": _one(curve.event_free_time(horizon)),
        "average_event_free_time": _one(average.event_free_time(horizon)),
    }


def _people(curve: RiskCurve, average: RiskCurve, horizon: float) -> list[dict[str, Any]]:
    """Of 100 people, how many meet each end by the horizon: like this patient, and like the average patient."""
    ends = [*curve.causes, "no event"]
    return [
        {"who": who, "ends": [{"name": e, "count": n} for e, n in zip(ends, _of_hundred(one, horizon), strict=True)]}
        for who, one in (("People like this patient", curve), ("Average patients", average))
    ]


def _of_hundred(curve: RiskCurve, horizon: float) -> list[int]:
    """Whole numbers that add up to 100: the event of interest rounded, the others by largest remainders."""
    risks = [_one(curve.risk(horizon, cause)) for cause in range(1, len(curve.causes) + 1)]
    first = round(_PEOPLE * risks[0])
    rest = np.array([*risks[1:], max(0.0, 1 - sum(risks))])
    exact = (_PEOPLE - first) * rest / rest.sum() if rest.sum() > 0 else np.zeros(len(rest))
    whole = np.floor(exact + 1e-9).astype(int)
    for i in np.argsort(-(exact - whole), kind="stable")[: _PEOPLE - first - int(whole.sum())]:
        whole[i] += 1
    return [first, *(int(n) for n in whole)]


def _points(curve: RiskCurve, average: RiskCurve) -> list[dict[str, Any]]:
    """Risk of every cause at every time of the grid, with band and average."""
    points = []
    for k, name in enumerate(curve.causes):
        for t, time in enumerate(curve.times):
            band = {} if curve.lower is None else {"lower": float(curve.lower[0, k, t])}
            band |= {} if curve.upper is None else {"upper": float(curve.upper[0, k, t])}
            value, mean = float(curve.incidence[0, k, t]), float(average.incidence[0, k, t])
            points.append({"cause": name, "time": float(time), "value": value, "average": mean, **band})
    return points


def _known_only_at_the_end(curve: RiskCurve) -> bool:
    """Whether all risk comes at the last time, as where an outcome is known at one time only."""
    return bool(curve.incidence[:, :, :-1].max() <= 1e-9 < curve.incidence[:, :, -1].max())


def _written(variable: Variable, value: Any) -> str:
    if value is None or pd.isna(value):
        return ABSENT
    if variable.type == "category":
        return str(value)
    if variable.type == "flag":
        return "yes" if value else "no"
    return f"{significant(float(value))} {unit(variable.unit)}".rstrip()


def _own_visits(landmark: Landmark) -> pd.DataFrame:
    """The patient's visits on or before the landmark."""
    return landmark.known.visits.iloc[int(landmark.start[0]) : int(landmark.stop[0])]


def _known(landmark: Landmark, model: RiskModel) -> list[dict[str, Any]]:
    """Every variable: its last value, when it was measured, how often, and the typical patient's."""
    visits = _own_visits(landmark)
    rows = []
    for variable in landmark.known.record_variables:
        value = landmark.known.record[variable.name].iloc[int(landmark.patient[0])]
        rows.append(_row(variable, value, None, int(pd.notna(value)), model))
    for variable in landmark.known.visit_variables:
        seen = visits[visits[variable.name].notna()]
        value, time = (seen[variable.name].iloc[-1], float(seen["time"].iloc[-1])) if len(seen) else (None, None)
        rows.append(_row(variable, value, time, len(seen), model))
    return rows


def _row(variable: Variable, value: Any, time: float | None, times: int, model: RiskModel) -> dict[str, Any]:
    return {
        "modality": variable.modality,
        "variable": variable.name,
        "label": variable.label,
        "value": _written(variable, value),
        "time": None if time is None else "at time zero" if time == 0 else f"{long(abs(time))} {_side(time)} time zero",
        "times": times,
        "typical": _written(variable, model.typical_.get(variable.name)),
        "missing": times == 0,
    }


def _side(time: float) -> str:
    return "after" if time > 0 else "before"


def _course(landmark: Landmark, model: RiskModel, forecast: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Numbers measured at visits, up to the landmark, and what is forecast after it; the most measured first."""
    visits, now = _own_visits(landmark), float(landmark.time[0])
    ahead = {} if forecast is None else {str(name): part for name, part in forecast.groupby("variable", sort=False)}
    told = []
    for variable in landmark.known.visit_variables:
        seen = visits[visits[variable.name].notna()]
        later = ahead.get(variable.name)
        if variable.type != "number" or (len(seen) < 2 and later is None):
            continue
        typical = model.typical_.get(variable.name)
        told.append(
            {
                "variable": variable.name,
                "label": variable.label,
                "unit": unit(variable.unit),
                "typical": float(typical) if isinstance(typical, (int, float)) and known(typical) else None,
                "points": [
                    {"time": float(t), "value": float(v)}
                    for t, v in zip(seen["time"], seen[variable.name], strict=True)
                ],
                "forecast": [] if later is None else _later(later, now),
            }
        )
    return sorted(told, key=lambda course: -len(course["points"]))


_TOLD = ("mean", "lower", "upper", "event_free")


def _later(part: pd.DataFrame, now: float) -> list[dict[str, float]]:
    return [
        {"time": now + float(row["time"]), **{key: float(row[key]) for key in _TOLD if key in row}}
        for row in part.sort_values("time").to_dict("records")
    ]


def _missing(landmark: Landmark) -> list[dict[str, Any]]:
    """What the model could have used and did not have, by modality: labels, or "all of it"."""
    visits, cohort = _own_visits(landmark), landmark.known
    who = int(landmark.patient[0])
    variables = [(v, cohort.record[v.name].iloc[[who]]) for v in cohort.record_variables]
    variables += [(v, visits[v.name]) for v in cohort.visit_variables]
    by_modality: dict[str, list[tuple[str, bool]]] = {}
    for variable, values in variables:
        by_modality.setdefault(variable.modality, []).append((variable.label, bool(values.notna().any())))
    told: list[dict[str, Any]] = []
    for name, seen in by_modality.items():
        gone = [label for label, there in seen if not there]
        if gone:
            told.append({"modality": name, "all": len(gone) == len(seen), "labels": gone})
    told += [
        {"modality": name, "all": True, "labels": []}
        for name, block in cohort.genomics.items()
        if not block.available[who]
    ]
    own = np.arange(int(landmark.start[0]), int(landmark.stop[0]))
    told += [
        {"modality": name, "all": True, "labels": []}
        for name, images in cohort.images.items()
        if not np.isin(images.visit, own).any()
    ]
    return [{**gap, "modality": modality_label(cohort, gap["modality"])} for gap in told]


def _limits(model: RiskModel, curve: RiskCurve, cohort: Cohort) -> list[dict[str, str]]:
    asked = model.question.landmarks
    found = []
    if not any(abs(curve.landmark - moment) < 1 for moment in asked):
        nearest = min(asked, key=lambda moment: abs(moment - curve.landmark))
        found.append(
            (
                "A moment the model was not asked about",
                f"The model was fitted for predictions {moments(asked)}. The average patient shown here is that "
                f"{since(nearest)}.",
            )
        )
    found.append(
        (
            "What the chance means",
            "It is the share of people with such values who met the event, not a verdict on one person. Most of what "
            "decides who does is not among the things measured.",
        )
    )
    if curve.lower is None:
        found.append(("No band", "This model states no uncertainty for its risks: how sure it is, is unknown."))
    else:
        found.append(
            (
                "What the band means",
                f"It aims to hold the true share for people like this patient with {percent(curve.level, 0)} chance. "
                "It allows for the limited number of patients the model learned from, not for a different population.",
            )
        )
    where = f"The model learned from {cohort.name}. Where patients, care or measurements differ, so may the risk."
    found.append(("Learned from one cohort", where))
    found += [("Remark of the model", str(note)) for note in model.notes_]
    return [{"title": title, "text": text} for title, text in found]
