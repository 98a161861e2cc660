"""Importance: what the models of a study rely on, and whether models of different folds rely on the same.

The same patients are explained by the models of all folds, which differ in seed and in most of what they learned from.
Contributions are averaged over the folds first, and over the patients then.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from osler.cells import small
from osler.cohort.cohort import Cohort
from osler.cohort.schema import Schema
from osler.config import StudyConfig
from osler.cross_validation import Fitted
from osler.fitting import Variant, predictors
from osler.models.importance import Contributions, parts_of, rank_agreement

__all__ = ["importance"]

Floats = NDArray[np.float64]


def importance(
    cohort: Cohort, config: StudyConfig, fitted: Fitted, models: Mapping[str, Variant]
) -> dict[str, pd.DataFrame]:
    """Tables of what models rely on; none where nothing was explained, or of fewer than ten patients.

    Args:
        cohort: of the study.
        config: of the study; ``explain`` is how many patients were explained.
        fitted: what every fit wrote.
        models: the models by name.

    Returns:
        "importance": by model and of each modality and variable the mean absolute contribution in absolute risk, with
        its interval over patients: "model", "landmark", "horizon", "kind" ("modality" or "variable"), "modality",
        "variable", "value", "lower", "upper", "differ" (patients unlike the typical one), "patients", "suppressed" (one
        to nine differ; then neither value nor number is told). "agreement": by model Spearman's rank correlation of
        fold with fold: "by_patient" (median over patients and pairs of folds), "lowest_tenth" of these, "overall" (of
        the importances, mean over pairs), and the number of "patients" and "folds".
    """
    parts = parts_of(Schema.of(predictors(cohort, config)))
    rows, agreements = [], []
    for name, variant in models.items():
        folds = [
            Contributions(parts, fit["contribution"], fit["differs"])
            for (other, repeat, _), fit in fitted.items()
            if other == variant and repeat == 0 and "contribution" in fit
        ]
        if not folds or not len(folds[0].values) or small(len(folds[0].values)):
            continue
        place = {"model": name, **dict(zip(("landmark", "horizon"), config.explained, strict=True))}
        rows += [{**place, **row} for row in _rows(folds, config.confidence)]
        agreements.append({**place, **_agreement(folds)})
    return {"importance": pd.DataFrame(rows), "agreement": pd.DataFrame(agreements)} if rows else {}


def _rows(folds: list[Contributions], level: float) -> list[dict[str, Any]]:
    """Every modality, then every variable."""
    parts = folds[0].parts
    mean = np.mean([fold.values for fold in folds], axis=0)
    differs = np.any([fold.differs for fold in folds], axis=0)
    rows = []
    for modality in dict.fromkeys(part.modality for part in parts):
        inside = [j for j, part in enumerate(parts) if part.modality == modality]
        names = {"kind": "modality", "modality": modality, "variable": ""}
        rows.append({**names, **_row(mean[:, inside].sum(axis=1), differs[:, inside].any(axis=1), level)})
    for j, part in enumerate(parts):
        names = {"kind": "variable", "modality": part.modality, "variable": part.name}
        rows.append({**names, **_row(mean[:, j], differs[:, j], level)})
    return rows


def _row(values: Floats, differs: NDArray[np.bool_], level: float) -> dict[str, Any]:
    """Mean absolute contribution with its interval, unless few patients stand behind it."""
    size = np.abs(values)
    told = not small(int(differs.sum()))
    reach = ndtri((1 + level) / 2) * size.std(ddof=1) / np.sqrt(len(size))
    found = {"value": size.mean(), "lower": max(size.mean() - reach, 0.0), "upper": size.mean() + reach}
    found["differ"] = float(differs.sum())
    return {
        **(found if told else dict.fromkeys(found, np.nan)),
        "patients": len(size),
        "suppressed": not told,
    }


def _agreement(folds: list[Contributions]) -> dict[str, Any]:
    found = [rank_agreement(one, other) for one, other in combinations(folds, 2)]
    each = np.concatenate([each for each, _ in found]) if found else np.empty(0)
    each = each[np.isfinite(each)]
    overall = [both for _, both in found if np.isfinite(both)]
    return {
        "by_patient": float(np.median(each)) if len(each) else np.nan,
        "lowest_tenth": float(np.quantile(each, 0.1)) if len(each) else np.nan,
        "overall": float(np.mean(overall)) if overall else np.nan,
        "patients": len(folds[0].values),
        "folds": len(folds),
    }
