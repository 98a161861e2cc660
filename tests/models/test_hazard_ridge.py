from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize

from osler.cohort.outcome import Outcome
from osler.models.hazard import follow_up, incidence, steps
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


def _ridge(X, blocks, seen, patient, fold, n_causes):
    return fit_ridge(X, blocks, blocks, seen, steps(EDGES), patient, fold, n_causes)


def _fit(X, outcome, blocks, seed: int = 0):
    n = len(X)
    fold = np.random.default_rng(seed).integers(0, 4, n)
    return _ridge(X, blocks, follow_up(outcome, EDGES), np.arange(n), fold, 2), fold


def test_known_hazards_are_recovered():
    X, outcome = _data(6000)
    fit, _ = _fit(X, outcome, _blocks(X.shape[1]))
    cause = fit.causes[0]
    np.testing.assert_allclose(cause.beta, BETA, atol=0.06)
    np.testing.assert_allclose(np.exp(cause.alpha), EDGES[-1] / 300, rtol=0.12)
    new = np.array([[1.0, 0, 0, 0, 0, 0]])
    log_hazard = np.stack([c.log_hazard(new, steps(EDGES)) for c in fit.causes], axis=1)
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
        alpha, beta, drift = np.split(theta, [3, 9])
        log_hazard = alpha + (X @ beta)[:, None] + (X @ drift)[:, None] * steps(EDGES)
        at_event = log_hazard[np.arange(len(X)), seen.bin][event]
        likelihood = at_event.sum() - (np.exp(log_hazard) * seen.exposure).sum()
        away = alpha - rate
        bins = ((away - away.mean()) ** 2).sum() + 0.1 * 3 * away.mean() ** 2
        normal = cause.penalties["record"] * beta @ beta + cause.drift_penalties["record"] * drift @ drift
        return -likelihood + 0.5 * (normal + bins)

    best = minimize(objective, np.zeros(15), method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(np.concatenate([cause.alpha, cause.beta, cause.drift]), best.x, atol=2e-3)


def test_effects_that_change_with_time_are_found_and_none_are_made_up():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(6000, 3))
    # Hazard of the first 250 days exp(x1) / 400, afterwards exp(-x1) / 400: the effect of x1 turns, x2's stays.
    early = rng.exponential(400 * np.exp(-X[:, 0] - 0.5 * X[:, 1]))
    late = 250 + rng.exponential(400 * np.exp(X[:, 0] - 0.5 * X[:, 1]))
    outcome = Outcome(np.where(early < 250, early, late), np.ones(6000, dtype=np.int64), ("a",))
    groups = {"one": np.array([0]), "two": np.array([1]), "three": np.array([2])}
    cause = _ridge(X, groups, follow_up(outcome, EDGES), np.arange(6000), np.arange(6000) % 4, 1).causes[0]
    first, _, last = cause.log_hazard(np.array([[1.0, 0, 0]]), steps(EDGES))[0] - cause.alpha
    assert first > 0.7
    assert last < -0.7
    assert cause.beta[1] == pytest.approx(0.5, abs=0.06)
    assert np.abs(cause.drift[1:]).max() < 0.06
    assert cause.drift_penalties["two"] > 20 * cause.drift_penalties["one"]


def test_columns_of_no_group_have_no_effect():
    X, outcome = _data(300)
    seen, patient = follow_up(outcome, EDGES), np.arange(300)
    some = {"record": np.arange(4)}
    fit = fit_ridge(X, some, _blocks(6), seen, steps(EDGES), patient, patient % 3, 2)
    alone = fit_ridge(X[:, :4], some, some, seen, steps(EDGES), patient, patient % 3, 2)
    np.testing.assert_allclose(fit.causes[0].beta[:4], alone.causes[0].beta, atol=1e-9)
    assert (fit.causes[0].beta[4:] == 0).all()
    np.testing.assert_allclose(fit.held_out, alone.held_out, atol=1e-9)
    np.testing.assert_allclose(fit.causes[0].variance(X), alone.causes[0].variance(X[:, :4]), atol=1e-9)


