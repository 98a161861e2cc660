from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from cohorts import YEAR
from osler.config import Question
from osler.errors import UsageError
from osler.models import create, model_class
from osler.models.ensemble import convex_weights
from osler.models.store import load_model, save_model
from plain_cohort import plain_cohort

QUESTION = Question((0.0,), (2 * YEAR, 5 * YEAR))
MEMBERS = ("stacked_cox", "boosted_hazard")


@pytest.fixture(scope="module")
def cohort():
    return plain_cohort(240, seed=4)


@pytest.fixture(scope="module")
def equal(cohort):
    return create("ensemble", QUESTION, members=MEMBERS).fit(cohort)


def test_equal_weights_give_the_mean_of_the_members(cohort, equal):
    moment = QUESTION.landmarks[0]
    members = [create(name, QUESTION).fit(cohort).predict(cohort, at=moment) for name in MEMBERS]
    curve = equal.predict(cohort, at=moment)
    np.testing.assert_allclose(curve.incidence, np.mean([m.incidence for m in members], axis=0), atol=1e-12)
    assert (curve.lower <= curve.incidence).all()
    assert (curve.upper >= curve.incidence).all()
    assert (curve.upper - curve.lower)[:, 0, -1].mean() > (members[0].upper - members[0].lower)[:, 0, -1].mean()


def test_a_stored_ensemble_says_the_same(cohort, equal, tmp_path):
    save_model(equal, tmp_path / "model.osler")
    again = load_model(tmp_path / "model.osler")
    moment = QUESTION.landmarks[0]
    np.testing.assert_array_equal(
        again.predict(cohort, at=moment).incidence, equal.predict(cohort, at=moment).incidence
    )


def test_the_first_member_that_forecasts_is_the_forecaster(equal):
    assert equal.forecaster is None
    one = create("ensemble", QUESTION, members=("cox", "recurrent"))
    one.members_ = {name: create(name, QUESTION) for name in one.members}
    assert one.forecaster is one.members_["recurrent"]


def test_members_leave_their_state_where_the_ensemble_does(tmp_path):
    one = create("ensemble", QUESTION)
    one.checkpoint = tmp_path
    assert one._member("recurrent").checkpoint == tmp_path


def test_convex_weights_are_those_of_the_best_mean():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=4000)
    happened = (rng.uniform(size=4000) < truth).astype(float)
    risk = np.clip(truth[:, None] + rng.normal(scale=[0.1, 0.3, 0.6], size=(4000, 3)), 0, 1)
    weight = rng.uniform(0, 2, 4000)
    found = convex_weights(risk, happened, weight)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    assert found[0] > 0.8

    def brier(a):
        a = np.abs(a) / np.abs(a).sum()
        return (weight * (risk @ a - happened) ** 2).sum()

    best = minimize(brier, np.full(3, 1 / 3), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    assert brier(found) <= best.fun * (1 + 1e-8)


def test_learned_weights_prefer_the_member_that_predicts(cohort):
    learned = create("ensemble", QUESTION, members=("reference", "stacked_cox"), weights="convex").fit(cohort)
    assert learned.weight_[1] > 0.6
    assert learned.weight_.sum() == pytest.approx(1)
    assert learned.predict(cohort, at=QUESTION.landmarks[0]).lower is not None


def test_what_is_no_ensemble_is_refused_by_name():
    for members in (("recurrent",), ("ensemble", "cox"), ("cox", "cox")):
        with pytest.raises(UsageError, match="two or more other models"):
            create("ensemble", QUESTION, members=members)
    with pytest.raises(UsageError, match='"equal" or "convex"'):
        create("ensemble", QUESTION, weights="best")


def test_a_mean_of_three_counts_as_three():
    one = create("ensemble", QUESTION)
    assert [model_class(name).answers for name in one.members] == [1, 3]


def test_weights_follow_what_the_members_are_the_mean_of(cohort, monkeypatch):
    monkeypatch.setattr(model_class("stacked_cox"), "answers", 3)
    one = create("ensemble", QUESTION, members=MEMBERS).fit(cohort)
    np.testing.assert_allclose(one.weight_, [0.75, 0.25])


def test_members_that_are_fitted_are_taken_as_they_are(cohort, equal):
    again = create("ensemble", QUESTION, members=MEMBERS)
    again.fitted = {"stacked_cox": equal.members_["stacked_cox"]}
    again.fit(cohort)
    assert again.members_["stacked_cox"] is equal.members_["stacked_cox"]
    moment = QUESTION.landmarks[0]
    np.testing.assert_array_equal(
        again.predict(cohort, at=moment).incidence, equal.predict(cohort, at=moment).incidence
    )


def test_members_have_the_settings_given_for_them(cohort, tmp_path):
    one = create("ensemble", QUESTION, members=MEMBERS, member_settings={"stacked_cox": {"penalty": 900.0}})
    one.fit(cohort)
    assert one.members_["stacked_cox"].settings()["penalty"] == 900.0
    save_model(one, tmp_path / "model.osler")
    again = load_model(tmp_path / "model.osler")
    assert again.members_["stacked_cox"].settings() == one.members_["stacked_cox"].settings()


def test_settings_of_strangers_and_strange_settings_are_refused():
    with pytest.raises(UsageError, match="settings are given for recurrent, which are no members"):
        create("ensemble", QUESTION, members=MEMBERS, member_settings={"recurrent": {"units": 8}})
    with pytest.raises(UsageError, match="'stacked_cox' has no setting 'untis'"):
        create("ensemble", QUESTION, members=MEMBERS, member_settings={"stacked_cox": {"untis": 8}})


def test_times_of_events_are_those_of_the_first_member_that_tells_them(cohort, equal):
    curve = equal.predict(cohort, at=QUESTION.landmarks[0])
    assert equal.event_times(curve) is None
    small = {"recurrent": {"members": 2, "epochs": 10}}
    one = create("ensemble", QUESTION, members=("cox", "recurrent"), member_settings=small).fit(cohort)
    curve = one.predict(cohort, at=QUESTION.landmarks[0])
    lower, upper = one.event_times(curve)
    expected = one.members_["recurrent"].event_times(curve)
    np.testing.assert_array_equal(np.stack([lower, upper]), np.stack(expected))
    assert (lower <= upper).all()
