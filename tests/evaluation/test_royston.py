"""Royston's D against its definition and against leaving patients out. R's answers: tests/reference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm, rankdata

from osler.evaluation.follow_up import FollowUp
from osler.evaluation.royston import _cox, royston


def cohort(n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    times = np.stack([rng.uniform(1, 12, n), rng.exponential(8 * np.exp(-x)), rng.exponential(16, n)])
    return FollowUp(times.min(axis=0), times.argmin(axis=0), 1), -np.expm1(-np.exp(x) * 5 / 8)[:, None]


def test_d_maximises_the_partial_likelihood_of_the_rankits():
    follow_up, risk = cohort(60)
    z = norm.ppf((rankdata(risk[:, 0]) - 0.375) / 60.25) / np.sqrt(8 / np.pi)

    def loss(b):
        total = 0.0
        for i in np.flatnonzero((follow_up.event == 1) & (follow_up.time <= 6)):
            total -= b * z[i] - np.log(np.exp(b * z[follow_up.time >= follow_up.time[i]]).sum())
        return total

    found = royston(follow_up, risk, 6.0)
    assert found["royston_d"].value[0] == pytest.approx(minimize_scalar(loss, tol=1e-12).x, abs=1e-5)
    square = found["royston_d"].value[0] ** 2 * np.pi / 8
    assert found["royston_r2"].value[0] == pytest.approx(square / (square + np.pi**2 / 6))


def test_d_is_the_effect_of_a_normal_prognosis():
    rng = np.random.default_rng(3)
    x = rng.normal(size=20_000)
    follow_up = FollowUp(rng.exponential(np.exp(-x)), np.ones(20_000, int), 1)
    found = royston(follow_up, np.column_stack([x, -x, np.exp(x)]), 1e6)
    assert found["royston_d"].value == pytest.approx(np.sqrt(8 / np.pi) * np.array([1, -1, 1]), abs=0.03)
    assert found["royston_r2"].value == pytest.approx([1 / (1 + np.pi**2 / 6)] * 3, abs=0.01)


def test_influence_is_what_leaving_a_patient_out_does_with_rankits_held():
    follow_up, risk = cohort()
    n, full = len(follow_up), royston(follow_up, risk, 6.0)
    z = norm.ppf((rankdata(risk[:, 0]) - 0.375) / (n + 0.25)) / np.sqrt(8 / np.pi)
    time, case = np.minimum(follow_up.time, 6.0), (follow_up.event == 1) & (follow_up.time <= 6.0)
    order = np.argsort(-time)
    found = full["royston_d"]
    assert found.influence.sum() == pytest.approx(0.0, abs=1e-6)
    for who in range(0, n, 23):
        rest = order[order != who]
        without = _cox(z[rest], time[rest], case[rest])[0]
        assert (found.value[0] - without) * (n - 1) == pytest.approx(found.influence[who, 0], abs=0.06, rel=0.02)


def test_models_that_have_no_d_spoil_only_their_own():
    follow_up, risk = cohort()
    apart = np.where((follow_up.event == 1) & (follow_up.time <= 6), 1 / follow_up.time, 0.0)
    found = royston(follow_up, np.column_stack([risk[:, 0], np.full(300, 0.2), apart]), 6.0)
    assert np.isfinite(found["royston_d"].value).tolist() == [True, False, False]
    assert np.isfinite(found["royston_r2"].influence).all(axis=0).tolist() == [True, False, False]
    quiet = royston(FollowUp(np.full(5, 9.0), np.zeros(5, int), 1), np.arange(5.0)[:, None], 6.0)
    assert all("no event of interest" in reason for reason in quiet.values())
    alone = royston(FollowUp(np.array([3.0]), np.array([1]), 1), np.array([[0.2]]), 6.0)
    assert np.isnan(alone["royston_d"].value[0])


def test_outcomes_known_by_a_fixed_day_are_no_trouble():
    rng = np.random.default_rng(4)
    x = rng.normal(size=500)
    happened = rng.random(500) < 1 / (1 + np.exp(-x))
    found = royston(FollowUp(np.where(happened, 5.0, 6.0), happened.astype(int), 1), x[:, None], 5.0)
    assert found["royston_d"].value[0] > 0.8
    assert np.isfinite(found["royston_d"].influence).all()
