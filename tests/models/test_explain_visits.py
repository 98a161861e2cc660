"""Contributions by visit: defined in the order of time, complete, the same for every model."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohorts import QUESTION, YEAR, make_cohort
from osler.cohort.cohort import Patient
from osler.errors import UsageError
from osler.models import create
from osler.models.explain import explain
from osler.models.explain_visits import explain_visits


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(150, seed=2, image_size=None)


@pytest.fixture(scope="module")
def cox(cohort):
    return create("cox", QUESTION).fit(cohort)


@pytest.fixture(scope="module")
def patient(cohort):
    """At risk at 3 y after several visits, with gaps among their measurements and images at the first."""
    seen = cohort.at("3y").known.visits.groupby("patient")
    gaps = seen["marker"].apply(lambda course: course.isna().any()) & (seen.size() >= 4)
    imaged = set(cohort.visits["patient"].to_numpy()[cohort.images["slide"].visit])
    at_risk = cohort.outcome.time > 4 * YEAR
    return cohort.patient(cohort.patients[next(i for i in seen.groups if gaps[i] and at_risk[i] and i in imaged)])


@pytest.mark.parametrize("name", ["cox", "boosted_cox", "recurrent"])
def test_contributions_sum_to_the_difference_from_the_typical_patient(name, cohort, patient):
    settings = {"recurrent": {"members": 2, "epochs": 4}}.get(name, {})
    model = create(name, QUESTION, **settings).fit(cohort)
    found = explain_visits(model, patient, "3y", horizon="4y")
    whole = explain(model, patient, "3y", horizon="4y", permutations=2)
    assert found.typical_risk == pytest.approx(whole.typical_risk, abs=1e-7)
    assert found.patient_risk == pytest.approx(whole.patient_risk, abs=1e-7)
    assert found.error < 1e-12
    assert found.steps["contribution"].sum() == pytest.approx(whole.difference, abs=1e-7)
    by_step = found.frame.groupby("step")["contribution"].sum().reindex(found.steps["step"], fill_value=0.0)
    np.testing.assert_allclose(by_step, found.steps["contribution"], atol=1e-12)
    assert found.steps["contribution"].abs().iloc[1:].max() > 1e-4


def test_a_step_is_the_risk_had_later_visits_found_what_was_last_known(cohort, cox, patient):
    found = explain_visits(cox, patient, "3y", horizon="4y")
    known = patient.cohort.visits["time"] <= 3 * YEAR
    visits = patient.cohort.visits.copy()
    for name in ("marker", "pressure", "stage"):
        course = visits.loc[known, name]
        visits.loc[known, name] = course.where(
            np.arange(known.sum()) < 2, course.where(course.index < 2).ffill()
        ).where(course.notna())
    frozen = Patient(replace(patient.cohort, visits=visits), "P1")
    assert found.steps["risk"].iloc[2] == pytest.approx(float(cox.predict(frozen, "3y").risk("4y")[0]))
    assert found.steps["time"].tolist()[1:] == visits.loc[known, "time"].tolist()
    assert found.steps["visits"].tolist() == [0] + [1] * int(known.sum())


def test_words_say_what_was_known_and_what_was_found(cohort, cox, patient):
    frame = explain_visits(cox, patient, "3y", horizon="4y").frame
    course = patient.visits.query("time <= 3 * 365.25")["pressure"].tolist()
    told = frame[frame["variable"] == "pressure"]
    assert told["before"].iloc[1] == f"{course[0]:.4g} mm[Hg]"
    assert told["after"].tolist() == [f"{value:.4g} mm[Hg]" for value in course]
    image = frame[frame["variable"] == "slide"].iloc[0]
    assert (image["step"], image["before"], image["after"]) == (1, "not seen", "1 image")
    gaps = frame[(frame["variable"] == "marker") & (frame["step"] == 0)].iloc[0]
    assert gaps["before"] == f"measured at {len(course)} of {len(course)} visits"
    assert set(frame.loc[frame["step"] == 0, "modality"]) >= {"record"}


def test_a_visit_that_found_what_was_known_contributes_nothing(cohort, cox, patient):
    visits = patient.cohort.visits.copy()
    for name in ("marker", "pressure", "stage"):
        visits.loc[1, name] = visits[name].dropna().iloc[0]
        visits.loc[0, name] = visits.loc[1, name]
    same = Patient(replace(patient.cohort, visits=visits), "P1")
    found = explain_visits(cox, same, "3y", horizon="4y")
    assert found.steps["contribution"].iloc[2] == 0.0
    assert not (found.frame["step"] == 2).any()
    assert found.error < 1e-12


def test_a_long_course_is_told_in_24_steps(cohort, cox, patient):
    rng = np.random.default_rng(0)
    visits = pd.concat([patient.cohort.visits.iloc[[0]]] * 60, ignore_index=True)
    visits["time"] = np.linspace(0, 2.9 * YEAR, 60)
    visits["marker"] = rng.normal(size=60)
    cohort = replace(patient.cohort, visits=visits, images={})
    found = explain_visits(cox, Patient(cohort, "P1"), "3y", horizon="4y")
    assert len(found.steps) == 25
    assert found.steps["visits"].sum() == 60
    assert found.error < 1e-12


def test_without_visits_there_is_one_step(cohort, cox, patient):
    bare = patient.cohort.keep_visits(np.zeros(len(patient.cohort.visits), dtype=bool))
    found = explain_visits(cox, Patient(bare, "P1"), "3y", horizon="4y")
    assert len(found.steps) == 1
    assert found.error < 1e-12


def test_somebody_no_longer_at_risk_is_refused(cohort, cox):
    gone = cohort.patient(cohort.patients[int(np.argmin(cohort.outcome.time))])
    with pytest.raises(UsageError, match=gone.pseudonym):
        explain_visits(cox, gone, "9y", horizon="4y")
