"""What weakens a study's answer, found from the data; and how the study was done, for those who check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.reporting.cells import SMALLEST
from osler.reporting.words import count, joined, known, moment, percent, plural, since, spell

__all__ = ["limits", "methods"]

#: Events below which a validation is called imprecise (Collins, Ogundimu and Altman, Stat Med 2016;35:214-226).
_ENOUGH_EVENTS = 100
#: Events per candidate predictor below which overfitting is named (Peduzzi et al., J Clin Epidemiol 1996;49:1373-9).
_EVENTS_PER_PREDICTOR = 10
#: Share of patients censored before the longest horizon from which incomplete follow-up is named.
_MANY_CENSORED = 0.1

Limits = list[dict[str, str]]
_ALWAYS = (
    (
        "One cohort, no external validation",
        "Every number comes from cross-validation inside this cohort. Patients of another place or time may differ in "
        "risk, in what is measured and in how events are found: validate there before use.",
    ),
    (
        "What the intervals hold",
        "They describe the chance of having drawn these patients, given the fitted models. They do not hold the "
        "variation from fitting the models anew, and are not adjusted for the number of comparisons.",
    ),
    (
        "Associations, not effects",
        "A predictor that raises a risk need not cause it: changing it need not change the outcome.",
    ),
)


def limits(
    cohort: Cohort,
    config: StudyConfig,
    cells: list[dict[str, Any]],
    modalities: list[dict[str, Any]],
    run: Mapping[str, Any],
    labels: Mapping[str, str],
) -> Limits:
    """What a reader must know before using the answer: ``{"title", "text"}`` each, what is particular here first."""
    found = [*_small_numbers(cohort), *_refused(cells), *_follow_up(cohort, config)]
    patchy = [m["name"] for m in modalities if m["share"] is not None and m["share"] < 0.5]
    if patchy:
        text = f"Fewer than half of the patients have {joined(patchy)}; what that adds is judged on few."
        found.append(_limit("Modalities that most patients lack", text))
    for name, told in run.get("notes", {}).items():
        found += [_limit(f"Remark of {labels.get(name, name)}", str(note)) for note in told]
    if config.repeats == 1:
        text = "The cross-validation was made once; another division into folds would move every number a little. "
        found.append(_limit("One division into folds", f"{text}Set repeats in the study to average over several."))
    return found + [_limit(title, text) for title, text in _ALWAYS]


def _limit(title: str, text: str) -> dict[str, str]:
    return {"title": title, "text": text}


def _small_numbers(cohort: Cohort) -> Limits:
    assert cohort.outcome is not None
    events = cohort.outcome.events()
    name, n = cohort.outcome.causes[0], events[cohort.outcome.causes[0]]
    predictors = len(cohort.variables) + sum(len(g.features) for g in cohort.genomics.values())
    predictors += sum(b.values.shape[1] for b in cohort.images.values() if b.form == "embedding")
    told = f"fewer than {SMALLEST}" if 0 < n < SMALLEST else count(n)
    found = []
    if n < _ENOUGH_EVENTS:
        text = (
            f"Events of {name}: {told}. Below about {_ENOUGH_EVENTS}, discrimination and above all calibration are "
            "known only roughly: read the intervals, not the values."
        )
        found.append(_limit("Few events", text))
    if predictors and n / predictors < _EVENTS_PER_PREDICTOR:
        text = (
            f"Events of {name}: {told}, for {plural(predictors, 'candidate predictor')}; fewer than "
            f"{_EVENTS_PER_PREDICTOR} for each. The models rely on penalties and on cross-validation to keep from "
            "overfitting, and the effects of single predictors cannot be told apart."
        )
        found.append(_limit("Few events per predictor", text))
    return found


def _refused(cells: list[dict[str, Any]]) -> Limits:
    """Landmarks and horizons without an answer, and why."""
    found = []
    for cell in cells:
        values = [value for row in cell["rows"] for value in row["values"].values()]
        notes = sorted({value["note"] for value in values if not known(value["value"]) and value["note"]})
        if notes:
            ahead = f", {spell(cell['horizon'])} ahead" if cell["horizon"] else ""
            found.append(_limit(f"Not answered: {since(cell['landmark'])}{ahead}", f"{'; '.join(notes)}."))
    return found


def _follow_up(cohort: Cohort, config: StudyConfig) -> Limits:
    assert cohort.outcome is not None
    first, longest = min(config.landmarks), max(config.horizons)
    outcome = cohort.outcome.since(first)
    at_risk = outcome.time > 0
    lost = float(((outcome.event == 0) & (outcome.time < longest))[at_risk].mean()) if at_risk.any() else 0.0
    if lost < _MANY_CENSORED:
        return []
    text = (
        f"{percent(lost, 0)} of the patients at risk {since(first)} were censored before {spell(longest)} had passed. "
        "Others count for them, by the inverse probability of censoring, which is right if censoring has nothing to do "
        "with the risk."
    )
    return [_limit("Incomplete follow-up", text)]


def methods(cohort: Cohort, config: StudyConfig, labels: Mapping[str, str]) -> list[str]:
    """How it was done, in paragraphs that a statistician can check."""
    assert cohort.outcome is not None
    event, *competing = cohort.outcome.causes
    level = percent(config.confidence, 0)
    landmarks = joined(moment(x) for x in config.landmarks)
    horizons = joined(spell(x) for x in config.horizons)
    again = f", repeated {config.repeats} times with other divisions" if config.repeats > 1 else ""
    mean = " Values are means over the repeats." if config.repeats > 1 else ""
    paragraphs = [
        f"Risks of {event} were predicted at {plural(len(config.landmarks), 'landmark')} ({landmarks}) for {horizons} "
        "ahead. A prediction uses what was known on or before its landmark, and is made for patients still at risk "
        "then; follow-up counts from the landmark.",
        f"The models ({joined(labels[name] for name in config.models)}) were compared by {config.folds}-fold "
        f"cross-validation{again}, on the same folds. Folds divide patients, never visits, and are balanced for "
        "outcome and follow-up time. Imputation, scaling, reduction, tuning and early stopping happened inside the "
        f"training folds. Measures were computed on the pooled out-of-fold predictions of the patients at risk.{mean}",
    ]
    if competing:
        paragraphs.append(
            f"{joined(competing).capitalize()} {'compete' if len(competing) > 1 else 'competes'} with {event}: a "
            "patient who suffers it first can no longer have the event of interest. It is not treated as censoring; "
            "predicted risks are cumulative incidences (absolute risks), and so is the observed risk "
            "(Aalen-Johansen estimate)."
        )
    paragraphs.append(
        "AUC is time-dependent, cumulative/dynamic: cases have the event of interest by the horizon, controls do not "
        "(those with a competing event among them); pairs are compared within a fold. AUC and Brier score are weighted "
        "by the inverse probability of censoring (Kaplan-Meier). The integrated Brier score is its mean over time up "
        "to the horizon. IPA is one minus the ratio of the Brier score to that of the average risk. Observed/expected "
        "is the Aalen-Johansen estimate over the mean predicted risk. Standard errors come from influence functions "
        f"and hold the estimation of the weights; intervals are at {level}. Models are compared by paired differences "
        "on the same patients."
    )
    paragraphs.append(
        "The model to use is the simplest whose integrated Brier score, at the longest horizon and averaged over "
        "landmarks, is within one standard error (of the paired difference) of the best. Counts of fewer than "
        f"{SMALLEST} patients are withheld, and so are counts that would give them away by subtraction."
    )
    return paragraphs
