"""Ridge Cox regression against lifelines, and what its penalties and design effect must do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from osler.survival import ridge
from osler.survival.ridge import baseline_hazard, fit_ridge_cox


def _data(n=300, p=4, seed=0, ties=False, beta=(1.0, -0.5)):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    time = rng.exponential(np.exp(-X[:, : len(beta)] @ np.array(beta)))
    censored = rng.exponential(2.0, n)
    event = time <= censored
    time = np.minimum(time, censored)
    return X, np.ceil(time * 10) / 10 if ties else time, event


def _lifelines(X, time, event, penalty):
    """lifelines penalises standardised columns and the mean likelihood: the same objective when spreads are one."""
    table = pd.DataFrame(X).add_prefix("x").assign(time=time, event=event)
    return CoxPHFitter(penalizer=penalty / len(X)).fit(table, "time", "event", fit_options={"precision": 1e-12})


@pytest.mark.parametrize("penalty", [0.0, 5.0, 100.0])
def test_coefficients_and_baseline_are_those_of_lifelines(penalty):
    X, time, event = _data()
    X = (X - X.mean(axis=0)) / X.std(axis=0, ddof=1)
    fit = fit_ridge_cox(X, time, event, {"all": np.arange(4)}, penalty=penalty)
    peer = _lifelines(X, time, event, penalty)
    np.testing.assert_allclose(fit.beta, peer.params_.to_numpy(), rtol=1e-5, atol=1e-8)
    baseline = peer.baseline_cumulative_hazard_.loc[fit.time].to_numpy()[:, 0]
    at_zero = np.cumsum(fit.hazard) * np.exp(-fit.centre @ fit.beta)
    np.testing.assert_allclose(at_zero, baseline, rtol=1e-5)
    if penalty == 0:
        np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance)), peer.standard_errors_.to_numpy(), rtol=1e-5)
        assert fit.log_likelihood == pytest.approx(peer.log_likelihood_, rel=1e-8)


def test_ties_are_efrons():
    """The maximum of the likelihood written out term by term."""
    X, time, event = _data(n=80, p=2, ties=True)
    fit = fit_ridge_cox(X, time, event, {"all": np.arange(2)}, penalty=2.0)
    Z = (X - X.mean(axis=0)) / X.std(axis=0, ddof=1)
    ours = fit_ridge_cox(Z, time, event, {"all": np.arange(2)}, penalty=0.0)
    np.testing.assert_allclose(ours.beta, _lifelines(Z, time, event, 0.0).params_.to_numpy(), rtol=1e-5)

    def objective(beta):
        eta = X @ beta
        value = -(beta**2).sum()
        for t in np.unique(time[event]):
            tied = event & (time == t)
            at_risk, dying = np.exp(eta[time >= t]).sum(), np.exp(eta[tied]).sum()
            value += eta[tied].sum()
            value -= sum(np.log(at_risk - share * dying) for share in np.arange(tied.sum()) / tied.sum())
        return value

    assert len(np.unique(time[event])) < event.sum()
    best = objective(fit.beta)
    for step in 1e-3 * np.vstack([np.eye(2), -np.eye(2)]):
        assert objective(fit.beta + step) < best
    assert fit.log_likelihood == pytest.approx(best + (fit.beta**2).sum())
    moments, hazard = baseline_hazard(X @ fit.beta, time, event)
    np.testing.assert_array_equal(moments, fit.time)
    np.testing.assert_allclose(fit.hazard, hazard * np.exp(fit.centre @ fit.beta))


def test_all_events_on_one_day():
    """Efron's baseline is then the share of patients with the event, as Kaplan-Meier has it."""
    time = np.where(np.arange(200) < 70, 30.0, 31.0)
    moments, hazard = baseline_hazard(np.zeros(200), time, time == 30)
    assert moments.tolist() == [30.0]
    assert -np.expm1(-hazard[0]) == pytest.approx(0.35, abs=0.002)


