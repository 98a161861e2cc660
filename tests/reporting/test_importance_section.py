"""The section on what models rely on: aggregates of patients, hidden where few stand behind them."""

from evaluated import evaluated
from pages import CONFIG, RUN, choice, frames, study_cohort

from osler.reporting.study_figures import study_charts
from osler.reporting.study_summary import study_summary


def summary(**more):
    given = frames() | evaluated() | more
    return study_summary(cohort=study_cohort(), config=CONFIG, choice=choice(), run=RUN, **given)


def test_the_chosen_model_is_told_first_and_the_largest_contribution_of_it(study_page):
    told = summary()["importance"]
    assert told["models"][0] == {"model": "cox", "label": "Cox"}
    assert [entry["label"] for entry in told["variables"]][:2] == ["Marker", "Age"]
    assert told["models"][1]["model"] == "recurrent"
    assert "For 30 patients drawn at random" in study_page.words
    assert "Associations are not effects" in study_page.words
    assert "Marker moves the risks most, by 3.0 points on average" in study_page.words


def test_what_few_patients_stand_behind_is_withheld_in_table_and_chart():
    told = summary()
    smoker = next(entry for entry in told["importance"]["variables"] if entry["label"] == "Smoker")
    assert all(value["withheld"] and value["value"] is None for value in smoker["values"].values())
    (chart,) = study_charts(told)["importance"]
    assert "Smoker" not in str(chart.spec)


def test_agreement_between_folds_stands_beside_it(study_page):
    told = summary()["importance"]["agreement"]
    assert told[0]["by_patient"] == "0.93"
    assert "Are explanations stable?" in study_page.words


def test_without_explanations_there_is_no_section(plain_page):
    assert summary(importance=None)["importance"] is None
    assert "What the models rely on" not in plain_page.words
