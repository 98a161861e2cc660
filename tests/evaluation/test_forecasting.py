"""Scores of forecasts: means over variables, clusters, properness, and what is refused. Values: tests/reference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from osler.errors import UsageError
from osler.evaluation.forecasting import Forecast, normal_crps, score_forecasts, score_interval


def _values(patients: int = 200, seed: int = 0):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), 5)
    variable = np.where(rng.random(len(patient)) < 0.2, "rare", "usual").astype(object)
    return rng, patient, variable, rng.normal(size=patients)[patient] + rng.normal(size=len(patient))


def _band(expected, half) -> Forecast:
    return Forecast(expected, expected - half, expected + half)


def test_every_variable_counts_the_same_in_the_mean():
    _, patient, variable, y = _values()
    found = score_forecasts(y, {"zero": _band(np.zeros_like(y), 1.0)}, variables=variable, patients=patient)
    for measure in ("interval_score", "rmse", "coverage"):
        parts = [found.value("zero", measure, name) for name in ("rare", "usual")]
        assert found.value("zero", measure) == pytest.approx(np.mean(parts))
    rows = variable == "rare"
    assert found.value("zero", "rmse", "rare") == pytest.approx(np.sqrt(np.mean(y[rows] ** 2)))


def test_error_of_the_mean_over_variables_is_that_of_resampled_patients():
    rng, patient, variable, y = _values(120)
    forecasts = {"zero": _band(np.zeros_like(y), 1.0), "one": _band(np.full_like(y, 0.3), 1.5)}
    row = score_forecasts(y, forecasts, variables=variable, patients=patient).differences.query(
        "variable == 'all variables' and method == 'zero' and versus == 'one' and measure == 'rmse'"
    )
    draws = []
    for _ in range(500):
        taken = rng.integers(0, 120, 120)
        rows = (taken[:, None] * 5 + np.arange(5)).ravel()
        roots = [
            [np.sqrt(np.mean((y[rows][variable[rows] == v] - centre) ** 2)) for v in ("rare", "usual")]
            for centre in (0.0, 0.3)
        ]
        draws.append(np.mean(roots[0]) - np.mean(roots[1]))
    assert row["se"].iloc[0] == pytest.approx(np.std(draws), rel=0.12)


def test_repeats_of_the_same_forecasts_do_not_make_intervals_narrower():
    _, patient, variable, y = _values()
    forecast = _band(np.zeros_like(y), 1.0)
    once = score_forecasts(y, {"zero": forecast}, variables=variable, patients=patient).scores
    twice = score_forecasts(
        np.tile(y, 2),
        {"zero": _band(np.zeros(2 * len(y)), 1.0)},
        variables=np.tile(variable, 2),
        patients=np.tile(patient, 2),
    ).scores
    np.testing.assert_allclose(twice["se"], once["se"])


def test_true_quantiles_and_the_true_normal_score_best():
    y = np.random.default_rng(1).normal(size=200_000)
    scores = {z: score_interval(y, np.full_like(y, -z), np.full_like(y, z), 0.9).mean() for z in (1.3, 1.6449, 2.1)}
    assert min(scores, key=scores.get) == 1.6449
    crps = {sd: normal_crps(y, np.zeros_like(y), np.full_like(y, sd)).mean() for sd in (0.7, 1.0, 1.4)}
    assert min(crps, key=crps.get) == 1.0
    assert crps[1.0] == pytest.approx(1 / np.sqrt(np.pi), rel=0.01)


def test_a_forecast_without_doubt_is_scored_by_its_error():
    np.testing.assert_allclose(normal_crps(np.array([2.0]), np.array([0.5]), np.array([0.0])), [1.5])


def test_intervals_hold_the_truth_as_often_as_they_say():
    hits, z = 0, ndtri(0.95)
    for seed in range(80):
        _, patient, variable, y = _values(60, seed)
        found = score_forecasts(y, {"true": _band(np.zeros_like(y), z * 2**0.5)}, variables=variable, patients=patient)
        row = found.scores.query("measure == 'coverage' and variable == 'all variables'").iloc[0]
        hits += row["lower"] <= 0.9 <= row["upper"]
    assert 0.88 < hits / 80 < 0.99


def test_few_patients_are_withheld_and_no_part_of_the_mean():
    _, patient, variable, y = _values()
    variable[:] = "usual"
    variable[:20] = "rare"  # four patients
    found = score_forecasts(y, {"zero": _band(np.zeros_like(y), 1.0)}, variables=variable, patients=patient)
    rare = found.scores[found.scores["variable"] == "rare"]
    assert rare["value"].isna().all()
    assert (rare["note"] == "measured in fewer than 10 patients").all()
    assert found.value("zero", "rmse") == found.value("zero", "rmse", "usual")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lower": np.full(1000, 9.0)}, "bounds of 1000 are crossed"),
        ({"expected": np.full(1000, np.nan)}, "1000 of 1000 are not finite"),
        ({"expected": np.zeros(3)}, "one row for each of 1000 values"),
    ],
)
def test_what_is_no_forecast_is_refused(change, words):
    _, patient, variable, y = _values()
    parts = {"expected": np.zeros(1000), "lower": np.full(1000, -1.0), "upper": np.full(1000, 1.0), **change}
    with pytest.raises(UsageError, match=words):
        score_forecasts(y, {"theirs": Forecast(**parts)}, variables=variable, patients=patient)


def test_missing_measurements_and_no_method_are_refused():
    _, patient, variable, y = _values()
    with pytest.raises(UsageError, match="leave out what was not measured"):
        score_forecasts(np.full(1000, np.nan), {"x": _band(np.zeros(1000), 1.0)}, variables=variable, patients=patient)
    with pytest.raises(UsageError, match="no method"):
        score_forecasts(y, {}, variables=variable, patients=patient)
