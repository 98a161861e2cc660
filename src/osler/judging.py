"""Judging: out-of-fold predictions of a study held against what happened, landmark by landmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.availability import available, pattern_names
from osler.cohort.cohort import Cohort, Variable
from osler.config import StudyConfig, Subgroup
from osler.engine import run_tasks
from osler.evaluation import Evaluation, combine, evaluate
from osler.evaluation.added_value import AddedValue, added_value
from osler.evaluation.availability import AVAILABILITY, AVAILABILITY_MEASURES, coverage_rows
from osler.evaluation.censoring import CensoringModel
from osler.evaluation.censoring_cox import CoxCensoring
from osler.evaluation.levels import cut
from osler.evaluation.measuring import EVERY_MEASURE
from osler.evaluation.subgroups import SubgroupEvaluation, evaluate_subgroups

if TYPE_CHECKING:
    from osler.cross_validation import Curves, Step

__all__ = ["SUBGROUP_MEASURES", "Findings", "judge"]

Floats = NDArray[np.float64]
Tell = Callable[[str, int, int], None]
#: What is measured in every subgroup.
SUBGROUP_MEASURES = ("auc", "c_index", "brier", "integrated_brier", "ipa", "observed_expected", "calibration_slope")
UNKNOWN = "not known"


@dataclass(frozen=True)
class Findings:
    """What the judges found.

    Attributes:
        evaluation: of every model, landmark and horizon.
        subgroups, subgroup_differences, added, added_differences: frames; empty where nothing was asked.
        availability: measures by pattern of modalities known at the landmark (``osler.evaluation.availability``); empty
            where all patients have the same.
        added_verdict: sentences on each kind of data: landmark, horizon, model, added, sentence, verdict.
    """

    evaluation: Evaluation
    subgroups: pd.DataFrame
    subgroup_differences: pd.DataFrame
    added: pd.DataFrame
    added_differences: pd.DataFrame
    added_verdict: list[dict[str, Any]]
    availability: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Subgroups, added value and availability by name."""
        names = ("subgroups", "subgroup_differences", "added", "added_differences", "availability")
        return {name: getattr(self, name) for name in names}


def judge(
    cohort: Cohort,
    config: StudyConfig,
    curves: Sequence[Curves],
    steps: Sequence[Step] = (),
    ladders: Mapping[str, Sequence[Curves]] | None = None,
    *,
    workers: int | None = None,
    tell: Tell | None = None,
) -> Findings:
    """Judge the event of interest at every landmark and horizon: all measures, subgroups, and what data add.

    Args:
        cohort: the patients, with an outcome.
        config: question, level, thresholds, subgroups, censoring, replicates, seed.
        curves: of all models, by repeat and landmark.
        steps: of the ladders that tell what each modality adds.
        ladders: of every model with steps, the curves of all its steps by their texts.
        workers: processes; None takes every core.
        tell: called with ("evaluation", done, total).
    """
    tasks: list[tuple[Any, ...]] = []
    for i, landmark in enumerate(config.landmarks):
        here = _Landmark.of(cohort, config, [part for part in curves if part.landmark == landmark], landmark)
        tasks.append((_models, ("models", i), here, config))
        if config.subgroups:
            tasks.append((_subgroups, ("subgroups", i), here, config, _groups(cohort, config, landmark, here.patient)))
        patterns = pattern_names(available(cohort.at(landmark)))[np.isin(cohort.at(landmark).patient, here.patient)]
        if len(np.unique(patterns)) > 1:
            tasks.append((_availability, ("availability", i), here, config, patterns))
        for model, climbed in (ladders or {}).items():
            part = _Landmark.of(cohort, config, [part for part in climbed if part.landmark == landmark], landmark)
            told = [(step.text, step.added) for step in steps if step.model == model]
            tasks.append((_added, ("added", i, model), part, config, model, told))
    found: dict[Any, Any] = {}
    say = tell or (lambda what, done, total: None)
    say("evaluation", 0, len(tasks))
    for key, result in run_tasks(_call, tasks, workers=workers):
        found[key] = result
        say("evaluation", len(found), len(tasks))
    return _gathered(found)


def _call(function: Callable[..., Any], key: Any, *arguments: Any) -> tuple[Any, Any]:
    return key, function(*arguments)


def _gathered(found: dict[Any, Any]) -> Findings:
    models: list[Evaluation] = [found[key] for key in sorted(found) if key[0] == "models"]
    groups: list[SubgroupEvaluation] = [found[key] for key in sorted(found) if key[0] == "subgroups"]
    added: list[AddedValue] = [found[key] for key in sorted(found) if key[0] == "added"]
    return Findings(
        evaluation=combine(models),
        subgroups=_stacked([each.metrics for each in groups]),
        subgroup_differences=_stacked([each.differences for each in groups]),
        added=_stacked([each.added for each in added]),
        added_differences=_stacked([each.added_differences for each in added]),
        added_verdict=[row for each in added for row in each.verdict],
        availability=_stacked([found[key] for key in sorted(found) if key[0] == "availability"]),
    )


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


