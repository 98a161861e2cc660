"""Forecasts of biomarkers: as good as the truth allows, honest about doubt, blind to the future and to others."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from cohorts import YEAR, make_cohort
from osler.cohort.cohort import Cohort
from osler.features.design import Design
from osler.features.sequence import VisitEncoder
from osler.models.carried_forward import CarriedForward
from osler.models.course import Course
from osler.models.forecast_ridge import ForecastRidge, Origins
from osler.models.forecaster import Forecaster, Known, _next_visit
from osler.models.spread import Spread

UNIT = YEAR / 2


def _cohort(n: int, seed: int) -> Cohort:
    return make_cohort(n, seed=seed, genes=0, image_size=None, embedding=None)


@cache
def _train() -> Cohort:
    return _cohort(400, 4)


@cache
def _inputs() -> tuple[VisitEncoder, Design]:
    landmark = _train().at([4 * YEAR], at_risk=False)
    return VisitEncoder(UNIT).fit(landmark.known), Design().fit(landmark)


def _known(cohort: Cohort, moment: float) -> Known:
    encoder, design = _inputs()
    landmark = cohort.at(moment, at_risk=False)
    return Known(landmark.known, encoder.transform(landmark), design.record(landmark))


@cache
def _fitted() -> Forecaster:
    fold = np.arange(400) % 5
    return Forecaster(UNIT).fit(_known(_train(), 5 * YEAR), _inputs()[0].forecastable, fold)


@cache
def _later(seed: int = 5) -> tuple[Cohort, pd.DataFrame]:
    """New patients and their visits after a year."""
    cohort = _cohort(500, seed)
    return cohort, cohort.visits[cohort.visits["time"] > YEAR].reset_index(drop=True)


def _with_measured(table: pd.DataFrame, later: pd.DataFrame, name: str) -> pd.DataFrame:
    own = table[table["variable"] == name]
    own = own.assign(y=later[name].to_numpy()[own["row"]], patient=later["patient"].to_numpy()[own["row"]])
    return own.dropna(subset="y")


def _predicted(cohort: Cohort, later: pd.DataFrame) -> pd.DataFrame:
    return _fitted().predict(_known(cohort, YEAR), later["patient"].to_numpy(), later["time"].to_numpy())


def test_new_patients_are_foreseen_better_than_by_their_last_value_and_bands_hold_nine_in_ten():
    cohort, later = _later()
    ahead = later["time"].to_numpy() - YEAR
    carried = CarriedForward().fit(_train()).forecast_at(cohort, YEAR, later["patient"].to_numpy(), ahead)
    table = _predicted(cohort, later)
    for name, gain in (("marker", 0.95), ("pressure", 0.55)):
        ours, theirs = _with_measured(table, later, name), _with_measured(carried, later, name)
        np.testing.assert_array_equal(ours["row"], theirs["row"])
        mine, others = (((each["y"] - each["expected"]) ** 2).mean() for each in (ours, theirs))
        assert mine < gain * others
        for each, near in ((ours, 0.045), (theirs, 0.065)):
            assert ((each["lower"] <= each["y"]) & (each["y"] <= each["upper"])).mean() == pytest.approx(0.9, abs=near)


def test_doubt_grows_with_time_ahead():
    cohort, _ = _later()
    times = YEAR + np.array([0.0, 100.0, 400.0, 1600.0])
    table = _fitted().predict(_known(cohort, YEAR), np.repeat(np.arange(50), 4), np.tile(times, 50))
    width = (table["upper"] - table["lower"])[table["variable"] == "marker"].to_numpy().reshape(-1, 4)
    assert (np.diff(width, axis=1) > 0).all()


def test_nothing_after_the_landmark_moves_a_forecast_by_one_bit():
    cohort, later = _later()
    after = cohort.visits["time"].to_numpy() > YEAR
    visits = cohort.visits.copy()
    visits.loc[after, "marker"] = 99.0
    visits.loc[after, "pressure"] = np.nan
    altered = replace(cohort, visits=visits).keep_visits(~after | (np.arange(len(after)) % 3 > 0))
    pd.testing.assert_frame_equal(_predicted(cohort, later), _predicted(altered, later), check_exact=True)


def test_no_other_patient_moves_a_forecast_by_one_bit():
    cohort, later = _later()
    together = _predicted(cohort, later)
    for i in (0, 7, 123):
        mine = later[later["patient"] == i].reset_index(drop=True)
        alone = _predicted(cohort.subset([i]), mine.assign(patient=0))
        rows = together[later["patient"].to_numpy()[together["row"]] == i]
        for column in ("expected", "lower", "upper"):
            np.testing.assert_array_equal(alone[column], rows[column])


def test_state_round_trip():
    cohort, later = _later()
    again = Forecaster.from_state(_fitted().state())
    table = again.predict(_known(cohort, YEAR), later["patient"].to_numpy(), later["time"].to_numpy())
    pd.testing.assert_frame_equal(table, _predicted(cohort, later), check_exact=True)


def test_forecasts_stay_within_the_plausible_range():
    variables = dict(_train().variables)
    variables["pressure"] = replace(variables["pressure"], minimum=110.0, maximum=130.0)
    narrow = replace(_train(), variables=variables)
    fold = np.arange(400) % 5
    model = Forecaster(UNIT).fit(_known(narrow, 5 * YEAR), _inputs()[0].forecastable, fold)
    cohort, later = _later()
    table = model.predict(_known(cohort, YEAR), later["patient"].to_numpy(), later["time"].to_numpy())
    own = table[table["variable"] == "pressure"]
    assert (own["lower"].min(), own["upper"].max()) == (110.0, 130.0)


def test_the_next_visit_is_that_of_the_same_patient():
    known = _known(_train(), 4 * YEAR)
    following, s = _next_visit(known.sequences), known.sequences
    for v in range(0, len(following), 29):
        later = s.time[(s.patient == s.patient[v]) & (s.time > s.time[v])]
        assert following[v] == (later.min() if len(later) else np.inf)


def _linear(n: int, seed: int, wobble: float = 0.0) -> tuple[np.ndarray, Origins, np.ndarray, np.ndarray]:
    """Pairs of measurements along straight lines; with ``wobble`` another variable foretells a step."""
    rng = np.random.default_rng(seed)
    level, slope = rng.normal(size=n), 0.2 * rng.normal(size=n)
    sums, rows, targets, owners = np.zeros((n, 6)), [], [], []
    for i in range(n):
        t = np.sort(rng.uniform(0, 6, 6))
        hint = rng.normal(size=6)
        z = level[i] + slope[i] * t + 0.4 * rng.normal(size=6) + wobble * np.r_[0.0, hint[:-1]]
        for k in range(1, 6):
            use = slice(0, k)
            own = [k, t[use].sum(), (t[use] ** 2).sum(), z[use].sum(), (t[use] * z[use]).sum(), (z[use] ** 2).sum()]
            rows.append((own, z[k - 1], z[use].mean(), t[k - 1], t[k] - t[k - 1], hint[k - 1]))
            targets.append(z[k])
            owners.append(i)
        sums[i] = [6, t.sum(), (t**2).sum(), z.sum(), (t * z).sum(), (z**2).sum()]
    own, last, mean, time, ahead, hint = (np.array(column) for column in zip(*rows, strict=True))
    seen = Origins(own, last, mean, np.ones(len(last)), time, ahead, hint[:, None], rng.normal(size=(len(last), 2)))
    return sums, seen, np.array(targets), np.array(owners)


def test_straight_lines_are_left_to_the_mixed_model():
    sums, seen, target, owner = _linear(300, 0)
    ridge = ForecastRidge.fit(sums, seen, target, owner, np.arange(300) % 5)
    assert ridge.penalties == (1e6, 1e6, 1e6)
    course = Course.fit(sums)
    own = course.given(seen.sums)
    mean, doubt = own.ahead(seen.time + seen.ahead)
    found, lower, upper = ridge.predict(seen)
    np.testing.assert_allclose(found, mean, atol=2e-3)
    reach = 1.6449 * np.sqrt(doubt + course.noise)
    assert np.mean(upper - lower) == pytest.approx(np.mean(2 * reach), rel=0.05)


def test_what_another_variable_foretells_is_found():
    sums, seen, target, owner = _linear(300, 1, wobble=1.0)
    ridge = ForecastRidge.fit(sums, seen, target, owner, np.arange(300) % 5)
    assert ridge.penalties[1] < 1e6
    _, seen, target, _ = _linear(200, 2, wobble=1.0)
    course = Course.fit(sums).given(seen.sums).ahead(seen.time + seen.ahead)[0]
    assert ((ridge.predict(seen)[0] - target) ** 2).mean() < 0.6 * ((course - target) ** 2).mean()


def test_too_few_patients_correct_nothing():
    sums, seen, target, owner = _linear(6, 3)
    ridge = ForecastRidge.fit(sums, seen, target, owner, np.arange(6) % 5)
    assert not ridge.weights.any()
    np.testing.assert_array_equal(ridge.spread.bounds, Spread.stated().bounds)


def test_bands_hold_heavy_and_uneven_errors():
    """Errors of Student's t, larger for high values and far ahead, skewed: nine in ten everywhere."""
    rng = np.random.default_rng(4)

    def drawn(n):
        clock, mean = rng.uniform(0, 2, n), rng.normal(size=n)
        t = rng.standard_t(4, n)
        return np.where(t > 0, 1.5 * t, t) * np.exp(0.3 * clock + 0.4 * mean - 1), clock, np.full(n, 0.2), mean

    spread = Spread.fit(*drawn(8000))
    error, clock, variance, mean = drawn(20_000)
    lower, upper = spread.band(mean, clock, variance)
    inside = (lower <= mean + error) & (mean + error <= upper)
    for part in (mean < -0.5, mean > 0.5, clock < 0.5, clock > 1.5):
        assert inside[part].mean() == pytest.approx(0.9, abs=0.025)
    assert (mean + error < lower).mean() == pytest.approx(0.05, abs=0.01)
    assert ((lower <= mean) & (mean <= upper)).all()


def test_normal_errors_of_the_stated_variance_keep_the_stated_band():
    rng = np.random.default_rng(5)
    variance = rng.uniform(0.1, 1, 3000)
    spread = Spread.fit(
        np.sqrt(variance) * rng.normal(size=3000), rng.uniform(0, 2, 3000), variance, rng.normal(size=3000)
    )
    np.testing.assert_array_equal(spread.weights, Spread.stated().weights)


def test_the_last_value_is_carried_forward_with_the_changes_of_its_time():
    cohort, later = _later()
    ahead = later["time"].to_numpy() - YEAR
    table = CarriedForward().fit(_train()).forecast_at(cohort, YEAR, later["patient"].to_numpy(), ahead)
    own = table[table["variable"] == "marker"]
    known = cohort.visits[cohort.visits["time"] <= YEAR].dropna(subset="marker").groupby("patient")["marker"].last()
    np.testing.assert_allclose(own["expected"], known.reindex(own["patient"]))
    width = own["upper"] - own["lower"]
    far, near = own["ahead"] > 2 * YEAR, own["ahead"] < 0.5 * YEAR
    assert width[far].mean() > 1.2 * width[near].mean()
