"""Smooth calibration: the risk that patients of each predicted risk turn out to have, as a smooth curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from osler.evaluation.bootstrap import AtHorizon
from osler.evaluation.follow_up import FollowUp

__all__ = ["ERRORS", "Smoother", "calibration_errors", "calibration_points", "pseudo_values", "spline_knots"]

Floats = NDArray[np.float64]
#: The distances between predicted and smoothed risk, in the order in which they are given.
ERRORS = ("ici", "e50", "e90")
#: Knots at these quantiles of the predicted risks, by their number (Harrell, Regression Modeling Strategies, 2015).
_QUANTILES = {4: (0.05, 0.35, 0.65, 0.95), 3: (0.1, 0.5, 0.9), 2: (0.0, 1.0)}
#: Fewest events (or patients without the event, where these are fewer) for four knots and for three.
_ENOUGH = {4: 30, 3: 10}
#: Patients on either side of the first and the last point of a curve.
_SMALLEST_SIDE = 10
#: Columns of the basis have length one among the patients; what is left of one below this is rounding.
_SINGULAR = 1e-10


def pseudo_values(follow_up: FollowUp, horizon: float) -> Floats:
    """(n,) pseudo-observations of the incidence of the event of interest by the horizon.

    Incidence plus influence (infinitesimal jackknife of the Aalen-Johansen estimate, which is what R's
    ``survival::pseudo`` gives): uncensored outcomes in all but name, whose mean among patients of equal covariates
    approaches their risk. Where censoring depends on covariates, inverse probability weights of the cases instead.

    Args:
        follow_up: outcomes of n patients, at least one.
        horizon: days since the landmark.

    Andersen PK, Perme MP. Stat Methods Med Res 2010;19:71-99. Binder N et al. Lifetime Data Anal 2014;20:303-315.
    """
    return AtHorizon.of(follow_up, horizon).observed(np.ones(len(follow_up))).pseudo


def spline_knots(risk: Floats, events: int) -> Floats:
    """Knots of a restricted cubic spline of the risks (n,): four, or fewer with few events or few distinct risks.

    Args:
        risk: (n,) predicted risks.
        events: patients with the event of interest by the horizon, or without it, whichever are fewer: three knots
            below 30, below 10 a straight line.

    Returns:
        Four or three knots; two for a straight line; one when all risks are equal.
    """
    distinct = len(np.unique(risk))
    for count in (4, 3, 2):
        knots = np.quantile(risk, _QUANTILES[count])
        if events >= _ENOUGH.get(count, 0) and distinct >= count and (np.diff(knots) > 1e-9 * np.ptp(risk)).all():
            return np.asarray(knots, dtype=float)
    return np.asarray(risk[:1], dtype=float)


@dataclass(frozen=True, eq=False)
class Smoother:
    """Least squares on a restricted cubic spline of the predicted risk itself.

    Perfectly calibrated risks lie inside the space of such curves (observed = predicted is one of them), so that the
    smoothing itself makes no calibration error.

    Attributes:
        knots: (k,) of the spline; two make a straight line, one a constant.
        rotation: (p, p) that makes the columns of ``basis`` orthonormal among the patients.
        basis: (n, p) the spline of every patient's risk, rotated.
    """

    knots: Floats
    rotation: Floats
    basis: Floats

    @classmethod
    def of(cls, risk: Floats, events: int) -> Smoother:
        """The spline for risks (n,); see ``spline_knots``."""
        knots = spline_knots(risk, events)
        _, triangle = np.linalg.qr(_spline(risk, knots))
        rotation = np.linalg.inv(triangle)
        return cls(knots, rotation, np.ascontiguousarray(_spline(risk, knots) @ rotation))

    def at(self, risk: Floats) -> Floats:
        """(q, p) rotated spline of other risks (q,)."""
        return _spline(risk, self.knots) @ self.rotation

    def fit(self, values: Floats, count: Floats) -> Floats:
        """(p,) coefficients of the least squares fit to values (n,) of patients who are there ``count`` times."""
        return np.asarray(_least_squares(self.basis, values, count))

    def fitted(self, coefficients: Floats) -> Floats:
        """(n,) smoothed risks of the patients, cut to [0, 1]."""
        return np.clip(self.basis @ coefficients, 0.0, 1.0)


def calibration_errors(risk: Floats, fitted: Floats, count: Floats | None = None) -> Floats:
    """ICI, E50 and E90: mean, median and 90th percentile of |predicted - smoothed risk|; 0 is ideal, higher is worse.

    Args:
        risk: (n,) predicted risks.
        fitted: (n,) smoothed observed risks.
        count: (n,) how many times each patient is there; None is once.

    Austin PC, Steyerberg EW. Stat Med 2019;38:4051-4065. Austin PC, Harrell FE, van Klaveren D. Stat Med
    2020;39:2714-2742. Austin PC et al. Diagn Progn Res 2022;6:2 (competing risks).
    """
    error = np.abs(risk - fitted)
    if count is not None:
        error = np.repeat(error, count.astype(np.int64))
    return np.array([error.mean(), *_quantiles(error, (0.5, 0.9))])


def calibration_points(risk: Floats, points: int = 40) -> Floats:
    """Evenly spaced risks at which to read a smooth curve; at least 10 patients lie at or beyond the outermost ones.

    Args:
        risk: (n,) predicted risks.
        points: how many; a single one where the risks are equal, none for fewer than 20 patients.
    """
    if len(risk) < 2 * _SMALLEST_SIDE:
        return np.empty(0)
    ordered = np.sort(risk)
    first, last = ordered[_SMALLEST_SIDE - 1], ordered[-_SMALLEST_SIDE]
    return np.linspace(first, last, points) if last > first else np.array([first])


def _spline(risk: Floats, knots: Floats) -> Floats:
    """(n, p) constant, line and truncated cubics that are linear beyond the outer knots."""
    if len(knots) == 1:
        return np.ones((len(risk), 1))
    width = knots[-1] - knots[0]
    x, k = (risk - knots[0]) / width, (knots - knots[0]) / width
    cubes = np.maximum(x[:, None] - k, 0.0) ** 3
    before_last = k[-1] - k[-2]
    bent = (
        cubes[:, :-2]
        - cubes[:, [-2]] * (k[-1] - k[:-2]) / before_last
        + cubes[:, [-1]] * (k[-2] - k[:-2]) / before_last
    )
    return np.column_stack([np.ones(len(risk)), x, bent])


def _quantiles(values: Floats, shares: tuple[float, ...]) -> list[float]:
    """Quantiles of values (n,), linear between order statistics; the values are reordered."""
    places = [share * (len(values) - 1) for share in shares]
    below = [int(place) for place in places]
    above = [min(rank + 1, len(values) - 1) for rank in below]
    values.partition(sorted({*below, *above}))
    return [
        float(values[low] + (place - low) * (values[high] - values[low]))
        for place, low, high in zip(places, below, above, strict=True)
    ]


@njit(cache=True)
def _least_squares(basis: Floats, values: Floats, count: Floats) -> Floats:  # pragma: no cover
    """Coefficients (p,) of the fit to patients counted ``count`` times; 0 for a column that they leave undetermined."""
    p = basis.shape[1]
    gram, moment = np.zeros((p, p)), np.zeros(p)
    for i in range(len(values)):
        if count[i] > 0:
            for a in range(p):
                scaled = count[i] * basis[i, a]
                moment[a] += scaled * values[i]
                for b in range(a + 1):
                    gram[a, b] += scaled * basis[i, b]
    root, half, coefficients = np.zeros((p, p)), np.zeros(p), np.zeros(p)  # Cholesky
    for a in range(p):
        for b in range(a + 1):
            rest = gram[a, b]
            for c in range(b):
                rest -= root[a, c] * root[b, c]
            if a > b:
                root[a, b] = rest / root[b, b] if root[b, b] > 0 else 0.0
            elif rest > _SINGULAR:
                root[a, a] = np.sqrt(rest)
        if root[a, a] > 0:
            rest = moment[a]
            for c in range(a):
                rest -= root[a, c] * half[c]
            half[a] = rest / root[a, a]
    for a in range(p - 1, -1, -1):
        if root[a, a] > 0:
            rest = half[a]
            for c in range(a + 1, p):
                rest -= root[c, a] * coefficients[c]
            coefficients[a] = rest / root[a, a]
    return coefficients
