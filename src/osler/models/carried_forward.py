"""Last value carried forward: what forecasts of biomarkers must be better than.

A fair opponent: its band holds the changes that training patients showed over about as much time. Quantiles of these
changes are taken in groups of equal size by the time since the last measurement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.features.scale import Scale
from osler.models.forecaster import COLUMNS
from osler.models.spread import LEVEL
from osler.units import days

__all__ = ["CarriedForward"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST_LATER = 8  # later measurements that a measurement is compared with
_GROUPS, _LEAST = 8, 40  # most groups by time, and fewest changes in one


@dataclass(frozen=True, eq=False)
class _Changes:
    """Of one variable: its scale, upper ends of the groups of gaps (G,) in days, bounds of changes (G, 2)."""

    scale: Scale
    gaps: Floats
    bounds: Floats


@dataclass
class CarriedForward:
    """Forecasts that nothing changes.

    Attributes:
        changes: what training patients showed, by variable; those too seldom measured twice are left out.
    """

    changes: dict[str, _Changes] = field(default_factory=dict)

    def fit(self, cohort: Cohort) -> Self:
        """Learn the band from patients' measurements of every numeric visit variable."""
        owner, time = cohort.visits["patient"].to_numpy(), cohort.visits["time"].to_numpy(dtype=float)
        for variable in cohort.visit_variables:
            values = cohort.visits[variable.name].to_numpy(dtype=float) if variable.type == "number" else np.zeros(0)
            scale = Scale.fit(values, clip=np.inf, logs=True)
            if scale is None:
                continue
            known = np.flatnonzero(np.isfinite(values))
            gap, change = _changes(owner[known], time[known], scale(values[known]))
            if len(gap) >= _LEAST:
                self.changes[variable.name] = _Changes(scale, *_bounds(gap, change))
        return self

    def forecast_at(self, cohort: Cohort, at: float | str, patient: Ints, ahead: Floats) -> pd.DataFrame:
        """Forecasts in the form of ``Recurrent.forecast_at``; one for every variable measured by the landmark."""
        moment, visits = days(at), cohort.visits
        owner, time = visits["patient"].to_numpy(), visits["time"].to_numpy(dtype=float)
        frames = []
        for name, own in self.changes.items():
            values = visits[name].to_numpy(dtype=float)
            known = np.flatnonzero(np.isfinite(values) & (time <= moment))
            last = np.full(len(cohort), -1, dtype=np.int64)
            last[owner[known]] = known  # in order of time: the latest stays
            row = np.flatnonzero(last[patient] >= 0)
            where = last[patient[row]]
            group = np.searchsorted(own.gaps[:-1], moment + ahead[row] - time[where])
            z = own.scale(values[where])
            lower, upper = (_raw(own.scale, z + own.bounds[group, k]) for k in range(2))
            columns = (patient[row], name, ahead[row], values[where], lower, upper)
            frames.append(pd.DataFrame({"row": row, **dict(zip(COLUMNS, columns, strict=True))}))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["row", *COLUMNS])


def _changes(owner: Ints, time: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Gaps in days, and changes over them, between measurements of the same patients."""
    gaps, changes = [np.zeros(0)], [np.zeros(0)]
    for lag in range(1, _MOST_LATER + 1):
        first = np.flatnonzero(owner[lag:] == owner[: max(len(owner) - lag, 0)])
        gaps.append(time[first + lag] - time[first])
        changes.append(z[first + lag] - z[first])
    return np.concatenate(gaps), np.concatenate(changes)


def _bounds(gap: Floats, change: Floats) -> tuple[Floats, Floats]:
    """Upper ends of the groups of gaps, and the quantiles of the changes in each."""
    count = max(1, min(_GROUPS, len(gap) // _LEAST))
    ends = np.unique(np.quantile(gap, np.arange(1, count + 1) / count))
    group = np.searchsorted(ends[:-1], gap)
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return ends, np.stack([np.quantile(change[group == g], tails) for g in range(len(ends))])


def _raw(scale: Scale, z: Floats) -> Floats:
    x = scale.centre + scale.spread * z
    return np.asarray(np.exp(x) - scale.shift if scale.log else x)
