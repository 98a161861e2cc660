"""What a statement about a horizon rests on, and which horizons are refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.evaluation.censoring import StratifiedCensoring
from osler.evaluation.censoring_cox import CoxCensoring
from osler.evaluation.follow_up import FollowUp, Support
from osler.survival.nonparametric import censoring_survival

YEAR = 365.25
patient = st.tuples(st.integers(1, 8), st.integers(0, 2), st.integers(0, 3))


def of(time, event, model=None):
    return FollowUp(np.array(time, dtype=float), np.array(event), 1, model)


def test_effective_is_kishs_sample_size():
    follow_up = of([1, 2, 3, 4, 5, 6], [1, 0, 2, 0, 1, 0])
    weight = follow_up.status(4.5).weight
    assert weight.tolist() == pytest.approx([1.0, 0.0, 1.25, 0.0, 1.25 * 1.5, 1.25 * 1.5])
    assert follow_up.effective(4.5) == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert of([1, 2, 9], [1, 2, 0]).effective(5.0) == pytest.approx(3.0)
    assert of([1, 2, 3], [1, 2, 0]).effective(5.0) == 0.0
    assert of([], []).effective(5.0) == 0.0


def test_support_says_what_a_horizon_rests_on():
    assert of([1, 2, 9], [1, 2, 0]).support(5.0) == Support(1, 1, 3.0)
    assert of([1, 2, 3], [1, 2, 0]).support(2 * YEAR).refused == "follow-up ends before 2 y: 0 patients at risk"
    assert of([], []).support(5.0) == Support(0, 0, 0.0, "no patient is at risk at the landmark")
    constant = of(np.arange(1, 31), np.resize([0, 1], 30), CoxCensoring(np.ones((30, 1)))).support(9.5)
    assert "do not vary" in constant.note
    assert constant.effective > 20


def test_a_horizon_needs_somebody_followed_to_it_or_everybody_gone_by_events():
    assert of([1, 2, 3], [0, 0, 1]).unsupported(5.0) == ""
    assert of([1, 2, 5], [0, 1, 0]).unsupported(5.0) == ""
    for model in (None, CoxCensoring([[0.0], [1.0], [2.0], [1.5]]), StratifiedCensoring([0, 0, 1, 1])):
        assert "0 patients at risk" in of([1, 2, 3, 3], [0, 1, 1, 0], model).unsupported(5.0)


def test_groups_whose_last_patient_was_censored_are_counted():
    time = np.concatenate([np.full(20, 9.0), [1, 2, 3], [1, 2, 3]])
    event = np.concatenate([np.zeros(20, dtype=int), [1, 1, 0], [0, 1, 1]])
    labels = np.array(["followed"] * 20 + ["lost"] * 3 + ["ended"] * 3)
    follow_up = of(time, event, StratifiedCensoring(labels))
    assert follow_up.unsupported(3.0) == ""
    assert follow_up.unsupported(5.0) == (
        "follow-up ends before 5 d in fewer than 10 of the groups in which censoring is estimated (20 at risk at 5 d)"
    )
    assert follow_up.effective(5.0) == 0.0
    many = of(np.r_[np.arange(1.0, 13), 9.0], np.zeros(13, dtype=int), StratifiedCensoring(np.r_[np.arange(12), 0]))
    assert many.unsupported(12.5).endswith("0 patients at risk")
    assert re.search(r"in 11 of the groups .*\(fewer than 10 at risk", many.unsupported(11.5)) is not None


def test_a_model_that_gives_no_chance_is_refused():
    follow_up = of(np.arange(1, 41), np.resize([0, 1], 40), CoxCensoring(np.arange(40.0)[:, None]))
    fitted = follow_up.fitted_censoring
    fitted.relative = np.where(np.arange(40) == 30, 1e6, fitted.relative)
    assert (
        follow_up.unsupported(20.5)
        == "by the model of censoring fewer than 10 patients could not be followed to 20.5 d"
    )
    assert follow_up.effective(20.5) == 0.0


@given(st.lists(patient, min_size=1, max_size=30), st.sampled_from([2.5, 4.0, 9.0]))
def test_supported_horizons_have_finite_weights_that_restore_everybody(drawn, horizon):
    time, event, label = (np.array(column) for column in zip(*drawn, strict=True))
    for model in (None, StratifiedCensoring(label)):
        follow_up = of(time, event, model)
        if follow_up.unsupported(horizon):
            continue
        weight = follow_up.status(horizon).weight
        assert weight.sum() == pytest.approx(len(time))
        assert 0 < follow_up.effective(horizon) <= len(time) * (1 + 1e-12)


@given(st.lists(patient, min_size=1, max_size=30), st.sampled_from([2.5, 4.0, 9.0]))
def test_marginal_weights_are_those_of_the_censoring_table(drawn, horizon):
    time, event, _ = (np.array(column) for column in zip(*drawn, strict=True))
    follow_up = of(time, event, "marginal")
    own = np.where(event > 0, 1 / np.where(event > 0, censoring_survival(time, event, time, left_limit=True), 1), 1)
    np.testing.assert_array_equal(follow_up.own_weight, own)
    with np.errstate(divide="ignore"):
        expected = 1 / censoring_survival(time, event, np.full(len(time), horizon), left_limit=True)
    np.testing.assert_array_equal(follow_up.weight_at(horizon), expected)
