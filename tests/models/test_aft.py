"""The Weibull model against lifelines called by hand, its own likelihood, and the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lifelines import WeibullAFTFitter
from lifelines.exceptions import ConvergenceError

from cohorts import QUESTION, YEAR, make_cohort
from osler.config import Question
from osler.models import aft
from osler.models.aft import WeibullAFT
from osler.models.cox import StackedCox
from plain_cohort import plain_cohort

ONE = Question(landmarks=(0.0,), horizons=(5 * YEAR,), grid_size=20)


def test_without_a_penalty_it_is_that_of_lifelines():
    cohort = plain_cohort(200, seed=1, shape=1.5)
    curve = WeibullAFT(ONE, penalty=0.0).fit(cohort).predict(cohort, 0.0)
    horizon = 5 * YEAR
    time = cohort.outcome.time
    event = (cohort.outcome.event == 1) & (time <= horizon)
    table = cohort.record.assign(time=np.minimum(time, horizon) / horizon, event=event)
    peer = WeibullAFTFitter().fit(table, "time", "event")
    survival = peer.predict_survival_function(table.iloc[:20], times=ONE.grid / horizon).to_numpy().T
    np.testing.assert_allclose(1 - curve.incidence[:20, 0], survival, atol=1e-4)
    first = peer.predict_survival_function(table.iloc[:1], times=[1.0])
    assert curve.lower[0, 0, -1] < 1 - first.to_numpy()[0, 0] < curve.upper[0, 0, -1]


def test_penalties_reach_their_own_columns_and_not_the_shape():
    """More than ten columns, whose names lifelines sorts; the gradient of the penalised likelihood must vanish."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(250, 13)) * np.linspace(0.5, 2, 13)
    time = 0.7 * rng.weibull(2.2, 250) * np.exp(X[:, 2] * 0.3 - X[:, 11] * 0.2)
    event = time < 1.0
    time = np.minimum(time, 1.0)
    penalty = np.linspace(0.0, 120.0, 13)
    start = aft._Weibull(np.zeros(13), 0.0, 1.0, np.zeros((15, 15)))
    fit = aft._lifelines_fit(X, time, event, penalty, start, effect=1.0)

    def objective(beta, intercept, log_shape):
        shape = np.exp(log_shape)
        z = shape * (np.log(time) - intercept - X @ beta)
        return (event * (np.log(shape) - np.log(time) + z) - np.exp(z)).sum() - 0.5 * (penalty * beta**2).sum()

    best = (fit.beta, fit.intercept, np.log(fit.shape))
    value = objective(*best)
    for i in range(13):
        for step in (-0.01, 0.01):
            moved = fit.beta.copy()
            moved[i] += step
            assert objective(moved, *best[1:]) < value + 1e-3
    for step in (-0.01, 0.01):
        assert objective(fit.beta, fit.intercept + step, best[2]) < value + 1e-3
        assert objective(fit.beta, fit.intercept, best[2] + step) < value + 1e-3
    assert fit.shape > 1.8


def test_the_crude_shape_is_the_maximum_likelihood_shape():
    rng = np.random.default_rng(3)
    time = rng.weibull(1.7, 400)
    event = rng.random(400) < 0.7
    shape = aft._crude_shape(time, event)
    table = pd.DataFrame({"time": time, "event": event})
    peer = WeibullAFTFitter().fit(table, "time", "event")
    assert shape == pytest.approx(np.exp(peer.params_["rho_"].iloc[0]), rel=1e-3)
    assert aft._crude_shape(np.full(5, 0.5), np.ones(5, dtype=bool)) == 3.0
    assert aft._crude_shape(time, np.zeros(400, dtype=bool)) == 1.0


