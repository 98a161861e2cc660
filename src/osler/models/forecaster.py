"""Forecaster: where each numeric visit variable is heading, with the band of a new measurement.

Forecasts are of patients who are still under observation at the moment forecast: they were learned from visits that
took place, and say nothing of the measurements that an event prevents. The chance of being free of events stands beside
them (``Recurrent.forecast``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Variable
from osler.features.scale import Scale
from osler.features.sequence import Sequences, carried_forward
from osler.models.forecast import Past, pairs, past
from osler.models.forecast_ridge import ForecastRidge, Origins

__all__ = ["COLUMNS", "Forecaster", "Forecasts", "Known"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Columns of a table of forecasts.
COLUMNS = ("patient", "variable", "ahead", "expected", "lower", "upper")

_LAGS = (1, 2, 3, 4, 6, 8)
_PAIRS = 20_000  # most pairs that a variable is learned from, taken evenly
_CLIP = 8.0  # values further out are errors of measurement; forecasts stay within


@runtime_checkable
class Forecasts(Protocol):
    """Whatever forecasts biomarkers."""

    def forecast_at(self, cohort: Cohort, at: float | str, patient: Ints, ahead: Floats) -> pd.DataFrame:
        """Forecasts of each patient (Q,) at moments (Q,) of the patient's own; see ``Recurrent.forecast_at``."""


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of n patients at a moment.

    Attributes:
        cohort: the patients, visits up to the moment.
        sequences: those visits, packed.
        record: (n, S) what was known at the time origin, scaled.
    """

    cohort: Cohort
    sequences: Sequences
    record: Floats


@dataclass
class Forecaster:
    """Forecasts of J variables.

    Args:
        unit: days that are one unit of time.

    Attributes:
        scales: of each variable, by name, from all visits of training patients.
        limits: the plausible range of each, by name; forecasts stay within.
        ridges: J forecasts, in the order of ``scales``.
    """

    unit: float
    scales: dict[str, Scale] = field(default_factory=dict)
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    ridges: list[ForecastRidge] = field(default_factory=list)

    def fit(self, known: Known, names: tuple[str, ...], fold: Ints) -> Self:
        """Learn from everything that was measured of training patients.

        Args:
            known: their visits, up to the last.
            names: of the variables of ``known.sequences.values``.
            fold: (n,) inner fold of every patient.
        """
        for name in names:
            scale = Scale.fit(known.cohort.visits[name].to_numpy(dtype=float), clip=_CLIP, logs=True)
            self.scales[name] = scale or Scale(0.0, 1.0, _CLIP)
            self.limits[name] = _limits(known.cohort.variables[name])
        sequences = self._scaled(known)
        before, after = past(sequences, self.unit), pairs(sequences, _LAGS)
        useful = np.flatnonzero(_next_visit(sequences)[after.origin] > 0)
        sums, owner = np.zeros((len(known.cohort), 6, len(names))), sequences.patient
        sums[owner[sequences.final]] = before.sums[sequences.final]
        for j in range(len(names)):
            rows = useful[np.isfinite(after.target[useful, j])]
            if len(rows) > _PAIRS:
                rows = rows[np.linspace(0, len(rows) - 1, _PAIRS).astype(np.int64)]
            origin = after.origin[rows]
            seen = self._origins(known, before, sequences, origin, after.ahead[rows], j)
            ridge = ForecastRidge.fit(sums[:, :, j], seen, after.target[rows, j], owner[origin], fold)
            self.ridges.append(ridge)
        return self

    def predict(self, known: Known, patient: Ints, time: Floats) -> pd.DataFrame:
        """Forecasts of what would be measured.

        Args:
            known: what is known at the landmark.
            patient: (Q,) positions in the cohort.
            time: (Q,) days from the time origin, on or after the landmark.

        Returns:
            One row per variable and asked moment, in the units of the variables: row (position among the Q), variable,
            expected, lower, upper. Patients without a visit so far, and variables never measured in a patient so far,
            have no rows.
        """
        sequences = self._scaled(known)
        before = past(sequences, self.unit)
        last = np.full(len(known.cohort), -1, dtype=np.int64)
        last[sequences.patient[sequences.final]] = sequences.final
        frames = []
        for j, name in enumerate(self.scales):
            rows = np.flatnonzero(last[patient] >= 0)
            rows = rows[before.known[last[patient[rows]], j] > 0]
            origin = last[patient[rows]]
            asked = self._origins(known, before, sequences, origin, time[rows] - sequences.time[origin], j)
            values = [self._in_units(name, z) for z in self.ridges[j].predict(asked)]
            columns = dict(zip(COLUMNS[3:], values, strict=True))
            frames.append(pd.DataFrame({"row": rows, "variable": name, **columns}))
        if not frames:
            return pd.DataFrame({name: [] for name in ("row", "variable", *COLUMNS[3:])}).astype({"row": np.int64})
        return pd.concat(frames, ignore_index=True)

    def _scaled(self, known: Known) -> Sequences:
        """The sequences with values on the forecaster's own scales, carried forward."""
        visits, owner = known.cohort.visits, known.cohort.visits["patient"].to_numpy()
        columns = [scale(visits[name].to_numpy(dtype=float)) for name, scale in self.scales.items()]
        z = np.column_stack([np.empty((len(owner), 0)), *columns])
        order = known.sequences.packing.order
        return replace(known.sequences, values=carried_forward(z, owner)[order], measured=np.isfinite(z)[order])

    def _origins(
        self, known: Known, before: Past, sequences: Sequences, origin: Ints, ahead: Floats, j: int
    ) -> Origins:
        return Origins(
            sums=before.sums[origin, :, j],
            last=before.last[origin, j],
            mean=before.mean[origin, j],
            known=before.known[origin, j],
            time=before.time[origin],
            ahead=ahead / self.unit,
            others=sequences.inputs[origin].astype(float),
            record=known.record[sequences.patient[origin]],
        )

    def _in_units(self, name: str, z: Floats) -> Floats:
        scale, (lowest, highest) = self.scales[name], self.limits[name]
        x = scale.centre + scale.spread * np.clip(z, -_CLIP, _CLIP)
        return np.clip(np.exp(x) - scale.shift if scale.log else x, lowest, highest)

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        return {
            "unit": self.unit,
            "scales": {name: scale.to_json() for name, scale in self.scales.items()},
            "limits": {name: [x if np.isfinite(x) else None for x in pair] for name, pair in self.limits.items()},
            "ridges": [ridge.state() for ridge in self.ridges],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        limits = {
            name: (-np.inf if low is None else low, np.inf if high is None else high)
            for name, (low, high) in state["limits"].items()
        }
        scales = {name: Scale.from_json(data) for name, data in state["scales"].items()}
        return cls(state["unit"], scales, limits, [ForecastRidge.from_state(data) for data in state["ridges"]])


def _limits(variable: Variable) -> tuple[float, float]:
    low, high = variable.minimum, variable.maximum
    return (-np.inf if low is None else low, np.inf if high is None else high)


def _next_visit(sequences: Sequences) -> Floats:
    """(V,) days of the patient's next visit, infinite after the last one.

    A visit whose next one is not after the time origin can be nobody's last visit at a landmark, and the record was
    not yet known: nothing is learned from it.
    """
    place = sequences.packing.place
    owner, time = sequences.patient[place], sequences.time[place]
    following = np.full(len(time), np.inf)
    same = np.flatnonzero(owner[1:] == owner[:-1])
    following[place[same]] = time[same + 1]
    return following
