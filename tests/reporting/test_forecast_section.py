"""The section on forecasts of biomarkers: what is shown, what is withheld, and what is said of it."""

from __future__ import annotations

import pytest
from evaluated import evaluated
from pages import CONFIG, RUN, choice, frames, study_cohort

from osler.cells import WITHHELD
from osler.reporting.study_figures import study_charts
from osler.reporting.study_summary import study_summary


def _summary(**more):
    given = frames() | evaluated() | more
    return study_summary(cohort=study_cohort(), config=CONFIG, choice=choice(), run=RUN, **given)


def test_scores_and_differences_of_a_variable_are_those_of_the_frames():
    frame, told = evaluated()["forecasts"], _summary()["forecasts"]
    marker = next(row for row in told["rows"] if row["label"] == "Marker")
    for side, method in (("ours", "recurrent"), ("theirs", "last_value")):
        for measure in ("interval_score", "coverage", "rmse"):
            where = (frame["variable"] == "marker") & (frame["method"] == method) & (frame["measure"] == measure)
            assert marker[side][measure]["value"] == frame.loc[where, "value"].iloc[0]
    assert marker["differences"]["interval_score"]["verdict"] == "better"
    assert (marker["patients"], marker["values"]) == ("58", "174")


def test_a_variable_of_few_patients_is_withheld():
    pressure = next(row for row in _summary()["forecasts"]["rows"] if row["variable"] == "pressure")
    assert pressure["withheld"]
    assert (pressure["patients"], pressure["values"]) == (WITHHELD, WITHHELD)


def test_the_finding_says_for_which_variables_and_whether_bands_hold():
    finding = _summary()["forecasts"]["finding"]
    assert "credibly better for Marker" in finding
    assert "within the 90% bands" in finding


def test_the_chart_shows_the_differences_of_what_may_be_shown():
    (chart,) = study_charts(_summary())["forecasts"]
    values = [row for row in chart.spec["data"]["values"] if "value" in row]
    assert {row["name"] for row in values} == {"Marker", "All variables, mean"}
    assert all(row["value"] < 0 for row in values)


@pytest.mark.parametrize("name", ["forecasts", "forecast_differences"])
def test_without_forecasts_there_is_no_section_and_without_differences_no_chart(name):
    told = _summary(**{name: None})
    if name == "forecasts":
        assert told["forecasts"] is None
    assert not study_charts(told)["forecasts"]
