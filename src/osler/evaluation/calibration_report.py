"""CalibrationReport: how far one model's risks are from what happened, and how far chance alone would put them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.errors import UsageError
from osler.evaluation.bootstrap import CASE, AtHorizon, percentiles, resamples, shifted_percentiles
from osler.evaluation.d_calibration import Risen, d_statistic, too_discrete
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.perfect import PerfectWorld
from osler.evaluation.recalibration import fit_log_odds, log_odds
from osler.evaluation.smooth import ERRORS, Smoother, calibration_errors, calibration_points
from osler.units import duration

__all__ = ["CALIBRATED", "DISTANCES", "SMOOTH_COLUMNS", "CalibrationReport", "Ranged", "assess"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Measured with intervals; 0 is ideal for the first three, all are worse the higher.
DISTANCES = (*ERRORS, "d_calibration")
#: Measures for which the range under perfect calibration is given.
CALIBRATED = ("observed_expected", "calibration_intercept", "calibration_slope", *DISTANCES)
SMOOTH_COLUMNS = ("predicted", "observed", "lower", "upper", "calibrated_lower", "calibrated_upper")
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Ranged:
    """A measure with its interval and standard error; NaN, and a note that says why, where it could not be had."""

    value: float
    lower: float
    upper: float
    se: float
    note: str = ""


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """Calibration of one model's risks at one horizon.

    Attributes:
        values: "ici", "e50", "e90" (mean, median and 90th percentile of |predicted - smoothed observed risk|) and
            "d_calibration", with intervals and standard errors of the bootstrap.
        calibrated: for each of ``CALIBRATED`` the central range that risks which are right would show on patients with
            the same predictions and censoring. A value inside is what chance explains. Rows are drawn independently,
            those of one cluster too.
        d_calibration_p: chance of a D-calibration statistic at least as high if the risks are right, from the draws.
        curve: ``SMOOTH_COLUMNS``: smoothed observed risk by predicted risk, its pointwise interval, and the pointwise
            range of the curves of risks that are right.
    """

    values: dict[str, Ranged]
    calibrated: dict[str, tuple[float, float]]
    d_calibration_p: float
    curve: pd.DataFrame


def assess(
    follow_up: FollowUp,
    curves: Floats,
    times: Floats,
    horizon: float,
    *,
    level: float = 0.95,
    replicates: int = 200,
    random_state: int = 0,
    clusters: Integers | None = None,
) -> CalibrationReport | str:
    """Calibration of one model at a horizon: smooth curve, distances from it, D-calibration, and what chance explains.

    Args:
        follow_up: outcomes of n patients.
        curves: (n, T) predicted incidence of the event of interest.
        times: (T,) days since the landmark, increasing; curves are linear in between, and 0 at time 0.
        horizon: days since the landmark.
        level: of intervals and ranges.
        replicates: resamples of the patients, and draws of outcomes under perfect calibration; 0 gives neither.
        random_state: seed of both.
        clusters: (n,) codes 0 to C - 1; rows of one cluster are resampled together.

    Returns:
        The report; or, in words, why there is none.

    Raises:
        UsageError: arrays do not fit together, or level or replicates are out of range.

    Smoothing is by least squares of pseudo-observations on a restricted cubic spline of the predicted risk
    (``osler.evaluation.smooth``); resamples keep the knots and, where censoring depends on covariates, its weights.
    Time O(replicates x n log n), memory O(n T + replicates).
    """
    _check(follow_up, curves, times, level, replicates, clusters)
    if horizon > times[-1] * (1 + _TOLERANCE):
        return f"predictions end at {duration(float(times[-1]))}"
    if reason := follow_up.unsupported(horizon):
        return reason
    if not follow_up.events(horizon):
        return "no event of interest by the horizon"
    n = len(follow_up)
    risen, at = Risen.until(curves, times, horizon), AtHorizon.of(follow_up, horizon)
    judge, reached = _Judge.of(follow_up, risen.last, horizon), risen.by(at.time, at.state == CASE)
    seen = judge.sees(at, reached)
    units = n if clusters is None else int(clusters.max()) + 1
    counts = resamples(n, replicates if units > 1 else 0, np.random.default_rng([random_state, 1]), clusters)
    again = _Draws.of([judge.sees(at, reached, count) for count in counts], judge)
    world, chance = PerfectWorld.of(follow_up, risen), np.random.default_rng([random_state, 2])
    perfect = _Draws.of([judge.sees(*world.draw(chance), recalibrated=True) for _ in range(replicates)], judge)
    lower, upper = percentiles(perfect.measures, level)
    as_high = perfect.measures[:, -1] >= seen.measures[-1]
    return CalibrationReport(
        values=_values(judge, seen, again, level),
        calibrated={name: (float(lower[k]), float(upper[k])) for k, name in enumerate(CALIBRATED)},
        d_calibration_p=float((1 + as_high.sum()) / (1 + replicates)) if replicates and not judge.discrete else np.nan,
        curve=_curve(judge, seen, again, perfect, level),
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """What one set of outcomes shows: measures in the order of ``CALIBRATED``, and the smooth curve's coefficients."""

    measures: Floats
    coefficients: Floats


