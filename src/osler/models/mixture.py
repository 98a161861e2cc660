"""Mixture: the equal mean of several risks, and a band from how far they disagree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mixture"]

Floats = NDArray[np.float64]

_LEVEL = 1.6449  # normal quantile of a 90 % band
_LEAST, _MOST = 1e-12, 1 - 1e-12


class Mixture:
    """Risks of several models added up one after another, with their mean and spread.

    The mean is taken of incidences, not of hazards: then all causes and the event-free probability still sum to one,
    and the squared error of the mean is never more than the mean of the squared errors.

    The spread is taken on the scale of log(-log(1 - F)), where a proportional error of a hazard is a constant.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.weight = 0.0
        self.incidence, self.first, self.second = np.zeros(shape), np.zeros(shape), np.zeros(shape)

    def add(self, incidence: Floats, weight: float) -> None:
        """One model's (R, K, T) incidence."""
        scale = _scaled(incidence)
        self.weight += weight
        self.incidence += weight * incidence
        self.first += weight * scale
        self.second += weight * scale**2

    def mean(self) -> Floats:
        """(R, K, T) weighted mean incidence."""
        return self.incidence / self.weight

    def band(self, doubt: Floats) -> tuple[Floats, Floats]:
        """Lower and upper (R, K, T), pointwise at 90 %, never excluding the mean.

        ``doubt`` (R, K, 1) is the variance of the log hazard from estimation; the disagreement of models is added.
        """
        mean = self.mean()
        first = self.first / self.weight
        variance = np.maximum(self.second / self.weight - first**2, 0.0) + doubt
        reach = _LEVEL * np.sqrt(variance)
        centre = _scaled(mean)
        # A band whose width changes with time may turn back; incidence cannot.
        lower = np.maximum.accumulate(_unscaled(centre - reach), axis=2)
        upper = np.maximum.accumulate(_unscaled(centre + reach), axis=2)
        never = mean <= _LEAST
        lower, upper = np.where(never, 0.0, lower), np.where(never, 0.0, upper)
        return np.minimum(lower, mean), np.maximum(upper, mean)


def _scaled(risk: Floats) -> Floats:
    return np.log(-np.log1p(-np.clip(risk, _LEAST, _MOST)))


def _unscaled(value: Floats) -> Floats:
    return -np.expm1(-np.exp(np.minimum(value, 30.0)))
