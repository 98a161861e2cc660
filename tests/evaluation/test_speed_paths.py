"""The quick ways of counting, sorting and integrating against the plain ones; and memory that grows with n only."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.evaluation.accuracy import brier, integrated_brier, trapezoid_weights
from osler.evaluation.antolini import time_dependent_concordance
from osler.evaluation.censoring import StratifiedCensoring
from osler.evaluation.concordance import concordance, concordance_index
from osler.evaluation.counting import Lineup, ascending, pairs_won, weigh_pairs
from osler.evaluation.discrimination import auc
from osler.evaluation.follow_up import FollowUp

number = st.one_of(
    st.floats(allow_nan=False),
    st.sampled_from([0.0, -0.0, 1.0, np.inf, -np.inf, 5e-324]),
    st.integers(0, 200).map(lambda k: 1 + k * 2.0**-52),
)


@settings(deadline=None)
@given(st.lists(st.tuples(number, st.booleans()), min_size=1, max_size=200), st.booleans())
def test_values_are_put_in_order(drawn, with_late):
    values = np.array([value for value, _ in drawn])
    late = np.array([flag for _, flag in drawn]) if with_late else np.zeros(0, dtype=bool)
    order, new = ascending(values, late) if with_late else ascending(values)
    np.testing.assert_array_equal(order, np.lexsort((late, values) if with_late else (values,)))
    rows = list(zip(values[order], late[order] if with_late else order * 0, strict=True))
    assert new.tolist() == [True] + [one != other for one, other in zip(rows[1:], rows[:-1], strict=True)]


@pytest.mark.parametrize("far", [0.0, 1e300, np.inf])
def test_many_values_that_agree_in_their_first_bits_are_put_in_order(far):
    rng = np.random.default_rng(3)
    values, late = np.append(1 + rng.integers(0, 300, 5000) * 2.0**-52, [-far, -far]), rng.random(5002) < 0.5
    order, new = ascending(values, late)
    np.testing.assert_array_equal(order, np.lexsort((late, values)))
    assert new.sum() == len(set(zip(values, late, strict=True)))


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 1023, 1024, 1025, 2100])
def test_pairs_are_counted_as_one_by_one(n, coarse):
    rng = np.random.default_rng(n)
    time, event, own = rng.random(n), rng.integers(0, 3, n), 1 + rng.random(n)
    risk = rng.random(n)
    if coarse:
        time, risk = np.ceil(time * 9), np.floor(risk * 7)
    case, rival = (event == 1) & (time <= np.quantile(time, 0.8)), event == 2
    line = Lineup(time, event > 0)
    ranked, rows = line.ranked(risk), line.rows
    after = (time > time[:, None]) | ((time == time[:, None]) & (event == 0))
    won = (risk[:, None] > risk) + 0.5 * (risk[:, None] == risk)
    pairs = case[:, None] * after * won
    assert pairs_won(line, ranked, case[rows]) == pairs.sum()
    weight = np.where(case, own, np.where(rival, -own, 0.0))[rows]
    lower, higher, across = weigh_pairs(line, ranked, weight, np.where(case, own**2, 0)[rows], rivals=True)
    first, second = case[rows], rival[rows]
    np.testing.assert_array_equal(lower[first], pairs.sum(axis=1)[rows][first])
    np.testing.assert_allclose(higher, (pairs * own[:, None] ** 2).sum(axis=0)[rows], rtol=1e-12)
    beside = case[:, None] * rival * (time <= time[:, None]) * won
    np.testing.assert_allclose(across[first], (beside * own).sum(axis=1)[rows][first], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(across[second], (beside * own[:, None]).sum(axis=0)[rows][second], rtol=1e-9, atol=1e-9)


def cohort(n=400, seed=0, coarse=False):
    """Outcomes with competing events and two models' curves at 12 times."""
    rng = np.random.default_rng(seed)
    x, times = rng.normal(size=n), np.array([0.0, 0.5, 1, 2, 2.5, 3, 4, 5, 6, 7, 8, 9])
    drawn = np.stack([rng.uniform(1, 12, n), rng.exponential(8 * np.exp(-x)), rng.exponential(16, n)])
    time = np.ceil(drawn.min(axis=0) * 2) / 2 if coarse else drawn.min(axis=0)
    curves = [-np.expm1(-np.exp(s)[:, None] * times / 9) for s in (x, x + rng.normal(size=n))]
    return FollowUp(time, drawn.argmin(axis=0), 1), curves, times


