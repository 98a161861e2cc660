"""Logistic regression: the simple classifier that every other one has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from osler.cohort.landmark import Landmark
from osler.diagnosis.base import Classifier, inner_folds
from osler.diagnosis.inputs import with_plain_pixels
from osler.diagnosis.multinomial import MultinomialRidge
from osler.features.design import Design

__all__ = ["Logistic"]

_FOLDS = 5


class Logistic(Classifier):
    """Multinomial logistic regression with one ridge penalty, chosen by five folds inside the training part.

    It reads the columns of a ``Design``: the record, the visits so far, and principal components of genomic blocks, of
    embeddings, and of the pixels of each picture themselves.

    Args:
        components: most principal components of each block.
        at: moment of prediction, in days.
        random_state: seed of the folds.
    """

    name = "logistic"
    label = "Logistic regression"

    def __init__(self, *, components: int = 50, at: float = 0.0, random_state: int = 0) -> None:
        super().__init__(at=at, random_state=random_state)
        self.components = components

    def _fit(self, landmark: Landmark, label: NDArray[np.int64]) -> None:
        rows = with_plain_pixels(landmark)
        self._design = self._new_design().fit(rows)
        fold = inner_folds(label, _FOLDS, self.random_state)
        self._ridge = MultinomialRidge.fit(self._design.transform(rows), label, fold)

    def _predict(self, landmark: Landmark) -> NDArray[np.float64]:
        return np.exp(self._ridge.log_probability(self._design.transform(with_plain_pixels(landmark))))

    def _new_design(self) -> Design:
        return Design(missing="impute", components=self.components, landmark_terms=False)

    def state(self) -> dict[str, Any]:
        """Design and coefficients."""
        return {"design": self._design.state(), "ridge": self._ridge.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self._design = self._new_design().restore(state["design"])
        self._ridge = MultinomialRidge.from_state(state["ridge"])