def test_competing_incidences_are_those_of_the_truth():
    cohort = plain_cohort(3000, seed=4, causes=("a", "b"), shape=1.4)
    model = WeibullAFT(ONE).fit(cohort)
    curve = model.predict(cohort.subset(np.arange(200)), 0.0)
    eta = cohort.record.to_numpy()[:200] @ np.array([0.8, -0.5])
    total = np.exp(eta) + np.exp(-eta)  # both causes have the same shape, so that their proportion is constant
    truth = np.exp(eta) / total * -np.expm1(-total * 0.5**1.4)
    error = curve.risk(5 * YEAR) - truth[cohort.positions(curve.patients)]
    assert np.abs(error).mean() < 0.01
    lower, upper = curve.band(5 * YEAR)
    truth = truth[cohort.positions(curve.patients)]
    assert ((lower < truth) & (truth < upper)).mean() > 0.6


def test_a_fit_that_fails_takes_coefficients_from_cox_and_says_so(monkeypatch):
    def refuse(*args, **kwargs):
        raise ConvergenceError("no")

    monkeypatch.setattr(aft.WeibullAFTFitter, "fit", refuse)
    cohort = make_cohort(100, seed=5)
    model = WeibullAFT(QUESTION).fit(cohort)
    assert any("'progression' did not converge; its coefficients" in note for note in model.notes_)
    curve, cox = model.predict(cohort, 0.0), StackedCox(QUESTION).fit(cohort).predict(cohort, 0.0)
    assert np.corrcoef(curve.risk(4 * YEAR), cox.risk(4 * YEAR))[0, 1] > 0.99
    assert np.abs(curve.risk(4 * YEAR) - cox.risk(4 * YEAR)).mean() < 0.03
    for bound, peer in ((curve.lower, cox.lower), (curve.upper, cox.upper)):
        np.testing.assert_allclose(bound[:, :, -1].mean(axis=0), peer[:, :, -1].mean(axis=0), atol=0.06)


def test_an_outcome_known_by_a_fixed_day():
    """All events at one time: the curve must be a step there, and still depend on the patient."""
    cohort = plain_cohort(300, seed=8)
    time = np.where(cohort.outcome.time < 3 * YEAR, 3 * YEAR, 3 * YEAR + 1)
    event = (cohort.outcome.time < 3 * YEAR) & (cohort.outcome.event == 1)
    fixed = replace(cohort, outcome=replace(cohort.outcome, time=time, event=event.astype(np.int64)))
    question = Question(landmarks=(0.0,), horizons=(3 * YEAR,), grid_size=20)
    curve = WeibullAFT(question).fit(fixed).predict(fixed, 0.0)
    assert curve.risk(2.7 * YEAR).mean() < 0.05
    assert curve.risk(3 * YEAR).mean() == pytest.approx(event.mean(), abs=0.02)
    assert np.corrcoef(curve.risk(3 * YEAR), cohort.record.to_numpy() @ np.array([0.8, -0.5]))[0, 1] > 0.9


def test_a_fit_that_fails_once_gets_more_penalty(monkeypatch):
    original, calls = WeibullAFTFitter.fit, []

    def stubborn(self, *args, **kwargs):
        calls.append(np.max(self.penalizer))
        if len(calls) == 1:
            raise ConvergenceError("no")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(aft.WeibullAFTFitter, "fit", stubborn)
    cohort = plain_cohort(150, seed=6)
    model = WeibullAFT(ONE).fit(cohort)
    assert calls[1] == pytest.approx(10 * calls[0])
    assert any("penalty was raised" in note for note in model.notes_)


def test_two_events_are_no_shape():
    cohort = plain_cohort(60, seed=7)
    early = (cohort.outcome.event > 0) & (cohort.outcome.time < 5 * YEAR)
    few = (early & (np.cumsum(early) <= 2)).astype(np.int64)
    model = WeibullAFT(ONE).fit(replace(cohort, outcome=replace(cohort.outcome, event=few)))
    curve = model.predict(cohort, 0.0, at_risk=False)
    assert 0 < curve.risk(5 * YEAR)[0] < 0.2
    assert any("did not converge" in note for note in model.notes_)
