"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.reporting import words


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "0.0%"),
        (0.0001, "under 0.1%"),
        (0.004, "0.4%"),
        (0.0994, "9.9%"),
        (0.0996, "10%"),
        (0.231, "23%"),
        (0.994, "99%"),
        (0.9961, "99.6%"),
        (0.99999, "99.9%"),
        (1.0, "100%"),
        (math.nan, words.ABSENT),
        (None, words.ABSENT),
    ],
)
def test_percentages_have_no_more_digits_than_they_bear(probability, text):
    assert words.percent(probability) == text


@given(st.floats(0, 1))
def test_a_chance_that_exists_is_never_told_as_none_or_all(probability):
    told = words.percent(probability)
    assert (told == "0.0%") == (probability == 0)
    assert (told == "100%") == (probability == 1)


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.23, "about 23 of 100"),
        (0.0951, "about 10 of 100"),
        (0.0096, "about 1 of 100"),
        (0.004, "about 4 of 1,000"),
        (0.0004, "about 4 of 10,000"),
        (0.0, "fewer than 1 of 10,000"),
    ],
)
def test_people_instead_of_probabilities(probability, text):
    assert words.of_people(probability) == text


@given(st.floats(0.0002, 1))
def test_people_are_near_the_probability(probability):
    affected, people = (float(part.replace(",", "")) for part in words.of_people(probability)[6:].split(" of "))
    assert affected / people == pytest.approx(probability, abs=0.5 / people + 1e-9)


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.043, "+4.3"), (-0.043, "−4.3"), (0.0, "0.0"), (-0.00001, "0.0"), (math.inf, words.ABSENT)],
)
def test_points_carry_their_sign_and_zero_has_none(difference, text):
    assert words.points(difference) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (128.4, "128"),
        (1.23456, "1.23"),
        (1.0, "1"),
        (0.00123, "0.00123"),
        (12345.6, "12,346"),
        (-2.5, "−2.5"),
        (1e12, "1.00e+12"),
    ],
)
def test_significant_digits(value, text):
    assert words.significant(value) == text


@pytest.mark.parametrize(
    ("days", "spelled", "long"),
    [
        (3652.5, "10 years", "10 years"),
        (365.25, "1 year", "1 year"),
        (182.625, "6 months", "6 months"),
        (200.0, "200 days", "6.6 months"),
    ],
)
def test_durations(days, spelled, long):
    assert words.spell(days) == spelled
    assert words.long(days) == long


def test_landmarks_in_sentences():
    assert words.moments([0.0]) == "at time zero"
    assert words.moments([0.0, 365.25, 730.5]) == "at time zero, and 1 year and 2 years after it"
    assert words.moments([365.25]) == "1 year after time zero"
    assert words.since(-730.5) == "2 years before time zero"


def test_number_needed_to_treat_is_rounded_up_and_may_have_no_limit():
    assert words.needed({"value": 19.2, "lower": 12.5, "upper": None}) == ("20", "13 to no limit")
    assert words.needed({"value": None, "lower": 25.0, "upper": None}) == ("no benefit", "")
    assert words.needed(None) == (words.ABSENT, "")


def test_estimates_carry_their_interval():
    assert words.estimate(0.23, 0.18, 0.29) == "23% (18% to 29%)"
    assert words.estimate(0.23, None, None) == "23%"
    assert words.interval(math.nan, 0.5) == ""


@pytest.mark.parametrize(
    ("ucum", "text"), [("mm[Hg]", "mmHg"), ("a", "years"), ("10*3/uL", "10^3/uL"), ("1", ""), ("g/dL", "g/dL")]
)
def test_units(ucum, text):
    assert words.unit(ucum) == text


def test_text_of_anything():
    assert words.text(None) == words.text(math.nan) == words.ABSENT
    assert words.text(True) == "yes"
    assert words.text("<b>") == "<b>"
    assert words.joined(["a", "b", "c"]) == "a, b and c"
    assert words.joined([]) == ""
    assert words.capitalise("HER2 status") == "HER2 status"
