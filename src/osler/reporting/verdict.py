"""What a study says, in sentences: the answer in brief, the limits that apply to it, and how it was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.reporting.cells import SMALLEST
from osler.reporting.comparison import MEASURES, versus
from osler.reporting.words import count, interval, joined, known, moment, percent, plural, since, spell

__all__ = ["answer", "limits", "methods", "primary_cell"]

#: Events below which a validation is called imprecise (Collins, Ogundimu and Altman, Stat Med 2016;35:214-226).
_ENOUGH_EVENTS = 100
#: Events per candidate predictor below which overfitting is named (Peduzzi et al., J Clin Epidemiol 1996;49:1373-9).
_EVENTS_PER_PREDICTOR = 10
_ACCURACY = ("integrated_brier", "brier", "ipa")


def primary_cell(cells: list[dict[str, Any]], model: str) -> dict[str, Any] | None:
    """The cell that headlines use: the first landmark, and at it the longest horizon that could be answered."""
    answered = [
        cell
        for cell in cells
        if cell["horizon"] is not None
        and any(known(row["values"].get("auc", {}).get("value")) for row in cell["rows"] if row["model"] == model)
    ]
    if not answered:
        return None
    first = min(cell["landmark"] for cell in answered)
    return max((cell for cell in answered if cell["landmark"] == first), key=lambda cell: cell["horizon"])


def answer(
    cells: list[dict[str, Any]],
    comparisons: list[dict[str, Any]],
    choice: Any,
    labels: Mapping[str, str],
    event: str,
) -> dict[str, Any]:
    """The verdict: a headline, the sentences under it, and a tone for the page ("good", "mixed" or "none").

    A headline claims skill only where the interval of a paired difference from the average risk excludes zero.
    """
    won, asked = _beats_reference(comparisons, choice.best)
    chosen = labels.get(choice.model, choice.model)
    if choice.model == "reference" or (asked and not won):
        tone = "none"
        headline = "No model predicts better than the average risk of all patients."
        advice = "Do not use individual predictions from this study: everybody's best estimate is the average."
    elif asked and won < asked:
        tone = "mixed"
        headline = f"{chosen} is the model to use, but it does not beat the average risk everywhere."
        advice = f"Better than the average risk of all patients in {won} of {asked} comparisons; undecided or worse in the rest."
    else:
        tone = "good"
        headline = f"{chosen} is the model to use."
        advice = f"It predicts {event} better than the average risk of all patients" if asked else ""
        advice += f" in all {asked} comparisons made." if asked > 1 else "." if asked else ""
    sentences = [text for text in (advice, str(choice.sentence)) if text]
    if choice.simpler_is_as_good and choice.model != choice.best:
        best = labels.get(choice.best, choice.best)
        headline = headline.replace(" is the model to use", f", a simpler model, is as good as {best}: use it", 1)
    return {"headline": headline, "tone": tone, "sentences": sentences, "facts": _facts(cells, choice, labels)}


def _beats_reference(comparisons: list[dict[str, Any]], model: str) -> tuple[int, int]:
    """In how many landmarks and horizons the model is credibly more accurate than the average risk, and of how many."""
    for measure in _ACCURACY:
        found = [value for value in versus(comparisons, model, "reference", measure) if known(value["value"])]
        if found:
            return sum(value["verdict"] == "better" for value in found), len(found)
    return 0, 0


def _facts(cells: list[dict[str, Any]], choice: Any, labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Headline numbers of the chosen model, each with its interval and its meaning."""
    cell = primary_cell(cells, choice.model)
    if cell is None:
        return []
    values = next(row["values"] for row in cell["rows"] if row["model"] == choice.model)
    facts = []
    for name, meaning in (
        ("auc", "of pairs of patients, one with and one without the event, are ranked rightly"),
        ("ipa", "of the prediction error of the average risk is removed (index of prediction accuracy)"),
        ("observed_expected", "events happened for each event predicted"),
    ):
        value = values.get(name, {})
        if known(value.get("value")):
            shape = _as_percent if name == "auc" else MEASURES[name].show
            facts.append(
                {
                    "label": MEASURES[name].label,
                    "value": shape(value["value"]),
                    "interval": interval(value["lower"], value["upper"], shape),
                    "meaning": meaning,
                }
            )
    return facts


def _as_percent(value: float) -> str:
    return percent(value, 0)


def limits(
    cohort: Cohort,
    config: StudyConfig,
    cells: list[dict[str, Any]],
    modalities: list[dict[str, Any]],
    run: Mapping[str, Any],
    labels: Mapping[str, str],
) -> list[dict[str, str]]:
    """What weakens the answer, found from the data: ``{"title", "text"}`` each, the gravest first."""
    assert cohort.outcome is not None
    found = [*_small_numbers(cohort), *_refused(cells), *_follow_up(cohort, config)]
    patchy = [m["name"] for m in modalities if m["share"] is not None and m["share"] < 0.5]
    if patchy:
        found.append(
            {
                "title": "Modalities that most patients lack",
                "text": f"Fewer than half of the patients have {joined(patchy)}; what it adds is judged on few.",
            }
        )
    found.append(
        {
            "title": "One cohort, no external validation",
            "text": "Every number comes from cross-validation inside this cohort. Patients of another place or time may "
            "differ in risk, in what is measured and in how events are found: validate there before use.",
        }
    )
    if config.repeats == 1:
        found.append(
            {
                "title": "One division into folds",
                "text": "The cross-validation was made once; another division would move every number a little. "
                "Set repeats in the study to see by how much.",
            }
        )
    found.append(
        {
            "title": "What the intervals hold",
            "text": "They describe the chance of having drawn these patients, given the fitted models. They do not hold "
            "the variation from fitting the models anew, and are not adjusted for the number of comparisons.",
        }
    )
    found.append(
        {
            "title": "Associations, not effects",
            "text": "A predictor that raises a risk need not cause it: changing it need not change the outcome.",
        }
    )
    notes = [f"{labels.get(name, name)}: {note}" for name, told in run.get("notes", {}).items() for note in told]
    found += [{"title": "Remark of a model", "text": note} for note in notes]
    return found