def test_a_block_of_noise_is_shrunk_away_and_a_block_of_signal_is_not():
    X, outcome = _data(800, noise=40)
    fit, _ = _fit(X, outcome, _blocks(X.shape[1], 40))
    cause = fit.causes[0]
    assert cause.penalties["noise"] > 20 * cause.penalties["record"]
    assert np.abs(cause.beta[6:]).max() < 0.06
    assert cause.beta[0] > 0.6


def test_a_doubted_block_of_noise_says_less():
    spreads = []
    for doubted in ((), ("noise",)):
        said = []
        for seed in range(4):
            X, outcome = _data(200, seed=seed, noise=40)
            seen, patient, blocks = follow_up(outcome, EDGES), np.arange(200), _blocks(X.shape[1], 40)
            fit = fit_ridge(X, blocks, blocks, seen, steps(EDGES), patient, patient * 0, 2, doubted=doubted)
            said.append((X[:, blocks["noise"]] @ fit.causes[0].beta[blocks["noise"]]).std())
        spreads.append(np.mean(said))
    assert spreads[1] < 0.7 * spreads[0]


def test_coefficients_behind_held_out_predictors_never_saw_the_patient():
    X, outcome = _data(300, seed=2)
    patient = np.arange(300)
    fold = patient % 3
    seen = follow_up(outcome, EDGES)
    changed_time, changed_event = outcome.time.copy(), outcome.event.copy()
    changed_time[fold == 0] = 50.0
    one = _ridge(X, _blocks(6), seen, patient, fold, 2)
    fixed = one.causes[0].penalties["record"]
    other = _ridge(X, _blocks(6), follow_up(Outcome(changed_time, changed_event, ("a", "b")), EDGES), patient, fold, 2)
    assert other.causes[0].penalties["record"] != fixed  # one number, shared by the folds, moves everything a little
    moved = np.abs(one.held_out[:, 0, 0] - other.held_out[:, 0, 0])
    assert moved[fold == 1].mean() > 4 * moved[fold == 0].mean()
    assert np.corrcoef(one.held_out[fold == 0, 0, 0], other.held_out[fold == 0, 0, 0])[0, 1] > 0.999


def test_parts_add_up_to_the_whole():
    X, outcome = _data(300, noise=5)
    fit, _ = _fit(X, outcome, _blocks(X.shape[1], 5))
    np.testing.assert_allclose(sum(fit.held_out_parts.values()), fit.held_out[:, :, 0], atol=1e-12)


def test_repeated_rows_buy_neither_weaker_penalties_nor_narrower_bands():
    X, outcome = _data(300, seed=3)
    once, _ = _fit(X, outcome, _blocks(6))
    many = np.tile(np.arange(300), 5)
    seen = follow_up(outcome.take(many), EDGES)
    again = _ridge(X[many], _blocks(6), seen, many, many % 4, 2)
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
        error = (weight @ cause.alpha + cause.eta(new)[:, 0] - truth) / np.sqrt(cause.variance(new))
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
        fit = _ridge(X, blocks, follow_up(outcome, EDGES), np.arange(5), np.arange(5) % 2, 1)
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


def test_effects_of_more_columns_than_patients_with_an_event_do_not_change_with_time():
    X, outcome = _data(150, noise=164)
    rows = np.tile(np.arange(150), 2)  # two rows of everybody: more rows with an event than such patients
    seen = follow_up(outcome.take(rows), EDGES)
    events = len(np.unique(rows[seen.cause == 1]))
    wide = np.arange(6, 7 + events)
    assert len(wide) < (seen.cause == 1).sum()
    blocks = {"record": np.arange(6), "wide": wide}
    fit = _ridge(X[rows], blocks, seen, rows, rows % 3, 2).causes[0]
    assert not fit.drift[wide].any()
    assert fit.drift_penalties["wide"] == 1e6
    assert set(fit.drift_penalties) == {"record", "wide"}
