from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize

from osler.cohort.outcome import Outcome
from osler.models.hazard import follow_up, incidence
from osler.models.hazard_ridge import CauseRidge, fit_ridge

EDGES = np.array([0.0, 100.0, 250.0, 500.0])
BETA = np.array([0.8, -0.5, 0.0, 0.0, 0.0, 0.0])


def _data(n: int = 1500, seed: int = 0, noise: int = 0):
    """Exponential times with hazard exp(x beta) / 300 of cause 1, and 1 / 900 of cause 2, censored at random."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(BETA) + noise))
    first = rng.exponential(300 * np.exp(-X[:, : len(BETA)] @ BETA))
    times = np.column_stack([first, rng.exponential(900, n), rng.uniform(100, 900, n)])
    which = times.argmin(axis=1)
    outcome = Outcome(times.min(axis=1), np.where(which == 2, 0, which + 1).astype(np.int64), ("a", "b"))
    return X, outcome


def _blocks(P: int, noise: int = 0):
    blocks = {"record": np.arange(P - noise)}
    return {**blocks, "noise": np.arange(P - noise, P)} if noise else blocks


def _fit(X, outcome, blocks, seed: int = 0):
    n = len(X)
    fold = np.random.default_rng(seed).integers(0, 4, n)
    return fit_ridge(X, blocks, follow_up(outcome, EDGES), np.arange(n), fold, 2), fold


def test_known_hazards_are_recovered():
    X, outcome = _data(6000)
    fit, _ = _fit(X, outcome, _blocks(X.shape[1]))
    cause = fit.causes[0]
    np.testing.assert_allclose(cause.beta, BETA, atol=0.06)
    np.testing.assert_allclose(np.exp(cause.alpha), EDGES[-1] / 300, rtol=0.12)
    new = np.array([[1.0, 0, 0, 0, 0, 0]])
    log_hazard = np.stack([c.alpha + c.eta(new)[:, None] for c in fit.causes], axis=1)
    one, two = np.exp(0.8) / 300, 1 / 900
    expected = one / (one + two) * (1 - np.exp(-(one + two) * 400))
    assert incidence(log_hazard, EDGES, np.array([0.0, 400.0]))[0, 0, 1] == pytest.approx(expected, abs=0.02)


def test_coefficients_maximise_the_penalised_likelihood():
    X, outcome = _data(300, seed=1)
    fit, _ = _fit(X, outcome, _blocks(X.shape[1]))
    cause, seen = fit.causes[0], follow_up(outcome, EDGES)
    event = seen.cause == 1
    rate = np.log(event.sum() / seen.exposure.sum())

    def objective(theta):
        alpha, beta = theta[:3], theta[3:]
        eta = X @ beta
        likelihood = (alpha[seen.bin] + eta)[event].sum() - (np.exp(eta)[:, None] * np.exp(alpha) * seen.exposure).sum()
        away = alpha - rate
        bins = ((away - away.mean()) ** 2).sum() + 0.1 * 3 * away.mean() ** 2
        return -likelihood + 0.5 * (cause.penalties["record"] * beta @ beta + bins)

    best = minimize(objective, np.zeros(9), method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(np.concatenate([cause.alpha, cause.beta]), best.x, atol=2e-3)


def test_a_block_of_noise_is_shrunk_away_and_a_block_of_signal_is_not():
    X, outcome = _data(800, noise=40)
    fit, _ = _fit(X, outcome, _blocks(X.shape[1], 40))
    cause = fit.causes[0]
    assert cause.penalties["noise"] > 20 * cause.penalties["record"]
    assert np.abs(cause.beta[6:]).max() < 0.06
    assert cause.beta[0] > 0.6


def test_coefficients_behind_held_out_predictors_never_saw_the_patient():
    X, outcome = _data(300, seed=2)
    patient = np.arange(300)
    fold = patient % 3
    seen = follow_up(outcome, EDGES)
    changed_time, changed_event = outcome.time.copy(), outcome.event.copy()
    changed_time[fold == 0] = 50.0
    one = fit_ridge(X, _blocks(6), seen, patient, fold, 2)
    fixed = one.causes[0].penalties["record"]
    other = fit_ridge(
        X, _blocks(6), follow_up(Outcome(changed_time, changed_event, ("a", "b")), EDGES), patient, fold, 2
    )
    assert other.causes[0].penalties["record"] != fixed  # one number, shared by the folds, moves everything a little
    moved = np.abs(one.held_out[:, 0] - other.held_out[:, 0])
    assert moved[fold == 1].mean() > 4 * moved[fold == 0].mean()
    assert np.corrcoef(one.held_out[fold == 0, 0], other.held_out[fold == 0, 0])[0, 1] > 0.999


def test_parts_add_up_to_the_whole():
    X, outcome = _data(300, noise=5)
    fit, _ = _fit(X, outcome, _blocks(X.shape[1], 5))
    np.testing.assert_allclose(sum(fit.held_out_parts.values()), fit.held_out, atol=1e-12)


def test_repeated_rows_buy_neither_weaker_penalties_nor_narrower_bands():
    X, outcome = _data(300, seed=3)
    once, _ = _fit(X, outcome, _blocks(6))
    many = np.tile(np.arange(300), 5)
    seen = follow_up(outcome.take(many), EDGES)
    again = fit_ridge(X[many], _blocks(6), seen, many, many % 4, 2)
    assert again.causes[0].design_effect == pytest.approx(5.0, rel=0.1)
    assert again.causes[0].penalties["record"] == pytest.approx(once.causes[0].penalties["record"], rel=0.15)
    np.testing.assert_allclose(again.causes[0].variance(X[:9]), once.causes[0].variance(X[:9]), rtol=0.15)


def test_intervals_of_the_log_hazard_cover_the_truth():
    hits = []
    for seed in range(60):
        X, outcome = _data(250, seed=100 + seed)
        fit, _ = _fit(X, outcome, _blocks(6))
        cause = fit.causes[0]
        new = np.random.default_rng(seed).normal(size=(10, 6))
        truth = np.log(EDGES[-1] / 300) + new @ BETA
        weight = np.exp(cause.alpha) / np.exp(cause.alpha).sum()
        error = (weight @ cause.alpha + cause.eta(new) - truth) / np.sqrt(cause.variance(new))
        hits.append(np.abs(error) < 1.6449)
    assert 0.83 < np.mean(hits) < 0.96


def test_a_cause_without_events_is_never_expected():
    X, outcome = _data(200)
    alone = Outcome(outcome.time, np.where(outcome.event == 2, 0, outcome.event), ("a", "b"))
    fit, _ = _fit(X, alone, _blocks(6))
    assert np.isneginf(fit.causes[1].alpha).all()
    assert (fit.causes[1].eta(X) == 0).all()


def test_one_event_and_no_columns_are_enough():
    outcome = Outcome(np.array([30.0, 400.0, 600.0, 20.0, 90.0]), np.array([1, 0, 0, 0, 0]), ("a",))
    rng = np.random.default_rng(0)
    for X in (np.empty((5, 0)), rng.normal(size=(5, 2))):
        blocks = {"record": np.arange(X.shape[1])} if X.shape[1] else {}
        fit = fit_ridge(X, blocks, follow_up(outcome, EDGES), np.arange(5), np.arange(5) % 2, 1)
        assert np.isfinite(fit.causes[0].alpha).all()
        assert np.isfinite(fit.held_out).all()


def test_state_round_trip():
    X, outcome = _data(100)
    fit, _ = _fit(X, outcome, _blocks(6))
    state = fit.causes[0].state()
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in state.items()}
    json.dumps(plain)
    again = CauseRidge.from_state(state)
    np.testing.assert_array_equal(again.eta(X), fit.causes[0].eta(X))
