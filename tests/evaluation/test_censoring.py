"""Weights of censoring that depends on the patients: fits by loops, and what moving one patient's weight does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.errors import UsageError
from osler.evaluation.accuracy import brier
from osler.evaluation.censoring import MarginalCensoring, ReverseKaplanMeier, StratifiedCensoring
from osler.evaluation.censoring_cox import CoxCensoring
from osler.evaluation.discrimination import auc
from osler.evaluation.follow_up import FollowUp
from osler.survival.nonparametric import censoring_survival

PENALTY = 1e-8


def outcomes(n=40, seed=0, tied=True, covariates=2):
    """Censoring depends on the covariates; tied times hold events and several censorings at once."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, covariates)) * 3 + 1
    X[:, -1] = rng.integers(0, 2, n)
    first = rng.exponential(6 * np.exp(-0.3 * X[:, 0]))
    second = rng.exponential(9, n)
    left = np.minimum(rng.exponential(6 * np.exp(0.2 * X[:, 0] - 0.5 * X[:, -1])), rng.uniform(3, 8, n))
    times = np.stack([left, first, second])
    time = times.min(axis=0)
    return (np.ceil(time * 1.5) if tied else time), times.argmin(axis=0), X


class PlainCox:
    """A Cox model of the censoring with a weight for each patient, from the definition, one risk set after another."""

    def __init__(self, X, time, event, weight):
        self.X = (X - X.mean(axis=0)) / X.std(axis=0)
        self.time, self.event, self.weight = time, event, weight
        self.moments = np.unique(time[event == 0])
        self.beta = np.zeros(X.shape[1])
        for _ in range(8):
            gradient, information = self._derivatives()
            self.beta = self.beta + np.linalg.solve(information, gradient)

    def _sets(self, relative):
        """For every censoring: weighted sums over those at risk, less its share of those who leave with it."""
        for u in self.moments:
            at_risk = (self.time > u) | ((self.time == u) & (self.event == 0))
            leaving = (self.time == u) & (self.event == 0)
            d = int(leaving.sum())
            for rank in range(d):
                w = self.weight * relative * (at_risk - rank / d * leaving)
                yield u, leaving, self.weight[leaving].mean(), w

    def _derivatives(self):
        relative = np.exp(self.X @ self.beta)
        penalty = PENALTY * self.weight.mean()
        gradient = (self.weight * (self.event == 0)) @ self.X - penalty * self.beta
        information = penalty * np.eye(len(self.beta))
        for _, _, mean, w in self._sets(relative):
            centre = w @ self.X / w.sum()
            gradient = gradient - mean * centre
            information = information + mean * ((self.X.T * w) @ self.X / w.sum() - np.outer(centre, centre))
        return gradient, information

    def log_weight(self, at):
        """(n,) -log G(at-) for a time of each patient."""
        relative = np.exp(self.X @ self.beta)
        hazard = [(u, mean / w.sum()) for u, _, mean, w in self._sets(relative)]
        return relative * np.array([sum(h for u, h in hazard if u < t) for t in at])


def kaplan_meier_log_weight(time, event, weight, at, codes):
    """(n,) cumulative hazard of censoring before a time of each patient in the patient's group, events at risk."""
    out = np.zeros(len(time))
    for i, t in enumerate(at):
        mine = codes == codes[i]
        for u in np.unique(time[mine & (event == 0)]):
            if u < t:
                leaving = (weight * (mine & (time == u) & (event == 0))).sum()
                out[i] += leaving / (weight * (mine & (time >= u))).sum()
    return out


def derivative(log_weight, score, n, who, step=1e-5):
    """What a little more weight of one patient does to the sum of scores, through the weights alone."""
    up, down = np.ones(n), np.ones(n)
    up[who] += step
    down[who] -= step
    return score.T @ (log_weight(up) - log_weight(down)) / (2 * step)


@pytest.mark.parametrize(("seed", "tied"), [(0, False), (1, True), (2, True)])
def test_cox_weights_are_those_of_the_definition(seed, tied):
    time, event, X = outcomes(seed=seed, tied=tied)
    plain = PlainCox(X, time, event, np.ones(len(time)))
    follow_up = FollowUp(time, event, 1, CoxCensoring(X))
    np.testing.assert_allclose(follow_up.fitted_censoring.beta, plain.beta, rtol=1e-7)
    np.testing.assert_allclose(-np.log(follow_up.fitted_censoring.own), plain.log_weight(time), rtol=1e-8, atol=1e-12)
    for t in (1.0, 2.5, 4.0):
        expected = np.exp(plain.log_weight(np.full(len(time), t)))
        np.testing.assert_allclose(follow_up.weight_at(t), expected, rtol=1e-8)


