"""What weakens a study's answer, found from the data and from how the study was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.reporting.cells import SMALLEST
from osler.reporting.words import count, joined, known, percent, plural, since, spell

__all__ = ["limits", "refused"]

#: Events below which a validation is called imprecise (Collins, Ogundimu and Altman, Stat Med 2016;35:214-226).
_ENOUGH_EVENTS = 100
#: Events per candidate predictor below which overfitting is named (Peduzzi et al., J Clin Epidemiol 1996;49:1373-9).
_EVENTS_PER_PREDICTOR = 10
#: Share of patients censored before the longest horizon from which incomplete follow-up is named.
_MANY_CENSORED = 0.1

Limits = list[dict[str, str]]
_EFFECTS = (
    "Associations, not effects",
    "A predictor that raises a risk need not cause it: changing it need not change the outcome.",
)


def limits(
    cohort: Cohort,
    config: StudyConfig,
    cells: list[dict[str, Any]],
    modalities: list[dict[str, Any]],
    run: Mapping[str, Any],
    labels: Mapping[str, str],
    evaluated: Mapping[str, Any],
) -> Limits:
    """What a reader must know before using the answer: ``{"title", "text"}`` each, what is particular here first."""
    found = [*_small_numbers(cohort), *refused(cells), *_follow_up(cohort, config)]
    patchy = [m["name"] for m in modalities if m["share"] is not None and m["share"] < 0.5]
    if patchy:
        text = f"Fewer than half of the patients have {joined(patchy)}; what that adds is judged on few."
        found.append(_limit("Modalities that most patients lack", text))
    for name, told in run.get("notes", {}).items():
        found += [_limit(f"Remark of {labels.get(name, name)}", str(note)) for note in told]
    if config.repeats == 1 and getattr(config, "split", "random") == "random":
        text = "The cross-validation was made once; another division into folds would move every number a little. "
        found.append(_limit("One division into folds", f"{text}Set repeats in the study to average over several."))
    return [*found, *_of_parts(config, evaluated), _validation(config), _intervals(), _limit(*_EFFECTS)]


def _limit(title: str, text: str) -> dict[str, str]:
    return {"title": title, "text": text}


def _of_parts(config: StudyConfig, evaluated: Mapping[str, Any]) -> Limits:
    """Limits of the parts of the evaluation that not every study has."""
    found = []
    if evaluated["subgroups"]:
        text = (
            "Some of many subgroups differ by chance alone, and small ones are known only roughly. A difference is "
            "worth following up where its adjusted p value is small and it was expected; that none is found does not "
            "show that the model is as good for everybody."
        )
        found.append(_limit("Many subgroups", text))
    if evaluated["optimism"]:
        text = "Intervals of the corrected values leave out that the optimism itself is an estimate."
        found.append(_limit("Correction for optimism", text))
    seconds = getattr(getattr(config, "tuning", None), "seconds", None)
    if seconds is not None and _tuned(config):
        text = f"The search for settings stopped after {seconds:g} seconds: a faster or slower machine finds others."
        found.append(_limit("A search that depends on speed", text))
    return found


def _tuned(config: StudyConfig) -> bool:
    return bool(getattr(getattr(config, "tuning", None), "trials", 0))


def _validation(config: StudyConfig) -> dict[str, str]:
    """How far from the patients it learned from a model was judged."""
    how = getattr(config, "split", "random")
    if how == "sites":
        text = (
            "Each site was predicted by models that saw nobody of it, which is nearer to use in a new place than "
            "random folds are; but the sites share how patients were chosen and how events were found. Validate where "
            "the model is to be used."
        )
        return _limit("Other sites, but of the same cohort", text)
    if how == "time":
        text = (
            "Later patients were predicted by models of earlier ones, which is nearer to future use than random folds "
            "are; the place is the same, and the earliest patients were never predicted. Validate where the model is "
            "to be used."
        )
        return _limit("Later patients, but of the same place", text)
    text = (
        "Every number comes from cross-validation inside this cohort. Patients of another place or time may differ in "
        "risk, in what is measured and in how events are found: validate there before use."
    )
    return _limit("One cohort, no external validation", text)


def _intervals() -> dict[str, str]:
    text = (
        "They hold the chance of having drawn these patients and, approximately, that of fitting the models to others: "
        "from one cohort the second cannot be known exactly. They do not hold that the model was chosen after seeing "
        "the results. Only where comparisons are said to be read together are intervals adjusted for their number."
    )
    return _limit("What the intervals hold", text)


def _small_numbers(cohort: Cohort) -> Limits:
    assert cohort.outcome is not None
    events = cohort.outcome.events()
    name, n = cohort.outcome.causes[0], events[cohort.outcome.causes[0]]
    predictors = len(cohort.variables) + sum(len(g.features) for g in cohort.genomics.values())
    predictors += sum(v.values.shape[1] for b in cohort.images.values() if (v := b.vectors) is not None)
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


def refused(cells: Sequence[Mapping[str, Any]]) -> Limits:
    """Landmarks and horizons at which a measure has no answer for any model, and why."""
    found = []
    for cell in cells:
        values = [(name, value) for row in cell["rows"] for name, value in row["values"].items()]
        answered = {name for name, value in values if known(value["value"])}
        notes = sorted({value["note"] for name, value in values if name not in answered and value["note"]})
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
    names = {variable.name: variable.label for variable in cohort.variables.values()}
    given = joined(names.get(name, name) for name in getattr(config, "censoring", ()))
    among = f" among patients alike in {given}" if given else ""
    text = (
        f"{percent(lost, 0)} of the patients at risk {since(first)} were censored before {spell(longest)} had passed. "
        "Others count for them, by the inverse probability of censoring, which is right if censoring has nothing to do "
        f"with the risk{among}."
    )
    return [_limit("Incomplete follow-up", text)]