def _small_numbers(cohort: Cohort) -> list[dict[str, str]]:
    assert cohort.outcome is not None
    events = cohort.outcome.events()
    name, n = cohort.outcome.causes[0], events[cohort.outcome.causes[0]]
    predictors = len(cohort.variables) + sum(len(g.features) for g in cohort.genomics.values())
    predictors += sum(b.values.shape[1] for b in cohort.images.values() if b.form == "embedding")
    told = f"fewer than {SMALLEST}" if n < SMALLEST else count(n)
    found = []
    if n < _ENOUGH_EVENTS:
        found.append(
            {
                "title": "Few events",
                "text": f"There are {told} events of {name}. Below about {_ENOUGH_EVENTS}, discrimination and above all "
                "calibration are known only roughly: read the intervals, not the values.",
            }
        )
    if predictors and n / predictors < _EVENTS_PER_PREDICTOR:
        found.append(
            {
                "title": "Few events per predictor",
                "text": f"{told} events of {name} for {plural(predictors, 'candidate predictor')} "
                f"(fewer than {_EVENTS_PER_PREDICTOR} for each): the models rely on penalties and on cross-validation "
                "to keep from overfitting, and single effects cannot be told apart.",
            }
        )
    return found


def _refused(cells: list[dict[str, Any]]) -> list[dict[str, str]]:
    found = []
    for cell in cells:
        values = [value for row in cell["rows"] for value in row["values"].values()]
        notes = sorted({value["note"] for value in values if not known(value["value"]) and value["note"]})
        if notes:
            ahead = f", {spell(cell['horizon'])} ahead" if cell["horizon"] else ""
            found.append({"title": f"Not answered: {moment(cell['landmark'])}{ahead}", "text": f"{'; '.join(notes)}."})
    return found


def _follow_up(cohort: Cohort, config: StudyConfig) -> list[dict[str, str]]:
    assert cohort.outcome is not None
    first, longest = min(config.landmarks), max(config.horizons)
    outcome = cohort.outcome.since(first)
    at_risk = outcome.time > 0
    lost = float(((outcome.event == 0) & (outcome.time < longest))[at_risk].mean()) if at_risk.any() else 0.0
    if lost < 0.1:
        return []
    return [
        {
            "title": "Incomplete follow-up",
            "text": f"{percent(lost, 0)} of the patients at risk {since(first)} were censored before {spell(longest)} had "
            "passed. They count by inverse probability of censoring weights, which is right if censoring "
            "has nothing to do with the risk.",
        }
    ]


def methods(cohort: Cohort, config: StudyConfig, labels: Mapping[str, str]) -> list[str]:
    """How it was done, in paragraphs that a statistician can check."""
    assert cohort.outcome is not None
    event, *competing = cohort.outcome.causes
    level = percent(config.confidence, 0)
    landmarks = joined(moment(x) for x in config.landmarks)
    horizons = joined(spell(x) for x in config.horizons)
    times = f"{config.repeats} times with different divisions, " if config.repeats > 1 else ""
    paragraphs = [
        f"Risks of {event} were predicted at {plural(len(config.landmarks), 'landmark')} ({landmarks}) for {horizons} "
        "ahead. A prediction uses what was known on or before its landmark, and is made for patients still at risk then; "
        "follow-up counts from the landmark.",
        f"The models ({joined(labels[name] for name in config.models)}) were compared by {config.folds}-fold "
        f"cross-validation, {times}on the same folds. Folds divide patients, never visits, and are balanced "
        "for outcome and follow-up time. Imputation, scaling, reduction, tuning and early stopping happened inside the "
        "training folds. Measures were computed on the pooled out-of-fold predictions of the patients at risk.",
    ]
    if competing:
        paragraphs.append(
            f"{joined(competing).capitalize()} {'compete' if len(competing) > 1 else 'competes'} with {event}: a patient "
            "who suffers it can no longer suffer the event of interest. It is not treated as censoring; predicted "
            "risks are cumulative incidences (absolute risks), and the average risk is the Aalen-Johansen estimate."
        )
    paragraphs.append(
        "AUC is time-dependent (cases: event of interest by the horizon; controls: everybody else still free of it), the Brier "
        "score is its mean squared error, both weighted by the inverse probability of censoring. IPA is one minus the "
        "ratio of the Brier score to that of the average risk. Observed/expected sets the nonparametric cumulative incidence "
        f"beside the mean predicted risk. Intervals are at {level}; models are compared by paired differences on the "
        "same patients."
    )
    paragraphs.append(
        "The model to use is the simplest whose integrated Brier score is within one standard error of the best. "
        f"Counts of fewer than {SMALLEST} patients are withheld, and so are counts that would give them away by subtraction."
    )
    return paragraphs
