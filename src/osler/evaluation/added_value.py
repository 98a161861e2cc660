"""Added value: what does each further kind of data do for predictions, and is it shown?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from osler.errors import UsageError
from osler.evaluation.apart import error_when_apart
from osler.evaluation.arguments import checked_outcomes, checked_risks, checked_times, codes, fold_codes
from osler.evaluation.censoring import CensoringModel
from osler.evaluation.discrimination import Controls
from osler.evaluation.estimate import Measured, interval
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.measuring import RANKS, Pooled, measure, pooled, risks_at
from osler.evaluation.refitting import error_of
from osler.evaluation.simultaneous import simultaneous_interval
from osler.evaluation.utility import checked_thresholds, decision_measured
from osler.units import duration

__all__ = ["AddedValue", "Verdict", "added_value"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Error = Callable[[Floats], Floats]
Verdict = Literal["helps", "harms", "not shown"]
_KEYS = ["model", "step", "added", "landmark", "horizon", "measure"]
_NUMBERS = ["value", "lower", "upper", "se"]
_ADDED = [*_KEYS, *_NUMBERS, "note"]
_DIFFERENCES = [*_KEYS, *_NUMBERS, "simultaneous_lower", "simultaneous_upper", "note"]
_TEXT = {"model", "step", "added", "measure", "note"}
_MEASURES = ("auc", "brier", "integrated_brier", "ipa")
_TOLERANCE = 1e-6
#: What the verdict rests on, the first that could be had.
_JUDGED = ("integrated_brier", "brier")
_CALLED = {"integrated_brier": "integrated Brier score", "brier": "Brier score", "auc": "AUC"}
_DIGITS = {"integrated_brier": 4, "brier": 4, "auc": 3}


@dataclass(frozen=True, eq=False)
class AddedValue:
    """What each step of a series of models, which use more and more data, does for predictions.

    Attributes:
        added: model, step, added (what this step adds; "" for the first), landmark and horizon (days), measure (auc,
            brier, integrated_brier, ipa, and net_benefit at each threshold, such as "net_benefit@0.10"), value, lower,
            upper, se, note.
        added_differences: the same, with value that of a step minus that of the step before, on the same patients;
            and simultaneous_lower, simultaneous_upper, which hold over all steps and horizons of one measure together
            (of net benefit: over all thresholds too).
        verdict: one dict for each step after the first and each horizon: model, step, added, landmark, horizon,
            verdict ("helps", "harms", "not shown"), finding and sentence (the finding, and what is read together with
            it). It rests on the simultaneous interval of the integrated Brier score, which tells order and calibration
            alike, or of the Brier score where there is no integral; AUC is told beside it and decides nothing.
    """

    added: pd.DataFrame
    added_differences: pd.DataFrame
    verdict: list[dict[str, Any]]


def added_value(
    time: ArrayLike,
    event: ArrayLike,
    steps: Sequence[tuple[str, str, ArrayLike]],
    *,
    times: ArrayLike,
    horizons: ArrayLike,
    thresholds: ArrayLike = (0.05, 0.1, 0.2),
    cause: int = 1,
    strata: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    level: float = 0.95,
    landmark: float = 0.0,
    model: str = "",
    labels: Mapping[str, str] | None = None,
    controls: Controls = "free_of_cause",
    censoring: CensoringModel | None = None,
    error: Error | None = None,
    random_state: int = 0,
) -> AddedValue:
    """Differences in accuracy, order and net benefit between models that use more and more data.

    Args:
        time: (n,) days from the landmark to the first event or the end of follow-up, above 0.
        event: (n,) 0 censored, 1.. causes.
        steps: from the least data to the most: label ("record + visits"), what the step adds ("visits"; "" for the
            first), and predicted risks of ``cause`` (n, T), or (R, n, T) of R repeats of a cross-validation, over which
            measures are averaged. Risks must be of patients that the models were not fitted on: on their own, a model
            of more data is always better.
        times: (T,) days since the landmark, increasing.
        horizons: days since the landmark.
        thresholds: risks from which one would act, at which net benefit is compared; may be empty.
        cause: code of the event of interest.
        strata: (n,) or (R, n) labels; AUC and the C-indices compare within a stratum only.
        clusters: (n,) labels; rows of one cluster count as one in standard errors.
        folds: (n,) or (R, n) labels of the fold in which each patient was held out: AUC then compares within a fold,
            and intervals hold the variation from fitting the models anew (see ``osler.evaluation.refitting``).
        level: of the intervals, and of the verdict.
        landmark: days from the time origin; a label of the rows.
        model: a label of the rows.
        labels: names for the sentences, of models and of what steps are made of; one without stands for itself.
        controls: whom AUC compares with the cases.
        censoring: model of weights that depend on the patients; None: the same for everybody.
        error: standard errors (C,) from influences (n, C), means over repeats, if not those of
            ``osler.evaluation.refitting.error_of``.
        random_state: of the simultaneous intervals.

    Returns:
        All measures at all horizons; what cannot be had is NaN with a note. Steps whose predictions are identical
        differ by exactly 0, with no error.

    Raises:
        UsageError: arrays do not fit together, or hold what they cannot; no step, or two of one label.

    Kattan MW, Gerds TA. Diagn Progn Res 2018;2:7. Kerr KF et al. J Natl Cancer Inst 2014;106:dju041 (why not p-values
    of AUC). Vickers AJ, Elkin EB. Med Decis Making 2006;26:565-574.
    """
    grid, ahead = checked_times(times, horizons)
    follow_up = FollowUp(*checked_outcomes(time, event, cause), cause, censoring)
    if not 0 < level < 1:
        raise UsageError(f"the level of intervals must lie between 0 and 1, found {level:g}")
    given = {label: risks for label, _, risks in steps}
    if len(given) < len(steps):
        raise UsageError(f"{len(steps) - len(given)} of {len(steps)} steps have the label of another: name them apart")
    curves = checked_risks(given, len(follow_up), len(grid))
    n, repeats = len(follow_up), len(next(iter(curves.values())))
    held_out, apart = fold_codes(folds, repeats, n, "folds"), fold_codes(strata, repeats, n, "strata")
    task = _Task(
        follow_up=follow_up,
        steps=[(label, added) for label, added, _ in steps],
        curves=list(curves.values()),
        grid=grid,
        thresholds=checked_thresholds(thresholds) if np.size(thresholds) else np.zeros(0),
        strata=held_out if apart is None else apart,
        folds=held_out,
        clusters=codes(clusters, n, "clusters"),
        level=level,
        landmark=float(landmark),
        model=model,
        labels=labels or {},
        controls=controls,
        given_error=error,
        random_state=random_state,
    )
    return task.run([float(h) for h in ahead])


@dataclass(frozen=True, eq=False)
class _Task:
    """One landmark's comparison under way."""

    follow_up: FollowUp
    steps: list[tuple[str, str]]
    curves: list[Floats]
    grid: Floats
    thresholds: Floats
    strata: Integers | None
    folds: Integers | None
    clusters: Integers | None
    level: float
    landmark: float
    model: str
    labels: Mapping[str, str]
    controls: Controls
    given_error: Error | None
    random_state: int

    def run(self, horizons: list[float]) -> AddedValue:
        found = {h: self._measured(h) for h in horizons}
        names = [*_MEASURES, *map(_net_benefit_at, self.thresholds)]
        rows = [row for h in horizons for name in names for row in self._values(h, name, found[h][name])]
        differences: list[dict[str, Any]] = []
        for family in dict.fromkeys(name.split("@")[0] for name in names):
            mine = [name for name in names if name.split("@")[0] == family]
            differences += self._differences({(h, name): found[h][name] for h in horizons for name in mine})
        told = _frame(differences, _DIFFERENCES)
        return AddedValue(_frame(rows, _ADDED), told, self._verdicts(told, horizons))

    def _measured(self, horizon: float) -> dict[str, Pooled]:
        """Every measure of every step, over repeats."""
        acted = [_net_benefit_at(threshold) for threshold in self.thresholds]
        count, n = len(self.steps), len(self.follow_up)
        late = horizon > self.grid[-1] * (1 + _TOLERANCE)
        refused = (
            f"predictions end at {duration(float(self.grid[-1]))}" if late else self.follow_up.unsupported(horizon)
        )
        if refused:
            return {name: Pooled.nothing(count, n, refused) for name in (*_MEASURES, *acted)}
        each = []
        for r in range(len(self.curves[0])):
            strata = None if self.strata is None else self.strata[r]
            given = [curve[r] for curve in self.curves]
            found = measure(_MEASURES, self.follow_up, given, self.grid, horizon, strata=strata, controls=self.controls)
            if acted:
                benefit = decision_measured(
                    self.follow_up, risks_at(given, self.grid, horizon), horizon, self.thresholds
                )
                for k, name in enumerate(acted):
                    at = slice(k, None, len(acted))
                    found[name] = Measured(benefit.value[at], benefit.influence[:, at])
            each.append(found)
        return {name: pooled([found[name] for found in each], count, n) for name in each[0]}

    def _error(self, influences: Floats) -> Floats:
        if self.given_error is not None:
            return self.given_error(influences.mean(axis=0))
        return error_of(influences, self.folds, self.clusters)

    def _values(self, horizon: float, name: str, found: Pooled) -> list[dict[str, Any]]:
        se = self._error(found.influences) if found.known else np.full(len(self.steps), np.nan)
        perfect = (se == 0) & ((found.value == 0) | (found.value == 1))
        if name in RANKS and perfect.any():
            strata = None if self.strata is None else self.strata[0]
            se = np.where(perfect, error_when_apart(self.follow_up, horizon, strata, self.level), se)
        lower, upper = interval(name, found.value, se, self.level)
        numbers = dict(zip(_NUMBERS, (found.value, lower, upper, se), strict=True))
        note = {"note": "" if found.known else found.reason}
        return [{**self._key(k, horizon, name), **_nth(numbers, k), **note} for k in range(len(self.steps))]

    def _differences(self, found: dict[tuple[float, str], Pooled]) -> list[dict[str, Any]]:
        """Each step minus the one before, of measures that are read together."""
        same = [np.array_equal(now, before) for now, before in zip(self.curves[1:], self.curves[:-1], strict=True)]
        rows: list[dict[str, Any]] = []
        influences, values, errors = [], [], []
        places: list[int] = []
        for (horizon, name), each in found.items():
            note = {"note": "" if each.known else each.reason}
            for k in range(1, len(self.steps)):
                rows.append({**self._key(k, horizon, name), **dict.fromkeys(_NUMBERS, np.nan), **note})
            if each.known and len(self.steps) > 1:
                moved, value = np.diff(each.influences, axis=2), np.diff(each.value)
                moved[:, :, same], value[same] = 0.0, np.where(np.isnan(value[same]), np.nan, 0.0)
                influences.append(moved.mean(axis=0))
                values.append(value)
                errors.append(self._error(moved))
                places += range(len(rows) - len(value), len(rows))
        if places:
            value, influence, se = np.concatenate(values), np.column_stack(influences), np.concatenate(errors)
            bounds = interval("difference", value, se, self.level)
            wide = simultaneous_interval(
                value, influence, self.level, se=se, clusters=self.clusters, random_state=self.random_state
            )
            columns = [*_NUMBERS, "simultaneous_lower", "simultaneous_upper"]
            numbers = dict(zip(columns, (value, *bounds, se, *wide), strict=True))
            for i, place in enumerate(places):
                rows[place].update(_nth(numbers, i))
        return rows

    def _key(self, k: int, horizon: float, name: str) -> dict[str, Any]:
        step, added = self.steps[k]
        return dict(zip(_KEYS, (self.model, step, added, self.landmark, horizon, name), strict=True))

    def _verdicts(self, differences: pd.DataFrame, horizons: list[float]) -> list[dict[str, Any]]:
        records = differences.to_dict("records")
        rows = {(row["step"], row["horizon"], row["measure"]): row for row in records}
        verdicts = []
        for k, (step, added) in enumerate(self.steps[1:]):
            for horizon in horizons:
                here = {name: rows[step, horizon, name] for name in (*_JUDGED, "auc")}
                judged = next((name for name in _JUDGED if np.isfinite(here[name]["value"])), _JUDGED[0])
                together = int((differences.loc[differences["measure"] == judged, "se"] > 0).sum())
                found = _verdict(here[judged])
                finding = self._finding(self.steps[k][0], added or step, horizon, here, judged, found)
                key = {"model": self.model, "step": step, "added": added, "landmark": self.landmark}
                said = {"finding": finding, "sentence": finding + self._together(here[judged], found, together)}
                verdicts.append({**key, "horizon": horizon, **said, "verdict": found})
        return verdicts

    def _finding(
        self,
        before: str,
        added: str,
        horizon: float,
        here: Mapping[str, Mapping[Any, Any]],
        judged: str,
        verdict: Verdict,
    ) -> str:
        what = f"adding {self.labels.get(added, added)} to {self._words(before)}"
        row = here[judged]
        if not np.isfinite(row["value"]):
            return f"What {what} does up to {duration(horizon)} cannot be said: {row['note'] or 'it is not defined'}."
        if row["value"] == 0 and row["se"] == 0:
            return (
                f"{_capital(what)} left predictions up to {duration(horizon)} as they were: it was not shown to help."
            )
        score = f"{_moved(row, judged)} up to {duration(horizon)} by {_amount(row, judged)}"
        order = here["auc"]
        auc = f" and {_moved(order, 'auc')} by {_amount(order, 'auc')}" if np.isfinite(order["value"]) else ""
        ends = {"helps": "it helps", "harms": "it harms", "not shown": "it was not shown to help"}[verdict]
        return f"{_capital(what)} {score}{auc}: {ends}."

    def _together(self, row: Mapping[Any, Any], verdict: Verdict, together: int) -> str:
        """What the intervals of a finding hold for, where several are read together."""
        if together < 2 or not np.isfinite(row["value"]) or not row["se"] > 0:
            return ""
        more = f" The {100 * self.level:g}% intervals hold for the {together} comparisons read here together."
        alone = _verdict(row, "")
        return more if alone == verdict else f"{more} Read alone, it would have been said to {alone.removesuffix('s')}."

    def _words(self, step: str) -> str:
        """A label such as "record + visits" in a sentence: "the record and visits"."""
        parts = [self.labels.get(part, part) for part in step.split(" + ")]
        joined = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
        return joined if joined.startswith("the ") else f"the {joined}"


