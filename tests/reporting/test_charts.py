"""Charts: specifications that Vega-Lite knows, with nothing hidden in them."""

from __future__ import annotations

import itertools

import altair
import pytest
from evaluated import evaluated
from pages import CONFIG, RUN, choice, explanation_frame, forecast_frame, frames, plan_dict, study_cohort

from osler.reporting.chart import Chart, bundle, time_axis
from osler.reporting.patient_figures import patient_charts
from osler.reporting.patient_summary import patient_summary
from osler.reporting.study_figures import study_charts
from osler.reporting.study_summary import study_summary


@pytest.fixture(scope="module")
def charts(cohort, model, patient):
    study = study_summary(cohort=study_cohort(), config=CONFIG, choice=choice(), run=RUN, **frames() | evaluated())
    person = patient_summary(
        patient=patient,
        model=model,
        cohort=cohort,
        at="1y",
        plan=plan_dict(),
        explanation=explanation_frame(),
        forecast=forecast_frame(),
    )
    return [c for found in (study_charts(study), patient_charts(person)) for section in found.values() for c in section]


def test_every_chart_follows_the_schema(charts):
    assert len(charts) >= 14
    for chart in charts:
        altair.Chart.from_dict(chart.live()["spec"], validate=True)


def test_pictures_are_the_same_bytes_again(charts):
    assert charts[0].picture() == charts[0].picture()


def test_the_start_of_every_switch_is_one_of_its_options_and_has_words(charts):
    for chart in charts:
        for switch in chart.switches:
            assert switch.start in {value for value, _ in switch.options}
        if chart.switches:
            assert chart.findings["|".join(switch.start for switch in chart.switches)] == chart.finding


def test_contributions_lead_from_the_typical_patient_to_this_one(charts):
    spec = next(chart for chart in charts if chart.id == "drives").spec
    bars = spec["data"]["values"]
    assert bars[0]["start"] == bars[-1]["start"] == 0
    for before, after in itertools.pairwise(bars[:-1]):
        assert after["start"] == pytest.approx(before["end"])
    assert bars[-2]["end"] == pytest.approx(bars[-1]["end"])


def test_the_script_cannot_end_its_element():
    assert "</script" not in bundle()
    assert "<!--" not in bundle()


def test_time_axes_have_a_unit_that_suits():
    assert time_axis(3000)[1] == "Years"
    assert time_axis(400)[1] == "Months"
    assert time_axis(28)[1] == "Days"


def test_a_picture_loads_nothing_from_elsewhere():
    spec = {"data": {"url": "http://127.0.0.1:9/data.csv"}, "mark": "point", "encoding": {"x": {"field": "x"}}}
    with pytest.raises(ValueError, match=r"."):
        Chart(id="bad", spec=spec, finding="").picture()
