from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from cohorts import QUESTION, YEAR, make_cohort
from osler.cohort.cohort import Cohort
from osler.cohort.outcome import Outcome
from osler.config import Question
from osler.errors import ModelError
from osler.models import create, setting_names
from osler.models.hazard import incidence
from osler.models.recurrent import Recurrent, RecurrentSettings
from osler.models.store import load_model, save_model

QUICK = {"members": 2, "epochs": 16}


@cache
def _train() -> Cohort:
    return make_cohort(300, seed=1, image_size=None)


@cache
def _test() -> Cohort:
    return make_cohort(150, seed=2, image_size=None)


@cache
def _fitted() -> Recurrent:
    return Recurrent(QUESTION, **QUICK).fit(_train())


def _concordance(risk, outcome) -> float:
    first = (outcome.time[:, None] < outcome.time[None, :]) & (outcome.event == 1)[:, None]
    return float((first * (risk[:, None] > risk[None, :])).sum() / first.sum())


def test_every_setting_is_named_and_checked():
    assert set(setting_names("recurrent")) == set(RecurrentSettings.__dataclass_fields__)
    assert create("recurrent", QUESTION, units=8).settings()["units"] == 8
    with pytest.raises(TypeError, match="layers"):
        Recurrent(QUESTION, layers=3)


def test_known_risk_is_recovered():
    """New patients are ranked and their mean risk is right, at a landmark asked and between those asked."""
    for landmark in (0.0, YEAR / 2, YEAR):
        curve = _fitted().predict(_test(), landmark)
        at = _test().at(landmark)
        assert _concordance(curve.risk(4 * YEAR), at.outcome) > 0.62
        horizon = 2 * YEAR
        known = (at.outcome.time > horizon) | (at.outcome.event > 0)
        observed = np.mean(((at.outcome.event == 1) & (at.outcome.time <= horizon))[known])
        assert curve.risk(horizon)[known].mean() == pytest.approx(observed, abs=0.09)


def test_a_risk_that_is_known_exactly_is_found():
    """Hazards exp(0.9 x) / 5 y and 1 / 15 y, no visits: incidence in closed form."""
    rng = np.random.default_rng(0)
    n = 1500
    x = rng.normal(size=n)
    times = np.column_stack([rng.exponential(5 * np.exp(-0.9 * x)), rng.exponential(15, n), rng.uniform(3, 9, n)])
    which = times.argmin(axis=1)
    base = make_cohort(n, seed=3, genes=0, image_size=None, embedding=None, missing=0.0)
    cohort = replace(
        base.keep_visits(np.zeros(len(base.visits), dtype=bool)),
        record=base.record.assign(age=60 + 10 * x),
        outcome=Outcome(times.min(axis=1) * YEAR, np.where(which == 2, 0, which + 1), ("progression", "death")),
    )
    question = Question((0.0,), (2 * YEAR, 4 * YEAR), grid_size=16)
    model = Recurrent(question, members=3, epochs=60).fit(cohort)
    risk = model.predict(cohort, 0.0).risk(4 * YEAR)
    one, two = np.exp(0.9 * x) / 5, 1 / 15
    truth = one / (one + two) * -np.expm1(-(one + two) * 4)
    assert np.sqrt(np.mean((risk - truth) ** 2)) < 0.03
    assert np.corrcoef(risk, truth)[0, 1] > 0.99
    lower, upper = model.predict(cohort, 0.0).band(4 * YEAR)
    assert np.mean((lower <= truth) & (truth <= upper)) > 0.95  # all is known here, which outcomes cannot tell
    assert np.median(upper - lower) < 0.42


def test_the_future_changes_nothing():
    cohort = _test()
    later = cohort.visits["time"].to_numpy() > YEAR
    visits = cohort.visits.copy()
    visits.loc[later, "marker"] = 99.0
    altered = replace(cohort, visits=visits)
    one, other = _fitted().predict(cohort, YEAR), _fitted().predict(altered, YEAR)
    np.testing.assert_array_equal(one.incidence, other.incidence)
    np.testing.assert_array_equal(one.upper, other.upper)


