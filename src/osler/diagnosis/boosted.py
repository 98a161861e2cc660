"""Boosted trees: XGBoost on the columns that logistic regression reads, the tough opponent."""

from __future__ import annotations

from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from osler.cohort.landmark import Landmark
from osler.diagnosis.base import Classifier, inner_folds
from osler.diagnosis.inputs import with_plain_pixels
from osler.features.design import Design
from osler.models.trees import booster_from, held_out_losses, mean_curve, raw_bytes, tree_parameters, with_a_column

__all__ = ["Boosted"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_FOLDS = 3
_PATIENCE = 20


class Boosted(Classifier):
    """XGBoost trees under the log loss; what is missing stays missing.

    The number of rounds is that with the least mean held-out loss on three folds of the training patients; then all of
    them are used.

    Args:
        depth: of the trees.
        eta: learning rate.
        rounds: at most.
        components: most principal components of each block.
        at: moment of prediction, in days.
        random_state: seed of folds and of the rows and columns that each tree sees.

    Chen T, Guestrin C. KDD 2016:785-794.
    """

    name = "boosted"
    label = "Boosted trees (XGBoost)"

    def __init__(
        self,
        *,
        depth: int = 3,
        eta: float = 0.1,
        rounds: int = 400,
        components: int = 50,
        at: float = 0.0,
        random_state: int = 0,
    ) -> None:
        super().__init__(at=at, random_state=random_state)
        self.depth, self.eta, self.rounds, self.components = depth, eta, rounds, components

    def _fit(self, landmark: Landmark, label: Ints) -> None:
        rows = with_plain_pixels(landmark)
        self._design = self._new_design().fit(rows)
        X, classes = with_a_column(self._design.transform(rows)), int(label.max()) + 1
        parameters = self._parameters(classes)
        rounds = self._rounds(X, label, parameters)
        self.notes_ += [] if rounds else [f"{self.label}: no tree helped patients left out; class shares are used."]
        self._booster = xgb.train(parameters, xgb.DMatrix(X, label=label), rounds) if rounds else None
        self._shares = np.bincount(label) / len(label)

    def _rounds(self, X: Floats, label: Ints, parameters: dict[str, Any]) -> int:
        """Rounds with the least mean held-out loss; 0 where the class shares do better than any."""
        fold, curves, base = inner_folds(label, _FOLDS, self.random_state), [], []
        for part in np.unique(fold):
            inside = fold != part
            shares = np.bincount(label[inside], minlength=len(np.unique(label))) / inside.sum()
            base.append(-np.log(np.maximum(shares[label[~inside]], 1e-9)).mean())
            learned, held_out = (xgb.DMatrix(X[rows], label=label[rows]) for rows in (inside, ~inside))
            curves.append(held_out_losses(parameters, learned, held_out, self.rounds)[1])
        mean = mean_curve(curves)
        return int(mean.argmin()) + 1 if mean.min() < np.mean(base) else 0

    def _parameters(self, classes: int) -> dict[str, Any]:
        several = {"objective": "multi:softprob", "num_class": classes, "eval_metric": "mlogloss"}
        told = {"objective": "binary:logistic", "eval_metric": "logloss"} if classes == 2 else several
        told = {"min_child_weight": 2, **told}
        return tree_parameters(depth=self.depth, eta=self.eta, random_state=self.random_state, **told)

    def _predict(self, landmark: Landmark) -> Floats:
        if self._booster is None:
            return np.tile(self._shares, (len(landmark), 1))
        X = with_a_column(self._design.transform(with_plain_pixels(landmark)))
        found = self._booster.predict(xgb.DMatrix(X)).astype(float)
        return np.column_stack([1 - found, found]) if found.ndim == 1 else found

    def _new_design(self) -> Design:
        return Design(missing="keep", components=self.components, landmark_terms=False)

    def state(self) -> dict[str, Any]:
        """Design and trees."""
        return {"design": self._design.state(), "booster": raw_bytes(self._booster), "shares": self._shares}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self._design = self._new_design().restore(state["design"])
        self._booster, self._shares = booster_from(state["booster"]), state["shares"]
