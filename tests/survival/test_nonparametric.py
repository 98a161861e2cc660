"""Nonparametric estimators against the definitions written out, one time at a time. R's answers: tests/reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.survival.nonparametric import (
    aalen_johansen,
    aalen_johansen_influence,
    censoring_survival,
    kaplan_meier,
)

follow_up = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 2)), min_size=1, max_size=40)
GRID = np.arange(0.0, 14.0, 0.5)


def split(pairs):
    return np.array([t for t, _ in pairs], dtype=float), np.array([e for _, e in pairs])


def plain_incidence(time, event, at, causes=(1, 2)):
    """Product-limit and incidence, straight from the definition."""
    free, incidence = 1.0, dict.fromkeys(causes, 0.0)
    for u in sorted(set(time[(event > 0) & (time <= at)])):
        at_risk = (time >= u).sum()
        for cause in causes:
            incidence[cause] += free * ((time == u) & (event == cause)).sum() / at_risk
        free *= 1 - ((time == u) & (event > 0)).sum() / at_risk
    return free, incidence


def plain_censoring(time, event, at, left):
    g = 1.0
    for u in sorted(set(time[event == 0])):
        if u < at or (u == at and not left):
            at_risk = ((time > u) | ((time == u) & (event == 0))).sum()
            g *= 1 - ((time == u) & (event == 0)).sum() / at_risk
    return g


@given(follow_up)
def test_curves_are_their_definitions_with_ties(pairs):
    time, event = split(pairs)
    free = kaplan_meier(time, event, GRID)
    incidence, _ = aalen_johansen(time, event, GRID, 2)
    for i, at in enumerate(GRID):
        s, f = plain_incidence(time, event, at)
        np.testing.assert_allclose([free.values[i], *incidence[:, i]], [s, f[1], f[2]], atol=1e-12)
        assert free.at_risk[i] == (time >= at).sum()
    np.testing.assert_allclose(free.values + incidence.sum(axis=0), 1.0, atol=1e-12)


@given(follow_up)
def test_censoring_survival_is_its_definition_with_ties(pairs):
    time, event = split(pairs)
    for left in (True, False):
        expected = [plain_censoring(time, event, at, left) for at in GRID]
        np.testing.assert_allclose(censoring_survival(time, event, GRID, left), expected, atol=1e-12)


def test_ties_events_come_first():
    time, event = np.array([1.0, 1.0, 2.0]), np.array([1, 0, 1])
    assert kaplan_meier(time, event, [1.0]).values == pytest.approx(2 / 3)  # the censored one is still at risk
    assert censoring_survival(time, event, 1.0, left_limit=False) == pytest.approx(1 / 2)  # the dead one is not
    assert censoring_survival(time, event, 1.0, left_limit=True) == 1.0


@given(follow_up)
def test_influences_sum_to_zero_and_give_the_standard_error(pairs):
    time, event = split(pairs)
    for at in (0.5, 4.0, 8.0, 13.0):
        value, influence = aalen_johansen_influence(time, event, at, 2)
        curve, se = aalen_johansen(time, event, [at], 2)
        assert value == pytest.approx(curve[1, 0], abs=1e-12)
        assert influence.sum() == pytest.approx(0.0, abs=1e-9)
        # The infinitesimal jackknife of these curves is the Greenwood-type error.
        assert np.sqrt((influence**2).sum()) / len(time) == pytest.approx(se[1, 0], abs=1e-7)


def test_influence_is_the_derivative_in_a_patients_weight():
    rng = np.random.default_rng(3)
    time, event = np.ceil(rng.exponential(6, 30)), rng.integers(0, 3, 30)
    value, influence = aalen_johansen_influence(time, event, 7.0, 1)
    copies, who = 4000, 11  # one more copy of a patient among very many is a small step in their weight
    many_time, many_event = np.repeat(time, copies), np.repeat(event, copies)
    moved, _ = aalen_johansen(np.append(many_time, time[who]), np.append(many_event, event[who]), [7.0], 2)
    assert (moved[0, 0] - value) * (copies * 30 + 1) == pytest.approx(influence[who], rel=1e-3)


def test_nobody_and_nothing_happened():
    empty = kaplan_meier([], [], [1.0, 2.0])
    assert empty.values.tolist() == [1.0, 1.0]
    assert empty.at_risk.tolist() == [0, 0]
    quiet, se = aalen_johansen([3.0, 4.0], [0, 0], [0.0, 5.0], 2)
    assert not quiet.any()
    assert not se.any()
    assert aalen_johansen_influence([3.0], [0], 5.0)[0] == 0.0


def test_a_finished_curve_has_no_error_and_is_carried_on():
    curve = kaplan_meier([1.0, 2.0, 3.0], [1, 1, 1], [2.5, 3.0, 9.0])
    np.testing.assert_allclose(curve.values, [1 / 3, 0, 0], atol=1e-15)
    assert curve.se[0] == pytest.approx(np.sqrt(2 / 27))
    assert curve.se[1:].tolist() == [0.0, 0.0]
