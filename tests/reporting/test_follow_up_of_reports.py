"""Observed incidence beside known values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohorts import make_cohort
from osler.cohort.outcome import Outcome
from osler.config import StudyConfig
from osler.reporting.follow_up import follow_up

CONFIG = StudyConfig(landmarks=("0d", "10d"), horizons=("10d", "20d"), folds=2)


def _cohort(time, event):
    n = len(time)
    outcome = Outcome(np.asarray(time, float), np.asarray(event, np.int64), ("relapse", "death"))
    return replace(make_cohort(n, genes=0, image_size=None, embedding=None), outcome=outcome)


def test_without_censoring_the_incidence_is_the_share():
    event = np.repeat([1, 2, 1, 2], 25)
    told = follow_up(_cohort(np.repeat([5.0, 15.0, 25.0, 35.0], 25), event), CONFIG)
    first, second, third, fourth = told["rows"]
    assert [value["value"] for value in first["causes"]] == [0.25, 0.0]
    assert [value["value"] for value in second["causes"]] == [0.25, 0.25]
    assert third["at_risk"] == fourth["at_risk"] == "75"
    assert [value["value"] for value in fourth["causes"]] == pytest.approx([1 / 3, 1 / 3], abs=1e-4)
    for row in told["rows"]:
        for value in row["causes"]:
            assert value["lower"] <= value["value"] <= value["upper"]


def test_curves_stop_where_fewer_than_ten_are_seen():
    time = np.concatenate([np.full(25, 4.0), np.full(25, 5.0), np.full(41, 8.0), np.full(9, 30.0)])
    told = follow_up(_cohort(time, np.concatenate([np.ones(50), np.zeros(50)])), CONFIG)
    assert max(point["time"] for curve in told["curves"] for point in curve["points"]) <= 8.0
    assert all(value["value"] is None for row in told["rows"][:2] for value in row["causes"])


def test_an_outcome_known_at_one_time_has_no_curve():
    told = follow_up(_cohort(np.full(60, 10.0), np.repeat([1, 0], 30)), CONFIG)
    assert told["curves"] == []
    assert told["fixed"] == "Whether the event happened is known at 10 days, not when."
    assert told["rows"][0]["causes"][0]["value"] == 0.5


def test_median_follow_up_reverses_the_roles_of_event_and_censoring():
    time, event = np.repeat([100.0, 400.0], 50), np.repeat([1, 0], 50)
    assert follow_up(_cohort(time, event), CONFIG)["median"].startswith("Median follow-up was 1.1 years")
