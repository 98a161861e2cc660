"""Forecast path: where each numeric visit variable is heading, as the recurrent network is told while it trains.

Foreseeing measurements is the network's second task, which keeps its state about the patient's course. It corrects the
path; what users are told comes from ``forecaster``, which was better than the path with the network's corrections.

The (scaled) value at a later moment is a ridge regression on what is known at a visit: the patient's own course (level
and slope, drawn towards those of all patients as far as the visits are few), the last value, the mean so far, and the
other variables' last values. Weights change with the logarithm of the time ahead, so that a forecast may leave the last
value for the course, or for the mean. The variance is a combination of noise, the course's own and the time ahead. A
recurrent network may correct both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from osler.features.history import running_sum
from osler.features.scale import dot_rows
from osler.features.sequence import Sequences
from osler.models.course import Course

__all__ = ["ForecastPath", "Pairs", "Past", "pairs", "past"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LAGS = (1, 2, 4)
_OWN = 9  # terms of a variable's own past
_PENALTY = 1.0
_LEAST_VARIANCE = 1e-4
_FURTHEST = 4.0  # scaled values are clipped at this when they are learned from; so are forecasts


@dataclass(frozen=True, eq=False)
class Past:
    """What was known of J variables after each of V visits, in packed order.

    Attributes:
        last: (V, J) last value; 0, the average, before the first one.
        mean: (V, J) mean so far, likewise.
        known: (V, J) 1 once there was a value.
        sums: (V, 6, J) of 1, t, t^2, z, t z and z^2 over the values so far, t in units of time.
        time: (V,) of the visit, in units of time.
    """

    last: Floats
    mean: Floats
    known: Floats
    sums: Floats
    time: Floats


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
    """Summaries of every visit and those before it; ``unit`` days are one unit of time."""
    place, J = sequences.packing.place, sequences.values.shape[1]
    owner = sequences.patient[place]
    ordinal = np.arange(len(owner)) - np.searchsorted(owner, owner, "left")
    known = sequences.measured[place].astype(float)
    z = known * np.nan_to_num(sequences.values[place])
    t = known * (sequences.time[place] / unit)[:, None]
    running = running_sum(np.hstack([known, t, t * t, z, t * z, z * z]), ordinal)[sequences.packing.order]
    sums = running.reshape(len(owner), 6, J)
    count = sums[:, 0]
    mean = sums[:, 3] / np.maximum(count, 1.0)
    return Past(np.nan_to_num(sequences.values), mean, (count > 0).astype(float), sums, sequences.time / unit)


def pairs(sequences: Sequences, lags: Sequence[int] = _LAGS) -> Pairs:
    """Each visit with later ones of the same patient: the next, the second next and the fourth next by default."""
    place = sequences.packing.place
    owner = sequences.patient[place]
    V = len(owner)
    origins, targets = [], []
    for lag in lags:
        here = np.flatnonzero(owner[lag:] == owner[: max(V - lag, 0)])
        origins.append(place[here])
        targets.append(place[here + lag])
    origin, target = np.concatenate(origins), np.concatenate(targets)
    values = np.where(sequences.measured[target], sequences.values[target], np.nan)
    return Pairs(origin, sequences.time[target] - sequences.time[origin], values)


@dataclass
class ForecastPath:
    """Forecasts of J variables.

    Args:
        unit: days of the clock.

    Attributes:
        courses: J populations.
        weights: (J, 9 + J) coefficients.
        variance_terms: (J, 3) of 1, the clock and the course's variance.
    """

    unit: float
    courses: list[Course] = field(default_factory=list)
    weights: Floats = field(default_factory=lambda: np.empty((0, _OWN)))
    variance_terms: Floats = field(default_factory=lambda: np.empty((0, 3)))

    def fit(self, before: Past, seen: Pairs, last: Ints) -> Self:
        """Learn from pairs of visits of training patients; ``last`` are the positions of each patient's last visit."""
        J = before.last.shape[1]
        self.courses = [Course.fit(before.sums[last, :, j]) for j in range(J)]
        self.weights, self.variance_terms = np.zeros((J, _OWN + J)), np.tile([1.0, 0.0, 0.0], (J, 1))
        for j in range(J):
            rows = np.flatnonzero(np.isfinite(seen.target[:, j]))
            if len(rows) < _OWN:
                continue
            Z, doubt = self._terms(before, seen.origin[rows], seen.ahead[rows], j)
            y = seen.target[rows, j]
            gram = Z.T @ Z + _PENALTY * np.eye(Z.shape[1])
            self.weights[j] = np.linalg.solve(gram, Z.T @ y)
            residual = y - Z @ self.weights[j]
            terms = np.column_stack([np.ones(len(rows)), self.clock(seen.ahead[rows]), doubt])
            self.variance_terms[j] = nnls(terms, residual**2)[0]
        return self

    def clock(self, ahead: Floats) -> Floats:
        """(Q,) log(1 + time ahead in units)."""
        return np.log1p(np.maximum(ahead, 0.0) / self.unit)

    def predict(self, before: Past, origin: Ints, ahead: Floats) -> tuple[Floats, Floats]:
        """(Q, J) expected scaled values and their variances ``ahead`` (Q,) days after the visits ``origin`` (Q,)."""
        J = len(self.weights)
        mean, variance = np.empty((len(origin), J)), np.empty((len(origin), J))
        clock = self.clock(ahead)
        for j in range(J):
            Z, doubt = self._terms(before, origin, ahead, j)
            mean[:, j] = dot_rows(Z, self.weights[j][:, None])[:, 0]
            fixed, grown, own = self.variance_terms[j]
            variance[:, j] = fixed + grown * clock + own * doubt
        return np.clip(mean, -_FURTHEST, _FURTHEST), np.maximum(variance, _LEAST_VARIANCE)

    def inputs(self, before: Past, origin: Ints, ahead: Floats) -> NDArray[np.float32]:
        """(Q, 1 + 2 J) what a network is told of a pair: the clock, last values and means."""
        parts = [self.clock(ahead)[:, None], before.last[origin], before.mean[origin]]
        return np.hstack(parts).astype(np.float32)

    def _terms(self, before: Past, origin: Ints, ahead: Floats, j: int) -> tuple[Floats, Floats]:
        """(Q, 9 + J) regressors, and (Q,) the variance that the course itself states."""
        clock = self.clock(ahead)
        own = self.courses[j].given(before.sums[origin, :, j])
        course, doubt = own.ahead(before.time[origin] + np.maximum(ahead, 0.0) / self.unit)
        course = np.clip(course, -_FURTHEST, _FURTHEST)
        last, mean, known = before.last[origin, j], before.mean[origin, j], before.known[origin, j]
        terms = [known, 1 - known, last, mean, course, clock, clock * last, clock * mean, clock * course]
        others = before.last[origin].copy()
        others[:, j] = 0.0
        return np.column_stack([*terms, others]), np.minimum(doubt, _FURTHEST)
