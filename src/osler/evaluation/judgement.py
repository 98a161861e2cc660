"""Judgement: the evaluation of one landmark under way, horizon by horizon and measure by measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations, permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from osler.evaluation.accuracy import brier, integrated_brier
from osler.evaluation.apart import error_when_apart
from osler.evaluation.calibration import calibration_groups
from osler.evaluation.calibration_report import CalibrationReport, assess
from osler.evaluation.discrimination import Controls
from osler.evaluation.estimate import Measured, by_cluster, interval, standard_error
from osler.evaluation.follow_up import FollowUp, told
from osler.evaluation.measuring import COMPARED, RANKS, SMOOTH_MEASURES, UNDEFINED, Pooled, measure, pooled, risks_at
from osler.evaluation.refitting import error_of
from osler.evaluation.simultaneous import critical_value
from osler.evaluation.utility import decision, decision_differences
from osler.units import duration

__all__ = ["Judgement"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Rows = list[dict[str, Any]]
_FRAMES = ("metrics", "differences", "calibration", "smooth", "decision", "decision_differences")
_TOLERANCE = 1e-6


@dataclass
class _Cell:
    """One compared measure at one horizon: values (M,), mean influences (n, M), errors of all differences (M, M)."""

    horizon: float
    value: Floats
    influence: Floats
    errors: Floats


@dataclass
class Judgement:
    """One landmark's evaluation; ``osler.evaluation.evaluate`` says what the arguments are.

    Attributes:
        rows: of every frame, after ``run``.
        kept: horizon, measure, influences (R, n, M) and value (M,) of every measure, where ``keep`` asks for them.
    """

    follow_up: FollowUp
    models: tuple[str, ...]
    null: str | None
    grid: Floats
    curves: list[list[Floats]]
    strata: Integers | None
    folds: Integers | None
    clusters: Integers | None
    level: float
    landmark: float
    controls: Controls
    groups: int
    measures: tuple[str, ...]
    thresholds: Floats | None
    replicates: int
    random_state: int
    keep: bool
    progress: Callable[[str, int, int], None] | None = None
    rows: dict[str, Rows] = field(default_factory=lambda: {name: [] for name in _FRAMES})
    kept: list[tuple[float, str, Floats, Floats]] = field(default_factory=list)
    compared: dict[str, list[_Cell]] = field(default_factory=dict)

    def run(self, horizons: Floats) -> Judgement:
        """Judge every horizon; fills ``rows`` and ``kept``."""
        refused = {h: self._refusal(h) for h in horizons}
        asked = [h for h in horizons if not refused[h]]
        integrated = self._integrated(asked)
        for horizon in horizons:
            if refused[horizon]:
                for name in self.measures:
                    self._add(name, horizon, self._nothing(refused[horizon]))
            else:
                self._at(float(horizon), [by_horizon[horizon] for by_horizon in integrated])
        self._compare()
        return self

    def _refusal(self, horizon: float) -> str:
        if horizon > self.grid[-1] * (1 + _TOLERANCE):
            return f"predictions end at {duration(float(self.grid[-1]))}"
        return self.follow_up.unsupported(horizon)

    def _integrated(self, horizons: list[float]) -> list[dict[float, Measured | str]]:
        """The integrated Brier score of every repeat at every horizon, in one pass over time."""
        if "integrated_brier" not in self.measures or not horizons:
            return [dict.fromkeys(horizons, "") for _ in self.curves]
        return [integrated_brier(self.follow_up, curves, self.grid, horizons) for curves in self.curves]

    def _at(self, horizon: float, integrated: list[Measured | str]) -> None:
        risks = [risks_at(curves, self.grid, horizon) for curves in self.curves]
        names = [name for name in self.measures if name not in SMOOTH_MEASURES]
        found = [
            measure(
                names,
                self.follow_up,
                curves,
                self.grid,
                horizon,
                strata=None if self.strata is None else self.strata[r],
                controls=self.controls,
                null=None if self.null is None else risk[:, self.models.index(self.null)],
                integrated=integrated[r],
            )
            for r, (curves, risk) in enumerate(zip(self.curves, risks, strict=True))
        ]
        reports = self._smooth(horizon)
        widening = self._widening(horizon, risks) if reports else np.ones(len(self.models))
        for name in self.measures:
            if name in SMOOTH_MEASURES:
                self._add_smooth(name, horizon, reports, widening)
            else:
                self._add(name, horizon, pooled([each[name] for each in found], len(self.models)), reports)
        for m, model in enumerate(self.models):
            where = {"model": model, "landmark": self.landmark, "horizon": horizon}
            # The groups are those of the first repeat: a mean over repeats would have groups of nobody in particular.
            groups = calibration_groups(self.follow_up, risks[0][:, m], horizon, level=self.level, groups=self.groups)
            self.rows["calibration"] += [{**where, **row} for row in _records(groups)]
            first = reports[m][0] if reports else ""
            if isinstance(first, CalibrationReport):
                self.rows["smooth"] += [{**where, **row} for row in _records(first.curve)]
        if self.thresholds is not None:
            self._decide(horizon, risks)

    # Values, errors and intervals.

    def _nothing(self, reason: str) -> Pooled:
        return Pooled.nothing(len(self.models), len(self.follow_up), reason)

    def _error(self, influences: Floats) -> Floats:
        return error_of(influences, self.folds, self.clusters)

    def _add(
        self,
        name: str,
        horizon: float,
        found: Pooled,
        reports: list[list[CalibrationReport | str]] | None = None,
    ) -> None:
        """Rows of ``metrics``, and the pairs to compare: one measure at one horizon."""
        se = self._error(found.influences) if found.known else np.full(len(self.models), np.nan)
        if name in RANKS and found.known:
            apart = (se == 0) & ((found.value == 0) | (found.value == 1))
            strata = None if self.strata is None else self.strata[0]
            se = np.where(apart, error_when_apart(self.follow_up, horizon, strata, self.level), se)
        lower, upper = interval(name, found.value, se, self.level)
        for m in range(len(self.models)):
            ends = (float(found.value[m]), float(lower[m]), float(upper[m]), float(se[m]))
            calibrated = _mean_range([each.calibrated.get(name) for each in _known(reports[m])]) if reports else None
            self._row(name, horizon, m, ends, calibrated, found.reason if not found.known else "")
        if found.known and self.keep:
            self.kept.append((float(horizon), name, found.influences, found.value))
        if name in COMPARED:
            self.compared.setdefault(name, []).append(self._cell(horizon, found))

    def _row(
        self,
        name: str,
        horizon: float,
        m: int,
        ends: tuple[float, float, float, float],
        calibrated: tuple[float, float] | None,
        reason: str,
    ) -> None:
        at_risk, events = self.follow_up.at_risk(horizon), self.follow_up.events(horizon)
        if reason:
            counted = f"{told(at_risk)} at risk at {duration(horizon)}"
            note = reason if counted in reason or not at_risk else f"{reason} ({counted})"
        else:
            note = self._remark(ends[0], ends[3], at_risk)
        self.rows["metrics"].append(
            {
                **{"model": self.models[m], "landmark": self.landmark, "horizon": horizon, "measure": name},
                **dict(zip(("value", "lower", "upper", "se"), ends, strict=True)),
                **dict(zip(("calibrated_lower", "calibrated_upper"), calibrated or (np.nan, np.nan), strict=True)),
                **{"at_risk": at_risk, "events": events, "effective": self._effective(horizon), "note": note},
            }
        )

    def _effective(self, horizon: float) -> float:
        return 0.0 if self.follow_up.unsupported(horizon) else self.follow_up.effective(horizon)

    def _remark(self, value: float, se: float, at_risk: int) -> str:
        if np.isnan(value):
            return UNDEFINED
        if np.isnan(se):
            return "one patient or cluster has no standard error"
        return f"{told(at_risk)} patients are followed to the horizon" if 0 < at_risk < 10 else ""

    # Smooth calibration.

    def _smooth(self, horizon: float) -> list[list[CalibrationReport | str]]:
        """For every model the report of every repeat; empty when no smooth measure is asked for."""
        if not set(SMOOTH_MEASURES) & set(self.measures):
            return []
        reports: list[list[CalibrationReport | str]] = [[] for _ in self.models]
        for m, r in product(range(len(self.models)), range(len(self.curves))):
            self._tell(horizon, m * len(self.curves) + r)
            reports[m].append(
                assess(
                    self.follow_up,
                    self.curves[r][m],
                    self.grid,
                    horizon,
                    level=self.level,
                    replicates=self.replicates,
                    random_state=self.random_state + r,
                    clusters=self.clusters,
                )
            )
        self._tell(horizon, len(self.models) * len(self.curves))
        return reports

    def _tell(self, horizon: float, done: int) -> None:
        if self.progress is not None:
            what = f"calibration at {duration(self.landmark)}, {duration(horizon)} ahead"
            self.progress(what, done, len(self.models) * len(self.curves))

    def _widening(self, horizon: float, risks: list[Floats]) -> Floats:
        """(M,) by what factor refitting widens the Brier score's error, and so what the bootstrap knows nothing of."""
        if self.folds is None:
            return np.ones(len(self.models))
        influences = np.stack([brier(self.follow_up, risk, horizon).influence for risk in risks])
        fixed = standard_error(influences.mean(axis=0), self.clusters)
        return np.divide(self._error(influences), fixed, out=np.ones(len(fixed)), where=fixed > 0)

    def _add_smooth(
        self, name: str, horizon: float, reports: list[list[CalibrationReport | str]], widening: Floats
    ) -> None:
        """Means over repeats."""
        for m, (report, factor) in enumerate(zip(reports, widening, strict=True)):
            known = [each for each in _known(report) if name in each.values]
            reason = "; ".join(dict.fromkeys(each for each in report if isinstance(each, str)))
            if not known:
                self._row(name, horizon, m, (np.nan,) * 4, None, reason or UNDEFINED)
                continue
            value, lower, upper, se = np.mean(
                [[getattr(each.values[name], end) for end in ("value", "lower", "upper", "se")] for each in known],
                axis=0,
            )
            ends = (value, max(0.0, value - factor * (value - lower)), value + factor * (upper - value), factor * se)
            calibrated = _mean_range([each.calibrated.get(name) for each in known])
            note = known[0].values[name].note if np.isnan(value) else ""
            self._row(name, horizon, m, tuple(float(end) for end in ends), calibrated, note)  # type: ignore[arg-type]

    # Pairs of models.

    def _cell(self, horizon: float, found: Pooled) -> _Cell:
        size = len(self.models)
        if not found.known:
            return _Cell(float(horizon), found.value, np.empty((0, size)), np.full((size, size), np.nan))
        influences = found.influences
        errors = [self._error(influences - influences[:, :, [m]]) for m in range(size)]
        return _Cell(float(horizon), found.value, influences.mean(axis=0), np.stack(errors, axis=1))

    def _compare(self) -> None:
        """Rows of ``differences``, every ordered pair, with bounds that hold for all of one measure together."""
        pairs = list(permutations(range(len(self.models)), 2))
        for name, cells in self.compared.items():
            reach = self._reach_together([cell for cell in cells if len(cell.influence)])
            for cell in cells:
                for i, j in pairs:
                    value, se = float(cell.value[i] - cell.value[j]), float(cell.errors[i, j])
                    lower, upper = interval("difference", value, se, self.level)
                    self.rows["differences"].append(
                        {
                            **{"model": self.models[i], "versus": self.models[j]},
                            **{"landmark": self.landmark, "horizon": cell.horizon, "measure": name},
                            **{"value": value, "lower": float(lower), "upper": float(upper), "se": se},
                            "simultaneous_lower": value - reach * se,
                            "simultaneous_upper": value + reach * se,
                        }
                    )

    def _reach_together(self, cells: list[_Cell]) -> float:
        """By how many standard errors the differences of all pairs of models in all cells must reach to hold together.

        Differences are combinations of the models' influences: their correlation comes from that of the models, so that
        nothing of the size of patients times pairs is held.
        """
        size = len(self.models)
        if not cells or size == 1:
            return float(ndtri(0.5 + self.level / 2))
        together = np.concatenate([cell.influence for cell in cells], axis=1)
        together = by_cluster(together, self.clusters)
        roots, vectors = np.linalg.eigh(together.T @ together)
        root = np.sqrt(np.maximum(roots, 0.0))[:, None] * vectors.T
        pairs = list(combinations(range(size), 2))
        columns = [root[:, c * size + i] - root[:, c * size + j] for c in range(len(cells)) for i, j in pairs]
        errors = [cell.errors[i, j] for cell in cells for i, j in pairs]
        return critical_value(np.column_stack(columns), errors, self.level, random_state=self.random_state)

    # Net benefit.

    def _decide(self, horizon: float, risks: list[Floats]) -> None:
        """Rows of ``decision`` and ``decision_differences``."""
        assert self.thresholds is not None
        for name, curves in (("decision", decision), ("decision_differences", decision_differences)):
            found = curves(
                self.follow_up,
                np.stack(risks),
                self.models,
                horizon,
                self.thresholds,
                level=self.level,
                clusters=self.clusters,
                folds=self.folds,
                random_state=self.random_state,
                landmark=self.landmark,
            )
            self.rows[name] += _records(found)


def _known(reports: list[CalibrationReport | str]) -> list[CalibrationReport]:
    return [report for report in reports if isinstance(report, CalibrationReport)]


def _mean_range(ranges: list[tuple[float, float] | None]) -> tuple[float, float] | None:
    given = [each for each in ranges if each is not None]
    if not given:
        return None
    low, high = np.mean(given, axis=0)
    return float(low), float(high)


def _records(frame: Any) -> Rows:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
