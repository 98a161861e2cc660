"""Where the measurements are heading: scores of out-of-fold forecasts of biomarkers as nested plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from osler.evaluation.forecasting import ALL_VARIABLES
from osler.reporting.cells import WITHHELD, shown
from osler.reporting.comparison import compared, values
from osler.reporting.frames import given, split
from osler.reporting.words import count, joined, known, spell

__all__ = ["FORECAST_COLUMNS", "forecasts_told"]

#: Measures that the report shows.
FORECAST_COLUMNS = ("interval_score", "coverage", "rmse")
_COMPARED = ("interval_score", "rmse")
_LAST_VALUE = "last_value"


def forecasts_told(
    forecasts: pd.DataFrame | None,
    differences: pd.DataFrame | None,
    labels: Mapping[str, str],
    variables: Mapping[str, str],
    horizons: Sequence[float],
) -> dict[str, Any] | None:
    """One entry per variable, and one for their mean; None where nothing was forecast.

    Args:
        forecasts: scores as ``osler.evaluation.forecasting.ForecastScores`` has them, of one model and the last value
            carried forward.
        differences: likewise, "method" minus "versus".
        labels: what to call each model.
        variables: what to call each variable.
        horizons: of the study, in days.

    Returns:
        ``{"label", "versus", "until", "finding", "rows": [{"label", "patients", "values", "withheld", "ours", "theirs",
        "differences"}]}``: scores by measure, and differences with their verdicts.
    """
    frame = given(forecasts)
    models = [name for name in frame["method"].unique() if name != _LAST_VALUE] if len(frame) else []
    if not models:
        return None
    model, paired = str(models[0]), given(differences)
    paired = paired[(paired["method"] == model) & paired["measure"].isin(_COMPARED)] if len(paired) else paired
    parts = [(str(name), part) for (name,), part in split(frame, ["variable"])]
    rows = [
        _row(name, part, model, paired[paired["variable"] == name] if len(paired) else paired, variables)
        for name, part in parts
        if name != ALL_VARIABLES or len(parts) > 2
    ]
    label = labels.get(model, model)
    return {
        "label": label,
        "versus": "Last value carried forward",
        "until": spell(max(horizons)),
        "finding": _finding(label, rows),
        "rows": rows,
    }


def _row(
    name: str, part: pd.DataFrame, model: str, paired: pd.DataFrame, variables: Mapping[str, str]
) -> dict[str, Any]:
    patients = int(part["patients"].max())
    withheld = bool(part["value"].isna().all())
    return {
        "variable": name,
        "label": "All variables, mean" if name == ALL_VARIABLES else variables.get(name, name),
        "patients": shown(patients),
        "values": WITHHELD if withheld else count(int(part["values"].max())),
        "withheld": withheld,
        "ours": values(part[part["method"] == model]),
        "theirs": values(part[part["method"] == _LAST_VALUE]),
        "differences": compared(paired) if len(paired) else {},
    }


def _finding(label: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Which variables are foreseen better than by their last value, and whether bands hold what they say."""
    told = {
        verdict: [
            row["label"]
            for row in rows
            if row["variable"] != ALL_VARIABLES
            and row["differences"].get("interval_score", {}).get("verdict") == verdict
        ]
        for verdict in ("better", "worse")
    }
    said = [f"credibly {verdict} for {joined(names)}" for verdict, names in told.items() if names]
    against = f"{label} against the last value carried forward: {'; '.join(said) or 'no credible difference'}."
    coverage = [row["ours"]["coverage"]["value"] for row in rows if known(row["ours"]["coverage"]["value"])]
    if not coverage:
        return against
    low, high = round(100 * min(coverage)), round(100 * max(coverage))
    return f"{against} Of the measurements, {low}% {f'to {high}% ' if high > low else ''}lay within the 90% bands."
