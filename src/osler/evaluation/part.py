"""Part: some of the patients, judged by themselves, with influences told of all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from osler.evaluation.apart import error_when_apart
from osler.evaluation.calibration_report import CalibrationReport, assess
from osler.evaluation.discrimination import Controls
from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp
from osler.evaluation.measuring import RANKS, SMOOTH_MEASURES, Pooled, measure, pooled, risks_at
from osler.evaluation.within import as_mean, within
from osler.units import duration

__all__ = ["Found", "Part", "Setting", "logarithm", "minus"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
#: Measures that rest on inverse probability of censoring weights, and those of them that are means over patients.
_MEANS = ("brier", "integrated_brier")
_WEIGHTED = (*_MEANS, "auc", "c_index", "ipa", "calibration_intercept", "calibration_slope")
_TOLERANCE = 1e-6


@dataclass(eq=False)
class Setting:
    """What all parts share.

    Attributes:
        follow_up: outcomes of all n patients.
        models, curves: names, and risks (R, n, T) at ``grid`` (T,), of R repeats.
        measures: names of ``EVERY_MEASURE``.
        strata, clusters: (R, n) and (n,) codes, or None.
        level: of intervals.
        null: position of the model that knows nothing, or None.
        controls: whom AUC compares with the cases.
        lent: whether parts are weighted by the censoring of all patients.
        replicates, random_state: of the bootstrap.
    """

    follow_up: FollowUp
    models: list[str]
    curves: list[Floats]
    grid: Floats
    measures: tuple[str, ...]
    strata: Integers | None
    clusters: Integers | None
    level: float
    null: int | None
    controls: Controls
    lent: bool
    replicates: int
    random_state: int


@dataclass(frozen=True, eq=False)
class Found:
    """One measure of M models in a part of the patients, its influences spread over all n of them.

    ``influences`` are (R, n, M) of the repeats in which it could be had; ``beyond`` (M,) is a standard error of which
    they know nothing; ``note`` says why there is no value.
    """

    value: Floats
    influences: Floats
    beyond: Floats
    note: str = ""


class Part:
    """Some of the patients: a level, or all the others."""

    def __init__(self, setting: Setting, member: Mask) -> None:
        self.setting, self.member, self.rows = setting, member, np.flatnonzero(member)
        self.own = setting.follow_up.take(self.rows)
        self.curves = [curve[:, self.rows] for curve in setting.curves]
        self.lent = within(setting.follow_up, member) if setting.lent else None
        clusters = setting.clusters
        units, every = (len(self.rows), len(member)) if clusters is None else _distinct(clusters, self.rows)
        # The error of a part is that of so many patients as it has, not of all.
        self.scale = float(np.sqrt(units / (units - 1) * (every - 1) / every)) if units > 1 else np.nan

    def at(self, horizon: float) -> dict[str, Found]:
        """Every measure at one horizon."""
        weighted = [name for name in self.setting.measures if self.lent and name in _WEIGHTED]
        smooth = [name for name in self.setting.measures if name in SMOOTH_MEASURES]
        plain = [name for name in self.setting.measures if name not in (*weighted, *smooth)]
        found = {name: self._spread(each) for name, each in self._over_repeats(plain, self.own, horizon).items()}
        if self.lent:
            found |= {n: self._kept(each) for n, each in self._over_repeats(weighted, self.lent, horizon).items()}
        found |= self._smoothed(smooth, horizon) if smooth else {}
        return {name: self._perhaps_perfect(name, each, horizon) for name, each in found.items()}

    def _smoothed(self, names: list[str], horizon: float) -> dict[str, Found]:
        """Measures of the smooth calibration curve: means over repeats, with the standard errors of the bootstrap."""
        setting = self.setting
        shape = (len(setting.curves[0]), len(self.member), len(setting.models))
        clusters = None if setting.clusters is None else np.unique(setting.clusters[self.rows], return_inverse=True)[1]
        reports = [
            [
                assess(
                    self.own,
                    repeat,
                    setting.grid,
                    horizon,
                    level=setting.level,
                    replicates=setting.replicates,
                    random_state=setting.random_state,
                    clusters=clusters,
                )
                for repeat in curve
            ]
            for curve in self.curves
        ]
        reason = next((each for model in reports for each in model if isinstance(each, str)), "")
        found = {}
        for name in names:
            known = [[r.values[name] for r in model if isinstance(r, CalibrationReport)] for model in reports]
            ends = np.array([[np.nan] * 2 if not k else np.mean([(v.value, v.se) for v in k], axis=0) for k in known])
            influences = np.zeros(shape if not reason else (0, *shape[1:]))
            found[name] = Found(ends[:, 0], influences, ends[:, 1], reason)
        return found

    def _over_repeats(self, names: list[str], follow_up: FollowUp, horizon: float) -> dict[str, Pooled]:
        setting, n = self.setting, len(follow_up)
        late = horizon > setting.grid[-1] * (1 + _TOLERANCE)
        refused = f"predictions end at {duration(float(setting.grid[-1]))}" if late else follow_up.unsupported(horizon)
        if refused:
            return {name: Pooled.nothing(len(setting.models), n, refused) for name in names}
        alone = follow_up is self.own
        each = []
        for r in range(len(setting.curves[0])):
            given = [curve[r] for curve in (self.curves if alone else setting.curves)]
            strata = None if setting.strata is None else setting.strata[r][self.rows] if alone else setting.strata[r]
            null = None if setting.null is None else risks_at(given, setting.grid, horizon)[:, setting.null]
            found = measure(
                names, follow_up, given, setting.grid, horizon, strata=strata, controls=setting.controls, null=null
            )
            each.append({name: found[name] if alone else self._mended(name, found[name]) for name in names})
        return {name: pooled([found[name] for found in each], len(setting.models), n) for name in names}

    def _mended(self, name: str, found: Measured | str) -> Measured | str:
        return as_mean(found, self.member) if name in _MEANS and isinstance(found, Measured) else found

    def _spread(self, found: Pooled) -> Found:
        """Influences on the part as influences of all n patients, of whom the others have none."""
        influences = np.zeros((len(found.influences), len(self.member), len(self.setting.models)))
        influences[:, self.rows] = found.influences * (len(self.member) / len(self.rows))
        return self._kept(Pooled(found.value, influences, found.reason))

    def _kept(self, found: Pooled) -> Found:
        note = "" if found.known else found.reason
        return Found(found.value, found.influences * self.scale, np.zeros(len(self.setting.models)), note)

    def _perhaps_perfect(self, name: str, found: Found, horizon: float) -> Found:
        """Risks that set all cases apart from all others have an error, though influences know of none."""
        perfect = ((found.value == 0) | (found.value == 1)) & (
            np.abs(found.influences).max(axis=(0, 1), initial=0) < 1e-9
        )
        if name not in RANKS or not perfect.any():
            return found
        strata = None if self.setting.strata is None else self.setting.strata[0][self.rows]
        short = error_when_apart(self.own, horizon, strata, self.setting.level)
        return replace(found, beyond=np.where(perfect, short, 0.0))


def _distinct(clusters: Integers, rows: Integers) -> tuple[int, int]:
    return len(np.unique(clusters[rows])), len(np.unique(clusters))


def logarithm(found: Found) -> Found:
    """The natural logarithm of a ratio, by the delta method."""
    value = np.where(found.value > 0, found.value, np.nan)
    return Found(np.log(value), found.influences / value, found.beyond / value, found.note)


def minus(here: Found, rest: Found) -> Floats:
    """Influences of a difference; of the means over repeats where the two could be had in different ones."""
    if here.influences.shape == rest.influences.shape:
        return here.influences - rest.influences
    if not len(here.influences) or not len(rest.influences):
        return here.influences[:0]
    return here.influences.mean(axis=0, keepdims=True) - rest.influences.mean(axis=0, keepdims=True)
