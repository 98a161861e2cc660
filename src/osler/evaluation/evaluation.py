"""Evaluation: every measure of every model on the same patients, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from osler.errors import UsageError
from osler.evaluation.arguments import checked_outcomes, checked_risks, checked_times, codes, fold_codes
from osler.evaluation.calibration import CALIBRATION_COLUMNS
from osler.evaluation.censoring import CensoringModel
from osler.evaluation.discrimination import Controls
from osler.evaluation.estimate import Estimate
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.judgement import Judgement
from osler.evaluation.measuring import EVERY_MEASURE, MEASURES

__all__ = ["FRAMES", "Evaluation", "Kept", "evaluate"]

Floats = NDArray[np.float64]
_WHERE = ["landmark", "horizon"]
_INTERVAL = ["value", "lower", "upper", "se"]
_SIMULTANEOUS = ["simultaneous_lower", "simultaneous_upper"]
_CALIBRATED = ["calibrated_lower", "calibrated_upper"]
#: The columns of every frame of an evaluation.
FRAMES: dict[str, list[str]] = {
    "metrics": ["model", *_WHERE, "measure", *_INTERVAL, *_CALIBRATED, "at_risk", "events", "effective", "note"],
    "differences": ["model", "versus", *_WHERE, "measure", *_INTERVAL, *_SIMULTANEOUS],
    "calibration": ["model", *_WHERE, *CALIBRATION_COLUMNS],
    "smooth": ["model", *_WHERE, "predicted", "observed", "lower", "upper", *_CALIBRATED],
    "decision": ["model", *_WHERE, "threshold", *_INTERVAL, *_SIMULTANEOUS],
    "decision_differences": ["model", "versus", *_WHERE, "threshold", *_INTERVAL, *_SIMULTANEOUS],
    "overall": ["model", "horizon", "measure", *_INTERVAL, "landmarks"],
    "overall_differences": ["model", "versus", "horizon", "measure", *_INTERVAL],
}
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("model", "versus", "measure", "note"), object),
    **dict.fromkeys(("at_risk", "group", "n", "landmarks"), np.int64),
    "suppressed": np.bool_,
}


def framed(name: str, rows: Sequence[Mapping[str, Any]] = ()) -> pd.DataFrame:
    """Rows as the frame of that name, whose types do not depend on there being rows."""
    columns = FRAMES[name]
    frame = pd.DataFrame(list(rows), columns=columns)
    types = {column: _TYPES.get(column, np.float64) for column in columns}
    if name == "metrics":
        types["events"] = np.int64
    return frame.astype(types)


@dataclass(frozen=True, eq=False)
class Kept:
    """One measure at one landmark and horizon, with what each patient contributes to it.

    Attributes:
        landmark, horizon, measure: where.
        patients: (n,) labels, the same for a patient at every landmark.
        folds: (R, n) labels of the folds of R repeats, or None.
        influences: (R, n, M).
        value: (M,), in the order of the models.
    """

    landmark: float
    horizon: float
    measure: str
    patients: NDArray[Any]
    folds: NDArray[Any] | None
    influences: Floats
    value: Floats


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Measures of models at landmarks and horizons, in days.

    Attributes:
        metrics: model, landmark, horizon, measure (of ``EVERY_MEASURE``), value, lower, upper, se; calibrated_lower,
            calibrated_upper (the range that perfectly calibrated risks of the same patients would show, for measures
            of calibration); at_risk (patients followed to the horizon or longer), events (of interest, by the
            horizon), effective (Kish's effective sample size of the weights), note.
        differences: model, versus, landmark, horizon, measure, value (that of ``model`` minus that of ``versus``, on
            the same patients), lower, upper, se; simultaneous_lower, simultaneous_upper (bounds that hold for all
            pairs of models and horizons of one landmark and measure together); every ordered pair.
        calibration: model, landmark, horizon, group (1 is the lowest risk), predicted, observed, lower, upper, n,
            events, suppressed.
        smooth: the smooth calibration curve: model, landmark, horizon, predicted, observed, lower, upper,
            calibrated_lower, calibrated_upper (pointwise, as in ``metrics``).
        decision: net benefit by threshold of acting, treating all and none included: model, landmark, horizon,
            threshold, value, lower, upper, se, simultaneous_lower, simultaneous_upper (over the thresholds).
        decision_differences: the same with ``versus``: net benefit of ``model`` minus that of ``versus``.
        overall, overall_differences: means over landmarks, whose patients are largely the same and count as one each:
            model, (versus,) horizon, measure, value, lower, upper, se; landmarks, how many the mean is over.
        level: of every interval.
        null: the model that knows nothing, against which "ipa" is measured; None is the Aalen-Johansen estimate
            among the evaluated patients.
        models: in the order given.
        kept: what patients contribute, where ``evaluate`` was told who they are.
    """

    metrics: pd.DataFrame
    differences: pd.DataFrame
    calibration: pd.DataFrame
    level: float = 0.95
    null: str | None = None
    smooth: pd.DataFrame = field(default_factory=partial(framed, "smooth"))
    decision: pd.DataFrame = field(default_factory=partial(framed, "decision"))
    decision_differences: pd.DataFrame = field(default_factory=partial(framed, "decision_differences"))
    overall: pd.DataFrame = field(default_factory=partial(framed, "overall"))
    overall_differences: pd.DataFrame = field(default_factory=partial(framed, "overall_differences"))
    models: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = field(default=(), repr=False)

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Every frame by its name."""
        return {name: getattr(self, name) for name in FRAMES}

    def estimate(self, model: str, measure: str, *, landmark: float = 0.0, horizon: float) -> Estimate:
        """One cell of ``metrics``. Raises UsageError when there is none."""
        m = self.metrics
        here = (m["model"] == model) & (m["measure"] == measure)
        found = m[here & np.isclose(m["landmark"], landmark) & np.isclose(m["horizon"], horizon)]
        if len(found) != 1:
            raise UsageError(f"no {measure!r} of {model!r} at landmark {landmark:g} and horizon {horizon:g} days")
        row = found.iloc[0]
        value, lower, upper, se = (float(row[name]) for name in _INTERVAL)
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
    folds: ArrayLike | None = None,
    patients: ArrayLike | None = None,
    level: float = 0.95,
    null: str | None = "reference",
    landmark: float = 0.0,
    controls: Controls = "free_of_cause",
    groups: int = 10,
    measures: Sequence[str] = MEASURES,
    thresholds: ArrayLike | None = None,
    censoring: CensoringModel | None = None,
    replicates: int = 200,
    random_state: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Judge predicted risks against outcomes, by whatever model they were made.

    Args:
        time: (n,) days from the landmark to the first event or the end of follow-up, above 0.
        event: (n,) 0 censored, 1.. causes; competing events are never censoring.
        risks: for each model (n, T) predicted cumulative incidence of ``cause`` at ``times``, in [0, 1]; or (R, n, T)
            from R repeats of a cross-validation, whose measures are averaged.
        times: (T,) days since the landmark, increasing.
        horizons: days since the landmark; between two of ``times`` risks are interpolated.
        cause: code of the event of interest.
        strata: (n,) or (R, n) labels; AUC and the C-indices compare patients of one stratum only.
        clusters: (n,) labels; rows of one cluster (a patient seen several times) count as one in standard errors.
        folds: (n,) or (R, n) labels of the fold in which each patient was held out. Risks are then taken as
            out-of-fold: AUC and the C-indices compare within a fold, and intervals hold the variation from fitting the
            models anew (see ``osler.evaluation.refitting``).
        patients: (n,) labels of who each row is: what they contribute is kept, so that several landmarks can be
            averaged by ``combine`` with each patient counted once.
        level: of the intervals.
        null: the model in ``risks`` against which the index of prediction accuracy is measured; None, or the default
            where no model is called "reference", takes the Aalen-Johansen estimate among these patients.
        landmark: days from the time origin; a label of the rows.
        controls: whom AUC compares with the cases; see ``osler.evaluation.discrimination.auc``.
        groups: of the calibration curve, at most.
        measures: of ``EVERY_MEASURE``. Discrimination: auc; c_index (Uno's, of events up to the horizon), harrell_c,
            antolini_c (time-dependent); royston_d, royston_r2. Accuracy: brier, integrated_brier, ipa. Calibration:
            observed_expected, calibration_intercept, calibration_slope, ici, e50, e90, d_calibration; any of the last
            four brings the smooth curve and the ranges of perfectly calibrated risks.
        thresholds: risks from which one would act, in (0, 1): brings the decision curve.
        censoring: how the censoring distribution is estimated: by default Kaplan-Meier among all; see
            ``osler.evaluation.censoring`` for models given covariates.
        replicates: draws of the bootstrap and of perfectly calibrated outcomes.
        random_state: seed of what is drawn.
        progress: told (what, done, total) while smooth calibration, the longest part, is bootstrapped; for instance
            ``osler.terminal.Bar``.

    Returns:
        All measures at all horizons. What cannot be had (no events, nobody left at risk, one patient) is NaN with a
        note that says why; the rest stands. Standard errors come from influence functions, or from the bootstrap
        (``SMOOTH_MEASURES``), and hold the estimation of the censoring distribution; without ``folds``, models are
        taken as they are.

    Raises:
        UsageError: arrays do not fit together, or hold what cannot be a time, an event code or a risk.
    """
    grid, ahead = checked_times(times, horizons)
    moments, given = checked_outcomes(time, event, cause)
    n = len(moments)
    arrays = checked_risks(risks, n, len(grid))
    repeats = len(next(iter(arrays.values())))
    _check_options(level, measures, thresholds, replicates)
    if null is not None and null != "reference" and null not in risks:
        raise UsageError(f"the null model {null!r} is not among the models: {', '.join(risks)}")
    held_out = fold_codes(folds, repeats, n, "folds")
    within = fold_codes(strata, repeats, n, "strata")
    judgement = Judgement(
        follow_up=FollowUp(moments, given, cause, censoring),
        models=tuple(arrays),
        null=null if null in arrays else None,
        grid=grid,
        curves=[[risk[r] for risk in arrays.values()] for r in range(repeats)],
        strata=held_out if within is None else within,
        folds=held_out,
        clusters=codes(clusters, n, "clusters"),
        level=level,
        landmark=float(landmark),
        controls=controls,
        groups=groups,
        measures=tuple(dict.fromkeys(measures)),
        thresholds=None if thresholds is None else np.unique(np.asarray(thresholds, dtype=float)),
        replicates=replicates,
        random_state=random_state,
        keep=patients is not None,
        progress=progress,
    ).run(ahead)
    who = None if patients is None else np.asarray(patients)
    if who is not None and who.shape != (n,):
        raise UsageError(f"patients have shape {who.shape}; expected one label for each of {n} rows")
    labels = None if folds is None else np.broadcast_to(np.asarray(folds), (repeats, n))
    kept = (
        ()
        if who is None
        else tuple(
            Kept(float(landmark), horizon, measure, who, labels, influences, value)
            for horizon, measure, influences, value in judgement.kept
        )
    )
    return Evaluation(
        **{name: framed(name, rows) for name, rows in judgement.rows.items()},
        level=level,
        null=judgement.null,
        models=judgement.models,
        kept=kept,
    )


def _check_options(level: float, measures: Sequence[str], thresholds: ArrayLike | None, replicates: int) -> None:
    if not 0 < level < 1:
        raise UsageError(f"the level of intervals must lie between 0 and 1, found {level:g}")
    unknown = [name for name in measures if name not in EVERY_MEASURE]
    if unknown or not measures:
        raise UsageError(
            f"unknown measures: {', '.join(unknown) or 'none is given'}; expected some of {', '.join(EVERY_MEASURE)}"
        )
    if thresholds is not None:
        cut = np.asarray(thresholds, dtype=float)
        if not cut.size or not ((cut > 0) & (cut < 1)).all():
            raise UsageError("thresholds of risk must lie between 0 and 1")
    if replicates < 20:
        raise UsageError(f"{replicates} replicates are too few for intervals: at least 20, better 200")