def test_the_course_matters():
    cohort = _test()
    visits = cohort.visits.copy()
    visits.loc[visits["time"] <= YEAR, "marker"] += 2.0
    worse = _fitted().predict(replace(cohort, visits=visits), YEAR).risk(4 * YEAR)
    assert (worse > _fitted().predict(cohort, YEAR).risk(4 * YEAR)).mean() > 0.9


def test_refitting_gives_the_same_bits_and_another_seed_others():
    small = _train().subset(np.arange(120))
    one, two, three = (Recurrent(QUESTION, random_state=s, **QUICK).fit(small).predict(_test(), 0.0) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.incidence, two.incidence)
    assert not np.array_equal(one.incidence, three.incidence)


def test_twenty_patients_are_enough():
    cohort = make_cohort(20, seed=8)
    model = Recurrent(QUESTION, **QUICK).fit(cohort)
    assert np.isfinite(model.predict(_test(), 0.0).incidence).all()


def test_images_of_too_few_patients_with_events_are_not_read():
    cohort = make_cohort(150, seed=9, genes=0, embedding=None)
    block = cohort.images["scan"]
    few = replace(block, visit=block.visit[:12], values=block.values[:12])
    model = Recurrent(QUESTION, **QUICK).fit(replace(cohort, images={"scan": few}))
    assert any("'scan' were not read" in note for note in model.notes_)
    with_images, without = model.predict(cohort, 0.0), model.predict(cohort.without("scan"), 0.0)
    np.testing.assert_array_equal(with_images.incidence, without.incidence)


def test_pixels_are_read_and_their_absence_survived(tmp_path):
    train, test = make_cohort(400, seed=11, embedding=None), make_cohort(200, seed=12, embedding=None)
    model = Recurrent(QUESTION, **QUICK).fit(train)
    assert model.inputs_.readers["scan"].useful[0]
    at = test.at(0.0)
    seen = _concordance(model.predict(test, 0.0).risk(4 * YEAR), at.outcome)
    blind = _concordance(model.predict(test.without("scan"), 0.0).risk(4 * YEAR), at.outcome)
    assert seen > blind + 0.01
    assert blind > 0.6
    again = load_model(save_model(model, tmp_path / "model.osler"))
    np.testing.assert_array_equal(again.predict(test, YEAR).incidence, model.predict(test, YEAR).incidence)


def test_forecasts_are_better_than_chance_and_honest_about_doubt():
    cohort = _test()
    times = [0.5 * YEAR, "1y", 1.5 * YEAR]
    table = _fitted().forecast(cohort, YEAR, times)
    assert list(table.columns) == ["patient", "variable", "ahead", "expected", "lower", "upper", "event_free"]
    assert set(table["variable"]) == {"marker", "pressure"}
    assert (table["lower"] < table["expected"]).all()
    assert (table["expected"] < table["upper"]).all()
    marker = table[table["variable"] == "marker"]
    visits = cohort.visits.dropna(subset="marker")
    near = pd.merge_asof(
        visits[visits["time"] > YEAR].sort_values("time"),
        marker.assign(time=YEAR + marker["ahead"]).sort_values("time"),
        on="time",
        by="patient",
        direction="nearest",
        tolerance=0.25 * YEAR,
    ).dropna(subset="expected")
    assert len(near) > 100
    error = near["marker"] - near["expected"]
    assert np.mean(error**2) < 0.6 * near["marker"].var()
    inside = (near["lower"] <= near["marker"]) & (near["marker"] <= near["upper"])
    assert 0.8 < inside.mean() < 0.98
    pressure = table[table["variable"] == "pressure"]
    assert pressure["expected"].between(90, 150).all()  # units of the variable, not of the model


def test_a_patient_can_be_forecast_alone_and_nobody_before_fitting():
    patient = _test().patient(str(_test().patients[3]))
    alone = _fitted().forecast(patient, YEAR, [YEAR])
    together = _fitted().forecast(_test(), YEAR, [YEAR])
    mine = together[together["patient"] == 3]
    for column in ("expected", "lower", "upper"):
        np.testing.assert_array_equal(alone[column], mine[column])
    assert (alone["patient"] == 0).all()
    with pytest.raises(ModelError, match="not been fitted"):
        Recurrent(QUESTION).forecast(patient, YEAR, [YEAR])


