"""Forecast ridge: where one variable is heading, from its own course and from whatever else corrects it.

The course (random level and slope) is the forecast, unless patients left out of fitting say that something corrects
it: the last value and the mean of the variable, as the time ahead grows; the other variables at the last visit; or the
record, as far as few visits leave the level open. Each of the three is drawn to nothing by a penalty of its own, and
enters only where it makes the held-out error smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.features.scale import dot_rows
from osler.models.course import Course
from osler.models.spread import Spread

__all__ = ["ForecastRidge", "Origins"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PENALTIES = (1.0, 10.0, 100.0, 1000.0, 1e4)
_NOTHING = 1e6  # the penalty of a group of terms that is left out
_LESS = 1e-3  # share of the held-out squared error by which a penalty must be better than the one before
_ROUNDS = 2
_LEAST_ROWS, _LEAST_PATIENTS = 30, 10  # fewer correct no course


@dataclass(frozen=True, eq=False)
class Origins:
    """Q visits from which one variable is forecast, and how far.

    Attributes:
        sums: (Q, 6) of 1, t, t^2, z, t z, z^2 over the variable's values so far, t in units of time.
        last, mean: (Q,) last value and mean so far, 0 without any. known: (Q,) 1 once there was a value.
        time: (Q,) of the visit; ahead: (Q,) from it to the moment forecast; in units of time.
        others: (Q, D) what was known of all visit variables. record: (Q, S) what was known at the time origin.
    """

    sums: Floats
    last: Floats
    mean: Floats
    known: Floats
    time: Floats
    ahead: Floats
    others: Floats
    record: Floats

    def take(self, rows: Ints | NDArray[np.bool_]) -> Origins:
        """Some of them, by position or mask."""
        return Origins(**{name: value[rows] for name, value in vars(self).items()})

    @property
    def clock(self) -> Floats:
        """(Q,) log(1 + time ahead)."""
        return np.log1p(np.maximum(self.ahead, 0.0))


@dataclass(frozen=True, eq=False)
class _Terms:
    """The course's forecast (Q,) and its variance (Q,), noise included; what may correct it (Q, P); groups (P,)."""

    course: Floats
    variance: Floats
    columns: Floats
    group: Ints


@dataclass(frozen=True, eq=False)
class ForecastRidge:
    """Forecasts of one variable.

    Attributes:
        course: of all patients.
        weights: (P,) of the corrections.
        spread: of measurements about the forecasts.
        penalties: (3,) of the variable's own past, the other variables, and the record; ``1e6`` is left out.
    """

    course: Course
    weights: Floats
    spread: Spread
    penalties: tuple[float, ...]

    @classmethod
    def fit(cls, sums: Floats, seen: Origins, target: Floats, patient: Ints, fold: Ints) -> Self:
        """Learn one variable.

        Args:
            sums: (n, 6) over each training patient's measurements, as in ``Origins``.
            seen: Q pairs of a visit and a later one at which the variable was measured.
            target: (Q,) the value measured.
            patient: (Q,) whose pair it is.
            fold: (n,) inner fold of every patient.
        """
        course = Course.fit(sums)
        whole = _terms(course, seen)
        nothing = (_NOTHING,) * (int(whole.group.max()) + 1)
        if len(target) < _LEAST_ROWS or len(np.unique(patient)) < _LEAST_PATIENTS or len(np.unique(fold[patient])) < 2:
            return cls(course, np.zeros(len(whole.group)), Spread.stated(), nothing)
        crossed = _Crossed.of(course, sums, seen, target, fold, fold[patient])
        penalties = _chosen(crossed, target, nothing)
        forecast = crossed.forecast(penalties)
        spread = Spread.fit(target - forecast, seen.clock, crossed.variance, forecast)
        weights = _solve(whole, target - whole.course, np.asarray(penalties)[whole.group])
        return cls(course, weights, spread, penalties)

    def predict(self, asked: Origins) -> tuple[Floats, Floats, Floats]:
        """(Q,) expected values, and the lower and upper bound of the band of new measurements."""
        terms = _terms(self.course, asked)
        mean = terms.course + dot_rows(terms.columns, self.weights[:, None])[:, 0]
        return mean, *self.spread.band(mean, asked.clock, terms.variance)

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        return {
            "course": self.course.state(),
            "weights": self.weights,
            "spread": self.spread.state(),
            "penalties": list(self.penalties),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        course, spread = Course.from_state(state["course"]), Spread(**state["spread"])
        return cls(course, state["weights"], spread, tuple(state["penalties"]))


@dataclass(frozen=True, eq=False)
class _Crossed:
    """What every inner fold is forecast from, by fits on the others.

    Attributes:
        parts: of each fold: its rows, its terms, and the Gram matrix and right side of the other folds.
        variance: (Q,) that the held-out courses state.
    """

    parts: list[tuple[NDArray[np.bool_], _Terms, Floats, Floats]]
    variance: Floats

    @classmethod
    def of(cls, course: Course, sums: Floats, seen: Origins, target: Floats, fold: Ints, of_pair: Ints) -> Self:
        parts, variance = [], np.empty(len(target))
        for left in np.unique(of_pair):
            out = of_pair == left
            terms = _terms(Course.fit(sums[fold != left], near=course), seen)
            learned = terms.columns[~out]
            gram, right = learned.T @ learned, learned.T @ (target - terms.course)[~out]
            held = _Terms(terms.course[out], terms.variance[out], terms.columns[out], terms.group)
            parts.append((out, held, gram, right))
            variance[out] = terms.variance[out]
        return cls(parts, variance)

    def forecast(self, penalties: tuple[float, ...]) -> Floats:
        """(Q,) held-out forecasts under the penalties of the groups."""
        out = np.empty(len(self.variance))
        for rows, terms, gram, right in self.parts:
            weights = np.linalg.solve(gram + np.diag(np.asarray(penalties)[terms.group]), right)
            out[rows] = terms.course + terms.columns @ weights
        return out


def _chosen(crossed: _Crossed, target: Floats, nothing: tuple[float, ...]) -> tuple[float, ...]:
    """Penalties group by group, from nothing at all, each step taken only if held-out patients gain by it."""
    best, least = nothing, float(((target - crossed.forecast(nothing)) ** 2).mean())
    for _ in range(_ROUNDS):
        before = best
        for group in range(len(best)):
            for penalty in _PENALTIES:
                tried = (*best[:group], penalty, *best[group + 1 :])
                error = float(((target - crossed.forecast(tried)) ** 2).mean())
                if error < least * (1 - _LESS):
                    best, least = tried, error
        if best == before:
            break
    return best


def _solve(terms: _Terms, target: Floats, penalty: Floats) -> Floats:
    gram = terms.columns.T @ terms.columns + np.diag(penalty)
    return np.asarray(np.linalg.solve(gram, terms.columns.T @ target), dtype=float)


def _terms(course: Course, at: Origins) -> _Terms:
    own = course.given(at.sums)
    ahead, doubt = own.ahead(at.time + np.maximum(at.ahead, 0.0))
    now, _ = own.ahead(at.time)
    clock, one = at.clock, np.ones(len(at.time))
    last, mean = at.known * (at.last - now), at.known * (at.mean - now)
    past = [one, clock, last, mean, clock * last, clock * mean, ahead, clock * ahead, clock * own.mean[:, 1]]
    open_ = own.covariance[:, 0, 0] / course.covariance[0, 0]  # the share of the level that visits leave open
    parts = [np.stack(past, axis=1), at.others, np.column_stack([open_, at.record * open_[:, None]])]
    group = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    return _Terms(ahead, doubt + course.noise, np.hstack(parts), group)
