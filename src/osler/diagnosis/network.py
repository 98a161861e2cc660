"""Network: the multimodal classifier of Osler, image encoders and columns under one class head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from osler.cohort.landmark import Landmark
from osler.diagnosis.base import Classifier, inner_folds
from osler.diagnosis.correction import Correction
from osler.diagnosis.image_committee import ImageCommittee
from osler.diagnosis.inputs import latest_images, pixel_blocks, without_pixels
from osler.diagnosis.multinomial import MultinomialRidge
from osler.features.design import Design

__all__ = ["Network"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LEAST_CLASS = 10


@dataclass(frozen=True)
class _Columns:
    """Columns of R rows: those of the design, then a score and a flag of each image block; and who shares a penalty."""

    values: Floats
    groups: list[Ints]


class Network(Classifier):
    """Image encoders and columns under one class head.

    Patients are dealt into E parts. Of every kind of image E convolutional networks are trained, each without one part;
    a training image is scored by the network that never saw its patient. Three heads then read the columns of the
    design and these scores: a multinomial ridge path with one penalty for each modality; E small networks that correct
    it, starting from its held-out predictions; and E free ones. What enters from an earlier step never saw its
    patient. Of a new patient's images the scores of all networks are averaged; the probabilities of the three heads (of
    the mean of each head's networks) are averaged equally. Where there are images alone, the ridge path is the
    only head: it learns how far the image scores are to be trusted. Training images are changed as the manifest allows
    (``augment``): nothing is mirrored unless it says so.

    Args:
        members: E.
        epochs: most rounds of training over the images.
        patience: rounds without a better held-out loss after which training stops.
        components: most principal components of a genomic or embedding block.
        at: moment of prediction, in days.
        random_state: seed of parts, first weights, batches, dropout and augmentation.
    """

    name = "network"
    label = "Network (Osler)"

    def __init__(
        self,
        *,
        members: int = 5,
        epochs: int = 60,
        patience: int = 12,
        components: int = 50,
        at: float = 0.0,
        random_state: int = 0,
    ) -> None:
        super().__init__(at=at, random_state=random_state)
        self.members, self.epochs, self.patience = members, epochs, patience
        self.components = components

    def _fit(self, landmark: Landmark, label: Ints) -> None:
        part = inner_folds(label, self.members, self.random_state)
        self.readers: dict[str, ImageCommittee] = {}
        scores = {}
        for name in pixel_blocks(landmark):
            found = self._read(landmark, name, label, part)
            if found is not None:
                scores[name] = found
        rows = without_pixels(landmark)
        self._design = self._new_design().fit(rows)
        columns = self._columns(self._design.transform(rows), scores)
        self._ridge = MultinomialRidge.fit(columns.values, label, part, columns.groups)
        self._shares = np.log(np.bincount(label) / len(label))
        self._heads = self._more_heads(columns.values, label, part) if len(self._design.columns_) else []

    def _read(self, landmark: Landmark, name: str, label: Ints, part: Ints) -> Floats | None:
        """(R, P' + 1) mean score of each row's latest images by one that did not see it, and whether it has any."""
        block = landmark.known.images[name]
        row, image = latest_images(block.visit, landmark)
        classes = int(label.max()) + 1
        if np.bincount(label[np.unique(row)], minlength=classes).min() < _LEAST_CLASS:
            self.notes_.append(
                f"Images {name!r} were not read: fewer than {_LEAST_CLASS} training patients of some class have one."
            )
            return None
        shape = tuple(block.values.shape[1:])
        committee = ImageCommittee(shape, classes, block.augment, self.epochs, self.patience)
        found = committee.fit(block.values[image], label[row], part[row], self.random_state)
        self.readers[name] = committee
        return _by_row(found, row, len(landmark))

    def _columns(self, values: Floats, scores: dict[str, Floats]) -> _Columns:
        groups, first = list(self._design.penalty_groups().values()), values.shape[1]
        for found in scores.values():
            groups.append(np.arange(first, first + found.shape[1] - 1))
            groups.append(np.array([first + found.shape[1] - 1]))
            first += found.shape[1]
        return _Columns(np.column_stack([values, *scores.values()]), groups)

    def _more_heads(self, X: Floats, label: Ints, part: Ints) -> list[Correction]:
        """Networks over the ridge path, which learn from what it says of patients it did not see, and free ones."""
        over = Correction().fit(X, self._ridge.held_out, label, part, self.random_state)
        free = Correction().fit(X, np.tile(self._shares, (len(X), 1)), label, part, self.random_state + 1000)
        return [over, free]

    def _predict(self, landmark: Landmark) -> Floats:
        rows = without_pixels(landmark)
        scores = {name: self._scores(landmark, name) for name in self.readers}
        X = self._columns(self._design.transform(rows), scores).values
        ridge = self._ridge.log_odds(X)
        said = [softmax(ridge, axis=1)]
        for head, base in zip(self._heads, (ridge, self._shares), strict=False):
            members = [softmax(base + head.log_odds(X, e), axis=1) for e in range(len(head.members))]
            said.append(np.mean(members, axis=0))
        return np.asarray(np.mean(said, axis=0))

    def _scores(self, landmark: Landmark, name: str) -> Floats:
        """(R, P' + 1) mean score of each row's latest images by all networks, and whether it has any."""
        committee, block = self.readers[name], landmark.known.images[name]
        row, image = latest_images(block.visit, landmark)
        return _by_row(committee.scores(block.values[image]), row, len(landmark))

    def _new_design(self) -> Design:
        return Design(missing="impute", components=self.components, landmark_terms=False)

    def state(self) -> dict[str, Any]:
        """Image networks, design and heads."""
        return {
            "readers": {name: reader.state() for name, reader in self.readers.items()},
            "design": self._design.state(),
            "ridge": self._ridge.state(),
            "heads": [head.state() for head in self._heads],
            "shares": self._shares,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self.readers = {name: ImageCommittee.from_state(part) for name, part in state["readers"].items()}
        self._design = self._new_design().restore(state["design"])
        self._ridge = MultinomialRidge.from_state(state["ridge"])
        self._heads = [Correction().restore(part) for part in state["heads"]]
        self._shares = state["shares"]


def _by_row(scores: Floats, row: Ints, n: int) -> Floats:
    """(n, P' + 1) mean of the scores (k, P') of each row's images, 0 where it has none, and whether it has any."""
    count = np.bincount(row, minlength=n)
    total = np.stack([np.bincount(row, weights=column, minlength=n) for column in scores.T], axis=1)
    return np.column_stack([total / np.maximum(count, 1)[:, None], count > 0])
