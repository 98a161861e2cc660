"""What a study claims, and what it warns of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pages import CONFIG, RUN, choice, frames, study_cohort

from cohorts import make_cohort
from osler.cohort.outcome import Outcome
from osler.config import StudyConfig
from osler.errors import UsageError
from osler.evaluation import Choice
from osler.reporting.frames import remarks
from osler.reporting.limits import refused
from osler.reporting.study_figures import study_charts
from osler.reporting.study_summary import study_summary


def _summary(cohort=None, config=CONFIG, chosen=None, found=None, **more):
    found = found or frames(config=config)
    run = more.pop("run", RUN)
    return study_summary(
        cohort=cohort or study_cohort(), config=config, choice=chosen or choice(), run=run, **found, **more
    )


def test_a_simpler_model_as_good_is_the_headline():
    told = _summary()["answer"]
    assert told["tone"] == "good"
    assert told["headline"] == "Cox, the simpler model, is as good as Recurrent (Osler): use it."
    assert "in all 4 comparisons" in told["sentences"][0]
    assert told["sentences"][1] == "The simpler model is as good."


def test_the_best_model_is_named_alone_when_it_is_the_choice():
    told = _summary(chosen=choice("recurrent", "recurrent"))["answer"]
    assert told["headline"] == "Recurrent (Osler) is the model to use."


def test_no_skill_is_said_first():
    nothing = frames({"reference": 0.0, "cox": 0.01, "recurrent": -0.05})
    told = _summary(found=nothing, chosen=choice("cox", "cox"))["answer"]
    assert told["tone"] == "none"
    assert told["headline"].startswith("No model was shown to predict better than the average risk")
    summary = _summary(chosen=choice("reference", "cox"))
    assert summary["answer"]["tone"] == "none"
    assert summary["told_first"] == "Cox", "numbers of what came nearest, not of knowing nothing"
    assert summary["answer"]["facts"][0]["value"] == "0.750"
    assert _summary(chosen=choice("reference", "reference"))["told_first"] == "Recurrent (Osler)"


def test_skill_in_some_places_only_is_not_called_skill():
    found = frames()
    here = found["differences"]["landmark"] > 0
    found["differences"].loc[here, ["lower", "upper"]] = [-1.0, 1.0]
    told = _summary(found=found)["answer"]
    assert told["tone"] == "mixed"
    assert "in 2 of 4 comparisons" in told["sentences"][0]


def test_nothing_judged_is_nothing_claimed():
    found = frames()
    found["metrics"][["value", "lower", "upper", "se"]] = np.nan
    found["metrics"]["note"] = "follow-up ends at 1 y"
    summary = _summary(
        found={**found, "differences": found["differences"].iloc[:0], "calibration": found["calibration"].iloc[:0]}
    )
    assert summary["answer"]["headline"] == "No model could be judged."
    assert summary["answer"]["facts"] == []
    assert [limit["title"] for limit in summary["limits"]].count("Not answered: at time zero, 2 years ahead") == 1
    assert any("follow-up ends at 1 y" in limit["text"] for limit in summary["limits"])
    assert study_charts(summary)["calibration"] == []


def test_headline_numbers_carry_their_intervals():
    facts = {fact["label"]: fact for fact in _summary()["answer"]["facts"]}
    assert facts["AUC"]["value"] == "0.750"
    assert facts["AUC"]["interval"] == "0.711 to 0.789"
    assert facts["IPA"]["value"] == "20.0%"
    assert facts["Observed / expected"]["interval"] == "0.93 to 1.17"


def test_differences_say_better_worse_or_neither():
    found = frames({"reference": 0.0, "cox": 1.0, "recurrent": -1.0})
    cells = [cell for cell in _summary(found=found)["comparisons"] if cell["versus"] == "reference"]
    for cell in cells:
        verdicts = {row["model"]: {m: v["verdict"] for m, v in row["values"].items()} for row in cell["rows"]}
        assert verdicts["cox"] == {"auc": "better", "brier": "better", "integrated_brier": "better"}
        assert verdicts["recurrent"] == {"auc": "worse", "brier": "worse", "integrated_brier": "worse"}
    assert len(cells) == 4


def test_a_difference_whose_interval_holds_zero_is_undecided():
    found = frames({"reference": 0.0, "cox": 1.0, "recurrent": 1.0})
    cell = next(c for c in _summary(found=found)["comparisons"] if c["versus"] == "cox")
    row = next(row for row in cell["rows"] if row["model"] == "recurrent")
    assert {value["verdict"] for value in row["values"].values()} == {"undecided"}


def test_limits_name_what_is_weak_here():
    titles = {limit["title"] for limit in _summary(make_cohort(80))["limits"]}
    assert {"Few events", "Few events per predictor", "One cohort, no external validation", "Remark of Cox"} <= titles
    assert "One division into folds" in titles
    repeated = StudyConfig(**{**CONFIG.model_dump(), "repeats": 5})
    assert "One division into folds" not in {limit["title"] for limit in _summary(config=repeated)["limits"]}
    enough = make_cohort(3000, genes=0, image_size=None, embedding=None)
    titles = {limit["title"] for limit in _summary(enough, run={})["limits"]}
    assert not {"Few events", "Few events per predictor"} & titles


def test_censoring_before_the_horizon_is_told_with_its_share():
    cohort = study_cohort(200)
    time, event = np.where(np.arange(200) < 50, 100.0, 3000.0), np.where(np.arange(200) < 50, 0, 1)
    cut = replace(cohort, outcome=Outcome(time, event.astype(np.int64), cohort.outcome.causes))
    text = next(limit["text"] for limit in _summary(cut)["limits"] if limit["title"] == "Incomplete follow-up")
    assert text.startswith("25% of the patients at risk at time zero")


def test_methods_name_folds_measures_and_competing_events():
    text = " ".join(_summary()["methods"])
    for part in (
        "3-fold",
        "death competes".capitalize(),
        "influence functions",
        "inverse probability of censoring",
        "95%",
    ):
        assert part in text
    alone = _summary(make_cohort(200, causes=("death",)))
    assert "compete" not in " ".join(alone["methods"])
    assert "competing" not in alone["question"]


def test_without_an_outcome_there_is_no_study():
    with pytest.raises(UsageError, match="no outcome"):
        _summary(replace(study_cohort(), outcome=None))


def test_measures_over_all_horizons_and_unknown_measures_have_their_place():
    found = frames()
    extra = (
        found["metrics"].query("measure == 'auc' and horizon > 1000").assign(horizon=np.nan, measure="my_own_measure")
    )
    summary = _summary(found={**found, "metrics": pd.concat([found["metrics"], extra])})
    whole = [cell for cell in summary["cells"] if cell["horizon"] is None]
    assert [cell["measures"] for cell in whole] == [["my_own_measure"]] * 2
    assert len(summary["cells"]) == 6


def test_suppressed_groups_of_calibration_leave_nothing_behind():
    found = frames()
    small = found["calibration"]["group"] == 1
    found["calibration"].loc[small, ["n", "suppressed"]] = [4, True]
    found["calibration"].loc[small, ["predicted", "observed", "lower", "upper", "events"]] = [
        0.123456,
        0.654321,
        0.1,
        0.9,
        3,
    ]
    summary = _summary(found=found)
    chart = study_charts(summary)["calibration"][0]
    assert "0.123456" not in str(chart.live())
    assert "0.654321" not in str(chart.live())
    for cell in summary["calibration"]:
        sizes = [group["n"] for group in cell["groups"]]
        assert sizes.count(None) == 2, "the small group, and one that protects it"
        assert sum(size for size in sizes if size is not None) < 5 * 60 - 60
        assert cell["groups"][0]["observed"] is None


def test_few_events_are_withheld_from_the_tables():
    found = frames()
    found["metrics"]["events"] = 7
    summary = _summary(found=found)
    assert {cell["events"] for cell in summary["cells"]} == {"withheld"}


def test_a_rare_cause_has_no_curve_and_no_count():
    cohort = study_cohort(200)
    event = np.where(np.arange(200) < 5, 2, np.where(np.arange(200) < 120, 1, 0))
    time = np.linspace(10, 3000, 200)
    rare = replace(cohort, outcome=Outcome(time, event.astype(np.int64), cohort.outcome.causes))
    summary = _summary(rare)
    assert summary["follow_up"]["causes"] == ["progression"]
    assert summary["follow_up"]["withheld"] == ["death"]
    assert [end["count"] for end in summary["flow"]["ends"]] == ["115", "withheld", "withheld"]


def test_choice_of_an_evaluation_fits(tmp_path):
    told = _summary(chosen=Choice("cox", "cox", "Cox has the lowest score.", simpler_is_as_good=False))["answer"]
    assert told["headline"] == "Cox is the model to use."


def test_what_one_model_alone_lacks_is_no_remark():
    cell = pd.DataFrame(
        {
            "model": ["reference", "cox", "reference", "cox"],
            "measure": ["calibration_slope", "calibration_slope", "auc", "auc"],
            "value": [np.nan, 1.0, np.nan, np.nan],
            "note": ["not defined for these predictions", "", "no event of interest by the horizon", ""],
        }
    )
    assert remarks(cell) == ["no event of interest by the horizon"]
    rows = [{"values": {row.measure: {"value": row.value, "note": row.note}}} for row in cell.itertuples(index=False)]
    (limit,) = refused([{"landmark": 0.0, "horizon": 730.5, "rows": rows}])
    assert limit["text"] == "no event of interest by the horizon."
