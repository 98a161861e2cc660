"""What the report of a study of classes tells, as plain values: no frame and no model goes further than here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cells import SMALLEST, WITHHELD
from osler.cohort.cohort import Cohort
from osler.evaluation.comparison import Choice
from osler.reporting.diagnosis_measures import OF_ALL, OF_CALIBRATION, OF_CLASS
from osler.reporting.diagnosis_pictures import class_pictures
from osler.reporting.diagnosis_words import answer, limits, methods, p_value, shift_words, twins_words
from osler.reporting.frames import numbers, real, remark, split
from osler.reporting.participants import participant_flow
from osler.reporting.provenance import provenance
from osler.reporting.words import count, estimate, percent, significant

__all__ = ["diagnosis_summary"]

_ENDS = ("value", "lower", "upper")
_CURVE = ("predicted", "observed", "lower", "upper", "calibrated_lower", "calibrated_upper")
_ROC = np.linspace(0.0, 1.0, 51)


def diagnosis_summary(
    *,
    cohort: Cohort,
    tested: NDArray[np.int64],
    frames: Mapping[str, pd.DataFrame],
    probabilities: Mapping[str, NDArray[np.float64]],
    classes: Sequence[str],
    labels: Mapping[str, str],
    choice: Choice,
    run: Mapping[str, Any],
    confidence: float,
    shift: Mapping[str, Any] | None,
    pictures: Sequence[Any],
    twins: int | None,
    apart: pd.DataFrame | None,
    as_of: str | None,
) -> dict[str, Any]:
    """Everything the page says; ``write_diagnosis_report`` tells what the arguments are."""
    told = cohort.diagnosis
    assert told is not None
    label = told.label[tested]
    order = list(labels)
    positive = told.classes[told.positive]
    summary: dict[str, Any] = {
        "title": cohort.name,
        "description": cohort.description,
        "diagnosis": told.name,
        "classes": list(told.classes),
        "positive": positive,
        "judged": list(classes),
        "patients": count(len(cohort)),
        "tested": count(len(tested)),
        "confidence": f"{100 * confidence:g}%",
        "labels": dict(labels),
        "chosen": {"model": choice.model, "label": labels[choice.model]},
        "choice": choice.sentence,
        "verdict": run.get("verdict", ""),
        "division": run.get("division", ""),
        "flow": participant_flow(cohort),
        "models": _table(frames["metrics"], OF_ALL, labels, ""),
        "by_class": [
            {"name": name, "rows": _table(frames["metrics"], OF_CLASS, labels, name)}
            for name in dict.fromkeys([positive, *told.classes])
        ],
        "calibrated": [
            {"name": name, "rows": _table(frames["metrics"], OF_CALIBRATION, labels, name)} for name in classes
        ],
        "comparisons": _comparisons(frames["differences"], labels, choice.model),
        "smooth": _curves(frames["smooth"], labels),
        "roc": _roc(label, probabilities, told.classes, classes, labels),
        "confusion": _confusion(frames["confusion"], told.classes, labels),
        "shift": None if shift is None else _shift(shift, told.classes, labels),
        "twins": twins_words(twins, len(tested)),
        "apart": [] if apart is None else _table(apart, OF_ALL, labels, ""),
        "pictures": class_pictures(pictures, positive),
        "notes": [note for found in run.get("notes", {}).values() for note in found],
        "provenance": provenance(_short(run), labels, cohort),
        "as_of": as_of,
        "order": order,
        "smallest": SMALLEST,
    }
    summary["shift_words"] = shift_words(summary, shift)
    summary["answer"] = answer(summary, choice)
    summary["limits"] = limits(summary, cohort)
    summary["methods"] = methods(summary, run)
    return summary


def _short(run: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance without what the page says elsewhere."""
    return {key: value for key, value in run.items() if key not in ("prior_shift", "choice", "verdict", "division")}


def _table(metrics: pd.DataFrame, measures: Sequence[Any], labels: Mapping[str, str], of: str) -> list[dict[str, Any]]:
    """Rows by model: its values by measure, of all classes together or of one."""
    here = metrics[metrics["class"] == of]
    found = {(row["model"], row["measure"]): row for row in here.to_dict("records")}
    rows = []
    for model, label in labels.items():
        values = {
            m.name: {**numbers(row, *_ENDS, "calibrated_lower", "calibrated_upper"), "note": remark(row)}
            for m in measures
            if (row := found.get((model, m.name))) is not None
        }
        if values:
            rows.append({"model": model, "label": label, "values": values})
    return rows


