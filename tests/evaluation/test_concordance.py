"""Rank statistics against their definitions, pair by pair, and what is said where there is nothing to count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.errors import UsageError
from osler.evaluation.antolini import time_dependent_concordance
from osler.evaluation.censoring import StratifiedCensoring
from osler.evaluation.concordance import concordance, concordance_index
from osler.evaluation.follow_up import FollowUp

patient = st.tuples(st.integers(1, 10), st.integers(0, 2), st.integers(0, 5), st.integers(0, 1))
patients = st.lists(patient, min_size=2, max_size=25)


def later(time, event, i, j):
    """Whether j is free of any event after the event of i."""
    return time[j] > time[i] or (time[j] == time[i] and event[j] == 0)


def win(one, other):
    return float(one > other) + 0.5 * float(one == other)


def pairs_of(time, event, horizon):
    """Comparable pairs, a competing event at any time being no event of interest ever."""
    for i in np.flatnonzero((event == 1) & (time <= horizon)):
        for j in range(len(time)):
            if later(time, event, i, j) or event[j] == 2:
                yield i, j


@settings(deadline=None)
@given(patients, st.sampled_from([3.0, 6.5, None]))
def test_the_plain_index_is_the_share_of_pairs(drawn, horizon):
    time, event, risk, _ = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    won = [win(risk[i], risk[j]) for i, j in pairs_of(time, event, np.inf if horizon is None else horizon)]
    found = concordance_index(time, event, risk, horizon=horizon)
    if won:
        assert found == pytest.approx(np.mean(won), abs=1e-12)
    else:
        assert np.isnan(found)


@settings(deadline=None)
@given(patients)
def test_the_plain_index_knows_ranks_only_and_turns_round(drawn):
    time, event, risk, _ = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    found = concordance_index(time, event, risk)
    if not np.isnan(found):
        assert concordance_index(time**2, event, np.exp(risk) * 1e-200) == found
        assert concordance_index(time, event, -risk) == pytest.approx(1 - found, abs=1e-12)
        order = np.argsort(risk, kind="stable")[::-1]
        assert concordance_index(time[order], event[order], risk[order]) == found


def test_the_plain_index_takes_flags_and_other_causes():
    time, risk = [1.0, 2.0, 3.0], [0.9, 0.5, 0.1]
    assert concordance_index(time, [True, True, False], risk) == 1.0
    assert concordance_index(time, [2, 1, 0], risk, cause=2) == 1.0
    assert np.isnan(concordance_index(time, [0, 0, 0], risk))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0, 2.0], [1, 0], [0.5]), "expected one number for each of 2 patients"),
        (([1.0, 2.0], [1, 0], [0.5, np.nan]), "missing for 1 of 2"),
        (([1.0, -2.0], [1, 0], [0.5, 0.1]), "1 of 2 are not"),
        (([1.0, 2.0], [1, 0.5], [0.5, 0.1]), "whole numbers"),
        (([1.0, 2.0], [1, 0, 0], [0.5, 0.1]), "one length"),
    ],
)
def test_the_plain_index_refuses_what_cannot_be(arguments, words):
    with pytest.raises(UsageError, match=words):
        concordance_index(*arguments)


@settings(deadline=None)
@given(patients, st.sampled_from([3.0, 6.5, 10.0]))
def test_a_pair_weighs_by_the_chance_of_both_to_be_seen(drawn, horizon):
    time, event, risk, group = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    follow_up = FollowUp(time, event.astype(int), 1, StratifiedCensoring(group))
    won = total = 0.0
    for i, j in pairs_of(time, event, horizon):
        mine = follow_up.own_weight[i]
        theirs = follow_up.weight_at(time[i])[j] if later(time, event, i, j) else follow_up.own_weight[j]
        won, total = won + mine * theirs * win(risk[i], risk[j]), total + mine * theirs
    found = concordance(follow_up, np.column_stack([risk, -risk]), horizon)
    if not total:
        assert isinstance(found, str)
        return
    assert found.value == pytest.approx([won / total, 1 - won / total], abs=1e-12)
    assert found.influence.sum() == pytest.approx(0.0, abs=1e-8)


def test_weights_of_one_group_are_those_of_everybody():
    follow_up, risk = crossing()[:2]
    grouped = FollowUp(follow_up.time, follow_up.event, 1, StratifiedCensoring(np.zeros(len(follow_up))))
    np.testing.assert_allclose(concordance(grouped, risk, 6.0).value, concordance(follow_up, risk, 6.0).value)


def test_every_pair_is_not_visited_in_a_large_cohort():
    n = 20_001
    follow_up = FollowUp(np.arange(1.0, n + 1), np.ones(n, dtype=np.int64), 1, StratifiedCensoring(np.zeros(n)))
    assert "at most 20,000 patients" in concordance(follow_up, np.zeros((n, 1)), 5.0)


def crossing(n=300, seed=0):
    """Outcomes with competing events, two risks, and curves of them that cross at 13 times."""
    rng = np.random.default_rng(seed)
    x, group, times = rng.normal(size=n), rng.integers(0, 2, n), np.arange(1.0, 14.0)
    drawn = np.stack([rng.uniform(1, 12, n), rng.exponential(8 * np.exp(-x)), rng.exponential(16, n)])
    seen = np.stack([x, x + rng.normal(size=n)], axis=1)
    curves = [-np.expm1(-((np.exp(s)[:, None] * times / 9) ** (1 + 0.5 * group[:, None]))) for s in seen.T]
    return FollowUp(drawn.min(axis=0), drawn.argmin(axis=0), 1), seen, curves, times


@settings(deadline=None)
@given(patients, st.integers(0, 2**32 - 1), st.sampled_from([3.0, 6.5, 10.0]))
def test_antolinis_c_compares_risks_at_the_moment_of_the_event(drawn, seed, horizon):
    time, event, _, _ = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    rng = np.random.default_rng(seed)
    times = np.append(np.sort(rng.choice(np.arange(1, 20) / 2, rng.integers(1, 6), replace=False)), 10.0)
    curve = rng.integers(0, 6, (len(time), len(times))) / 5
    won, pairs = np.zeros(len(time)), np.zeros(len(time))
    for i, j in pairs_of(time, event, horizon):
        at = int(np.searchsorted(times, time[i], "left"))
        for who in (i, j):
            won[who] += win(curve[i, at], curve[j, at])
            pairs[who] += 1
    found = time_dependent_concordance(FollowUp(time, event.astype(int), 1), [curve, 1 - curve], times, horizon)
    if not pairs.any():
        assert isinstance(found, str)
        return
    c = won.sum() / pairs.sum()
    assert found.value == pytest.approx([c, 1 - c], abs=1e-12)
    np.testing.assert_allclose(found.influence[:, 0], (won - c * pairs) * len(time) / (pairs.sum() / 2), atol=1e-9)


def test_antolinis_c_of_curves_that_cross_by_hand():
    # At day 1 patient 0 is rightly above both; at day 3 patient 1 is wrongly below patient 2, whom he was above before.
    follow_up = FollowUp(np.array([1.0, 3.0, 5.0]), np.array([1, 1, 0]), 1)
    curve = np.array([[0.3, 0.4], [0.2, 0.3], [0.1, 0.5]])
    assert time_dependent_concordance(follow_up, [curve], [1.0, 3.0], 4.0).value[0] == pytest.approx(2 / 3)
    assert time_dependent_concordance(follow_up, [curve], [1.0, 3.0], 2.0).value[0] == 1.0


def test_antolinis_c_of_curves_that_do_not_cross_is_harrells():
    follow_up, seen, _, times = crossing()
    curves = [-np.expm1(-np.exp(s)[:, None] * times / 9) for s in seen.T]
    found = time_dependent_concordance(follow_up, curves, times, 6.0)
    harrell = concordance(follow_up, seen, 6.0, weighted=False)
    np.testing.assert_allclose(found.value, harrell.value, rtol=1e-12)
    np.testing.assert_allclose(found.influence, harrell.influence, rtol=1e-9, atol=1e-12)


def test_antolinis_influence_is_what_leaving_a_patient_out_does():
    follow_up, _, curves, times = crossing(400)
    full, n = time_dependent_concordance(follow_up, curves, times, 6.0), len(follow_up)
    assert full.influence.std() > 0.3
    for who in range(0, n, 37):
        rest = np.arange(n) != who
        without = time_dependent_concordance(follow_up.take(rest), [c[rest] for c in curves], times, 6.0)
        np.testing.assert_allclose((full.value - without.value) * (n - 1), full.influence[who], atol=0.06)


def test_what_antolinis_c_cannot_say_is_said_in_words():
    follow_up, _, curves, times = crossing(60)
    assert "no event" in time_dependent_concordance(follow_up, curves, times, 1e-9)
    assert "predictions end at" in time_dependent_concordance(follow_up, [c[:, :2] for c in curves], times[:2], 6.0)
    alone = FollowUp(np.array([1.0, 1.0]), np.array([1, 1]), 1)
    assert "no two patients" in time_dependent_concordance(alone, [np.zeros((2, 1))], [1.0], 1.0)
    assert "no two patients" in concordance(alone, np.zeros((2, 1)), 1.0)


def test_risks_of_any_layout_and_precision_count_alike():
    follow_up, seen, curves, times = crossing()
    coarse = seen.astype(np.float32)
    wide = np.repeat(coarse.astype(float), 2, axis=1)[:, ::2]
    for other in (coarse, wide):
        np.testing.assert_array_equal(
            concordance(follow_up, other, 6.0).value, concordance(follow_up, coarse.astype(float), 6.0).value
        )
    transposed = [np.asfortranarray(curve) for curve in curves]
    np.testing.assert_array_equal(
        time_dependent_concordance(follow_up, transposed, times, 6.0).value,
        time_dependent_concordance(follow_up, curves, times, 6.0).value,
    )
    assert np.isnan(concordance_index([], [], []))


@pytest.mark.parametrize("weighted", [False, True])
def test_within_strata_pairs_are_summed_over_strata(weighted):
    rng = np.random.default_rng(8)
    n = 120
    time, event = np.ceil(rng.exponential(5, n)), rng.integers(0, 3, n)
    risk, strata = rng.normal(size=(n, 2)).round(1), rng.integers(0, 3, n)
    follow_up = FollowUp(time, event)
    own = follow_up.own_weight if weighted else np.ones(n)
    won, total = np.zeros(2), 0.0
    for i in np.flatnonzero((event == 1) & (time <= 8)):
        for j in np.flatnonzero(strata == strata[i]):
            later = time[j] > time[i] or (time[j] == time[i] and event[j] == 0)
            rival = event[j] == 2 and not later
            weight = own[i] ** 2 if later else own[i] * own[j] if rival else 0.0
            won += weight * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
            total += weight
    found = concordance(follow_up, risk, 8.0, weighted=weighted, strata=strata)
    np.testing.assert_allclose(found.value, won / total, rtol=1e-10)
    np.testing.assert_allclose(found.influence.sum(axis=0), 0.0, atol=1e-8)
    apart = [time_dependent_concordance(follow_up, [c], [2.0, 8.0, 20.0], 8.0, strata=strata) for c in _curves(risk)]
    if not weighted:  # curves that do not cross: Antolini's C is Harrell's
        np.testing.assert_allclose([each.value[0] for each in apart], found.value, rtol=1e-10)
        np.testing.assert_allclose(apart[0].influence[:, 0], found.influence[:, 0], rtol=1e-8, atol=1e-10)


def _curves(risk):
    return [(np.exp(column)[:, None] * np.array([0.01, 0.02, 0.03])) for column in risk.T]


def test_influences_in_a_stratum_say_how_far_it_lies_off():
    rng = np.random.default_rng(4)
    n = 600
    time, event = rng.exponential(5, n), np.ones(n, dtype=int)
    strata = np.arange(n) % 3
    risk = (np.exp(-time)[:, None] + rng.normal(size=(n, 1)) * np.array([0.05, 0.3, 1.0])[strata][:, None]) * 1.0
    follow_up = FollowUp(time, event)
    found = concordance(follow_up, risk, 100.0, weighted=False, strata=strata)
    for code in range(3):
        here = strata == code
        alone = concordance(FollowUp(time[here], event[here]), risk[here], 100.0, weighted=False)
        assert found.influence[here].mean() == pytest.approx(alone.value[0] - found.value[0], abs=1e-9)
