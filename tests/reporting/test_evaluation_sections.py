"""The sections of the study report on calibration, usefulness, added value, subgroups, means and optimism."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from evaluated import CALIBRATION, LEVELS, evaluated, spread
from pages import CONFIG, RUN, Page, choice, frames, study_cohort

from osler.config import StudyConfig
from osler.reporting import write_study_report
from osler.reporting.availability import availability_cells
from osler.reporting.calibration import curve_finding
from osler.reporting.comparison import compared
from osler.reporting.measures import MEASURES, measure_of
from osler.reporting.study_figures import study_charts
from osler.reporting.study_summary import study_summary
from osler.reporting.subgroups import probability, subgroup_cells
from osler.reporting.usefulness import decision_cells, useful_at

NEW = {"usefulness", "added", "forecasts", "subgroups", "availability", "averages", "optimism"}
PLACE = {"landmark": 0.0, "horizon": 730.5}


def _summary(found=None, config=CONFIG, **more):
    given = frames(config=config) | evaluated(config) if found is None else found
    return study_summary(cohort=study_cohort(), config=config, choice=choice(), run=RUN, **given | more)


def _sections(page: Page) -> set[str]:
    return {str(e.attributes["id"]) for e in page.all("section")}


def test_every_frame_has_its_section(study_page):
    assert _sections(study_page) >= NEW


def test_what_is_absent_or_empty_has_no_section(plain_page, cohort, tmp_path):
    assert not NEW & _sections(plain_page)
    full = evaluated()
    empty = {name: [] if name == "added_verdict" else full[name].iloc[:0] for name in full}
    empty = {name: frame for name, frame in empty.items() if name not in ("metrics", "differences")}
    path = write_study_report(
        tmp_path / "empty.html", cohort=cohort, config=CONFIG, **frames() | empty, choice=choice(), run=RUN
    )
    assert not NEW & _sections(Page(path.read_text(encoding="utf-8")))


def test_the_main_table_holds_discrimination_and_accuracy_alone(study_page):
    tables = [table for table in study_page.source.split("<table")[1:] if "Antolini" in table.split("</table>")[0]]
    head = re.search(r"<thead>(.*?)</thead>", tables[0], re.S).group(1)
    assert re.findall(r">([^<>]+)</th>", head) == [
        "Model",
        *(MEASURES[name].label for name in ("auc", "c_index", "harrell_c", "antolini_c")),
        *(MEASURES[name].label for name in ("brier", "integrated_brier", "ipa")),
    ]
    assert "effective sample size 171" in study_page.words
    assert "Royston’s D" in study_page.words


def test_without_ranges_and_effective_size_nothing_is_said_of_them(plain_page):
    assert "If perfectly calibrated" not in plain_page.words
    assert "effective sample size 1" not in plain_page.words
    assert "Observed / expected" in plain_page.words


def test_a_value_outside_the_range_of_perfect_calibration_is_marked():
    told = next(c for c in _summary()["calibration_measures"] if c["model"] == "cox")
    assert [row["measure"] for row in told["rows"]] == list(CALIBRATION)
    assert told["outside"] == ["Calibration intercept"]
    row = next(row for row in told["rows"] if row["measure"] == "calibration_slope")
    assert (row["value"], row["calibrated"], row["outside"]) == ("0.93", "0.84 to 1.16", False)


def test_ranges_and_values_stand_side_by_side_on_the_page(study_page):
    assert "Small samples look miscalibrated by chance" in study_page.words
    assert "outside 0.31 (0.13 to 0.49) −0.18 to 0.18" in study_page.words


def _points(observed, low=0.05):
    p = np.linspace(0.1, 0.5, len(observed))
    return [
        {"predicted": x, "observed": y, "calibrated_lower": x - low, "calibrated_upper": x + low}
        for x, y in zip(p, observed, strict=True)
    ]


def test_the_words_of_a_curve_say_where_it_leaves_its_range():
    assert "throughout (10% to 50% predicted)" in curve_finding(_points([0.1, 0.2, 0.3, 0.4, 0.5]))
    assert curve_finding(_points([0.1, 0.4, 0.5, 0.4, 0.2])) == (
        "the curve leaves the range of perfectly calibrated risks at 20% to 30% predicted (risks were too low) and at "
        "50% predicted (risks were too high)"
    )
    none = [{**point, "calibrated_lower": None, "calibrated_upper": None} for point in _points([0.1, 0.5])]
    assert curve_finding(none) == "the curve runs from a predicted risk of 10% to 50%"


def test_differences_of_calibration_are_neither_better_nor_worse():
    rows = [{"measure": name, **spread(-1.0, 0.1)} for name in ("ici", "brier", "calibration_slope", "net_benefit@0.1")]
    told = compared(pd.DataFrame(rows))
    verdicts = {name: value["verdict"] for name, value in told.items()}
    assert verdicts == {
        "ici": "undecided",
        "brier": "better",
        "calibration_slope": "undecided",
        "net_benefit@0.1": "worse",
    }
    assert measure_of("net_benefit@0.1").label == "Net benefit at 10%"
    assert measure_of("ici").direction == ""


def test_what_holds_for_all_comparisons_together_is_told():
    found = frames() | evaluated()
    wide = found["differences"]["horizon"] > 1000
    found["differences"].loc[wide, ["simultaneous_lower", "simultaneous_upper"]] = [-1.0, 1.0]
    summary = _summary(found)
    cells = [cell for cell in summary["comparisons"] if cell["versus"] == "reference"]
    assert {cell["horizon"] > 1000: cell["rows"][0]["values"]["auc"]["together"] for cell in cells} == {
        False: True,
        True: False,
    }
    assert "(2 of these also when all comparisons are read together)" in summary["answer"]["sentences"][0]
    paired = study_charts(summary)["paired"][0]
    assert any("wide_lower" in row for row in paired.spec["data"]["values"])


def _curves(*rows):
    names = ("model", "threshold", "value", "lower", "upper")
    return pd.DataFrame([{**PLACE, **dict(zip(names, row, strict=True))} for row in rows])


def _decided(differences=None):
    rows = []
    for t, gain in ((0.1, 0.01), (0.2, 0.05), (0.3, 0.05), (0.4, 0.0)):
        rows += [("cox", t, gain, gain - 0.02, gain + 0.02), ("treat all", t, 0.0, -0.01, 0.01)]
        rows += [("treat none", t, 0.0, 0.0, 0.0)]
    return decision_cells(_curves(*rows), {"cox": "Cox"}, "cox", [], differences)[0]


def test_a_model_is_useful_where_its_interval_is_above_both_strategies():
    cell = _decided()
    assert cell["useful"] == [(0.2, 0.3)]
    assert not cell["paired"]
    assert [row["useful"] for row in cell["rows"]] == [False, True, True, False]
    assert useful_at(cell).endswith("at thresholds from 20% to 30%")


def test_paired_differences_say_where_a_model_is_useful():
    rows = []
    for t, all_low, none_low in ((0.1, 0.01, 0.2), (0.2, -0.01, 0.2), (0.3, 0.01, 0.2), (0.4, 0.01, -0.1)):
        for versus, low in (("treat all", all_low), ("treat none", none_low)):
            ends = {"threshold": t, "value": low + 0.1, "lower": low + 0.05, "simultaneous_lower": low}
            rows.append({**PLACE, "model": "cox", "versus": versus, **ends})
    cell = _decided(pd.DataFrame(rows))
    assert cell["paired"]
    assert cell["useful"] == [(0.1, 0.1), (0.3, 0.3)]
    assert useful_at(cell).endswith("at thresholds of 10% and of 30%")
    assert useful_at({**cell, "useful": [(0.1, 0.1)]}).endswith("at a threshold of 10%")
    assert useful_at({**cell, "useful": []}).startswith("at no threshold between 10% and 40%")


def test_many_thresholds_make_a_short_table_and_a_full_chart():
    thresholds = tuple(np.round(np.arange(0.01, 0.51, 0.01), 2))
    config = StudyConfig(**{**CONFIG.model_dump(), "thresholds": thresholds})
    summary = _summary(config=config)
    cell = summary["decision"][0]
    assert 5 <= len(cell["rows"]) <= 12
    assert len(cell["lines"][0]["points"]) == 50
    assert study_charts(summary)["usefulness"][0].finding


def test_lines_below_the_picture_are_cut_where_they_leave_it():
    spec = study_charts(_summary())["usefulness"][0].spec
    floor = spec["layer"][-2]["encoding"]["y"]["scale"]["domain"][0]
    rows = [row for row in spec["data"]["values"] if row["role"] == "all"]
    assert min(row["value"] for row in rows) == pytest.approx(floor, abs=1e-5)
    assert all(row["value"] >= floor - 1e-5 for row in spec["data"]["values"])


def test_added_value_is_told_by_step_with_its_verdict():
    summary = _summary()
    cell = summary["added"][0]
    assert [step["step"] for step in cell["steps"]] == ["record", "record + visits", "record + visits + rna"]
    assert cell["steps"][0]["gains"] == {}
    assert cell["steps"][1]["gains"]["integrated_brier"]["verdict"] == "better"
    assert cell["steps"][2]["gains"]["integrated_brier"]["verdict"] == "undecided"
    assert [told["verdict"] for told in cell["sentences"]] == ["helps", "not shown"]
    assert any("Adding visits makes predictions more accurate." in text for text in summary["answer"]["sentences"])
    chart = study_charts(summary)["added"][0]
    assert "adding visits is credibly better" in chart.finding


def test_added_value_without_differences_has_a_table_and_no_chart(cohort, tmp_path):
    found = frames() | evaluated()
    found |= {"added_differences": None, "added_verdict": None}
    summary = _summary(found)
    assert summary["added"][0]["gained"] == []
    assert study_charts(summary)["added"] == []
    path = write_study_report(tmp_path / "study.html", cohort=cohort, config=CONFIG, **found, choice=choice(), run=RUN)
    page = Page(path.read_text(encoding="utf-8"))
    assert page.problems == []
    assert "added" in _sections(page)


def _groups(*levels):
    rows = [
        {**PLACE, "model": "cox", "measure": "auc", "variable": "site", "level": name, "n": n, "events": events}
        | {"suppressed": 0 < n < 10, "note": "", **spread(0.123456 if n < 10 else 0.7, 0.01)}
        for name, n, events in levels
    ]
    apart = [{**row, **spread(0.0654321, 0.01), "p": 0.2, "p_adjusted": 0.4} for row in rows]
    return subgroup_cells(pd.DataFrame(rows), pd.DataFrame(apart), "cox", {"site": "Site"})[0]["groups"][0]["levels"]


def test_small_subgroups_leave_nothing_behind():
    a, b, c = _groups(("A", 7, 3), ("B", 40, 12), ("C", 200, 60))
    assert (a["n"], a["events"], a["value"], a["difference"], a["p"]) == ("withheld", "withheld", None, None, "")
    assert (b["n"], b["events"]) == ("withheld", "withheld"), "what protects the small one"
    assert (c["n"], c["events"]) == ("200", "60")
    assert b["value"]["value"] == 0.7
    assert b["p_adjusted"] == "0.40"


def test_the_difference_from_few_others_is_withheld_too():
    a, b = _groups(("A", 7, 3), ("B", 240, 60))
    assert a["value"] is None
    assert b["difference"] is None
    assert (b["n"], b["p"]) == ("withheld", "")


def test_no_small_count_of_a_subgroup_is_on_the_page(study_page):
    section = study_page.source.split('<section id="subgroups">')[1].split("</section>")[0]
    cells = [text.strip() for text in re.findall(r"<td[^>]*>(.*?)</td>", section, re.S)]
    assert cells
    assert not [text for text in cells if re.fullmatch(r"[1-9]", text)]
    assert section.count("withheld") > 8
    chart = next(c for c in json.loads(study_page.data) if c["id"] == "chart-subgroups")
    assert {row["text"] for row in chart["spec"]["data"]["values"] if "text" in row} == {"withheld"}


def test_a_suppressed_level_without_its_size_is_protected():
    levels = {"sex": (("female", 140, 38), ("male", 155, 44), ("unknown", 5, 2))}
    found = frames() | evaluated(levels=levels)
    hidden = found["subgroups"]["level"] == "unknown"
    found["subgroups"].loc[hidden, ["n", "events"]] = np.nan
    told = _summary(found)["subgroups"][0]["groups"][0]["levels"]
    assert [level["n"] for level in told] == ["withheld", "155", "withheld"]
    assert [level["events"] for level in told] == ["withheld", "44", "withheld"]


def test_subgroups_are_of_the_chosen_model_and_name_what_differs():
    summary = _summary()
    assert {cell["model"] for cell in summary["subgroups"]} == {"cox"}
    assert {group["label"] for group in summary["subgroups"][0]["groups"]} == {"Sex", "Age", "Smoker"}
    finding = study_charts(summary)["subgroups"][0].finding
    assert "these differ from the other patients: Sex: male." in finding
    none = evaluated()["subgroup_differences"].assign(p_adjusted=1.0)
    finding = study_charts(_summary(subgroup_differences=none))["subgroups"][0].finding
    assert "no subgroup differs" in finding


def test_subgroups_need_no_differences():
    summary = _summary(subgroup_differences=None)
    levels = [level for group in summary["subgroups"][0]["groups"] for level in group["levels"]]
    assert len(levels) == sum(len(found) for found in LEVELS.values())
    assert all(level["difference"] is None for level in levels)


def test_p_values_are_short():
    assert [probability(p) for p in (0.00001, 0.0123, 0.5, 1.0, np.nan, None)] == [
        "<0.001",
        "0.012",
        "0.50",
        "1.00",
        "",
        "",
    ]


def test_means_over_one_landmark_are_not_told_twice():
    found = frames() | evaluated()
    assert [cell["landmarks"] for cell in _summary(found)["averages"]] == [2, 2]
    assert _summary(found, overall=found["overall"].assign(landmarks=1))["averages"] == []
    told = _summary(found, overall_differences=None)["averages"]
    assert [cell["comparisons"] for cell in told] == [[], []]


def test_means_carry_their_differences():
    cell = _summary()["averages"][0]
    cox = next(c for c in cell["comparisons"] if c["versus"] == "reference")["rows"][0]
    assert cox["values"]["integrated_brier"]["verdict"] == "better"


def test_optimism_is_told_by_model_and_measure():
    summary = _summary()
    found = {model["model"]: model["rows"] for model in summary["optimism"][0]["models"]}
    assert list(found) == ["reference", "cox", "recurrent"]
    auc = found["cox"][0]
    assert auc["apparent"] - auc["optimism"] == pytest.approx(auc["value"])
    assert "loses most when corrected" in study_charts(summary)["optimism"][0].finding


def test_measures_that_cannot_be_had_leave_a_page_that_stands(cohort, tmp_path):
    found = frames() | evaluated()
    for name in ("metrics", "differences", "decision", "overall", "subgroups", "added", "added_differences"):
        numbers = [c for c in ("value", "lower", "upper", "se") if c in found[name]]
        found[name][numbers] = np.nan
    found["metrics"][["calibrated_lower", "calibrated_upper"]] = np.nan
    found["metrics"]["note"] = "follow-up ends at 1 y"
    found["optimism"][["apparent", "optimism", "corrected", "lower", "upper"]] = np.nan
    path = write_study_report(tmp_path / "study.html", cohort=cohort, config=CONFIG, **found, choice=choice(), run=RUN)
    page = Page(path.read_text(encoding="utf-8"))
    assert page.problems == []
    assert "usefulness" not in _sections(page)
    assert not re.search(r"\b(nan|None|inf|undefined|NaN)\b", page.words)
    assert all(all(chart["findings"].values()) for chart in json.loads(page.data) if chart["switches"])


def test_what_is_known_of_patients_has_its_own_section(study_page):
    section = study_page.source.split('<section id="availability">')[1].split("</section>")[0]
    assert "record, no visits" in section
    cells = availability_cells(evaluated()["availability"], "recurrent")
    assert {cell["model"] for cell in cells} == {"recurrent"}
    assert [row["n"] for row in cells[0]["rows"]] == ["250", "45"]
    assert set(cells[0]["measures"]) == {"auc", "integrated_brier", "ipa"}
    assert cells[0]["held"]
    assert cells[0]["rows"][0]["held"]["value"] == 0.913
    silent = availability_cells(evaluated()["availability"], "cox")
    assert not silent[0]["held"]
    assert availability_cells(pd.DataFrame(), "cox") == []


def test_small_patterns_are_withheld():
    found = evaluated()["availability"]
    small = found["level"] == "record, no visits"
    found.loc[small, "suppressed"] = True
    found.loc[small, ["n", "events"]] = np.nan
    row = availability_cells(found, "recurrent")[0]["rows"][1]
    assert row["withheld"]
    assert row["n"] == "withheld"
    assert row["held"] is None
    assert set(row["values"].values()) == {None}
