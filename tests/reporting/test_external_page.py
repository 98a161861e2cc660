"""The report of an external validation as a page: the rules of every report, and what it alone must say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import test_page_structure as rules
from pages import Page

from cohorts import QUESTION, YEAR, make_cohort
from osler.cohort.cohort import FlowStep
from osler.cohort.outcome import Outcome
from osler.errors import UsageError
from osler.external import evaluate_external, evaluate_predictions
from osler.models import create
from osler.reporting.external_report import write_external_report
from osler.reporting.external_summary import external_summary

EVERY_RULE = [
    rules.test_tags_are_closed_and_ids_are_unique,
    rules.test_headings_descend_one_step_at_a_time,
    rules.test_landmarks_language_title_and_skip_link,
    rules.test_contents_lead_to_sections_that_exist,
    rules.test_every_section_is_in_the_contents,
    rules.test_pictures_have_words_that_state_a_finding,
    rules.test_drawn_figures_have_labels_or_are_hidden_from_readers_of_the_screen,
    rules.test_tables_have_captions_and_scopes,
    rules.test_wide_tables_scroll_in_their_own_box,
    rules.test_nothing_is_fetched,
    rules.test_pictures_fetch_nothing,
    rules.test_charts_load_nothing_and_draw_from_data_inside,
    rules.test_the_policy_allows_these_scripts_and_nothing_else,
    rules.test_no_handler_and_no_style_stands_in_an_attribute,
    rules.test_without_scripts_everything_is_shown_but_the_switches,
    rules.test_switches_are_labelled_and_start_somewhere,
    rules.test_every_position_of_the_switches_has_words,
    rules.test_no_number_is_missing_by_accident,
    rules.test_text_is_dark_enough_on_its_ground,
]
HOSTILE = '<script>alert("x")</script> & "quoted"'


def elsewhere():
    """Patients whose events come sooner than those of the model, some left out before."""
    cohort = make_cohort(600, 2, genes=0, image_size=None, embedding=None)
    o = cohort.outcome
    flow = (FlowStep("patients found", 0, 640), FlowStep("no visit", 36, 604), FlowStep("no follow-up", 4, 600))
    sooner = Outcome(np.maximum(o.time / 1.8, 0.5), o.event, o.causes)
    return replace(cohort, outcome=sooner, flow=flow, description=f"Simulated. {HOSTILE}")


@pytest.fixture(scope="module")
def there():
    return elsewhere()


@pytest.fixture(scope="module")
def model():
    return create("cox", QUESTION).fit(make_cohort(320, 1, genes=0, image_size=None, embedding=None))


@pytest.fixture(scope="module")
def result(model, there, tmp_path_factory):
    return evaluate_external(model, there, folder=tmp_path_factory.mktemp("external"), replicates=20)


@pytest.fixture(scope="module")
def several(result, there, tmp_path_factory):
    own = result.predictions[result.predictions["model"] == "cox"]
    hostile = own.assign(model=HOSTILE, risk=np.sqrt(own["risk"]))
    folder = tmp_path_factory.mktemp("several")
    return evaluate_predictions(pd.concat([own, hostile]), there, at="0y", folder=folder, replicates=20)


def read(result) -> Page:
    return Page(result.report.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(result) -> Page:
    return read(result)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.__name__.removeprefix("test_"))
@pytest.mark.parametrize("which", ["model", "table"])
def test_the_rules_of_every_report(rule, which, result, several):
    rule(read(result if which == "model" else several))


def test_no_identifier_is_written(page, several, there):
    for source in (page.source, read(several).source):
        assert not any(name in source for name in there.patients)


def test_labels_of_others_stand_as_text(page, several):
    assert HOSTILE not in page.source
    assert HOSTILE not in read(several).source
    assert "alert" in read(several).words


def test_the_answer_says_what_is_wrong_and_what_to_do(page, result):
    answer = next(e for e in page.all("section") if e.attributes["id"] == "answer").text
    assert "Cox ranks these patients, but its risks are too low" in answer
    assert result.sentence in answer
    assert "Observed / expected after the update" in answer
    assert "cross-fitted: no patient's risk was updated by a map that had seen their outcome" in answer


def test_before_and_after_stand_in_one_picture_with_words(page):
    charts = {chart["id"]: chart for chart in json.loads(page.data)}
    before_and_after = charts["chart-before-and-after"]
    assert before_and_after["switches"] == ["update", "landmark", "horizon"]
    assert len(before_and_after["findings"]) == 3 * 2 * 2
    drawn = before_and_after["spec"]["data"]["values"]
    assert {row["which"] for row in drawn} == {"as it is", "after the update"}
    assert {row["kind"] for row in drawn} == {"group", "curve"}
    assert re.search(r"agrees with the predicted one in \d+ of \d+ groups as it is", page.words)


def test_risks_there_and_here_stand_side_by_side(page, model, result):
    words = page.words
    assert "Where the model was fitted" in words
    assert "Typical there" in words
    there = float(np.interp(2 * YEAR, QUESTION.grid, model.average(0.0)[0]))
    here = result.predictions.query("model == 'cox' and landmark_days == 0 and horizon_days == @YEAR * 2")[
        "risk"
    ].mean()
    assert f"{100 * there:.0f}% {100 * here:.0f}%" in words


def test_tests_and_maps_are_told(page, result):
    words = page.words
    for part in (
        "Does something remain that a richer update would mend?",
        "The maps, fitted on everybody",
        "recommended",
    ):
        assert part in words
    assert "under 0.001" in words
    assert re.search(r"shift \+\d\.\d{3} \(standard error \d\.\d{3}\)", words)
    assert "An update cannot rank better" in words
    assert "Vergouwe" in words
    assert result.run["data_digest"] in words


def test_small_cells_of_the_flow_are_withheld(page):
    flow = next(e for e in page.all("section") if e.attributes["id"] == "flow").text
    assert "600" in flow
    assert "left out: no visit; no follow-up" in " ".join(flow.split())
    assert not re.search(r"\b4\b", flow)


def test_several_models_have_no_section_on_updating(several):
    page = read(several)
    assert not [e for e in page.all("section") if e.attributes["id"] == "update"]
    assert "comes nearest to what happened" in page.words
    assert "Typical there" not in page.words
    assert "read from a table" in page.words


def arguments(result, there, **changes):
    given = {
        "cohort": there,
        "event": "progression",
        **{name: getattr(result, name) for name in ("metrics", "differences", "calibration", "predictions")},
        **{name: getattr(result, name) for name in ("labels", "sentence", "run", "smooth", "decision", "updates")},
        "maps": result.recalibration.to_json(),
        "advice": result.advice,
    }
    return {**given, **changes}


def test_the_same_input_gives_the_same_bytes(result, there, tmp_path):
    one, other = (write_external_report(tmp_path / name, **arguments(result, there)) for name in ("a.html", "b.html"))
    assert one.read_bytes() == other.read_bytes()


def test_a_page_needs_neither_smooth_curve_nor_decision_nor_training(result, there, tmp_path):
    path = write_external_report(tmp_path / "a.html", **arguments(result, there, smooth=None, decision=None))
    page = Page(path.read_text(encoding="utf-8"))
    for rule in (rules.test_every_section_is_in_the_contents, rules.test_no_number_is_missing_by_accident):
        rule(page)
    assert not [e for e in page.all("section") if e.attributes["id"] == "usefulness"]


@pytest.mark.parametrize(
    ("change", "headline", "tone"),
    [
        ({}, "Cox ranks these patients, but its risks are too low: shift them.", "mixed"),
        ({"recommended": "as_is"}, "Cox holds up here: use its risks as they are.", "good"),
        ({"recommended": "flexible"}, "Cox ranks these patients, but its risks are too low: update", "mixed"),
        ({"updates": None}, "Cox ranks these patients; too little was seen to update its risks.", "mixed"),
        ({"auc": 0.45}, "Cox was not shown to rank these patients better than chance.", "none"),
        ({"nothing": True}, "Nothing could be judged.", "none"),
    ],
)
def test_headlines_claim_no_more_than_intervals_bear(result, there, change, headline, tone):
    given = arguments(result, there)
    given["maps"] = {**given["maps"], "recommended": change.get("recommended", "in_the_large")}
    metrics = given["metrics"].copy()
    if "auc" in change:
        metrics.loc[metrics["measure"] == "auc", "lower"] = change["auc"]
    if "nothing" in change:
        metrics[["value", "lower", "upper", "se"]] = np.nan
        metrics["note"] = "no event of interest by the horizon"
    given |= {"metrics": metrics} | ({"updates": None} if "updates" in change else {})
    answer = external_summary(**given)["answer"]
    assert answer["headline"].startswith(headline)
    assert answer["tone"] == tone


def test_without_an_outcome_there_is_no_report(result, there):
    with pytest.raises(UsageError, match="no outcome"):
        external_summary(**arguments(result, replace(there, outcome=None)))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_makes_every_chart_live(result, tmp_path):
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr"]
    command += [f"--user-data-dir={tmp_path}", "--virtual-time-budget=20000", "--dump-dom", result.report.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    figures = re.findall(r'<figure class="(chart[^"]*)"', done.stdout)
    assert len(figures) >= 6
    assert all("is-live" in name for name in figures)
    assert "CONSOLE" not in done.stderr
