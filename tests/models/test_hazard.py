from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from osler.cohort.outcome import Outcome
from osler.models.hazard import HazardLoss, bin_edges, event_rates, follow_up, incidence, steps

EDGES = np.array([0.0, 100.0, 150.0, 400.0, 1000.0])


def _outcome(n: int = 200, seed: int = 0, causes: int = 2) -> Outcome:
    rng = np.random.default_rng(seed)
    event = rng.integers(0, causes + 1, n)
    return Outcome(rng.exponential(500, n) + 1, event.astype(np.int64), tuple("abc"[:causes]))


def test_exposure_is_the_time_really_spent_in_each_bin():
    outcome = Outcome(np.array([50.0, 150.0, 401.0, 5000.0]), np.array([1, 0, 2, 1]), ("a", "b"))
    seen = follow_up(outcome, EDGES)
    days = seen.exposure * EDGES[-1]
    np.testing.assert_allclose(days, [[50, 0, 0, 0], [100, 50, 0, 0], [100, 50, 250, 1], [100, 50, 250, 600]])
    np.testing.assert_array_equal(seen.bin, [0, 1, 3, 3])
    np.testing.assert_array_equal(seen.cause, [1, 0, 2, 0])


def test_bins_cover_the_horizon_and_are_fewer_with_few_events():
    many, few = bin_edges(_outcome(2000), 1000.0, 12), bin_edges(_outcome(12), 1000.0, 12)
    for edges in (many, few):
        assert edges[0] == 0
        assert edges[-1] == 1000.0
        assert (np.diff(edges) > 0).all()
    assert len(many) == 13
    assert len(few) == 4
    nothing = Outcome(np.array([3.0, 9.0]), np.array([0, 0]), ("a",))
    np.testing.assert_allclose(bin_edges(nothing, 30.0, 12), [0, 10, 20, 30])


def test_bins_stay_distinct_when_all_events_fall_on_one_day():
    tied = Outcome(np.full(300, 7.0), np.ones(300, dtype=np.int64), ("a",))
    edges = bin_edges(tied, 30.0, 12)
    assert (np.diff(edges) > 0).all()
    assert follow_up(tied, edges).exposure.sum(axis=1) == pytest.approx(7 / 30)


def _brute_force(level, slope, base, seen, weight, time):
    """The log-likelihood in loops, from hazards and survival: sum d log h - integral of h."""
    E, R, K = level.shape
    loss = np.zeros(E)
    for e in range(E):
        for r in range(R):
            log_likelihood = 0.0
            for k in range(K):
                for b in range(base.shape[2]):
                    log_hazard = base[e, k, b] + level[e, r, k] + slope[e, r, k] * time[b]
                    log_likelihood -= np.exp(log_hazard) * seen.exposure[r, b]
                    if seen.cause[r] == k + 1 and seen.bin[r] == b:
                        log_likelihood += log_hazard
            loss[e] -= weight[e, r] * log_likelihood
    return loss / weight.sum(axis=1)


def _arguments(seed: int = 0):
    rng = np.random.default_rng(seed)
    seen = follow_up(_outcome(25, seed), EDGES)
    level, slope = rng.normal(size=(2, 3, 25, 2))
    base = rng.normal(size=(3, 2, 4))
    weight = rng.random((3, 25)).round()
    return level, slope, base, seen, weight, steps(EDGES)


def _loss(level, slope, base, seen, weight, time):
    double = [torch.as_tensor(np.asarray(x), dtype=torch.float64) for x in (level, slope, base)]
    events = torch.as_tensor(seen.cause[:, None] == np.arange(1, 3), dtype=torch.float64)
    rest = [torch.as_tensor(x, dtype=torch.float64) for x in (seen.exposure, weight, time)]
    where = torch.from_numpy(seen.bin)
    return double, lambda *free: HazardLoss.apply(*free, rest[0], where, events, rest[1], rest[2])


def test_loss_equals_brute_force():
    arguments = _arguments()
    free, loss = _loss(*arguments)
    np.testing.assert_allclose(loss(*free), _brute_force(*arguments), rtol=1e-12)


def test_gradient_equals_finite_differences():
    free, loss = _loss(*_arguments(1))
    assert torch.autograd.gradcheck(loss, tuple(x.requires_grad_() for x in free))


def test_best_constant_hazards_are_events_over_exposure():
    """Closed form: without covariates the maximum likelihood rate of each bin is its events per exposure."""
    seen = follow_up(_outcome(2000), EDGES)
    rates = seen.counts(2) / seen.exposure.sum(axis=0)
    zero = np.zeros((1, 2000, 2))
    free, loss = _loss(zero, zero, np.log(rates)[None], seen, np.ones((1, 2000)), steps(EDGES))
    free[2].requires_grad_()
    loss(*free).sum().backward()
    np.testing.assert_allclose(free[2].grad, 0.0, atol=1e-12)
    np.testing.assert_allclose(event_rates(seen, 2), np.log(rates), atol=0.05)


def test_rates_of_a_cause_without_events_are_nothing():
    seen = follow_up(_outcome(100, causes=1), EDGES)
    rates = event_rates(seen, 2)
    assert np.isfinite(rates[0]).all()
    assert np.isneginf(rates[1]).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-20, 8), min_size=8, max_size=8))
def test_incidence_is_a_probability(values):
    log_hazard = np.array(values).reshape(1, 2, 4)
    grid = np.linspace(0, 1000, 23)
    F = incidence(log_hazard, EDGES, grid)
    assert (F[:, :, 0] == 0).all()
    assert (np.diff(F, axis=2) >= -1e-15).all()
    total = (np.exp(log_hazard) * (np.clip(grid[:, None, None] - EDGES[:-1], 0, np.diff(EDGES)) / 1000)).sum(
        axis=(1, 2)
    )
    np.testing.assert_allclose(F.sum(axis=1)[0] + np.exp(-total), 1.0, atol=1e-12)


def test_incidence_solves_the_differential_equation():
    log_hazard = np.random.default_rng(4).normal(size=(1, 2, 4))
    hazard = np.exp(log_hazard[0]) / EDGES[-1]

    def slope(t, F):
        return hazard[:, min(np.searchsorted(EDGES, t, side="right") - 1, 3)] * (1 - F.sum())

    grid = np.array([0.0, 60.0, 100.0, 149.0, 380.0, 777.0, 1000.0])
    solved = solve_ivp(slope, (0, 1000), [0.0, 0.0], t_eval=grid, rtol=1e-8, atol=1e-10, max_step=1.0)
    np.testing.assert_allclose(incidence(log_hazard, EDGES, grid)[0], solved.y, atol=1e-5)


def test_a_cause_that_never_happens_has_no_incidence():
    log_hazard = np.zeros((2, 2, 4))
    log_hazard[:, 1] = -np.inf
    F = incidence(log_hazard, EDGES, np.linspace(0, 1000, 5))
    assert (F[:, 1] == 0).all()
    np.testing.assert_allclose(F[:, 0, -1], 1 - np.exp(-1))
