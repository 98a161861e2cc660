"""Updates: a model's curves before and after each method of updating, honestly: by maps that never saw the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from osler.cohort.cohort import Cohort
from osler.cohort.split import assign_folds
from osler.evaluation import Evaluation
from osler.evaluation.closed_test import TEST_COLUMNS, Recommendation, closed_test, recommend
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.updating import METHODS, Method, Updating, cross_fitted, fit_updating, risk_at
from osler.external.predicted import Floats, Predicted
from osler.reporting.words import capitalise, since

__all__ = ["SUFFIX", "Updates", "in_order", "updated"]

#: What stands behind a model's name when its risks were updated.
SUFFIX: dict[Method, str] = {name: "" if name == "as_is" else f":{name}" for name in METHODS}
#: Measures that depend on the order of the risks at a horizon and on nothing else.
_OF_ORDER = ("auc", "c_index", "harrell_c", "royston_d", "royston_r2")
#: One that depends on the order at all times: maps keep it at the horizons, and nearly so in between.
_OF_CURVES = ("antolini_c",)


@dataclass(frozen=True, eq=False)
class Updates:
    """What updating found, landmark by landmark.

    Attributes:
        curves: cross-fitted curves to be judged beside the model's own: for each landmark, by name of the method; the
            same methods everywhere, a simpler one standing in where there was too little for one.
        updatings: maps fitted on everybody at each landmark.
        tests: the frame of ``osler.evaluation.closed_test``, all landmarks.
        recommendation: the method that the tests ask for.
        notes: what could not be fitted, and why; sentences.
    """

    curves: tuple[dict[Method, Floats], ...]
    updatings: tuple[dict[Method, Updating], ...]
    tests: pd.DataFrame
    recommendation: Recommendation
    notes: tuple[str, ...] = field(default=())


def updated(
    cohort: Cohort,
    predicted: Sequence[Predicted],
    name: str,
    horizons: Sequence[float],
    cause: int,
    *,
    folds: int,
    random_state: int,
    level: float,
) -> Updates:
    """Update one model's risks by every method that the patients can bear.

    Args:
        cohort: with an outcome.
        predicted: one entry for each landmark.
        name: the model, a key of their curves.
        horizons: days since the landmark.
        cause: the cohort's code of the event.
        folds: parts of the cohort; each is updated by maps fitted on the others. A patient is in one part at all
            landmarks.
        random_state: seed of the division.
        level: below it a test rejects a method.
    """
    assert cohort.outcome is not None
    fold = assign_folds(cohort.outcome, min(folds, len(cohort)), random_state)
    curves: list[dict[Method, Floats]] = []
    updatings, tests, notes = [], [], []
    for part in predicted:
        outcome = cohort.outcome.take(part.patient).since(part.landmark)
        follow_up, risk = FollowUp(outcome.time, outcome.event, cause), part.curves[name]
        maps: dict[Method, Updating] = {}
        after: dict[Method, Floats] = {}
        ahead = part.answerable(horizons)
        for method in METHODS[1:] if len(part.patient) else ():
            updating = fit_updating(follow_up, risk, part.times, ahead, method)
            notes += [f"{capitalise(since(part.landmark))}, {note}." for note in updating.notes]
            if any(each.method == method for each in updating.maps):
                maps[method] = updating
                after[method] = cross_fitted(follow_up, risk, part.times, ahead, method, fold[part.patient])
        curves.append(after)
        updatings.append(maps)
        reached = [h for h in ahead if h <= part.times[-1] * (1 + 1e-9) and not follow_up.unsupported(h)]
        tests += [closed_test(follow_up, risk_at(risk, part.times, h), h, landmark=part.landmark) for h in reached]
    offered = [method for method in METHODS if any(method in after for after in curves)]
    for part, after in zip(predicted, curves, strict=True):
        # Where a landmark has too little for a method, what stands in its place is judged under its name.
        for method in offered:
            simpler = METHODS[METHODS.index(method) - 1]
            after.setdefault(method, after.get(simpler, part.curves[name]))
    table = pd.concat(tests, ignore_index=True) if tests else pd.DataFrame(columns=list(TEST_COLUMNS))
    return Updates(tuple(curves), tuple(updatings), table, recommend(table, level=level), tuple(dict.fromkeys(notes)))


def in_order(evaluation: Evaluation, name: str) -> Evaluation:
    """The evaluation with measures of order as an update leaves them: those of the model itself.

    A map keeps the order of patients. In cross-fitted risks it is not quite kept, because each part of the cohort has
    maps of its own; that is no property of any update, and differences of these measures are left out.
    """
    metrics, differences = evaluation.metrics, evaluation.differences
    updates = {name + suffix for suffix in SUFFIX.values() if suffix}
    ranks = metrics["measure"].isin(_OF_ORDER)
    keys = ["landmark", "horizon", "measure"]
    own = metrics[ranks & (metrics["model"] == name)].set_index(keys).drop(columns="model")
    taken = metrics[ranks & metrics["model"].isin(updates)]
    theirs = own.loc[pd.MultiIndex.from_frame(taken[keys])].reset_index().assign(model=taken["model"].to_numpy())
    theirs.index = taken.index
    metrics = pd.concat([metrics.drop(index=taken.index), theirs[list(metrics.columns)]]).sort_index(kind="stable")
    return replace(
        evaluation, metrics=metrics, differences=differences[~differences["measure"].isin((*_OF_ORDER, *_OF_CURVES))]
    )
