"""Subgroups: is a model as good for some patients as for the others?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from osler.cells import SMALLEST, hidden
from osler.errors import UsageError
from osler.evaluation.arguments import checked_outcomes, checked_risks, checked_times, codes, fold_codes
from osler.evaluation.censoring import CensoringModel
from osler.evaluation.discrimination import Controls
from osler.evaluation.estimate import interval
from osler.evaluation.follow_up import FollowUp, told
from osler.evaluation.levels import levels
from osler.evaluation.measuring import EVERY_MEASURE, UNDEFINED
from osler.evaluation.multiplicity import holm
from osler.evaluation.part import Found, Part, Setting, logarithm, minus
from osler.evaluation.refitting import error_of

__all__ = ["SUBGROUP_MEASURES", "SubgroupEvaluation", "evaluate_subgroups"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Error = Callable[[Floats], Floats]
#: What is measured unless told otherwise.
SUBGROUP_MEASURES = ("auc", "brier", "ipa", "observed_expected", "calibration_slope")
#: Ratios, whose differences are taken of logarithms.
_RATIOS = ("observed_expected",)
_TOLERANCE = 1e-6
_NUMBERS = ["value", "lower", "upper", "se"]
_WHERE = ["variable", "level", "model", "landmark", "horizon", "measure"]
_METRICS = [*_WHERE, *_NUMBERS, "n", "events", "suppressed", "note"]
_DIFFERENCES = [*_WHERE, *_NUMBERS, "p", "p_adjusted"]
_OTHER = {"variable", "level", "model", "measure", "suppressed", "note"}
_NOTE = f"withheld: fewer than {SMALLEST} patients, or a level that would give away how many"


@dataclass(frozen=True, eq=False)
class SubgroupEvaluation:
    """Measures of models in subgroups of patients.

    Attributes:
        metrics: variable, level, model, landmark and horizon (days), measure, value, lower, upper, se, n (patients),
            events (of interest, by the horizon), suppressed, note. A level of fewer than ten patients is suppressed,
            and so is what would give it away by subtraction: no number is given. Events from 1 to 9, and those that
            would give them away, are missing. Without a value the note says why.
        differences: variable, level, model, landmark, horizon, measure, value (of the level minus that of all the
            other patients), lower, upper, se, p, p_adjusted (Holm, over the levels and variables of one model,
            landmark, horizon and measure; the two levels of a variable that has two are one test). Of
            "observed_expected" the logarithms are compared: the exponential of a difference is the ratio of the two.
        level: of every interval.
    """

    metrics: pd.DataFrame
    differences: pd.DataFrame
    level: float = 0.95


def evaluate_subgroups(
    time: ArrayLike,
    event: ArrayLike,
    risks: Mapping[str, ArrayLike],
    groups: Mapping[str, ArrayLike | pd.Categorical],
    *,
    times: ArrayLike,
    horizons: ArrayLike,
    measures: Sequence[str] = SUBGROUP_MEASURES,
    cause: int = 1,
    strata: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    level: float = 0.95,
    landmark: float = 0.0,
    null: str | None = "reference",
    controls: Controls = "free_of_cause",
    weights: Literal["subgroup", "cohort"] = "subgroup",
    censoring: CensoringModel | None = None,
    error: Error | None = None,
    replicates: int = 200,
    random_state: int = 0,
) -> SubgroupEvaluation:
    """Judge predicted risks in every level of every variable, and against all the other patients.

    Args:
        time: (n,) days from the landmark to the first event or the end of follow-up, above 0.
        event: (n,) 0 censored, 1.. causes.
        risks: for each model (n, T) risks of ``cause`` at ``times``; (R, n, T) of R repeats of a cross-validation, over
            which measures are averaged; or, with a single horizon, (n,) risks at it.
        groups: for each variable (n,) labels: text, numbers of few values, or a categorical such as that of
            ``osler.evaluation.levels.cut``. Missing ones are a level of their own, "not known", the last.
        times: (T,) days since the landmark, increasing. Not looked at where risks are (n,).
        horizons: days since the landmark.
        measures: of ``osler.evaluation.measuring.EVERY_MEASURE``.
        cause: code of the event of interest.
        strata: (n,) or (R, n) labels; AUC and the C-indices compare within a stratum only.
        clusters: (n,) labels; rows of one cluster count as one in standard errors.
        folds: (n,) or (R, n) labels of the fold in which each patient was held out: AUC then compares within a fold,
            and intervals hold the variation from fitting the models anew (see ``osler.evaluation.refitting``).
        level: of the intervals.
        landmark: days from the time origin; a label of the rows.
        null: the model against which "ipa" is measured; None, or the default where no model is called "reference",
            takes the Aalen-Johansen estimate in the subgroup.
        controls: whom AUC compares with the cases.
        weights: whether censoring is estimated in each subgroup, or once in the whole cohort ("cohort"; for measures
            that rest on weights). The first is right when subgroups are censored differently; the second has less to
            estimate.
        censoring: model of weights that depend on the patients; None: the same for everybody.
        error: standard errors (C,) from influences (n, C) of all patients, means over repeats, if not those of
            ``osler.evaluation.refitting.error_of``.
        replicates: of the bootstrap, for measures of the smooth calibration curve.
        random_state: seed of the bootstrap.

    Returns:
        All measures of all levels. What cannot be had is NaN with a note; the rest stands. A difference is missing
        where a level is everybody.

    Raises:
        UsageError: arrays do not fit together, or hold what they cannot; an unknown measure; a variable of more than
            30 levels.

    Intervals and p-values are normal, from influence functions: with few events in a level they are rough. A level and
    all the others share no patient, but may share clusters and weights; both are allowed for.
    """
    grid, ahead = checked_times(horizons if _at_horizon(risks, horizons) else times, horizons)
    follow_up = FollowUp(*checked_outcomes(time, event, cause), cause, censoring)
    n = len(follow_up)
    shaped = {name: np.reshape(risk, (-1, 1)) if np.ndim(risk) == 1 else risk for name, risk in risks.items()}
    curves = checked_risks(shaped, n, len(grid))
    repeats = len(next(iter(curves.values())))
    unknown = [name for name in measures if name not in EVERY_MEASURE]
    if unknown or not measures:
        raise UsageError(
            f"unknown measures: {', '.join(unknown) or 'none is given'}; expected some of {', '.join(EVERY_MEASURE)}"
        )
    if null is not None and null != "reference" and null not in curves:
        raise UsageError(f"the null model {null!r} is not among the models: {', '.join(curves)}")
    if not 0 < level < 1:
        raise UsageError(f"the level of intervals must lie between 0 and 1, found {level:g}")
    held_out, apart = fold_codes(folds, repeats, n, "folds"), fold_codes(strata, repeats, n, "strata")
    task = _Task(
        follow_up=follow_up,
        models=list(curves),
        curves=list(curves.values()),
        grid=grid,
        horizons=[float(h) for h in ahead],
        measures=tuple(measures),
        strata=held_out if apart is None else apart,
        folds=held_out,
        clusters=codes(clusters, n, "clusters"),
        level=level,
        landmark=float(landmark),
        null=list(curves).index(null) if null in curves else None,
        controls=controls,
        lent=weights == "cohort",
        given_error=error,
        replicates=replicates,
        random_state=random_state,
    )
    for variable, labels in groups.items():
        task.add(variable, *levels(labels, n, variable))
    return task.result()


def _at_horizon(risks: Mapping[str, ArrayLike], horizons: ArrayLike) -> bool:
    """Whether risks are given at a single horizon, without a time axis."""
    flat = [name for name, risk in risks.items() if np.ndim(risk) == 1]
    if flat and (len(flat) < len(risks) or np.size(horizons) != 1):
        raise UsageError(
            f"risks of {', '.join(map(repr, flat))} have no time axis: that needs a single horizon (found "
            f"{np.size(horizons)}), and the same of all models"
        )
    return bool(flat)


@dataclass(eq=False)
class _Task(Setting):
    """One landmark's evaluation under way."""

    horizons: list[float] = field(default_factory=list)
    landmark: float = 0.0
    folds: Integers | None = None
    given_error: Error | None = None
    metrics: list[dict[str, Any]] = field(default_factory=list)
    differences: list[dict[str, Any]] = field(default_factory=list)

    def add(self, variable: str, names: list[str], code: Integers) -> None:
        """Rows of one variable."""
        counts = [int(count) for count in np.bincount(code, minlength=len(names))]
        gone = hidden(counts)
        filled = [i for i, count in enumerate(counts) if count]
        twins = len(filled) == 2 and not any(gone)  # each is all that the other is not
        both = {i: self._everywhere(code == i) for i in filled} if twins else {}
        for i, name in enumerate(names):
            if gone[i] or not counts[i]:
                self._without(variable, name, suppressed=gone[i], compared=len(filled) > 1 and counts[i] > 0)
                continue
            here = both[i] if twins else self._everywhere(code == i)
            followed = {h: int(((code == i) & (self.follow_up.time >= h)).sum()) for h in self.horizons}
            for (horizon, asked), found in here.items():
                self._measured(variable, name, horizon, asked, found, followed[horizon])
            if len(filled) > 1:
                rest = both[sum(filled) - i] if twins else self._everywhere(code != i)
                test = variable if twins else f"{variable}\n{name}"
                for (horizon, asked), found in here.items():
                    self._compared(variable, name, horizon, asked, found, rest[horizon, asked], test)
        self._count(variable, names, code, counts, gone)

    def _everywhere(self, member: Mask) -> dict[tuple[float, str], Found]:
        """All measures at all horizons in some of the patients."""
        part = Part(self, member)
        found = {horizon: part.at(horizon) for horizon in self.horizons}
        return {(horizon, name): found[horizon][name] for horizon in self.horizons for name in self.measures}

    def _measured(self, variable: str, level: str, horizon: float, name: str, found: Found, followed: int) -> None:
        se = self._error(found)
        bounds = interval(name, found.value, se, self.level)
        few = f"{told(followed)} patients are followed to the horizon" if 0 < followed < SMALLEST else ""
        for m, model in enumerate(self.models):
            undefined = UNDEFINED if np.isnan(found.value[m]) else few
            numbers = (found.value[m], bounds[0][m], bounds[1][m], se[m])
            where = (variable, level, model, self.landmark, horizon, name)
            row = dict(zip([*_WHERE, *_NUMBERS], (*where, *map(float, numbers)), strict=True))
            self.metrics.append({**row, "suppressed": False, "note": found.note or undefined})

    def _compared(
        self, variable: str, level: str, horizon: float, name: str, here: Found, rest: Found, test: str
    ) -> None:
        if name in _RATIOS:
            here, rest = logarithm(here), logarithm(rest)
        value = here.value - rest.value
        se = self._error(Found(value, minus(here, rest), np.hypot(here.beyond, rest.beyond)))
        bounds = interval("difference", value, se, self.level)
        with np.errstate(divide="ignore", invalid="ignore"):
            p = np.where(se > 0, 2 * ndtr(-np.abs(value / se)), np.nan)
        for m, model in enumerate(self.models):
            where = (variable, level, model, self.landmark, horizon, name)
            numbers = (value[m], bounds[0][m], bounds[1][m], se[m], p[m])
            row = dict(zip([*_WHERE, *_NUMBERS, "p"], (*where, *map(float, numbers)), strict=True))
            self.differences.append({**row, "test": test})

    def _without(self, variable: str, level: str, *, suppressed: bool, compared: bool) -> None:
        """Rows of a level of which nothing is told."""
        nothing = dict.fromkeys(_NUMBERS, np.nan)
        note = _NOTE if suppressed else "no patient of this level"
        for horizon in self.horizons:
            for name in self.measures:
                for model in self.models:
                    where = (variable, level, model, self.landmark, horizon, name)
                    row = {**dict(zip(_WHERE, where, strict=True)), **nothing}
                    self.metrics.append({**row, "suppressed": suppressed, "note": note})
                    if compared:
                        self.differences.append({**row, "p": np.nan, "test": f"{variable}\n{level}"})

    def _count(self, variable: str, names: list[str], code: Integers, counts: list[int], gone: list[bool]) -> None:
        """Fill in how many patients and events each level has, where that may be told."""
        patients = {name: np.nan if gone[i] else float(counts[i]) for i, name in enumerate(names)}
        events = {}
        for horizon in self.horizons:
            case = (self.follow_up.event == self.follow_up.cause) & (self.follow_up.time <= horizon)
            found = [int(count) for count in np.bincount(code[case], minlength=len(names))]
            kept = hidden(found, also=[i for i, small in enumerate(gone) if small])
            events[horizon] = {name: np.nan if kept[i] else float(found[i]) for i, name in enumerate(names)}
        for row in self.metrics:
            if row["variable"] == variable:
                row.update(n=patients[row["level"]], events=events[row["horizon"]][row["level"]])

    def _error(self, found: Found) -> Floats:
        if not len(found.influences):
            return np.full(len(self.models), np.nan)
        if self.given_error is not None:
            return np.hypot(self.given_error(found.influences.mean(axis=0)), found.beyond)
        return np.hypot(error_of(found.influences, self.folds, self.clusters), found.beyond)

    def result(self) -> SubgroupEvaluation:
        """The frames, levels in their order."""
        metrics = pd.DataFrame(self.metrics, columns=_METRICS)
        differences = pd.DataFrame(self.differences, columns=[*_DIFFERENCES, "test"])
        for _, rows in differences.groupby(["model", "horizon", "measure"], sort=False):
            tests = rows.drop_duplicates("test").set_index("test")["p"]
            adjusted = dict(zip(tests.index, holm(tests), strict=True))
            differences.loc[rows.index, "p_adjusted"] = rows["test"].map(adjusted)
        frames = (metrics, differences.drop(columns="test"))
        typed = [frame.astype(dict.fromkeys(set(frame) - _OTHER, float)) for frame in frames]
        return SubgroupEvaluation(typed[0].astype({"suppressed": bool}), typed[1], self.level)
