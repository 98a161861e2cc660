"""Evaluation: every measure of every model on the same patients, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from osler.errors import UsageError
from osler.evaluation.accuracy import brier, prediction_accuracy, trapezoid_weights
from osler.evaluation.calibration import CALIBRATION_COLUMNS, calibration_groups, observed_expected
from osler.evaluation.concordance import concordance
from osler.evaluation.discrimination import Controls, auc
from osler.evaluation.estimate import Estimate, Measured, interval, standard_error
from osler.evaluation.follow_up import FollowUp, told
from osler.evaluation.recalibration import calibration_intercept, calibration_slope
from osler.survival.nonparametric import aalen_johansen
from osler.units import duration

__all__ = ["FURTHER_MEASURES", "MEASURES", "Evaluation", "evaluate"]

Floats = NDArray[np.float64]
#: What is measured unless told otherwise.
MEASURES = ("auc", "brier", "integrated_brier", "ipa", "observed_expected")
#: What can be asked for besides.
FURTHER_MEASURES = ("c_index", "calibration_intercept", "calibration_slope")
#: Measures for which models are compared in pairs.
_COMPARED = ("auc", "brier", "integrated_brier", "c_index")
#: Measures of order alone, which few patients can meet perfectly by chance.
_RANKS = ("auc", "c_index")
_METRICS = ["model", "landmark", "horizon", "measure", "value", "lower", "upper", "se", "at_risk", "events", "note"]
_DIFFERENCES = ["model", "versus", "landmark", "horizon", "measure", "value", "lower", "upper", "se"]
_CALIBRATION = ["model", "landmark", "horizon", *CALIBRATION_COLUMNS]
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("model", "versus", "measure", "note"), object),
    **dict.fromkeys(("at_risk", "group", "n"), np.int64),
    "suppressed": np.bool_,
}
_TOLERANCE = 1e-6
#: An integral over fewer times up to the horizon is not given.
_FEWEST_TIMES = 2


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Measures of models at landmarks and horizons.

    Attributes:
        metrics: model, landmark and horizon (days), measure (of ``MEASURES`` and ``FURTHER_MEASURES``), value, lower,
            upper, se, at_risk (patients followed to the horizon or longer), events (of interest, by the horizon), note.
        differences: model, versus, landmark, horizon, measure ("auc", "brier", "integrated_brier"; "c_index" when
            measured), value (that of ``model`` minus that of ``versus``, on the same patients), lower, upper, se; every
            ordered pair.
        calibration: model, landmark, horizon, group (1 is the lowest risk), predicted, observed, lower, upper, n,
            events, suppressed.
        level: of every interval.
        null: the model that knows nothing, against which "ipa" is measured; None is the Aalen-Johansen estimate
            among the evaluated patients.
    """

    metrics: pd.DataFrame
    differences: pd.DataFrame
    calibration: pd.DataFrame
    level: float = 0.95
    null: str | None = None

    def estimate(self, model: str, measure: str, *, landmark: float = 0.0, horizon: float) -> Estimate:
        """One cell of ``metrics``. Raises UsageError when there is none."""
        m = self.metrics
        here = (m["model"] == model) & (m["measure"] == measure)
        found = m[here & np.isclose(m["landmark"], landmark) & np.isclose(m["horizon"], horizon)]
        if len(found) != 1:
            raise UsageError(f"no {measure!r} of {model!r} at landmark {landmark:g} and horizon {horizon:g} days")
        row = found.iloc[0]
        value, lower, upper, se = (float(row[name]) for name in ("value", "lower", "upper", "se"))
        return Estimate(value, lower, upper, se, int(row["at_risk"]), int(row["events"]), str(row["note"]))


