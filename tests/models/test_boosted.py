"""Boosted models against XGBoost called by hand and against the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xgboost as xgb

from cohorts import QUESTION, YEAR, make_cohort
from osler.config import Question
from osler.models import boosted
from osler.models.boosted import BoostedCox, BoostedHazard
from osler.models.reference import Reference
from plain_cohort import plain_cohort

ONE = Question(landmarks=(0.0,), horizons=(5 * YEAR,), grid_size=20)


def test_cox_is_xgboost_with_breslows_baseline():
    cohort = plain_cohort(300, seed=1)
    model = BoostedCox(ONE).fit(cohort)
    curve = model.predict(cohort, 0.0)
    time = np.minimum(cohort.outcome.time, 5 * YEAR)
    event = (cohort.outcome.event == 1) & (cohort.outcome.time <= 5 * YEAR)
    X = model._design.transform(cohort.at(0.0))
    parameters = {
        "max_depth": 2, "eta": 0.1, "min_child_weight": 5, "subsample": 0.8, "colsample_bynode": 0.5, "max_bin": 64,
        "objective": "survival:cox", "nthread": 1, "seed": 0, "tree_method": "hist",
    }  # fmt: skip
    rounds = model._boosters[0].num_boosted_rounds()
    assert 5 < rounds < 400
    peer = xgb.train(parameters, xgb.DMatrix(X, label=np.where(event, time, -time)), rounds)
    slope = model._slopes[0]
    assert 0.5 < slope <= 1.0
    hazard_ratio = np.exp(slope * peer.predict(xgb.DMatrix(X), output_margin=True).astype(float))
    cumulative = [
        sum((event & (time == t)).sum() / hazard_ratio[time >= t].sum() for t in np.unique(time[event & (time <= h)]))
        for h in ONE.grid
    ]
    expected = -np.expm1(-hazard_ratio[:, None] * np.array(cumulative))
    np.testing.assert_allclose(curve.incidence[:, 0], expected, rtol=1e-4, atol=1e-6)


def test_hazard_without_trees_is_the_crude_incidence():
    """Starting margins alone: actuarial hazards of everybody, close to Aalen-Johansen."""
    cohort = plain_cohort(2000, seed=2, causes=("a", "b"))
    model = BoostedHazard(ONE, rounds=1, eta=1e-9).fit(cohort)
    curve = model.predict(cohort, 0.0)
    reference = Reference(ONE).fit(cohort).predict(cohort, 0.0)
    np.testing.assert_allclose(curve.incidence[0], reference.incidence[0], atol=0.01)


def test_person_periods_by_hand():
    edges = np.array([0.0, 10.0, 20.0, 40.0])
    time = np.array([5.0, 10.0, 25.0, 40.0, 20.0])
    event = np.array([1, 0, 0, 2, 0])
    row, interval, label, weight = boosted._person_periods(time, event, edges)
    got = list(zip(row.tolist(), interval.tolist(), label.tolist(), weight.tolist(), strict=True))
    assert got == [
        (0, 0, 1, 1.0),
        (1, 0, 0, 1.0),
        (2, 0, 0, 1.0), (2, 1, 0, 1.0), (2, 2, 0, 0.25),
        (3, 0, 0, 1.0), (3, 1, 0, 1.0), (3, 2, 2, 1.0),
        (4, 0, 0, 1.0), (4, 1, 0, 1.0),
    ]  # fmt: skip


def test_intervals_begin_and_end_on_the_grid():
    edges = boosted._interval_edges(QUESTION.grid)
    assert edges[0] == 0
    assert edges[-1] == QUESTION.grid[-1]
    assert set(edges) <= set(QUESTION.grid)
    assert len(edges) <= 9


@pytest.mark.parametrize("model", [BoostedCox, BoostedHazard])
def test_competing_incidences_are_those_of_the_truth(model):
    cohort = plain_cohort(3000, seed=3, causes=("a", "b"))
    held = cohort.subset(np.arange(2500, 3000))
    curve = model(ONE).fit(cohort.subset(np.arange(2500))).predict(held, 0.0)
    eta = held.record.to_numpy() @ np.array([0.8, -0.5])
    total = 0.1 * (np.exp(eta) + np.exp(-eta))
    truth = 0.1 * np.exp(eta) / total * -np.expm1(-5 * total)
    truth = truth[held.positions(curve.patients)]
    assert np.corrcoef(curve.risk(5 * YEAR), truth)[0, 1] > 0.95
    assert abs(curve.risk(5 * YEAR).mean() - truth.mean()) < 0.02
    assert np.abs(curve.risk(5 * YEAR) - truth).mean() < 0.04


@pytest.mark.parametrize("model", [BoostedCox, BoostedHazard])
def test_too_few_events_grow_no_trees(model):
    cohort = make_cohort(40, seed=4)
    event = cohort.outcome.event * (np.cumsum(cohort.outcome.event > 0) <= 4)
    few = replace(cohort, outcome=replace(cohort.outcome, event=event))
    fitted = model(ONE).fit(few)
    assert any("fewer than 15 events" in note for note in fitted.notes_)
    assert np.ptp(fitted.predict(few, 0.0).incidence, axis=0).max() < 1e-12


def test_another_seed_draws_other_folds():
    cohort = make_cohort(150, seed=5)
    one, other = (BoostedCox(QUESTION, random_state=seed).fit(cohort).predict(cohort, 0.0) for seed in (1, 2))
    assert np.abs(one.incidence - other.incidence).max() > 1e-3


def test_trees_without_a_signal_promise_little():
    cohort = plain_cohort(300, seed=9, beta=(0.0, 0.0))
    model = BoostedCox(ONE).fit(cohort)
    curve = model.predict(cohort, 0.0)
    assert np.std(curve.risk(5 * YEAR)) < 0.04
