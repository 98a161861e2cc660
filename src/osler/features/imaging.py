"""Imaging features: the embedding of the latest visit on or before the landmark, as in-fold principal components."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.images import Images
from osler.cohort.landmark import Landmark
from osler.features.column import Column
from osler.features.components import Components
from osler.features.scale import MISSING_SHARE, Scale

__all__ = ["ImagingFeatures", "latest_image"]

Floats = NDArray[np.float64]


class ImagingFeatures:
    """One block of embeddings: standardised, then components, and a flag where more than 5 % of rows have none.

    Several images of one visit enter as the mean of their embeddings. Pixels are no input of the models that use a
    design, unless a network trained elsewhere made vectors of them.
    """

    def __init__(self, name: str, *, components: int, keep_missing: bool, clip: float) -> None:
        self.name, self.components_limit, self.keep_missing, self.clip = name, components, keep_missing, clip

    def fit(self, landmark: Landmark) -> Self:
        """Learn from the visits whose images some row uses, each counted once."""
        block = _vectors(landmark.known.images[self.name])
        image = latest_image(block.visit, landmark)
        used = np.unique(image[image >= 0])
        self.components = Components(limit=self.components_limit, clip=self.clip).fit(block.values[used].astype(float))
        missing = image < 0
        flagged = not self.keep_missing and MISSING_SHARE < missing.mean() < 1
        self.flag = Scale.of_indicator(missing.astype(float)) if flagged else None
        return self

    @property
    def columns(self) -> tuple[Column, ...]:
        """The meaning of each column of ``transform``."""
        summary = "value" if self.components.axes is None else "component"
        ranks = range(1, self.components.size + 1)
        flag = (Column(f"{self.name}.missing", self.name, self.name, "missing"),) if self.flag else ()
        return (*(Column(f"{self.name}.{summary}{k}", self.name, self.name, summary) for k in ranks), *flag)

    def transform(self, landmark: Landmark) -> Floats:
        """(R, p) features of the rows."""
        given = landmark.known.images.get(self.name)
        block = None if given is None else _vectors(given)
        visit = np.empty(0, dtype=np.int64) if block is None else block.visit
        image = latest_image(visit, landmark)
        used = np.unique(image[image >= 0])
        out = np.full((len(landmark), self.components.size), np.nan)
        if block is not None and len(used):
            components = self.components.transform(block.values[used].astype(float))
            has = image >= 0
            out[has] = components[np.searchsorted(used, image[has])]
        if not self.keep_missing:
            out = np.where(np.isnan(out), 0.0, out)
        return np.column_stack([out, self.flag((image < 0).astype(float))]) if self.flag else out

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        return {"components": self.components.state(), "flag": None if self.flag is None else self.flag.to_json()}

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave."""
        self.components = Components(limit=self.components_limit, clip=self.clip).restore(state["components"])
        self.flag = None if state["flag"] is None else Scale.from_json(state["flag"])
        return self


def _vectors(block: Images) -> Images:
    vectors = block.vectors
    assert vectors is not None, "a design names only blocks that have vectors"
    return vectors.per_visit()


def latest_image(visit: NDArray[np.int64], landmark: Landmark) -> NDArray[np.int64]:
    """(R,) position in a block's images (at the ascending visits ``visit``) of the row's latest one; -1 when none."""
    position = np.searchsorted(visit, landmark.stop, "left") - 1
    if not len(visit):
        return position
    return np.where((position >= 0) & (visit[np.maximum(position, 0)] >= landmark.start), position, -1)