def evaluate(
    time: ArrayLike,
    event: ArrayLike,
    risks: Mapping[str, ArrayLike],
    *,
    times: ArrayLike,
    horizons: ArrayLike,
    cause: int = 1,
    strata: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    null: str | None = "reference",
    landmark: float = 0.0,
    controls: Controls = "free_of_cause",
    groups: int = 10,
    measures: Sequence[str] = MEASURES,
) -> Evaluation:
    """Judge predicted risks against outcomes, by whatever model they were made.

    Args:
        time: (n,) days from the landmark to the first event or the end of follow-up, above 0.
        event: (n,) 0 censored, 1.. causes; competing events are never censoring.
        risks: for each model (n, T) predicted cumulative incidence of ``cause`` at ``times``, in [0, 1].
        times: (T,) days since the landmark, increasing.
        horizons: days since the landmark; between two of ``times`` risks are interpolated.
        cause: code of the event of interest.
        strata: (n,) labels; AUC compares patients of one stratum only. For pooled out-of-fold predictions: the fold.
        clusters: (n,) labels; rows of one cluster (a patient seen several times) count as one in standard errors.
        level: of the intervals.
        null: the model in ``risks`` against which the index of prediction accuracy is measured; None, or the default
            where no model is called "reference", takes the Aalen-Johansen estimate among these patients.
        landmark: days from the time origin; a label of the rows.
        controls: whom AUC compares with the cases; see ``osler.evaluation.discrimination.auc``.
        groups: of the calibration curve, at most.
        measures: of ``MEASURES`` (auc, brier, integrated_brier, ipa, observed_expected) and ``FURTHER_MEASURES``:
            c_index (weighted; of events up to the horizon; across strata), calibration_intercept, calibration_slope.

    Returns:
        All measures at all horizons. What cannot be had (no events, nobody left at risk, one patient) is NaN with a
        note that says why; the rest stands. Standard errors come from influence functions and hold the estimation of
        the censoring distribution, but not the variation from fitting the models anew.

    Raises:
        UsageError: arrays do not fit together, or hold what cannot be a time, an event code or a risk.
    """
    grid, ahead = _times(times, horizons)
    follow_up = FollowUp(*_outcomes(time, event, cause), cause)
    n = len(follow_up)
    if not risks:
        raise UsageError("there is no model to evaluate: risks is empty")
    if not 0 < level < 1:
        raise UsageError(f"the level of intervals must lie between 0 and 1, found {level:g}")
    unknown = [name for name in measures if name not in (*MEASURES, *FURTHER_MEASURES)]
    if unknown or not measures:
        raise UsageError(
            f"unknown measures: {', '.join(unknown) or 'none is given'}; expected some of "
            f"{', '.join((*MEASURES, *FURTHER_MEASURES))}"
        )
    if null is not None and null != "reference" and null not in risks:
        raise UsageError(f"the null model {null!r} is not among the models: {', '.join(risks)}")
    arrays = {name: _risk(name, values, n, len(grid)) for name, values in risks.items()}
    task = _Task(
        follow_up=follow_up,
        models=tuple(arrays),
        null=null if null in arrays else None,
        grid=grid,
        risks=arrays,
        strata=_codes(strata, n, "strata"),
        clusters=_codes(clusters, n, "clusters"),
        level=level,
        landmark=float(landmark),
        controls=controls,
        groups=groups,
        measures=tuple(measures),
    )
    return task.run(ahead)