def test_scores_sum_to_the_gradient_and_predict_leaving_one_out():
    X, time, event = _data(n=70, p=3, ties=True, seed=6)
    risk, beta = ridge._RiskSets(X, time, event), np.array([0.4, -0.2, 0.1])
    scores = risk.scores(beta)
    gradient, hessian = risk.gradient_and_hessian(beta)
    np.testing.assert_allclose(scores.sum(axis=0), gradient, atol=1e-10)
    numeric = [(risk.log_likelihood(beta + 1e-5 * e) - risk.log_likelihood(beta - 1e-5 * e)) / 2e-5 for e in np.eye(3)]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6)
    second = [(risk.gradient_and_hessian(beta + 1e-5 * e)[0] - gradient) / 1e-5 for e in np.eye(3)]
    np.testing.assert_allclose(hessian, -np.array(second), rtol=1e-3, atol=1e-3)
    fit = fit_ridge_cox(X, time, event, {"all": np.arange(3)}, penalty=1.0)
    at_fit = risk.scores(fit.beta) @ fit.covariance
    for i in (0, 11, 42):
        rest = np.arange(70) != i
        without = fit_ridge_cox(X[rest], time[rest], event[rest], {"all": np.arange(3)}, penalty=1.0)
        np.testing.assert_allclose(fit.beta - without.beta, at_fit[i], atol=0.02)


def test_centre_is_the_mean_of_the_risk_sets():
    X, time, event = _data(n=60)
    fit = fit_ridge_cox(X, time, event, {"all": np.arange(4)}, penalty=1.0)
    means = []
    for t in time[event]:
        at_risk = time >= t
        w = np.exp(X[at_risk] @ fit.beta)
        means.append(w @ X[at_risk] / w.sum())
    np.testing.assert_allclose(fit.centre, np.mean(means, axis=0))


def test_noise_is_penalised_and_signal_is_not():
    X, time, event = _data(n=500, p=62, seed=2, beta=(0.8, -0.6))
    groups = {"signal": np.arange(2), "noise": np.arange(2, 62)}
    fit = fit_ridge_cox(X, time, event, groups)
    assert fit.penalty["signal"] < 20
    assert fit.penalty["noise"] > 20 * fit.penalty["signal"]
    truth = np.concatenate([[0.8, -0.6], np.zeros(60)])
    one = fit_ridge_cox(X, time, event, {"all": np.arange(62)})
    free = fit_ridge_cox(X, time, event, groups, penalty=0.01)
    error = [np.square(f.beta - truth).sum() for f in (fit, one, free)]
    assert error[0] < 0.5 * error[1] < 0.5 * error[2]


def test_a_penalty_solves_its_own_equation():
    """At the solution the penalty is the effective number of coefficients over their sum of squares."""
    X, time, event = _data(n=300, p=10, seed=3)
    fit = fit_ridge_cox(X, time, event, {"all": np.arange(10)})
    penalty = fit.penalty["all"]
    freedom = 10 - penalty * np.trace(fit.covariance)
    assert penalty == pytest.approx(freedom / np.square(fit.beta).sum(), rel=0.05)


def test_more_columns_than_rows():
    X, time, event = _data(n=60, p=200, seed=4)
    fit = fit_ridge_cox(X, time, event, {"all": np.arange(200)})
    assert np.isfinite(fit.beta).all()
    assert np.isfinite(fit.covariance).all()
    assert np.abs(X @ fit.beta).max() < 5


def test_repeated_rows_buy_nothing():
    """Three copies of everybody are one cohort: the design effect is three, penalties and errors stay."""
    X, time, event = _data(n=200, p=12, seed=5)
    groups = {"a": np.arange(2), "b": np.arange(2, 12)}
    once = fit_ridge_cox(X, time, event, groups)
    copies = np.tile(np.arange(200), 3)
    thrice = fit_ridge_cox(X[copies], time[copies], event[copies], groups, cluster=copies)
    assert thrice.design_effect == pytest.approx(3, rel=0.15)
    np.testing.assert_allclose(thrice.beta, once.beta, atol=0.03)
    np.testing.assert_allclose(np.diag(thrice.covariance), np.diag(once.covariance), rtol=0.25)
    early = len(once.time) // 2  # the last risk sets are so small that copies are ties that matter
    assert thrice.variance[:early].sum() == pytest.approx(once.variance[:early].sum(), rel=0.25)


def test_without_events_or_columns():
    X, time, event = _data(n=30)
    none = fit_ridge_cox(X, time, np.zeros(30, dtype=bool), {"all": np.arange(4)})
    assert not none.beta.any()
    assert none.time.size == none.hazard.size == 0
    bare = fit_ridge_cox(np.empty((30, 0)), time, event, {})
    at_risk = [(time >= t).sum() for t in bare.time]
    np.testing.assert_allclose(bare.hazard, 1 / np.array(at_risk))


def test_separated_data_do_not_run_away():
    X = np.concatenate([np.ones(20), -np.ones(20)])[:, None]
    time, event = np.arange(1.0, 41.0), np.arange(40) < 20
    fit = fit_ridge_cox(X, time, event, {"all": np.array([0])})
    assert np.isfinite(fit.beta).all()
    assert 0.5 < fit.beta[0] < 20
