"""Counts under ten are withheld, and nobody can work them out from what is shown."""

from __future__ import annotations

from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from osler.reporting.cells import SMALLEST, group_flow, reveal, shown

counts = st.lists(st.integers(0, 60), min_size=1, max_size=6)


@given(counts)
def test_small_counts_are_withheld_and_others_are_true(given_counts):
    told = reveal(given_counts)
    for count, seen in zip(given_counts, told, strict=True):
        assert seen is None or seen == count
        assert seen is None or not 0 < seen < SMALLEST


@given(counts)
def test_what_is_withheld_cannot_be_found_by_subtraction(given_counts):
    """Somebody who knows the total, and that a hidden count is at least one, is left with many possibilities."""
    told = reveal(given_counts)
    hidden = sum(seen is None for seen in told)
    if not hidden:
        return
    missing = sum(given_counts) - sum(seen for seen in told if seen is not None)
    spare = [count for count in given_counts if count >= SMALLEST]
    if hidden == 1 or missing < SMALLEST:
        assert all(seen is None for count, seen in zip(given_counts, told, strict=True) if count), (
            "there was more to hide"
        )
        assert not spare or hidden > len(spare)
        return
    # Each of the hidden counts can be anything from one on, as long as they add up.
    assert missing - (hidden - 1) >= SMALLEST - hidden + 1
    possible = {split[0] for split in _splits(missing, hidden)}
    assert len(possible) >= 3


def _splits(total: int, parts: int):
    return [
        (first, *rest)
        for first in range(1, total)
        for rest in ([()] if parts == 1 else product(range(1, 4), repeat=parts - 2))
        if total - first - sum(rest) >= 1
    ]


def test_two_small_counts_that_reach_ten_need_no_other():
    assert reveal([4, 7, 50, 60]) == [None, None, 50, 60]


def test_one_small_count_takes_the_smallest_of_the_others_with_it():
    assert reveal([4, 20, 50, 0]) == [None, None, 50, 0]
    assert reveal([4, 20, 50, 0], rather=2) == [None, 20, None, 0]


def test_zeros_and_large_counts_are_shown():
    assert reveal([0, 10, 200]) == [0, 10, 200]
    assert shown(0) == "0"
    assert shown(9) == shown(1) == shown(None) == "withheld"
    assert shown(1234) == "1,234"


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(10, 1000))
def test_no_small_step_of_the_flow_shows(excluded, final):
    remaining = [final + sum(excluded[i + 1 :]) for i in range(len(excluded))]
    steps = [(f"reason {i}", n, left) for i, (n, left) in enumerate(zip(excluded, remaining, strict=True))]
    start, groups = group_flow(steps)
    assert [reason for group in groups for reason in group.reasons] == [step[0] for step in steps]
    visible = [start] if start is not None else []
    visible += [group.remaining for group in groups]
    assert all(not 0 < before - after < SMALLEST for before, after in pairwise(visible))
    assert all(group.excluded is None or not 0 < group.excluded < SMALLEST for group in groups)
    if groups:
        assert groups[-1].remaining == final
    if start is not None:
        assert start == final + sum(excluded)