@dataclass
class _Task:
    """One landmark's evaluation under way."""

    follow_up: FollowUp
    models: tuple[str, ...]
    null: str | None
    grid: Floats
    risks: dict[str, Floats]
    strata: NDArray[np.int64] | None
    clusters: NDArray[np.int64] | None
    level: float
    landmark: float
    controls: Controls
    groups: int
    measures: tuple[str, ...]
    metrics: list[dict[str, Any]] = field(default_factory=list)
    differences: list[dict[str, Any]] = field(default_factory=list)
    calibration: list[dict[str, Any]] = field(default_factory=list)

    def run(self, horizons: Floats) -> Evaluation:
        refused = {h: self._refusal(h) for h in horizons}
        asked = [h for h in horizons if not refused[h]]
        integrated = self._integrated(asked if "integrated_brier" in self.measures else [])
        for horizon in horizons:
            if refused[horizon]:
                for measure in self.measures:
                    self._add(measure, horizon, refused[horizon])
            else:
                self._at(horizon, integrated.get(horizon, ""))
        return Evaluation(
            metrics=_frame(self.metrics, _METRICS).astype({"events": np.int64}),
            differences=_frame(self.differences, _DIFFERENCES),
            calibration=_frame(self.calibration, _CALIBRATION),
            level=self.level,
            null=self.null,
        )

    def _refusal(self, horizon: float) -> str:
        if horizon > self.grid[-1] * (1 + _TOLERANCE):
            return f"predictions end at {duration(float(self.grid[-1]))}"
        return self.follow_up.unsupported(horizon)

    def _at(self, horizon: float, integrated: Measured | str) -> None:
        f, status, risk = self.follow_up, self.follow_up.status(horizon), self._risk(horizon)
        with_null = np.column_stack([risk, self._null_risk(horizon)])
        scores = brier(f, with_null, horizon, status=status)
        models, null = _columns(scores, slice(None, -1)), _columns(scores, slice(-1, None))
        how: dict[str, Callable[[], Measured | str]] = {
            "auc": lambda: auc(f, risk, horizon, status=status, strata=self.strata, controls=self.controls),
            "brier": lambda: models,
            "integrated_brier": lambda: integrated,
            "ipa": lambda: prediction_accuracy(models, null),
            "observed_expected": lambda: observed_expected(f, risk, horizon),
            "c_index": lambda: concordance(f, risk, horizon),
            "calibration_intercept": lambda: calibration_intercept(f, risk, horizon, status=status),
            "calibration_slope": lambda: calibration_slope(f, risk, horizon, status=status),
        }
        for measure in self.measures:
            self._add(measure, horizon, how[measure]())
        for m, model in enumerate(self.models):
            curve = calibration_groups(self.follow_up, risk[:, m], horizon, level=self.level, groups=self.groups)
            rows = curve.assign(model=model, landmark=self.landmark, horizon=horizon).to_dict("records")
            self.calibration += [{str(key): value for key, value in row.items()} for row in rows]

    def _integrated(self, horizons: list[float]) -> dict[float, Measured | str]:
        """The Brier score's mean over time up to each horizon; every time is visited once."""
        if not horizons:
            return {}
        times = np.union1d(self.grid[self.grid <= max(horizons)], horizons)
        times = times[times > 0]
        weights = {h: trapezoid_weights(times, h) for h in horizons}
        shape = (len(self.follow_up), len(self.models))
        sums = {h: Measured(np.zeros(shape[1]), np.zeros(shape)) for h in horizons}
        for t, at in enumerate(times):
            score = brier(self.follow_up, self._risk(at), at)
            for h, total in sums.items():
                if weights[h][t]:
                    total.value[:] += weights[h][t] * score.value
                    total.influence[:] += weights[h][t] * score.influence
        scarce = f"risks are given at fewer than {_FEWEST_TIMES} times up to the horizon: nothing to integrate over"
        return {h: total if (times <= h).sum() >= _FEWEST_TIMES else scarce for h, total in sums.items()}

    def _risk(self, at: float) -> Floats:
        """(n, M) risks at a time, linear between the times given, from 0 at time 0."""
        right = min(int(np.searchsorted(self.grid, at, "left")), len(self.grid) - 1)
        if np.isclose(self.grid[right], at, rtol=_TOLERANCE, atol=0.0):
            return np.column_stack([risk[:, right] for risk in self.risks.values()])
        before = self.grid[right - 1] if right else 0.0
        share = (at - before) / (self.grid[right] - before)
        earlier = [risk[:, right - 1] if right else 0.0 for risk in self.risks.values()]
        later = [risk[:, right] for risk in self.risks.values()]
        return np.column_stack([(1 - share) * a + share * b for a, b in zip(earlier, later, strict=True)])

    def _null_risk(self, at: float) -> Floats:
        if self.null is not None:
            return self._risk(at)[:, self.models.index(self.null)]
        f = self.follow_up
        event = np.where(f.event == f.cause, 1, np.where(f.event > 0, 2, 0))
        incidence, _ = aalen_johansen(f.time, event, [at], 2)
        # How the estimate varies does not matter: it is where the Brier score of a common risk is least.
        return np.full(len(f), incidence[0, 0])

    def _add(self, measure: str, horizon: float, found: Measured | str) -> None:
        """Rows of ``metrics`` and ``differences``: one measure at one horizon."""
        at_risk, events = self.follow_up.at_risk(horizon), self.follow_up.events(horizon)
        if isinstance(found, str):
            counted = f"{told(at_risk)} at risk at {duration(horizon)}"
            reason = found if counted in found or not at_risk else f"{found} ({counted})"
            nothing = np.full(len(self.models), np.nan)
            found = Measured(nothing, np.full((len(self.follow_up), len(self.models)), np.nan))
        else:
            reason = ""
        se = standard_error(found.influence, self.clusters) if not reason else np.full(len(self.models), np.nan)
        if measure in _RANKS and not reason:
            apart = (se == 0) & ((found.value == 0) | (found.value == 1))
            se = np.where(apart, self._error_when_apart(horizon), se)
        lower, upper = interval(measure, found.value, se, self.level)
        for m, model in enumerate(self.models):
            note = reason or self._remark(found.value[m], se[m], at_risk)
            numbers = (found.value[m], lower[m], upper[m], se[m])
            row = (model, self.landmark, horizon, measure, *map(float, numbers), at_risk, events, note)
            self.metrics.append(dict(zip(_METRICS, row, strict=True)))
        if measure in _COMPARED:
            self._compare(measure, horizon, found)

    def _error_when_apart(self, horizon: float) -> float:
        """Standard error for risks that set all cases apart from all others, where influences know of no error.

        With m pairs of a case and a patient free of events that share nobody, an AUC of A shows all of them in order
        with probability A**m; the interval ends where that is the tail left out of it.
        """
        status = self.follow_up.status(horizon)
        stratum = np.zeros(len(self.follow_up), dtype=np.int64) if self.strata is None else self.strata
        size = int(stratum.max()) + 1
        cases, free = (np.bincount(stratum[mask], minlength=size) for mask in (status.case, status.free))
        tail = (1 - self.level) / 2
        return float(1 - tail ** (1 / max(int(np.minimum(cases, free).sum()), 1))) / float(ndtri(1 - tail))

    def _remark(self, value: float, se: float, at_risk: int) -> str:
        if np.isnan(value):
            return "not defined for these predictions"
        if np.isnan(se):
            return "one patient or cluster has no standard error"
        return f"{told(at_risk)} patients are followed to the horizon" if 0 < at_risk < 10 else ""

    def _compare(self, measure: str, horizon: float, found: Measured) -> None:
        for i, j in permutations(range(len(self.models)), 2):
            value = found.value[i] - found.value[j]
            se = standard_error((found.influence[:, i] - found.influence[:, j])[:, None], self.clusters)[0]
            lower, upper = interval("difference", value, se, self.level)
            row = (self.models[i], self.models[j], self.landmark, horizon, measure, value, lower, upper, se)
            self.differences.append(dict(zip(_DIFFERENCES, (*row[:5], *map(float, row[5:])), strict=True)))


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Rows as a frame whose types do not depend on there being rows."""
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({name: _TYPES.get(name, np.float64) for name in columns})


def _columns(measured: Measured, which: slice) -> Measured:
    return Measured(measured.value[which], measured.influence[:, which])


def _times(times: ArrayLike, horizons: ArrayLike) -> tuple[Floats, Floats]:
    grid, ahead = np.atleast_1d(np.asarray(times, dtype=float)), np.unique(np.asarray(horizons, dtype=float))
    if grid.ndim != 1 or not len(grid) or not np.isfinite(grid).all() or grid[0] < 0 or (np.diff(grid) <= 0).any():
        raise UsageError("times must be a row of finite days since the landmark, from 0 on, increasing strictly")
    if not len(ahead) or not np.isfinite(ahead).all() or ahead.min() <= 0:
        raise UsageError("horizons must be finite days above 0, at least one")
    if grid[-1] == 0:
        raise UsageError("times must reach beyond 0")
    return grid, ahead


def _outcomes(time: ArrayLike, event: ArrayLike, cause: int) -> tuple[Floats, NDArray[np.int64]]:
    moments, given = np.asarray(time, dtype=float), np.asarray(event)
    if moments.ndim != 1 or moments.shape != given.shape:
        raise UsageError(f"time {moments.shape} and event {given.shape} must be rows of one length")
    bad = int((~(moments > 0) | ~np.isfinite(moments)).sum())
    if bad:
        raise UsageError(
            f"follow-up times must be finite and above 0, counted from the landmark; {bad} of {len(moments)} are not. "
            "Leave out patients who are no longer at risk at the landmark."
        )
    if given.dtype.kind not in "iub" and not (given.dtype.kind == "f" and np.array_equal(given, np.floor(given))):
        raise UsageError("event codes must be whole numbers: 0 censored, 1.. causes")
    codes = given.astype(np.int64)
    if cause < 1 or (codes.size and codes.min() < 0):
        raise UsageError("event codes must be 0 (censored) or positive, and the cause of interest positive")
    return moments, codes


def _risk(name: str, values: ArrayLike, n: int, t: int) -> Floats:
    risk = np.asarray(values, dtype=float)
    if risk.shape != (n, t):
        raise UsageError(f"risks of {name!r} have shape {risk.shape}; expected {n} patients by {t} times")
    wrong = int((~((risk >= -_TOLERANCE) & (risk <= 1 + _TOLERANCE))).any(axis=1).sum()) if n else 0
    if wrong:
        raise UsageError(
            f"risks of {name!r} must lie between 0 and 1; they are missing or outside for {wrong} of {n} patients. "
            "Give cumulative incidences (not survival or linear predictors) for every patient."
        )
    return risk


def _codes(labels: ArrayLike | None, n: int, what: str) -> NDArray[np.int64] | None:
    if labels is None:
        return None
    given = np.asarray(labels)
    if given.shape != (n,):
        raise UsageError(f"{what} have shape {given.shape}; expected one label for each of {n} patients")
    return np.unique(given, return_inverse=True)[1].astype(np.int64)
