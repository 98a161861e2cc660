"""What a study says of how it was done is true of how it was set up."""

from __future__ import annotations

from evaluated import evaluated
from pages import CONFIG, RUN, choice, frames, study_cohort

from osler.config import MODEL_NAMES, StudyConfig
from osler.reporting.methods import _MODELS
from osler.reporting.study_summary import study_summary


def _told(full=True, **settings):
    config = StudyConfig(**{**CONFIG.model_dump(), **settings})
    found = frames(config=config) | (evaluated(config) if full else {})
    summary = study_summary(cohort=study_cohort(), config=config, choice=choice(), run=RUN, **found)
    return " ".join(summary["methods"]), {limit["title"]: limit["text"] for limit in summary["limits"]}


def test_intervals_hold_refitting_and_say_how():
    methods, limits = _told()
    assert "corrected variance of repeated cross-validation" in methods
    assert "approximately, that of fitting the models to others" in limits["What the intervals hold"]
    assert "do not hold the variation from fitting" not in str(limits)


def test_what_was_not_done_is_not_described():
    methods, limits = _told(full=False)
    for part in (
        "Holm",
        "Apparent performance",
        "Net benefit is the share",
        "if every predicted risk were right",
    ):
        assert part not in methods
    assert not {"Many subgroups", "Correction for optimism"} & set(limits)
    assert "Uno’s C counts" not in methods
    assert "searched" not in methods


def test_what_was_done_is_described():
    methods, limits = _told()
    for part in (
        "Holm’s method",
        "Stat Med 1996;15:361-387",
        "Net benefit is the share of true positives",
        "drawn 200 times as if every predicted risk were right",
        "Uno’s C counts",
        "Harrell’s C does so without weights",
        "Antolini’s C-td",
        "Royston and Sauerbrei",
        "200 bootstrap samples",
    ):
        assert part in methods
    assert {"Many subgroups", "Correction for optimism", "One cohort, no external validation"} <= set(limits)


def test_whole_sites_and_later_patients_are_called_what_they_are():
    methods, limits = _told(split="sites", split_by="sex")
    assert "leaving out whole sites (Sex; internal-external validation" in methods
    assert "3-fold" not in methods
    assert "Other sites, but of the same cohort" in limits
    assert not {"One cohort, no external validation", "One division into folds"} & set(limits)
    methods, limits = _told(split="time", split_by="age")
    assert "ordered by entry (Age) and cut into 4 blocks" in methods
    assert "Later patients, but of the same place" in limits


def test_censoring_that_depends_on_patients_is_told():
    assert "reverse Kaplan-Meier method from everybody" in _told()[0]
    methods, limits = _told(censoring=("age", "sex"))
    assert "allowed to depend on Age and Sex" in methods
    assert "reverse Kaplan-Meier method from everybody" not in methods
    assert "among patients alike in Age and Sex" in limits["Incomplete follow-up"]


def test_a_search_for_settings_is_told():
    methods, limits = _told(tuning={"trials": 20})
    assert "were searched for Cox and Recurrent (Osler): up to 20 trials proposed" in methods
    assert "A search that depends on speed" not in limits
    methods, limits = _told(tuning={"trials": 20, "seconds": 60, "models": ("cox",)})
    assert "were searched for Cox: up to 20 trials, within 60 seconds, proposed" in methods
    assert "A search that depends on speed" in limits


def test_models_that_were_compared_are_described_and_no_others():
    methods, _ = _told(models=("cox", "recurrent"))
    assert "Cox is a cause-specific Cox model with a ridge penalty" in methods
    assert "the equal mean of four" in methods
    assert "landmark supermodel" not in methods
    assert "partial likelihood" not in methods


def test_every_model_can_be_described():
    assert set(_MODELS) == set(MODEL_NAMES)