def _net_benefit_at(threshold: float) -> str:
    """Such as "net_benefit@0.10"; more digits where two are not enough."""
    return f"net_benefit@{threshold:.2f}" if round(threshold, 2) == threshold else f"net_benefit@{threshold:g}"


def _verdict(row: Mapping[Any, Any], bounds: str = "simultaneous_") -> Verdict:
    """Lower scores are better."""
    if not row["se"] > 0:
        return "not shown"
    return "helps" if row[f"{bounds}upper"] < 0 else "harms" if row[f"{bounds}lower"] > 0 else "not shown"


def _moved(row: Mapping[Any, Any], name: str) -> str:
    return f"{'lowered' if row['value'] < 0 else 'raised'} the {_CALLED[name]}"


def _amount(row: Mapping[Any, Any], name: str) -> str:
    """How far a measure moved, with its simultaneous interval, counted in the direction in which it moved."""
    digits, sign = _DIGITS[name], -1 if row["value"] < 0 else 1
    ends = sorted(sign * row[f"simultaneous_{end}"] for end in ("lower", "upper"))
    least = 10.0**-digits
    size = abs(row["value"])
    amount = f"{size:.{digits}f}" if size >= least / 2 else f"less than {least:.{digits}f}"
    if not np.isfinite(ends).all():
        return amount
    return f"{amount} ({' to '.join(_signed(end, digits) for end in ends)})"


def _signed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _nth(numbers: Mapping[str, Floats], i: int) -> dict[str, float]:
    return {name: float(values[i]) for name, values in numbers.items()}


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Rows as a frame whose types do not depend on there being rows."""
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({name: object if name in _TEXT else float for name in columns})