def test_beside_a_forecast_stands_the_chance_to_be_free_of_events_by_then():
    times = [0.5 * YEAR, 3 * YEAR, 30 * YEAR]
    table = _fitted().forecast(_test(), YEAR, times)
    curve = _fitted().predict(_test(), YEAR, at_risk=False)
    for time in times[:2]:
        own = table[(table["ahead"] == time) & (table["variable"] == "marker")]
        expected = 1 - curve.risk(time)[own["patient"]] - curve.risk(time, cause=2)[own["patient"]]
        np.testing.assert_allclose(own["event_free"], expected, atol=1e-12)
    assert table.loc[table["ahead"] == times[2], "event_free"].isna().all()  # past the last horizon


def test_forecasts_at_moments_of_each_patients_own():
    table = _fitted().forecast(_test(), YEAR, [YEAR, 2 * YEAR])
    patient, ahead = np.array([5, 9, 9]), np.array([2 * YEAR, YEAR, 2 * YEAR])
    own = _fitted().forecast_at(_test(), YEAR, patient, ahead)
    assert set(own["row"]) == {0, 1, 2}
    both = own.merge(table, on=["patient", "variable", "ahead"], suffixes=("", "_grid"))
    assert len(both) == len(own)
    np.testing.assert_array_equal(both["expected"], both["expected_grid"])


def test_forecasts_survive_storage_and_a_changed_future(tmp_path):
    again = load_model(save_model(_fitted(), tmp_path / "model.osler"))
    later = _test().visits["time"].to_numpy() > YEAR
    altered = _test().keep_visits(~later)
    one, other = (model.forecast(c, YEAR, [YEAR]) for model, c in ((_fitted(), _test()), (again, altered)))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_nobody_seen_so_far_has_no_forecast():
    cohort = _test().keep_visits(np.zeros(len(_test().visits), dtype=bool))
    assert len(_fitted().forecast(cohort, YEAR, [YEAR])) == 0
    assert np.isfinite(_fitted().predict(cohort, YEAR).incidence).all()


def test_large_cohorts_are_predicted_in_parts(monkeypatch):
    whole = _fitted().predict(_test(), YEAR).incidence
    monkeypatch.setattr("osler.models.recurrent._CHUNK", 17)
    np.testing.assert_allclose(_fitted().predict(_test(), YEAR).incidence, whole, atol=1e-6)


def test_the_risk_is_the_equal_mean_of_four_answers():
    """The ridge path, the trees, the networks over the path and the free ones count the same."""
    model, landmark = _fitted(), _test().at(YEAR)
    fused = model.inputs_.transform(model.inputs_.read(model.schema_.conform(_test()).at(YEAR)))
    absent = model.absence_.of(fused.available, landmark.time, np.arange(len(landmark)))
    said = [
        (incidence(absent.applied(hazards, model.edges_), model.edges_, QUESTION.grid), weight)
        for hazards, weight in model._log_hazards(fused.columns, fused.sequences)
    ]
    assert [weight for _, weight in said] == [1.0, 1.0, *([1 / QUICK["members"]] * 2 * QUICK["members"])]
    each = [risk for risk, _ in said]
    members = QUICK["members"]
    kinds = [each[0], each[1], np.mean(each[2 : 2 + members], axis=0), np.mean(each[2 + members :], axis=0)]
    found = model.predict(_test(), YEAR).incidence
    assert len(found) == len(landmark)
    np.testing.assert_allclose(found, np.mean(kinds, axis=0), atol=1e-9)


def test_without_trees_there_are_three_answers(tmp_path):
    model = Recurrent(QUESTION, **QUICK, trees=0).fit(_train())
    assert set(model.trees_.boosters) == {None}
    save_model(model, tmp_path / "model.osler")
    again = load_model(tmp_path / "model.osler").predict(_test(), YEAR).incidence
    np.testing.assert_array_equal(again, model.predict(_test(), YEAR).incidence)
    assert np.abs(again - _fitted().predict(_test(), YEAR).incidence).max() > 1e-4
