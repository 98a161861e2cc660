"""Scores of forecasts against R's answers. R is not needed here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from osler.evaluation.forecasting import FORECAST_MEASURES, Forecast, score_forecasts

ANSWERS = json.loads((Path(__file__).resolve().parent / "forecasting.json").read_text())
METHODS = ANSWERS["methods"]
FOUND = score_forecasts(
    ANSWERS["observed"],
    {
        name: Forecast(*(np.array(own[part]) for part in ("expected", "lower", "upper")))
        for name, own in METHODS.items()
    },
    variables=ANSWERS["variable"],
    patients=ANSWERS["patient"],
    level=ANSWERS["level"],
)


@pytest.mark.parametrize("measure", FORECAST_MEASURES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("variable", ["a", "b"])
def test_scores_and_their_clustered_errors(variable, method, measure):
    row = FOUND.scores.query("variable == @variable and method == @method and measure == @measure").iloc[0]
    value, se = ANSWERS["scores"][variable][method][measure]
    assert row["value"] == pytest.approx(value, rel=1e-8)
    assert row["se"] == pytest.approx(se, rel=1e-8)


@pytest.mark.parametrize("variable", ["a", "b"])
def test_difference_of_interval_scores_and_its_clustered_error(variable):
    rows = FOUND.differences.query("variable == @variable and method == 'narrow' and versus == 'wide'")
    row = rows[rows["measure"] == "interval_score"].iloc[0]
    value, se = ANSWERS["difference"][variable]
    assert row["value"] == pytest.approx(value, rel=1e-8)
    assert row["se"] == pytest.approx(se, rel=1e-8)
