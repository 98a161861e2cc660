"""Shares: the classifier that knows nothing of a patient but how common each class was in training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from osler.cohort.landmark import Landmark
from osler.diagnosis.base import Classifier

__all__ = ["Shares"]


class Shares(Classifier):
    """The null model: everybody has the class shares of the training patients."""

    name = "shares"
    label = "Class shares"

    def _fit(self, landmark: Landmark, label: NDArray[np.int64]) -> None:
        self._probability = np.bincount(label) / len(label)

    def _predict(self, landmark: Landmark) -> NDArray[np.float64]:
        return np.tile(self._probability, (len(landmark), 1))

    def state(self) -> dict[str, Any]:
        """The shares."""
        return {"probability": self._probability}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self._probability = state["probability"]
