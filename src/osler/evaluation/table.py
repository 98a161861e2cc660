"""A table of predictions, made anywhere, evaluated against a table of outcomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from osler.errors import UsageError
from osler.evaluation.combining import combine
from osler.evaluation.evaluation import Evaluation, evaluate
from osler.units import days

__all__ = ["evaluate_table"]

_KEYS = ["patient", "landmark", "horizon", "model"]


def evaluate_table(predictions: pd.DataFrame, outcomes: pd.DataFrame, **options: Any) -> Evaluation:
    """Judge a tidy table of predicted risks, from R or a colleague or ``predictions.parquet``.

    Args:
        predictions: one row per patient, landmark, horizon and model, with columns ``patient``, ``landmark`` and
            ``horizon`` (days, or text such as "5y"), ``model``, ``risk`` (cumulative incidence of the cause from the
            landmark to the horizon); and, for cross-validated predictions, ``fold`` (only patients of one fold are
            compared in AUC) and ``repeat``.
        outcomes: one row per patient, with columns ``patient``, ``time`` (days from the time origin to the first event
            or the end of follow-up) and ``event`` (0 censored, 1.. causes).
        options: of ``evaluate``: cause, level, null, controls, groups.

    Patients of the outcomes without a prediction at a landmark are not evaluated there; predictions for patients no
    longer at risk at their landmark are left aside. The integrated Brier score goes over the horizons in the table.

    Raises:
        UsageError: a column is missing, a key occurs twice, a patient has no outcome, or models of one landmark do not
            predict for the same patients and horizons.
    """
    predictions = _checked(predictions, [*_KEYS, "risk"], "predictions")
    outcomes = _checked(outcomes, ["patient", "time", "event"], "outcomes")
    if outcomes["patient"].duplicated().any():
        raise UsageError(f"outcomes: {int(outcomes['patient'].duplicated().sum())} patients occur more than once")
    for name in ("landmark", "horizon"):
        predictions[name] = predictions[name].map(days).astype(float)
    if "repeat" not in predictions:
        predictions["repeat"] = 0
    twice = int(predictions.duplicated([*_KEYS, "repeat"]).sum())
    if twice:
        raise UsageError(f"predictions: {twice} rows repeat a patient, landmark, horizon, model and repeat")
    known = outcomes.set_index("patient")
    unknown = int((~predictions["patient"].drop_duplicates().isin(known.index)).sum())
    if unknown:
        raise UsageError(f"predictions: {unknown} patients have no outcome: every predicted patient needs one")
    parts = [_evaluate_part(part, known, options) for _, part in predictions.groupby(["landmark", "repeat"], sort=True)]
    return combine(parts)


def _checked(frame: pd.DataFrame, columns: list[str], what: str) -> pd.DataFrame:
    missing = [name for name in columns if name not in frame]
    if missing:
        raise UsageError(f"{what}: missing columns {', '.join(missing)}; found {', '.join(map(str, frame.columns))}")
    return frame.copy()


def _evaluate_part(part: pd.DataFrame, known: pd.DataFrame, options: dict[str, Any]) -> Evaluation:
    """One landmark in one repeat."""
    landmark = float(part["landmark"].iloc[0])
    since = known["time"].to_numpy(dtype=float) - landmark
    part = part[part["patient"].isin(known.index[since > 0])]
    wide = part.pivot(index="patient", columns=["model", "horizon"], values="risk")
    models = list(dict.fromkeys(part["model"]))
    horizons = np.sort(part["horizon"].unique())
    wide = wide.reindex(columns=pd.MultiIndex.from_product([models, horizons]))
    absent = int(wide.isna().to_numpy().any(axis=1).sum())
    if absent:
        raise UsageError(
            f"predictions at landmark {landmark:g} d: {absent} of {len(wide)} patients lack a risk for some model or "
            "horizon: models are compared on the same patients"
        )
    outcome = known.loc[wide.index]
    strata = None
    if "fold" in part:
        strata = part.drop_duplicates("patient").set_index("patient")["fold"].loc[wide.index].to_numpy()
    return evaluate(
        outcome["time"].to_numpy(dtype=float) - landmark,
        outcome["event"].to_numpy(),
        {model: wide[model].to_numpy() for model in models},
        times=horizons,
        horizons=horizons,
        strata=strata,
        landmark=landmark,
        **options,
    )
