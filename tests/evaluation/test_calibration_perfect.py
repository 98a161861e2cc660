"""Outcomes drawn as if risks were right: their probabilities, times and censoring."""

from __future__ import annotations

import numpy as np
import pytest

from osler.evaluation.bootstrap import CASE, CENSORED, COMPETING, FREE
from osler.evaluation.censoring import StratifiedCensoring
from osler.evaluation.d_calibration import Risen
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.perfect import PerfectWorld
from osler.survival.nonparametric import aalen_johansen

GRID = np.linspace(0.0, 10.0, 21)


def world(n=2000, seed=0, ends=(20, 30), grouped=False):
    rng = np.random.default_rng(seed)
    x, group = rng.normal(size=n), np.arange(n) % 2
    leaving = rng.uniform(*ends, n) + 4 * grouped * group
    times = np.stack([leaving, rng.exponential(9 * np.exp(-x)), rng.exponential(12, n)])
    hazard = np.exp(x)[:, None] / 9
    curves = hazard / (hazard + 1 / 12) * -np.expm1(-(hazard + 1 / 12) * GRID)
    model = StratifiedCensoring(group) if grouped else None
    follow_up = FollowUp(times.min(axis=0), times.argmin(axis=0), 1, model)
    risen = Risen.until(curves, GRID, 5.0)
    return follow_up, risen, PerfectWorld.of(follow_up, risen)


def draws(perfect, count, seed=1):
    rng = np.random.default_rng(seed)
    return [perfect.draw(rng) for _ in range(count)]


def test_events_come_as_often_and_as_early_as_predicted():
    follow_up, risen, perfect = world()
    drawn = draws(perfect, 100)
    cases = np.array([at.state == CASE for at, _ in drawn])
    np.testing.assert_allclose(cases.mean(axis=0), risen.last, atol=5 * 0.05)
    assert cases.mean() == pytest.approx(risen.last.mean(), abs=0.005)
    by_two = np.array([(at.state == CASE) & (at.time <= 2.0) for at, _ in drawn]).mean()
    assert by_two == pytest.approx(Risen.until(risen.levels, risen.bends, 2.0).last.mean(), abs=0.005)
    rivals = np.array([(at.state == COMPETING) for at, _ in drawn])
    early = np.array([(at.state == COMPETING) & (at.time <= 2.0) for at, _ in drawn])
    incidence, _ = aalen_johansen(follow_up.time, follow_up.event, [2.0, 5.0], 2)
    assert rivals.mean() == pytest.approx(incidence[1, 1], abs=0.005)
    assert early.mean() == pytest.approx(incidence[1, 0], abs=0.005)
    assert not any((at.state == CENSORED).any() for at, _ in drawn)
    for at, reached in drawn[:3]:
        case = at.state == CASE
        np.testing.assert_allclose(risen.by(at.time, case)[case], reached[case], atol=1e-9)
        np.testing.assert_array_equal(np.sort(at.order), np.flatnonzero(at.state != FREE))
        assert (np.diff(at.time[at.order]) >= 0).all()


@pytest.mark.parametrize("grouped", [False, True])
def test_censoring_is_that_of_the_patients_and_weights_undo_it(grouped):
    follow_up, risen, perfect = world(ends=(0, 12), grouped=grouped)
    drawn = draws(perfect, 60)
    censored = np.mean([at.state == CENSORED for at, _ in drawn], axis=0)
    gone = (follow_up.event == 0) & (follow_up.time < 5.0)
    for g in (0, 1):
        assert censored[g::2].mean() == pytest.approx(gone[g::2].mean(), abs=0.02 if grouped else 0.03)
    ones = np.ones(len(follow_up))
    incidence = [at.observed(ones).incidence for at, _ in drawn]
    assert np.mean(incidence) == pytest.approx(risen.last.mean(), abs=0.006)
    assert (drawn[0][0].given is not None) == grouped


def test_nobody_competes_and_everybody_does():
    sure = Risen.until(np.full((30, 1), 0.4), np.array([5.0]), 5.0)
    alone = PerfectWorld.of(FollowUp(np.linspace(1, 9, 30), np.ones(30, int), 1), sure)
    assert set(alone.draw(np.random.default_rng(0))[0].state) == {CASE, FREE}
    event = np.where(np.arange(30) < 10, 1, 2)
    all_have = PerfectWorld.of(FollowUp(np.linspace(1, 4, 30), event, 1), sure)
    assert set(all_have.draw(np.random.default_rng(0))[0].state) == {CASE, COMPETING}
