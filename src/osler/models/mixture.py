"""Mixture: the equal mean of several risks, and how far they disagree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from osler.models.bands import scaled

__all__ = ["Mixture"]

Floats = NDArray[np.float64]


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
        scale = scaled(incidence)
        self.weight += weight
        self.incidence += weight * incidence
        self.first += weight * scale
        self.second += weight * scale**2

    def mean(self) -> Floats:
        """(R, K, T) weighted mean incidence."""
        return self.incidence / self.weight

    def disagreement(self) -> Floats:
        """(R, K, T) weighted variance of log(-log(1 - F))."""
        first = self.first / self.weight
        return np.maximum(self.second / self.weight - first**2, 0.0)