@dataclass(frozen=True, eq=False)
class _Judge:
    """Measures calibration of the same risks on any outcomes; ``discrete`` says why D-calibration cannot be judged."""

    risk: Floats
    odds: Floats
    smoother: Smoother
    discrete: str

    @classmethod
    def of(cls, follow_up: FollowUp, risk: Floats, horizon: float) -> _Judge:
        status = follow_up.status(horizon)
        rarer = min(int(status.case.sum()), int((status.free | status.competing).sum()))
        return cls(risk, log_odds(risk), Smoother.of(risk, rarer), too_discrete(follow_up, horizon))

    def sees(self, at: AtHorizon, reached: Floats, count: Floats | None = None, recalibrated: bool = False) -> _Seen:
        """Measures of the patients, counted ``count`` times; those of ``recalibration`` only when asked for.

        ``reached`` is the predicted incidence at the time of the event, of those who have it.
        """
        measures, counted = np.full(len(CALIBRATED), np.nan), np.ones(len(self.risk)) if count is None else count
        coefficients = np.full(self.smoother.basis.shape[1], np.nan)
        if not (at.supported and ((at.state == CASE) & (counted > 0)).any()):
            return _Seen(measures, coefficients)
        observed = at.observed(counted)
        coefficients = self.smoother.fit(observed.pseudo, counted)
        measures[3:6] = calibration_errors(self.risk, self.smoother.fitted(coefficients), count)
        if not self.discrete:
            measures[6] = d_statistic(at.state, reached, self.risk, observed.weight, counted)
        if recalibrated:
            case = (at.state == CASE).astype(float)
            expected = self.risk.mean()
            measures[0] = observed.incidence / expected if expected > 0 else np.nan
            measures[1] = fit_log_odds(self.odds, case, observed.weight, False)[0]
            measures[2] = fit_log_odds(self.odds, case, observed.weight, True)[1]
        return _Seen(measures, coefficients)


@dataclass(frozen=True, eq=False)
class _Draws:
    """R sets of outcomes: measures (R, 7) and coefficients (R, p)."""

    measures: Floats
    coefficients: Floats

    @classmethod
    def of(cls, seen: list[_Seen], judge: _Judge) -> _Draws:
        p = judge.smoother.basis.shape[1]
        return cls(
            np.array([one.measures for one in seen]).reshape(-1, len(CALIBRATED)),
            np.array([one.coefficients for one in seen]).reshape(-1, p),
        )


def _values(judge: _Judge, seen: _Seen, again: _Draws, level: float) -> dict[str, Ranged]:
    lower, upper = shifted_percentiles(seen.measures, again.measures, level)
    found = {}
    for name in DISTANCES:
        k = CALIBRATED.index(name)
        draws = again.measures[:, k]
        draws = draws[np.isfinite(draws)]
        se = float(draws.std(ddof=1)) if len(draws) > 1 and np.isfinite(lower[k]) else np.nan
        note = judge.discrete if name == "d_calibration" else ""
        found[name] = Ranged(float(seen.measures[k]), float(lower[k]), float(upper[k]), se, note)
    return found


def _curve(judge: _Judge, seen: _Seen, again: _Draws, perfect: _Draws, level: float) -> pd.DataFrame:
    predicted = calibration_points(judge.risk)
    basis = judge.smoother.at(predicted)
    observed = np.clip(basis @ seen.coefficients, 0.0, 1.0)
    bands = [percentiles(np.clip(d.coefficients @ basis.T, 0.0, 1.0), level) for d in (again, perfect)]
    columns = (predicted, observed, *bands[0], *bands[1])
    return pd.DataFrame(dict(zip(SMOOTH_COLUMNS, columns, strict=True)))


def _check(
    follow_up: FollowUp, curves: Floats, times: Floats, level: float, replicates: int, clusters: Integers | None
) -> None:
    n = len(follow_up)
    if times.ndim != 1 or not len(times) or (np.diff(times) <= 0).any() or times[-1] <= 0:
        raise UsageError("times must be a row of days since the landmark that increase and reach beyond 0")
    if curves.shape != (n, len(times)):
        raise UsageError(f"curves have shape {curves.shape}; expected {n} patients by {len(times)} times")
    if clusters is not None and clusters.shape != (n,):
        raise UsageError(f"clusters have shape {clusters.shape}; expected one code for each of {n} patients")
    if not 0 < level < 1:
        raise UsageError(f"the level of intervals must lie between 0 and 1, found {level:g}")
    if replicates < 0:
        raise UsageError(f"replicates must be 0 or more, found {replicates}")