def plain_integral(follow_up, curves, times, horizon, moments):
    """The trapezoid sum of Brier scores at ``moments``, risks read on the straight line between two times."""
    at = np.append(0.0, times) if times[0] > 0 else times
    columns = [np.column_stack([np.zeros(len(c)), c]) if times[0] > 0 else c for c in curves]
    value, influence = np.zeros(len(curves)), np.zeros((len(follow_up), len(curves)))
    for weight, moment in zip(trapezoid_weights(moments, horizon), moments, strict=True):
        risk = np.column_stack([[np.interp(moment, at, row) for row in column] for column in columns])
        score = brier(follow_up, risk, moment)
        value, influence = value + weight * score.value, influence + weight * score.influence
    return value, influence


@pytest.mark.parametrize("model", ["marginal", "grouped"])
@pytest.mark.parametrize("coarse", [False, True])
def test_the_integral_is_the_sum_of_brier_scores(coarse, model):
    follow_up, curves, times = cohort(90, coarse=coarse)
    if model == "grouped":
        labels = StratifiedCensoring(np.arange(90) % 2)
        follow_up = FollowUp(follow_up.time, follow_up.event, 1, labels)
    horizons = [0.75, 3.0, 6.4]
    found = integrated_brier(follow_up, [curves[0], np.asfortranarray(curves[1])], times, horizons)
    moments = np.union1d(times[(times > 0) & (times <= 6.4)], horizons)
    for horizon in horizons:
        value, influence = plain_integral(follow_up, curves, times, horizon, moments)
        np.testing.assert_allclose(found[horizon].value, value, rtol=1e-10)
        np.testing.assert_allclose(found[horizon].influence, influence, atol=1e-10)
        assert found[horizon].influence.sum() == pytest.approx(0.0, abs=1e-8)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10), st.integers(0, 2)), min_size=2, max_size=25), st.integers(0, 99))
def test_the_integral_of_small_cohorts_full_of_ties(drawn, seed):
    time, event = (np.array(column) for column in zip(*drawn, strict=True))
    rng = np.random.default_rng(seed)
    times = np.sort(rng.choice(np.arange(1, 20) / 2, 5, replace=False))
    curves, follow_up, horizon = [np.sort(rng.random((len(time), 5)))], FollowUp(time.astype(float), event, 1), times[3]
    found = integrated_brier(follow_up, curves, times, [horizon])[horizon]
    if follow_up.unsupported(horizon):
        assert isinstance(found, str)
        return
    value, influence = plain_integral(follow_up, curves, times, horizon, times[:4])
    np.testing.assert_allclose(found.value, value, atol=1e-12)
    np.testing.assert_allclose(found.influence, influence, atol=1e-10)


def test_the_influence_of_the_integral_is_what_leaving_a_patient_out_does():
    follow_up, curves, times = cohort()
    full, n = integrated_brier(follow_up, curves, times, [6.0])[6.0], len(follow_up)
    for who in range(0, n, 37):
        rest = np.arange(n) != who
        without = integrated_brier(follow_up.take(rest), [c[rest] for c in curves], times, [6.0])[6.0]
        np.testing.assert_allclose((full.value - without.value) * (n - 1), full.influence[who], atol=0.02)


def test_an_integral_that_cannot_be_had_says_why():
    follow_up, curves, times = cohort(60)
    found = integrated_brier(follow_up, curves, times, [0.25, 5.0, 9.0, 50.0])
    assert "fewer than 2 times" in found[0.25]
    assert not isinstance(found[5.0], str)
    assert "predictions end at" in found[50.0]
    short = FollowUp(np.minimum(follow_up.time, 4.0), np.where(follow_up.time > 4, 0, follow_up.event), 1)
    assert "0 patients at risk" in integrated_brier(short, curves, times, [5.0])[5.0]
    assert integrated_brier(follow_up, curves, times, []) == {}


def test_memory_grows_with_the_number_of_patients_only():
    def peak(n):
        follow_up, curves, times = cohort(n)
        risk = curves[0][:, [8]]
        calls = [
            lambda: concordance_index(follow_up.time, follow_up.event, risk[:, 0]),
            lambda: concordance(follow_up, risk, 6.0),
            lambda: auc(follow_up, risk, 6.0),
            lambda: time_dependent_concordance(follow_up, curves[:1], times, 6.0),
            lambda: integrated_brier(follow_up, curves[:1], times, [6.0]),
        ]
        peaks = []
        for call in calls:
            call()
            tracemalloc.start()
            call()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        return np.array(peaks)

    small, large = peak(10_000), peak(40_000)
    assert (large < 4.4 * small).all()
    assert (large < 40_000 * 400).all()
