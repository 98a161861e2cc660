"""The patient report: true numbers in plain words, nothing of the future, and what is absent is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pages import RUN, Page, explanation_frame, plan_dict

from cohorts import QUESTION, YEAR
from osler.cohort.cohort import Patient
from osler.errors import BeyondSupport, UsageError
from osler.models import create
from osler.models.explain_visits import VisitExplanation, explain_visits
from osler.reporting import report_patient, write_patient_report
from osler.reporting.drives import drives_by_visit
from osler.reporting.patient_summary import patient_summary
from osler.reporting.words import points


@pytest.fixture(scope="module")
def summary(cohort, model, patient):
    return patient_summary(patient=patient, model=model, cohort=cohort, at="1y", explanation=explanation_frame())


def test_headline_is_the_models_own_number(summary, model, patient):
    curve = model.predict(patient, "1y")
    assert summary["headline"]["risk"] == pytest.approx(float(curve.risk(4 * YEAR)[0]))
    assert summary["headline"]["lower"] == pytest.approx(float(curve.band(4 * YEAR)[0][0]))
    assert summary["headline"]["average"] == pytest.approx(float(model.average("1y")[0, -1]))


def test_causes_and_no_event_add_up_at_every_horizon(summary):
    for row in summary["horizons"]:
        assert sum(cause["value"] for cause in row["causes"]) + row["free"] == pytest.approx(1)


def test_a_hundred_people_are_a_hundred_and_agree_with_the_headline(summary, patient_page):
    for group in summary["people"]:
        assert sum(end["count"] for end in group["ends"]) == 100
    assert summary["people"][0]["ends"][0]["count"] == round(100 * summary["headline"]["risk"])
    icons = [e for e in patient_page.all("use")]
    assert len(icons) == 200 + len(summary["people"][0]["ends"])


def test_headline_words_stand_on_the_page(summary, patient_page):
    words = patient_page.words
    head = summary["headline"]
    assert f"{round(100 * head['risk'])}%" in words
    assert head["words"] in words
    assert "90% band" in words
    assert "Not a medical device" in words
    assert "2025-01-31" in words


def test_nothing_after_the_landmark_moves_a_byte(cohort, model, patient, tmp_path):
    person = patient.cohort
    later = (person.visits["time"] > YEAR).to_numpy()
    assert later.any()
    visits = person.visits.copy()
    visits.loc[later, ["marker", "pressure"]] = 777.25
    outcome = replace(person.outcome, time=person.outcome.time + 500, event=1 - np.minimum(person.outcome.event, 1))
    changed = Patient(replace(person, visits=visits, outcome=outcome), patient.pseudonym)
    pages = [
        write_patient_report(tmp_path / name, patient=who, model=model, cohort=cohort, at="1y", run=RUN).read_bytes()
        for name, who in (("a.html", patient), ("b.html", changed))
    ]
    assert pages[0] == pages[1]
    assert b"777.25" not in pages[1]


def test_what_was_not_asked_for_is_said(cohort, model, patient, tmp_path):
    page = Page(
        write_patient_report(tmp_path / "bare.html", patient=patient, model=model, cohort=cohort, at="1y").read_text()
    )
    assert "There is no plan" in page.words
    assert "no explanation was asked for" in page.words
    assert "forecasts no biomarkers" in page.words
    assert page.problems == []


def test_a_patient_without_visits_or_genome_has_them_listed_as_missing(cohort, model, patient, tmp_path):
    bare = patient.cohort.keep_visits(np.zeros(len(patient.cohort.visits), dtype=bool))
    genomics = {k: replace(g, values=np.full_like(g.values, np.nan)) for k, g in bare.genomics.items()}
    person = Patient(replace(bare, genomics=genomics), patient.pseudonym)
    summary = patient_summary(patient=person, model=model, cohort=cohort, at="1y")
    gone = {row["modality"]: row for row in summary["missing"]}
    assert {"visits", "rna", "scan", "slide"} <= set(gone)
    assert all(gone[name]["all"] for name in ("visits", "rna", "scan", "slide"))
    page = Page(
        write_patient_report(tmp_path / "x.html", patient=person, model=model, cohort=cohort, at="1y").read_text()
    )
    assert "no course to show" in page.words


def test_plan_numbers_stand_with_their_intervals(patient_page):
    words = patient_page.words
    for part in (
        "Stop smoking",
        "20 13 to 50",
        "100 25 to no limit",
        "Raise pressure : pressure already low",
        "evidence",
    ):
        assert part in words
    assert "Somebody. Journal 2016;1:1-2" in words
    assert "The relative effects come from other populations." in words


def test_the_plans_horizon_is_the_headlines(cohort, model, patient):
    plan = {**plan_dict(), "horizon_days": 2 * YEAR}
    summary = patient_summary(patient=patient, model=model, cohort=cohort, at="1y", plan=plan)
    assert summary["headline"]["horizon"] == 2 * YEAR


def test_contributions_add_up_to_the_difference(summary):
    drives = summary["drives"]
    assert drives["patient"] - drives["typical"] == pytest.approx(0.11)
    assert sum(contribution for _, contribution in drives["modalities"]) == pytest.approx(0.11)
    assert drives["rows"][0]["value"] == "70 years"


def test_a_model_without_bands_says_so(cohort, model, patient, tmp_path):
    class NoBands(type(model)):
        def _predict(self, landmark):
            return super()._predict(landmark)[0], None, None

    plain = NoBands(QUESTION).fit(cohort)
    page = Page(
        write_patient_report(tmp_path / "n.html", patient=patient, model=plain, cohort=cohort, at="1y").read_text()
    )
    assert "states no band" in page.words
    assert "how sure it is, is unknown" in page.words
    assert page.problems == []


def test_another_moment_than_the_models_is_a_limit(cohort, model, patient):
    titles = [
        limit["title"] for limit in patient_summary(patient=patient, model=model, cohort=cohort, at="6mo")["limits"]
    ]
    assert "A moment the model was not asked about" in titles
    assert "What the band means" in titles


def test_a_patient_no_longer_at_risk_is_refused_without_naming_values(cohort, model):
    early = int(np.argmin(cohort.outcome.time))
    person = cohort.patient(cohort.patients[early])
    with pytest.raises(UsageError, match=person.pseudonym) as refused:
        patient_summary(patient=person, model=model, cohort=cohort, at="9y")
    assert cohort.patients[early] not in str(refused.value)


def test_a_horizon_past_the_curve_is_refused(cohort, model, patient):
    with pytest.raises(BeyondSupport):
        patient_summary(patient=patient, model=model, cohort=cohort, at="1y", horizons=["30y"])


def test_an_outcome_known_at_one_time_has_no_course_of_risk(cohort, model, patient, tmp_path):
    class AtTheEnd(type(model)):
        def _predict(self, landmark):
            incidence, lower, upper = (values.copy() for values in super()._predict(landmark))
            for values in (incidence, lower, upper):
                values[:, :, :-1] = 0.0
            return incidence, lower, upper

    fixed = AtTheEnd(QUESTION).fit(cohort)
    page = Page(
        write_patient_report(tmp_path / "f.html", patient=patient, model=fixed, cohort=cohort, at="1y").read_text()
    )
    assert "known at 4 years only" in page.words
    assert "Event-free time" not in page.words
    assert page.problems == []


def test_the_whole_report_explains_by_itself(cohort, patient, tmp_path):
    model = create("cox", QUESTION).fit(cohort.without("rna", "scan", "slide"))
    page = Page(report_patient(tmp_path / "whole.html", model=model, patient=patient, at="1y", run=RUN).read_text())
    assert "What drives the risk" in page.words
    assert "Every variable in numbers" in page.words
    assert page.problems == []


def test_the_visit_that_moved_the_risk_is_told_with_its_numbers(cohort, patient, tmp_path):
    model = create("cox", QUESTION).fit(cohort.without("rna", "scan", "slide"))
    found = explain_visits(model, patient, "1y", horizon="4y")
    told = drives_by_visit(found, patient.cohort)
    assert [step["risk"] for step in told["steps"]] == pytest.approx(found.steps["risk"].tolist())
    assert told["steps"][-1]["risk"] == pytest.approx(told["patient"])
    assert told["steps"][0]["when"] == "Record, and what was measured"
    assert told["steps"][1]["when"] == "At time zero"
    page = Page(report_patient(tmp_path / "visits.html", model=model, patient=patient, at="1y", run=RUN).read_text())
    most = found.steps.iloc[1:].sort_values("contribution", key=np.abs).iloc[-1]
    assert f"the risk by {points(abs(most['contribution']), plus=False)} points" in page.words
    assert "within less than 0.001 points (completeness error)" in page.words
    assert page.words.count("there is no sampling error") == 2
    assert page.problems == []


def test_what_changed_next_to_nothing_is_not_listed_and_sampling_errors_are_told(cohort, model, patient):
    frame = pd.DataFrame(
        [
            (0, "record", "age", "Age", "60 a", "70 a", 0.08, 0.0),
            (1, "visits", "marker", "Marker", "1 mg/dL", "2 mg/dL", 0.03, 0.002),
            (1, "visits", "pressure", "Pressure", "120 mm[Hg]", "121 mm[Hg]", 1e-5, 0.001),
        ],
        columns=["step", "modality", "variable", "label", "before", "after", "contribution", "error"],
    )
    steps = pd.DataFrame(
        {"step": [0, 1], "time": [np.nan, -60.0], "visits": [0, 3], "contribution": [0.08, 0.03], "risk": [0.18, 0.21]}
    )
    told = drives_by_visit(VisitExplanation(steps, frame, patient_risk=0.21001, typical_risk=0.1), cohort)
    assert told["steps"][1]["when"] == "3 visits up to 60 days before time zero"
    assert [change["label"] for change in told["steps"][1]["changes"]] == ["Marker"]
    assert told["steps"][0]["changes"][0]["after"] == "70 years"
    assert "standard error of a contribution is 0.20 points at most" in told["exactness"]
    assert drives_by_visit(None, cohort) is None


def test_a_model_that_forecasts_has_its_forecasts_shown(cohort, patient, tmp_path):
    class Forecasting(type(create("reference", QUESTION))):
        @property
        def forecaster(self):
            return self

        def forecast_at(self, cohort, at, patient, ahead):
            assert len(cohort) == 1
            rows = pd.DataFrame({"row": range(len(ahead)), "patient": patient, "variable": "marker", "ahead": ahead})
            return rows.assign(expected=1.25, lower=0.5, upper=2.0)

    model = Forecasting(QUESTION).fit(cohort)
    page = Page(report_patient(tmp_path / "f.html", model=model, patient=patient, at="1y", run=RUN).read_text())
    assert "forecast 1.25 (0.5 to 2)" in page.words
    assert page.words.count("1.25 (0.5 to 2)") >= 8
    assert "4 years ahead" in page.words


def test_forecasts_are_drawn_after_the_landmark(patient_page, cohort, model, patient):
    frame = pd.DataFrame({"variable": ["marker"], "time": [YEAR], "mean": [1.0], "lower": [0.5], "upper": [1.5]})
    summary = patient_summary(patient=patient, model=model, cohort=cohort, at="1y", forecast=frame)
    course = next(course for course in summary["course"] if course["variable"] == "marker")
    assert course["forecast"] == [{"time": 2 * YEAR, "mean": 1.0, "lower": 0.5, "upper": 1.5}]
    assert all(point["time"] <= YEAR for point in course["points"])
    assert "Forecasts in numbers" in patient_page.words