def _comparisons(differences: pd.DataFrame, labels: Mapping[str, str], chosen: str) -> list[dict[str, Any]]:
    """Differences of all other models from one: from the chosen, and from logistic regression."""
    told = []
    for base in dict.fromkeys([name for name in ("logistic", chosen) if name in labels]):
        rows = []
        for model, label in labels.items():
            part = differences[
                (differences["model"] == model) & (differences["versus"] == base) & (differences["class"] == "")
            ]
            values = {str(row["measure"]): numbers(row, *_ENDS) for row in part.to_dict("records")}
            if values:
                rows.append({"model": model, "label": label, "values": values})
        if rows:
            told.append({"model": base, "label": labels[base], "rows": rows})
    return told


def _curves(smooth: pd.DataFrame, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    told = []
    for (of, model), part in split(smooth, ["class", "model"]):
        points = [numbers(row, *_CURVE) for row in part.sort_values("predicted").to_dict("records")]
        points = [p for p in points if p["predicted"] is not None and p["observed"] is not None]
        if points and model in labels:
            told.append({"class": of, "model": model, "label": labels[model], "points": points})
    return told


def _roc(
    label: NDArray[np.int64],
    probabilities: Mapping[str, NDArray[np.float64]],
    names: Sequence[str],
    judged: Sequence[str],
    labels: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Share found at even steps of the share falsely taken for the class: a curve, and no single patient's step."""
    told = []
    for of in judged:
        code = list(names).index(of)
        case = label == code
        if min(case.sum(), (~case).sum()) < SMALLEST:
            continue
        for model, words in labels.items():
            if ":" in model or model == "shares":  # corrected shares hardly change the order; one probability has none
                continue
            score = probabilities[model].mean(axis=0)[:, code]
            limits = np.quantile(score[~case], 1 - _ROC)
            above = (score[case, None] > limits).mean(axis=0)
            tied = (score[case, None] == limits).mean(axis=0)
            found = np.clip(above + tied / 2, 0, 1)
            found[0], found[-1] = min(found[0], found[1]), 1.0
            points = [{"false": float(f), "found": float(t)} for f, t in zip(_ROC, found, strict=True)]
            told.append({"class": of, "model": model, "label": words, "points": points})
    return told


def _confusion(frame: pd.DataFrame, classes: Sequence[str], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    told = []
    for (model,), part in split(frame, ["model"]):
        cells = {(row["observed"], row["predicted"]): row for row in part.to_dict("records")}
        rows = []
        for observed in classes:
            shown = [
                {
                    "right": predicted == observed,
                    "count": WITHHELD if real(cell["count"]) is None else count(real(cell["count"])),
                    "share": percent(real(cell["share"])) if real(cell["share"]) is not None else "",
                    "depth": round(real(cell["share"]) or 0.0, 3),
                }
                for predicted in classes
                for cell in [cells[observed, predicted]]
            ]
            rows.append({"name": observed, "cells": shown})
        told.append({"model": model, "label": labels[model], "rows": rows})
    return told


def _shift(shift: Mapping[str, Any], classes: Sequence[str], labels: Mapping[str, str]) -> dict[str, Any]:
    """Class shares in training, as estimated without labels, and as they turned out."""
    models = [
        {
            "model": model,
            "label": labels[model],
            "p": found["p"],
            "told_p": p_value(found["p"]),
            "statistic": significant(found["statistic"]),
            "df": found["df"],
            "n": count(found["n"]),
            "shares": [estimate(found["shares"][c], found["lower"][c], found["upper"][c]) for c in range(len(classes))],
        }
        for model, found in shift["estimates"].items()
    ]
    first = next(iter(shift["estimates"].values()), None)
    return {
        "models": models,
        "training": [percent(share) for share in first["training"]] if first else [],
        "observed": [percent(share) for share in shift["observed"]],
        "used": {labels[m]: [percent(s) for s in shares] for m, shares in shift["used"].items()},
        "source": shift["source"],
        "noticed": [row["model"] for row in models if row["p"] < 0.05],
    }
