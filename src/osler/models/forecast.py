"""Forecast path: where each numeric visit variable is heading, by a ridge regression on its own past.

For a visit and a moment after it, the expected (scaled) value is linear in the last value, the mean so far, the
slope so far times the time ahead, and the other variables' last values; the weights of last value and mean change with
the logarithm of the time ahead, so that a forecast moves from the last value towards the patient's own mean. The
variance grows linearly with the same clock. A recurrent network may correct both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from osler.features.history import running_sum
from osler.features.scale import Scale, dot_rows
from osler.features.sequence import Sequences

__all__ = ["ForecastPath", "Pairs", "Past", "forecast_table", "pairs", "past"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LAGS = (1, 2, 4)
_FURTHEST = 20.0  # units of time after which a slope is not followed any further
_OWN = 8  # terms of a variable's own past
_PENALTY = 1.0
_LEAST_VARIANCE = 1e-4
_BAND = 1.6449  # normal quantile of a 90 % band


@dataclass(frozen=True, eq=False)
class Past:
    """What was known of J variables after each of V visits, packed order: last value, mean, slope per unit of time."""

    last: Floats
    mean: Floats
    slope: Floats
    known: Floats


@dataclass(frozen=True, eq=False)
class Pairs:
    """Q pairs of a visit and a later one of the same patient.

    Attributes:
        origin: (Q,) packed position of the earlier visit.
        ahead: (Q,) days from it to the later visit.
        target: (Q, J) scaled values measured at the later visit, NaN where not.
    """

    origin: Ints
    ahead: Floats
    target: Floats


def past(sequences: Sequences, unit: float) -> Past:
    """Summaries of every visit and those before it."""
    place = sequences.packing.place
    owner = sequences.patient[place]
    ordinal = np.arange(len(owner)) - np.searchsorted(owner, owner, "left")
    known = sequences.measured[place].astype(float)
    x = known * np.nan_to_num(sequences.values[place])
    t = known * (sequences.time[place] / unit)[:, None]
    sums = running_sum(np.hstack([known, x, t, t * t, t * x]), ordinal)[sequences.packing.order]
    n, sx, st, stt, stx = np.split(sums, 5, axis=1)
    count = np.maximum(n, 1.0)
    within = np.maximum(stt - st * st / count, 0.0)
    slope = (stx - st * sx / count) / (within + 1.0)
    return Past(np.nan_to_num(sequences.values), sx / count, slope, (n > 0).astype(float))


def pairs(sequences: Sequences) -> Pairs:
    """Each visit with the next one, the second next and the fourth next."""
    place = sequences.packing.place
    owner = sequences.patient[place]
    V = len(owner)
    origins, targets = [], []
    for lag in _LAGS:
        here = np.flatnonzero(owner[lag:] == owner[: max(V - lag, 0)])
        origins.append(place[here])
        targets.append(place[here + lag])
    origin, target = np.concatenate(origins), np.concatenate(targets)
    values = np.where(sequences.measured[target], sequences.values[target], np.nan)
    return Pairs(origin, sequences.time[target] - sequences.time[origin], values)


@dataclass
class ForecastPath:
    """Linear forecasts of J variables.

    Args:
        unit: days of the clock.

    Attributes:
        weights: (J, 8 + J) coefficients. variance_terms: (J, 2) of 1 and the clock.
    """

    unit: float
    weights: Floats | None = None
    variance_terms: Floats | None = None

    def fit(self, before: Past, seen: Pairs) -> Self:
        """Learn from pairs of visits of training patients."""
        J = before.last.shape[1]
        self.weights, self.variance_terms = np.zeros((J, _OWN + J)), np.tile([1.0, 0.0], (J, 1))
        for j in range(J):
            rows = np.flatnonzero(np.isfinite(seen.target[:, j]))
            if len(rows) < _OWN:
                continue
            origin, ahead = seen.origin[rows], seen.ahead[rows]
            Z = self._terms(before, origin, ahead, j)
            y = seen.target[rows, j]
            gram = Z.T @ Z + _PENALTY * np.eye(Z.shape[1])
            self.weights[j] = np.linalg.solve(gram, Z.T @ y)
            residual = y - Z @ self.weights[j]
            clock = np.column_stack([np.ones(len(rows)), self.clock(ahead)])
            self.variance_terms[j] = nnls(clock, residual**2)[0]
        return self

    def clock(self, ahead: Floats) -> Floats:
        """(Q,) log(1 + time ahead in units)."""
        return np.log1p(np.maximum(ahead, 0.0) / self.unit)

    def predict(self, before: Past, origin: Ints, ahead: Floats) -> tuple[Floats, Floats]:
        """(Q, J) expected scaled values and their variances ``ahead`` (Q,) days after the visits ``origin`` (Q,)."""
        assert self.weights is not None
        assert self.variance_terms is not None
        J = len(self.weights)
        mean = np.empty((len(origin), J))
        for j in range(J):
            mean[:, j] = dot_rows(self._terms(before, origin, ahead, j), self.weights[j][:, None])[:, 0]
        variance = self.variance_terms[:, 0] + self.clock(ahead)[:, None] * self.variance_terms[:, 1]
        return mean, np.maximum(variance, _LEAST_VARIANCE)

    def inputs(self, before: Past, origin: Ints, ahead: Floats) -> NDArray[np.float32]:
        """(Q, 1 + 2 J) what a network is told of a pair: the clock, last values and means."""
        parts = [self.clock(ahead)[:, None], before.last[origin], before.mean[origin]]
        return np.hstack(parts).astype(np.float32)

    def _terms(self, before: Past, origin: Ints, ahead: Floats, j: int) -> Floats:
        clock = self.clock(ahead)
        last, mean, known = before.last[origin, j], before.mean[origin, j], before.known[origin, j]
        drift = before.slope[origin, j] * np.minimum(np.maximum(ahead, 0.0) / self.unit, _FURTHEST)
        own = [known, 1 - known, last, mean, clock, clock * last, clock * mean, drift]
        others = before.last[origin].copy()
        others[:, j] = 0.0
        return np.column_stack([*own, others])

    def state(self) -> dict[str, Any]:
        """Arrays."""
        return {"unit": self.unit, "weights": self.weights, "variance_terms": self.variance_terms}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(**state)


def forecast_table(
    mean: Floats, variance: Floats, known: Floats, scales: dict[str, Scale], patient: Ints, ahead: Floats
) -> pd.DataFrame:
    """Forecasts in the units of the variables, with columns patient, variable, ahead, expected, lower and upper.

    Args:
        mean: (Q, J) expected values on the scale of ``scales``, whose J names and order they have.
        variance: (Q, J) on that scale.
        known: (Q, J) 1 where the variable had ever been measured; others are left out.
        scales: of each variable.
        patient: (Q,) position.
        ahead: (Q,) days after the landmark.
    """
    reach = _BAND * np.sqrt(variance)
    frames = []
    for j, (name, scale) in enumerate(scales.items()):
        rows = np.flatnonzero(known[:, j] > 0)
        values = [_unscaled(scale, mean[rows, j] + shift * reach[rows, j]) for shift in (0.0, -1.0, 1.0)]
        columns = dict(zip(("expected", "lower", "upper"), values, strict=True))
        frames.append(pd.DataFrame({"patient": patient[rows], "variable": name, "ahead": ahead[rows], **columns}))
    if not frames:
        return pd.DataFrame(columns=["patient", "variable", "ahead", "expected", "lower", "upper"])
    return pd.concat(frames, ignore_index=True)


def _unscaled(scale: Scale, z: Floats) -> Floats:
    x = scale.centre + scale.spread * z
    return np.maximum(np.exp(x) - scale.shift, 0.0) if scale.log else x