@pytest.mark.parametrize(("seed", "tied"), [(0, False), (1, True), (2, True)])
@pytest.mark.parametrize("horizon", [2.5, 4.0])
def test_the_term_of_a_cox_model_is_what_a_little_more_weight_of_a_patient_does(seed, tied, horizon):
    time, event, X = outcomes(seed=seed, tied=tied)
    n = len(time)
    follow_up = FollowUp(time, event, 1, CoxCensoring(X))
    score = np.random.default_rng(9).normal(size=(n, 3)) * follow_up.status(horizon).weight[:, None]
    term = follow_up.censoring_term(score, horizon)
    at = np.minimum(time, horizon)
    for who in range(0, n, 3):
        expected = derivative(lambda w: PlainCox(X, time, event, w).log_weight(at), score, n, who)
        np.testing.assert_allclose(term[who], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(term.sum(axis=0), 0.0, atol=1e-8)
    np.testing.assert_allclose(follow_up.censoring_term(score[:, 1], horizon), term[:, 1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_term_of_kaplan_meier_is_what_a_little_more_weight_of_a_patient_does(tied, grouped):
    time, event, X = outcomes(seed=3, tied=tied)
    n, horizon = len(time), 4.0
    codes = (X[:, 1] if grouped else np.zeros(n)).astype(int)
    follow_up = FollowUp(time, event, 1, StratifiedCensoring(codes) if grouped else None)
    score = np.random.default_rng(9).normal(size=(n, 2)) * follow_up.status(horizon).weight[:, None]
    term = follow_up.censoring_term(score, horizon)
    at = np.minimum(time, horizon)
    for who in range(n):
        expected = derivative(lambda w: kaplan_meier_log_weight(time, event, w, at, codes), score, n, who)
        np.testing.assert_allclose(term[who], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("measure", ["auc", "brier"])
@pytest.mark.parametrize("kind", [None, "groups", "cox"])
def test_influences_are_what_leaving_a_patient_out_does(measure, kind):
    time, event, X = outcomes(400, seed=5, tied=False)
    model = {None: None, "groups": StratifiedCensoring(X[:, 1]), "cox": CoxCensoring(X)}[kind]
    follow_up = FollowUp(time, event, 1, model)
    risk = 1 / (1 + np.exp(-np.column_stack([0.3 * X[:, 0], X[:, 0] + X[:, 1]])))
    function = {"auc": auc, "brier": brier}[measure]
    n, full = len(time), function(follow_up, risk, 3.0)
    for who in range(0, n, 23):
        rest = np.arange(n) != who
        without = function(follow_up.take(rest), risk[rest], 3.0)
        moved = (n - 1) * (full.value - without.value)
        np.testing.assert_allclose(moved, full.influence[who], rtol=0.03, atol=0.03)


def test_each_group_is_a_reverse_kaplan_meier_of_its_own():
    time, event, X = outcomes(80, seed=4)
    labels = np.where(X[:, 1] == 1, "men", "women")
    follow_up = FollowUp(time, event, 1, StratifiedCensoring(labels))
    for label in ("men", "women"):
        mine = labels == label
        own = censoring_survival(time[mine], event[mine], time[mine], left_limit=True)
        np.testing.assert_array_equal(follow_up.fitted_censoring.own[mine], own)
        expected = censoring_survival(time[mine], event[mine], 3.0, left_limit=True)
        np.testing.assert_array_equal(follow_up.weight_at(3.0)[mine], 1 / expected)
    one = FollowUp(time, event, 1, StratifiedCensoring(np.zeros(80)))
    score = np.random.default_rng(0).normal(size=(80, 2))
    np.testing.assert_array_equal(one.censoring_term(score, 3.0), FollowUp(time, event).censoring_term(score, 3.0))
    np.testing.assert_array_equal(one.own_weight, FollowUp(time, event).own_weight)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_weights_depend_on_neither_scale_nor_order(seed):
    time, event, X = outcomes(50, seed=seed)
    follow_up = FollowUp(time, event, 1, CoxCensoring(X))
    scaled = FollowUp(time, event, 1, CoxCensoring(X * [1e6, -1e-6] + [5, 7]))
    np.testing.assert_allclose(scaled.weight_at(3.0), follow_up.weight_at(3.0), rtol=1e-6)
    order = np.random.default_rng(seed).permutation(50)
    np.testing.assert_allclose(follow_up.take(order).weight_at(3.0), follow_up.weight_at(3.0)[order], rtol=1e-6)


def test_without_covariates_the_model_is_the_cumulative_hazard_of_all():
    time, event, _ = outcomes(70, seed=6, tied=False)
    for X in (np.empty((70, 0)), np.full((70, 2), 3.7)):
        follow_up = FollowUp(time, event, 1, CoxCensoring(X))
        moments = np.sort(time[event == 0])
        hazard = sum(1 / (time >= u).sum() for u in moments if u < 3.0)
        np.testing.assert_allclose(follow_up.weight_at(3.0), np.exp(hazard), rtol=1e-12)
    assert follow_up.fitted_censoring.note == "2 of 2 covariates of the censoring model do not vary and are left out"


def test_columns_that_do_not_vary_or_repeat_each_other_change_nothing():
    time, event, X = outcomes(70, seed=6)
    plain = FollowUp(time, event, 1, CoxCensoring(X))
    more = FollowUp(time, event, 1, CoxCensoring(np.column_stack([X, np.full(70, 1e7), X[:, 0] + 2 * X[:, 1]])))
    np.testing.assert_allclose(more.weight_at(3.0), plain.weight_at(3.0), rtol=1e-6)
    score = np.random.default_rng(1).normal(size=70)
    np.testing.assert_allclose(more.censoring_term(score, 3.0), plain.censoring_term(score, 3.0), atol=1e-5)
    assert more.fitted_censoring.note.startswith("1 of 4 covariates")
    assert plain.fitted_censoring.note == ""


def test_covariates_that_foretell_the_censoring_are_held():
    time, event, X = outcomes(200, seed=8, tied=False)
    never = np.arange(200) % 2 == 0
    event = np.where(never & (event == 0), 1, event)
    separated = FollowUp(time, event, 1, CoxCensoring(np.column_stack([X[:, 0], never])))
    assert "foretell" in separated.fitted_censoring.note
    assert separated.weight_at(3.0)[never].max() < 1.01
    for X in (time[:, None], np.random.default_rng(0).normal(size=(200, 90))):
        held = FollowUp(time, event, 1, CoxCensoring(X))
        assert "foretell" in held.fitted_censoring.note
        term = held.censoring_term(held.status(3.0).weight, 3.0)
        assert np.isfinite(term).all()
        assert term.sum() == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("codes", [[0], [1, 2]])
def test_without_censoring_or_events_nothing_breaks(codes):
    time, _, X = outcomes(40, seed=1)
    event = np.resize(codes, 40)
    for model in (None, StratifiedCensoring(X[:, 1]), CoxCensoring(X)):
        follow_up = FollowUp(time, event, 1, model)
        term = follow_up.censoring_term(np.ones((40, 2)), 2.5)
        np.testing.assert_allclose(term.sum(axis=0), 0.0, atol=1e-9)
        if 0 not in codes:
            np.testing.assert_array_equal(follow_up.own_weight, 1.0)
            np.testing.assert_array_equal(term, 0.0)


def test_what_cannot_be_a_model_of_censoring_is_refused():
    time, event, X = outcomes(40, seed=1)

    def fit(model):
        return FollowUp(time, event, 1, model).own_weight

    holes = X.copy()
    holes[3, 0] = holes[3, 1] = np.nan
    holes[20, 1] = np.inf
    labels = np.array(["a", None] * 20, dtype=object)
    cases = [
        (CoxCensoring(holes), "missing or infinite for 2 of 40"),
        (CoxCensoring(X[:30]), r"shape \(30, 2\); expected 40 patients"),
        (CoxCensoring(X[:, 0]), r"shape \(40,\)"),
        (CoxCensoring([["a"]] * 40), "must be numbers"),
        (StratifiedCensoring(labels), "missing for 20 of 40"),
        (StratifiedCensoring(labels[:5]), "expected one for each of 40"),
        ("cox", "unknown model of censoring"),
    ]
    for model, message in cases:
        with pytest.raises(UsageError, match=message):
            fit(model)


def test_models_follow_some_of_the_patients():
    time, event, X = outcomes(40, seed=1)
    rows = np.array([3, 3, 10, 11, 12, 13, 17, 20, 25, 30, 31, 39])
    for model in (CoxCensoring(X), StratifiedCensoring(X[:, 1])):
        part = FollowUp(time, event, 2, model).take(rows)
        assert len(part) == len(rows)
        assert part.cause == 2
        assert part.conditional
        same = type(model)((X if isinstance(model, CoxCensoring) else X[:, 1])[rows])
        np.testing.assert_array_equal(part.own_weight, FollowUp(time[rows], event[rows], 2, same).own_weight)
    marginal = FollowUp(time, event, 1, "marginal").take(event > 0)
    assert not marginal.conditional
    assert isinstance(marginal.fitted_censoring, ReverseKaplanMeier)
    assert not FollowUp(time, event, 1, MarginalCensoring()).take(rows).conditional
