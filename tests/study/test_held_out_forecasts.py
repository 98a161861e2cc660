"""Out-of-fold forecasts of a study: whose, of which visits, and how they are scored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohorts import YEAR, make_cohort
from osler.config import StudyConfig
from osler.forecasting import CARRIED, gather_forecasts, held_out_forecasts, judge_forecasts
from osler.models import create
from osler.models.carried_forward import CarriedForward

CONFIG = StudyConfig(landmarks=("0y", "1y"), horizons=("2y",), models=("reference",), folds=3)
COHORT = make_cohort(160, seed=5, genes=0, image_size=None, embedding=None)
TRAIN, TEST = np.arange(100), np.arange(100, 160)


class Moved(CarriedForward):
    """A forecaster that is wrong on purpose: the last value, and a tenth."""

    name = "moved"

    @property
    def forecaster(self):
        return self

    def forecast_at(self, cohort, at, patient, ahead):
        table = super().forecast_at(cohort, at, patient, ahead)
        return table.assign(**{bound: table[bound] + 0.1 for bound in ("expected", "lower", "upper")})


@pytest.fixture(scope="module")
def columns():
    train = COHORT.subset(TRAIN)
    return held_out_forecasts(Moved().fit(train), train, COHORT.subset(TEST), CONFIG, TEST)


@pytest.fixture(scope="module")
def table(columns):
    return gather_forecasts({("moved", 0, 1): {**columns, "seconds": 1.0}, ("other", 0, 1): {}}, ["moved"])


def test_every_later_measurement_of_held_out_patients_at_risk_is_foreseen_once(table):
    time = COHORT.outcome.time
    for landmark in CONFIG.landmarks:
        visits = COHORT.visits.dropna(subset="marker")
        patient, when = visits["patient"].to_numpy(), visits["time"].to_numpy()
        before = np.isin(patient, patient[when <= landmark])
        use = (patient >= 100) & (time[patient] > landmark) & before
        use &= (when > landmark) & (when <= landmark + 2 * YEAR) & (when <= time[patient])
        own = table[(table["variable"] == "marker") & (table["landmark"] == landmark)].sort_values(["patient", "ahead"])
        assert use.sum() > 30
        np.testing.assert_array_equal(own["patient"], patient[use])
        np.testing.assert_allclose(own["ahead"], when[use] - landmark)
        np.testing.assert_array_equal(own["observed"], visits["marker"].to_numpy()[use])


def test_columns_can_be_stored_without_pickle_and_come_back(columns, table, tmp_path):
    np.savez(tmp_path / "part.npz", allow_pickle=False, **columns)
    with np.load(tmp_path / "part.npz", allow_pickle=False) as file:
        again = gather_forecasts({("moved", 0, 1): dict(file)}, ["moved"])
    pd.testing.assert_frame_equal(again, table)
    assert set(table["fold"]) == {1}


def test_scores_are_on_the_analysed_scale(table):
    found = judge_forecasts(COHORT, table, 0.95)
    known = COHORT.visits["pressure"].to_numpy()
    low, high = np.quantile(known, (0.025, 0.975))
    spread = np.clip(known, low, high).std()
    own = table[table["variable"] == "pressure"]
    expected = np.sqrt(((own["observed"] - own[f"{CARRIED}.expected"]) ** 2).mean()) / spread
    assert found.value(CARRIED, "rmse", "pressure") == pytest.approx(expected)
    assert set(found.scores["method"]) == {"moved", CARRIED}
    assert found.value("moved", "width", "marker") == pytest.approx(found.value(CARRIED, "width", "marker"))


def test_a_model_without_forecasts_and_a_cohort_without_biomarkers_have_none():
    train, held_out = COHORT.subset(TRAIN), COHORT.subset(TEST)
    reference = create("reference", CONFIG.question).fit(train)
    assert held_out_forecasts(reference, train, held_out, CONFIG, TEST) == {}
    blind = COHORT.without("visits")
    assert held_out_forecasts(Moved(), blind.subset(TRAIN), blind.subset(TEST), CONFIG, TEST) == {}
    assert judge_forecasts(COHORT, gather_forecasts({}, []), 0.95) is None
