"""Words of an external validation's report: headline, what the update does, limits, methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.reporting.cells import SMALLEST
from osler.reporting.frames import split
from osler.reporting.limits import refused
from osler.reporting.words import (
    ABSENT,
    capitalise,
    count,
    joined,
    known,
    moment,
    number,
    percent,
    plural,
    since,
    spell,
)

__all__ = ["METHOD_NAMES", "headline", "limits_of", "methods_of", "update_rows"]

#: Events below which a validation is called imprecise (Collins, Ogundimu and Altman, Stat Med 2016;35:214-226).
_ENOUGH_EVENTS = 100
_MANY_CENSORED = 0.1
_METHODS = ("as_is", "in_the_large", "slope", "flexible")
#: What each method of updating is called.
METHOD_NAMES = {
    "as_is": "as it is",
    "in_the_large": "shifted",
    "slope": "shift and slope",
    "flexible": "flexible",
}
_REMEDY = {
    "in_the_large": "shift them",
    "slope": "shift and stretch them",
    "flexible": "update them by the flexible map",
}


def headline(
    told: Sequence[Mapping[str, Any]],
    primary: Mapping[str, Any] | None,
    base: str | None,
    chosen: str,
    labels: Mapping[str, str],
    maps: Mapping[str, Any] | None,
    tested: bool,
) -> dict[str, str]:
    """``{"headline", "tone"}``: tone "good", "mixed" or "none"; nothing is claimed that an interval does not bear."""
    if primary is None:
        return {"headline": "Nothing could be judged.", "tone": "none"}
    rows = {row["model"]: row["values"] for row in primary["rows"]}
    who = capitalise(labels[base or chosen].removesuffix(", as it is"))
    auc = rows[base or chosen].get("auc", {})
    ranks = known(auc.get("lower")) and auc["lower"] > 0.5
    if base is None:
        return {"headline": f"{who} comes nearest to what happened.", "tone": "good" if ranks else "mixed"}
    if known(auc.get("value")) and not ranks:
        return {"headline": f"{who} was not shown to rank these patients better than chance.", "tone": "none"}
    if maps is None:
        return {"headline": f"{who} ranks these patients better than chance.", "tone": "good"}
    method = str(maps["recommended"])
    if not tested:
        return {"headline": f"{who} ranks these patients; too little was seen to update its risks.", "tone": "mixed"}
    if method == "as_is":
        return {"headline": f"{who} holds up here: use its risks as they are.", "tone": "good"}
    return {
        "headline": f"{who} ranks these patients, but its risks are {_wrong(told, base, method)}: {_REMEDY[method]}.",
        "tone": "mixed",
    }


def _wrong(told: Sequence[Mapping[str, Any]], base: str, method: str) -> str:
    """What is wrong with the risks as they are, as far as the intervals of any landmark and horizon say it."""
    sides: dict[str, set[bool]] = {"observed_expected": set(), "calibration_slope": set()}
    for row in (row for cell in told for row in cell["rows"] if row["model"] == base):
        for name, above in sides.items():
            value = row["values"].get(name, {})
            if known(value.get("lower")) and not value["lower"] <= 1 <= value["upper"]:
                above.add(value["value"] > 1)
    ratio, said = sides["observed_expected"], []
    if len(ratio) > 1:
        return "too low at some times and too high at others"
    if ratio:
        said.append("too low" if True in ratio else "too high")
    if method == "slope" and len(sides["calibration_slope"]) == 1:
        said.append("not extreme enough" if True in sides["calibration_slope"] else "too extreme")
    return " and ".join(said) or "off"


def update_rows(
    tests: pd.DataFrame, maps: Mapping[str, Any] | None, labels: Mapping[str, str], base: str | None
) -> dict[str, Any] | None:
    """The tests and the maps of the updates, as text; None where nothing was updated.

    Returns:
        ``{"recommended": name, "tests": [{"place", "p": {method: text}, "note"}], "methods": [(method, name)],
        "maps": [{"place", "name", "formula", "chosen"}]}``.
    """
    if maps is None or base is None:
        return None
    tested = []
    for (landmark, horizon), part in split(tests, ["landmark", "horizon"]):
        p = {str(row["method"]): _p(row["p"]) for row in part.to_dict("records")}
        against = next((str(name) for name in part["against"] if name), "")
        note = "; ".join(dict.fromkeys(str(note) for note in part["note"] if note))
        tested.append(
            {"place": _place(landmark, horizon), "p": p, "against": METHOD_NAMES.get(against, ABSENT), "note": note}
        )
    told = [
        {
            "place": _place(part["landmark_days"], row["horizon_days"]),
            "name": METHOD_NAMES[method] + _simplified(method, row["method"]),
            "formula": _formula(row),
            "chosen": method == maps["recommended"],
        }
        for part in maps["landmarks"]
        for method in _METHODS[1:]
        for row in part["methods"].get(method, ())
    ]
    return {
        "recommended": METHOD_NAMES[str(maps["recommended"])],
        "tests": tested,
        "methods": [(name, METHOD_NAMES[name]) for name in _METHODS[:-1]],
        "maps": told,
    }


def _simplified(asked: str, done: str) -> str:
    return "" if asked == done else f" (here: {METHOD_NAMES[done]})"


def _place(landmark: float, horizon: float) -> str:
    return f"{capitalise(since(float(landmark)))}, {spell(float(horizon))} ahead"


def _p(value: float) -> str:
    if not known(value):
        return ABSENT
    return "under 0.001" if value < 0.001 else number(value, 3 if value < 0.0995 else 2)


def _formula(row: Mapping[str, Any]) -> str:
    """A map in words: its shift and its slopes, with standard errors where there are any."""
    errors = [f" (standard error {number(error, 3)})" if known(error) else "" for error in row["standard_errors"]]
    shift = number(row["intercept"], 3, plus=True)
    if row["method"] == "in_the_large":
        return f"shift {shift}{errors[0]}"
    if row["method"] == "slope":
        return f"intercept {shift}{errors[0]}, slope {number(row['slopes'][0], 3)}{errors[1]}"
    return f"intercept {shift}, slopes {', '.join(number(slope, 2) for slope in row['slopes'])}"


def limits_of(
    cohort: Cohort,
    event: str,
    told: Sequence[Mapping[str, Any]],
    updated: bool,
    warnings: Sequence[str],
    run: Mapping[str, Any],
    labels: Mapping[str, str],
    primary: Mapping[str, Any] | None,
) -> list[dict[str, str]]:
    """What a reader must know before using the answer; what is particular here first."""
    found = [_limit("Before reading the numbers", warning) for warning in warnings]
    assert cohort.outcome is not None
    if primary is not None and _few(primary["events"]):
        found.append(
            _limit(
                "Few events",
                f"Events of {event}, {since(primary['landmark'])}, {spell(primary['horizon'])} ahead: "
                f"{primary['events']}. Below about {_ENOUGH_EVENTS}, a validation is imprecise, its calibration above "
                "all: read the intervals, not the values.",
            )
        )
    found += refused(told)
    found += _follow_up(cohort, told)
    for name, notes in run.get("notes", {}).items():
        found += [_limit(f"Remark of {labels.get(name, name)}", str(note)) for note in notes]
    if updated:
        found.append(
            _limit(
                "The update was made and judged in one place",
                "Its numbers are cross-fitted: each patient's risk was updated by a map that had not seen their "
                "outcome. They say what updating is worth here; another place would need its own update, and the "
                "updated model a validation of its own on later patients.",
            )
        )
        found.append(
            _limit(
                "An update cannot rank better",
                "Every map keeps the order of patients: AUC and other measures of order are those of the model as it "
                "is.",
            )
        )
    found.append(
        _limit(
            "What the intervals hold",
            "They describe the chance of having drawn these patients, given the predictions. They are not adjusted for "
            "the number of comparisons, and leave out that maps fitted on other parts would differ.",
        )
    )
    return [*found, _limit("Associations, not effects", "A predictor that raises a risk need not cause it.")]


def _limit(title: str, text: str) -> dict[str, str]:
    return {"title": title, "text": text}


def _few(events: str) -> bool:
    """Whether a count, as it is shown, is small; one that is withheld is."""
    digits = events.replace(",", "")
    return not digits.isdigit() or int(digits) < _ENOUGH_EVENTS


def _follow_up(cohort: Cohort, told: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    assert cohort.outcome is not None
    if not told:
        return []
    first, longest = min(c["landmark"] for c in told), max(c["horizon"] or 0.0 for c in told)
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


def methods_of(
    cohort: Cohort,
    event: str,
    config: StudyConfig,
    updated: bool,
    from_model: bool,
    run: Mapping[str, Any],
) -> list[str]:
    """How it was done, in paragraphs that a statistician can check."""
    assert cohort.outcome is not None
    origin = (
        "The model was fitted elsewhere and applied as its file holds it: nothing was estimated again here."
        if from_model
        else "The predictions were read from a table and judged as they are."
    )
    ahead, at = joined(spell(h) for h in config.horizons), joined(moment(x) for x in config.landmarks)
    chance = percent(1 - config.confidence, 0)
    paragraphs = [
        f"{origin} Risks of {event} were judged at {plural(len(config.landmarks), 'landmark')} ({at}) for {ahead} "
        "ahead, among the patients still at risk then.",
        "AUC is time-dependent, cumulative/dynamic; AUC and Brier score are weighted by the inverse probability of "
        "censoring (Kaplan-Meier). IPA is one minus the ratio of the Brier score to that of the average risk of these "
        "patients. Observed/expected is the Aalen-Johansen estimate over the mean predicted risk. Intervals are at "
        f"{percent(config.confidence, 0)}, from influence functions; paired differences are on the same patients.",
    ]
    others = [cause for cause in cohort.outcome.causes if cause.casefold().split() != event.casefold().split()]
    if others:
        paragraphs.append(
            f"{joined(others).capitalize()} {'compete' if len(others) > 1 else 'competes'} with {event}: it is not "
            "treated as censoring, and risks are cumulative incidences."
        )
    if updated:
        rival = (
            " Only the event of interest is updated; risks of competing events stay, and shrink together where all "
            "would exceed one."
            if others
            else ""
        )
        paragraphs.append(
            "Risks F were updated on the scale x = log(-log(1 - F)), at each landmark and horizon: by a shift (a + x, "
            "which multiplies the cumulative hazard), by a line (a + bx), and by a flexible map whose slope changes at "
            "three or four quantiles of the risk and stays positive, so that the order of patients stays. Maps were "
            "fitted to pseudo-observations of the event by the horizon, so that the mean updated risk is the "
            f"Aalen-Johansen incidence. Between horizons a curve's shift is interpolated.{rival} What is shown was "
            f"cross-fitted in {run.get('folds', 5)} parts; the maps in recalibration.json were fitted on everybody."
        )
        paragraphs.append(
            "Which update to use is decided by a closed test: as it is, the shift and the line are tested in this "
            "order against the richest map, and the first that is not rejected in any landmark and horizon (p values "
            f"times their number) is taken; a method that suffices is rejected with a probability of at most {chance} "
            "(Vergouwe et al., Stat Med 2017;36:4529-4539; generalised "
            "score tests in place of likelihood ratios, which pseudo-observations do not have)."
        )
    paragraphs.append(
        f"Counts of fewer than {SMALLEST} patients are withheld, and so are counts that would give them away by "
        f"subtraction. The cohort has {count(len(cohort))} patients."
    )
    return paragraphs
