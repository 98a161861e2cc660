"""Forecasting: biomarkers of held-out patients foreseen at the times of their later visits, and scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.evaluation.forecasting import Forecast, ForecastScores, score_forecasts
from osler.features.scale import Scale
from osler.models.base import RiskModel
from osler.models.carried_forward import CarriedForward
from osler.models.forecaster import Forecasts

__all__ = ["CARRIED", "gather_forecasts", "held_out_forecasts", "judge_forecasts"]

#: What the last value carried forward is called among the methods.
CARRIED = "last_value"
_BOUNDS = ("expected", "lower", "upper")
_PREFIX = "forecast."


def held_out_forecasts(
    model: RiskModel, train: Cohort, held_out: Cohort, config: StudyConfig, patient: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Forecasts of one part's patients, at every landmark, for each later visit up to the longest horizon.

    Args:
        model: fitted to ``train``.
        train: the training patients; the band of the last value carried forward comes from them too.
        held_out: patients whom the model has not seen; what they show after a landmark is what is foreseen there.
        config: landmarks and horizons.
        patient: (n,) positions of the held-out patients in the whole cohort.

    Returns:
        Columns of a table, by name, one row per measured value: patient, landmark, ahead, variable, observed, and for
        the model and for the last value carried forward expected, lower and upper. Nothing if the model forecasts no
        biomarkers or there are none.
    """
    forecaster = model.forecaster
    if forecaster is None or not any(v.type == "number" for v in held_out.visit_variables):
        return {}
    methods: dict[str, Forecasts] = {model.name: forecaster, CARRIED: CarriedForward().fit(train)}
    frames = []
    for landmark in config.landmarks:
        later = _later_visits(held_out, landmark, max(config.horizons))
        owner, ahead = later["patient"].to_numpy(), later["time"].to_numpy(dtype=float) - landmark
        tables = []
        for name, method in methods.items():
            table = method.forecast_at(held_out, landmark, owner, ahead)
            named = {bound: f"{name}.{bound}" for bound in _BOUNDS}
            tables.append(table.set_index(["row", "variable"])[list(_BOUNDS)].rename(columns=named))
        both = pd.concat(tables, axis=1, join="inner").reset_index()
        row = both["row"].to_numpy(dtype=np.int64)
        told = both.drop(columns="row").assign(patient=patient[owner[row]], landmark=landmark, ahead=ahead[row])
        told["observed"] = _observed(later, row, told["variable"])
        frames.append(told.dropna(subset="observed"))
    whole = pd.concat(frames, ignore_index=True)
    return {
        f"{_PREFIX}{name}": np.asarray(column, dtype=str if name == "variable" else None)
        for name, column in whole.items()
    }


def _later_visits(cohort: Cohort, landmark: float, longest: float) -> pd.DataFrame:
    """Visits after the landmark of patients at risk then, while they are under observation."""
    assert cohort.outcome is not None
    visits = cohort.visits
    until = np.minimum(cohort.outcome.time, landmark + longest)[visits["patient"].to_numpy()]
    at_risk = until > landmark
    return visits[at_risk & (visits["time"] > landmark) & (visits["time"] <= until)].reset_index(drop=True)


def _observed(later: pd.DataFrame, row: NDArray[np.int64], variable: pd.Series) -> NDArray[np.float64]:
    out = np.full(len(row), np.nan)
    for name in variable.unique():
        here = (variable == name).to_numpy()
        out[here] = later[name].to_numpy(dtype=float)[row[here]]
    return out


def gather_forecasts(fitted: Mapping[Any, Mapping[str, Any]], variants: Iterable[Any]) -> pd.DataFrame:
    """The tables of ``held_out_forecasts`` of the fits of some variants, of all folds and repeats; maybe empty."""
    wanted = set(variants)
    frames = []
    for (variant, repeat, fold), part in fitted.items():
        columns = {name.removeprefix(_PREFIX): part[name] for name in part if name.startswith(_PREFIX)}
        if variant in wanted and columns:
            frames.append(pd.DataFrame(columns).assign(repeat=repeat, fold=fold))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def judge_forecasts(cohort: Cohort, forecasts: pd.DataFrame, confidence: float) -> ForecastScores | None:
    """Scores of forecasts, every variable on the scale on which it is analysed (``features.scale.Scale``).

    The scale, logarithms of skewed variables included, is that of all the cohort's values: a unit of measurement, the
    same for all methods, of which none of them knew. None where nothing was forecast.
    """
    if not len(forecasts):
        return None
    methods = [name.removesuffix(".expected") for name in map(str, forecasts.columns) if name.endswith(".expected")]
    variable = forecasts["variable"].to_numpy(dtype=object)
    columns = ["observed", *(f"{method}.{bound}" for method in methods for bound in _BOUNDS)]
    z = {column: np.full(len(forecasts), np.nan) for column in columns}
    for name in dict.fromkeys(variable):
        scale = Scale.fit(cohort.visits[name].to_numpy(dtype=float), clip=np.inf, logs=True)
        rows = np.flatnonzero(variable == name)
        for column in columns if scale is not None else ():
            z[column][rows] = scale(forecasts[column].to_numpy(dtype=float)[rows])  # type: ignore[misc]
    known = np.isfinite(z["observed"])
    told = {m: Forecast(*(z[f"{m}.{bound}"][known] for bound in _BOUNDS)) for m in methods}
    patients = forecasts["patient"].to_numpy()[known]
    return score_forecasts(
        z["observed"][known], told, variables=variable[known], patients=patients, confidence=confidence
    )
