"""Spread: how far measurements lie from their forecasts.

The errors of forecasts have tails, grow with the time ahead and with the doubt about the patient's own course, and
differ between low and high values. Their logarithmic scale is linear in these, by the likelihood of Student's t with
four degrees of freedom (Lange KL, Little RJA, Taylor JMG. J Am Stat Assoc 1989;84:881-896); the bounds of the band are
quantiles of the errors so scaled. Both are learned from errors in patients whom the forecasts had not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtri

__all__ = ["LEVEL", "Spread"]

Floats = NDArray[np.float64]

#: Coverage that bands aim at.
LEVEL = 0.9
_TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
_FREEDOM = 4.0
_PENALTY = 1e-2  # per error, on what departs from the variance that the course states
_GAIN = 5e-3  # share of the interval score by which what was learned must be better than what the course states
_STATED = np.array([0.0, 0.0, 0.5, 0.0, 0.0])  # the course's own: half the logarithm of its variance
_FURTHEST = 3.0  # forecasts further out than this are as uncertain as those here


@dataclass(frozen=True, eq=False)
class Spread:
    """Scale of the errors of one variable's forecasts, and the bounds of a band on that scale.

    Attributes:
        weights: (5,) of 1, the clock, the logarithm of the stated variance, the forecast and its square.
        bounds: (2,) lower and upper, in multiples of the scale.
    """

    weights: Floats
    bounds: Floats

    @classmethod
    def stated(cls) -> Self:
        """That of a normal distribution with the variance that the course states."""
        return cls(_STATED.copy(), ndtri(_TAILS))

    @classmethod
    def fit(cls, error: Floats, clock: Floats, variance: Floats, mean: Floats) -> Self:
        """Learn from (Q,) held-out errors, how far ahead they were, the stated variance, and the forecast."""
        X = _terms(clock, variance, mean)

        def loss(weights: Floats) -> tuple[float, Floats]:
            z = error * np.exp(-(X @ weights))
            away = (weights - _STATED) * (np.arange(len(weights)) > 0)
            fit = X @ weights + (_FREEDOM + 1) / 2 * np.log1p(z * z / _FREEDOM)
            slope = X.T @ (1 - (_FREEDOM + 1) * z * z / (_FREEDOM + z * z)) / len(error)
            return float(fit.mean() + _PENALTY / 2 * away @ away), slope + _PENALTY * away

        # Neither more time nor more doubt may make a forecast surer.
        free, rising = (None, None), (0.0, None)
        found = minimize(loss, _STATED, jac=True, method="L-BFGS-B", bounds=(free, rising, rising, free, free))
        scaled = error * np.exp(-(X @ found.x))
        learned, stated = cls(found.x, np.quantile(scaled, _TAILS)), cls.stated()
        scores = [own._score(error, clock, variance, mean) for own in (learned, stated)]
        return learned if scores[0] < scores[1] * (1 - _GAIN) else stated

    def band(self, mean: Floats, clock: Floats, variance: Floats) -> tuple[Floats, Floats]:
        """(Q,) lower and upper bounds of new measurements."""
        log = (_terms(clock, variance, mean) * self.weights).sum(axis=1)
        lower, upper = (mean + bound * np.exp(log) for bound in self.bounds)
        return np.minimum(lower, mean), np.maximum(upper, mean)

    def _score(self, error: Floats, clock: Floats, variance: Floats, mean: Floats) -> float:
        """Mean interval score (Gneiting and Raftery, 2007) of the band about forecasts with these errors."""
        lower, upper = self.band(mean, clock, variance)
        outside = np.maximum(lower - mean - error, 0.0) + np.maximum(error + mean - upper, 0.0)
        return float((upper - lower + 2.0 / (1.0 - LEVEL) * outside).mean())

    def state(self) -> dict[str, Any]:
        """Arrays."""
        return {"weights": self.weights, "bounds": self.bounds}


def _terms(clock: Floats, variance: Floats, mean: Floats) -> Floats:
    near = np.clip(mean, -_FURTHEST, _FURTHEST)
    return np.stack([np.ones_like(clock), clock, np.log(variance), near, near * near], axis=1)