@dataclass(frozen=True)
class _Landmark:
    """The patients judged at one landmark: outcome since then, risks (R, n, T) and bounds (R, n, 2) by label, folds."""

    landmark: float
    patient: NDArray[np.int64]
    time: Floats
    event: NDArray[np.int64]
    risks: dict[str, Floats]
    folds: NDArray[np.int64]
    censoring: CensoringModel | None
    bounds: dict[str, Floats]

    @classmethod
    def of(cls, cohort: Cohort, config: StudyConfig, parts: Sequence[Curves], landmark: float) -> _Landmark:
        assert cohort.outcome is not None
        patient = parts[0].patient
        assert all(np.array_equal(part.patient, patient) for part in parts), "repeats predict for the same patients"
        outcome = cohort.outcome.take(patient).since(landmark)
        risks = {name: np.stack([part.incidence[name][:, 0] for part in parts]) for name in parts[0].incidence}
        stated = [name for name in parts[0].bounds if all(name in part.bounds for part in parts)]
        bounds = {name: np.stack([part.bounds[name] for part in parts]) for name in stated}
        folds = np.stack([part.fold for part in parts])
        model = CoxCensoring(_covariates(cohort, config.censoring)[patient]) if config.censoring else None
        return cls(landmark, patient, outcome.time, outcome.event, risks, folds, model, bounds)


def _models(here: _Landmark, config: StudyConfig) -> Evaluation:
    return evaluate(
        here.time,
        here.event,
        here.risks,
        times=config.question.grid,
        horizons=config.horizons,
        folds=here.folds,
        patients=here.patient,
        level=config.confidence,
        null="reference" if "reference" in here.risks else None,
        landmark=here.landmark,
        measures=EVERY_MEASURE,
        thresholds=config.thresholds,
        censoring=here.censoring,
        replicates=config.replicates,
        random_state=config.seed,
    )


def _subgroups(
    here: _Landmark, config: StudyConfig, groups: Mapping[str, Any], measures: Sequence[str] = SUBGROUP_MEASURES
) -> SubgroupEvaluation:
    return evaluate_subgroups(
        here.time,
        here.event,
        here.risks,
        groups,
        times=config.question.grid,
        horizons=config.horizons,
        measures=measures,
        folds=here.folds,
        level=config.confidence,
        landmark=here.landmark,
        censoring=here.censoring,
    )


def _availability(here: _Landmark, config: StudyConfig, patterns: NDArray[np.object_]) -> pd.DataFrame:
    """Measures in every pattern of modalities, and how often intervals hold the time to the event."""
    judged = _subgroups(here, config, {AVAILABILITY: patterns}, AVAILABILITY_MEASURES)
    held = [
        coverage_rows(
            here.time, here.event, bounds, patterns, landmark=here.landmark, model=name, level=config.confidence
        )
        for name, bounds in here.bounds.items()
    ]
    return _stacked([judged.metrics, *held])


def _added(here: _Landmark, config: StudyConfig, model: str, steps: Sequence[tuple[str, str]]) -> AddedValue:
    return added_value(
        here.time,
        here.event,
        [(text, added, here.risks[text]) for text, added in steps],
        times=config.question.grid,
        horizons=config.horizons,
        thresholds=config.thresholds,
        folds=here.folds,
        level=config.confidence,
        landmark=here.landmark,
        model=model,
        censoring=here.censoring,
        random_state=config.seed,
    )


def _groups(cohort: Cohort, config: StudyConfig, landmark: float, patient: NDArray[np.int64]) -> dict[str, Any]:
    """The level of every patient in each subgroup variable, under the variable's words."""
    last = cohort.at(landmark).known.visits.groupby("patient").last().reindex(np.arange(len(cohort)))
    groups = {}
    for subgroup in config.subgroups:
        name = subgroup.variable
        column = (cohort.record[name] if name in cohort.record else last[name]).iloc[patient]
        groups[cohort.variables[name].label] = _levels(cohort.variables[name], column, subgroup)
    return groups


def _levels(variable: Variable, column: pd.Series, subgroup: Subgroup) -> Any:
    """Levels of a variable, of numbers the ranges between cuts or, without cuts, thirds of those at risk."""
    if variable.type == "number":
        return cut(column.to_numpy(dtype=float), subgroup.cuts, variable.label)
    if variable.type == "flag":
        return pd.Categorical(column.map({0.0: "no", 1.0: "yes"}), categories=["no", "yes"])
    return pd.Categorical(column.astype(object), categories=list(variable.levels))


def _covariates(cohort: Cohort, names: Sequence[str]) -> Floats:
    """(n, p) numbers for a model of censoring: levels as indicators, what is missing as the median and a flag."""
    columns: list[Floats] = []
    for name in names:
        column = cohort.record[name]
        missing = column.isna().to_numpy()
        if cohort.variables[name].type == "category":
            levels = pd.get_dummies(column.astype(object).where(~missing, UNKNOWN)).to_numpy(dtype=float)
            columns += list(levels.T[1:])
            continue
        values = column.to_numpy(dtype=float)
        columns.append(np.where(missing, np.nanmedian(values) if not missing.all() else 0.0, values))
        if missing.any():
            columns.append(missing.astype(float))
    return np.column_stack(columns)
