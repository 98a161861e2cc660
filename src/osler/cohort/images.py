"""Images: one kind of picture, volume or embedding, each taken at a visit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from osler.errors import UsageError
from osler.vision.augmentation import Augmentation

__all__ = ["Images"]

#: Axes of ``values`` by form: pictures or volumes with channels, or vectors.
_AXES = {"pixels": (4, 5), "embedding": (2,)}


@dataclass(frozen=True, eq=False)
class Images:
    """One kind of image or embedding: m of them, each taken at a visit.

    Attributes:
        name: the block, such as "xray" or "HE".
        form: "pixels" with values (m, channels, height, width) or (m, channels, depth, height, width) float32 in
            [0, 1], or "embedding" with (m, d) float32.
        visit: (m,) int64, positions in ``Cohort.visits``, never descending; images of one visit share a position.
        label: the words that reports use; empty when the name says it.
        augment: how training images may be changed by a network that learns from the pixels.
        embedding: of pixels, (m, d) float32 of a network trained elsewhere, when the manifest names one.
        origin: digest of that network and of how pixels are brought to it; vectors of one origin can be compared.
    """

    name: str
    form: Literal["pixels", "embedding"]
    visit: NDArray[np.int64]
    values: NDArray[np.float32]
    label: str = ""
    augment: Augmentation = field(default_factory=Augmentation)
    embedding: NDArray[np.float32] | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        if len(self.visit) != len(self.values) or self.values.ndim not in _AXES[self.form]:
            raise UsageError(f"image block {self.name!r}: {self.values.shape} values for {len(self.visit)} visits")
        if self.embedding is not None and (self.embedding.ndim != 2 or len(self.embedding) != len(self.visit)):
            raise UsageError(f"image block {self.name!r}: one vector belongs to each of {len(self.visit)} images")
        if np.any(np.diff(self.visit) < 0):
            raise UsageError(f"image block {self.name!r}: visits may not descend")

    @property
    def content(self) -> tuple[Any, ...]:
        """What a digest of the block is taken of."""
        change = repr(self.augment)
        return self.form, self.visit, self.values, change, () if self.embedding is None else self.embedding, self.origin

    @property
    def vectors(self) -> Images | None:
        """The block as embeddings: itself, or what a network trained elsewhere made of its pixels; None if neither."""
        if self.form == "embedding":
            return self
        if self.embedding is None:
            return None
        return Images(self.name, "embedding", self.visit, self.embedding, self.label)

    def take(self, images: NDArray[np.int64] | NDArray[np.bool_]) -> Images:
        """Some images, at the visits where they are."""
        return self._chosen(images, self.visit[images])

    def at_visits(self, rows: NDArray[np.int64]) -> Images:
        """Images at the visits ``rows`` (old positions in their new order; a row may be repeated)."""
        first, stop = np.searchsorted(self.visit, rows, "left"), np.searchsorted(self.visit, rows, "right")
        counts = stop - first
        before = np.cumsum(counts) - counts
        chosen = np.repeat(first - before, counts) + np.arange(counts.sum())
        return self._chosen(chosen, np.repeat(np.arange(len(rows)), counts).astype(np.int64))

    def _chosen(self, images: NDArray[np.int64] | NDArray[np.bool_], visit: NDArray[np.int64]) -> Images:
        embedding = None if self.embedding is None else self.embedding[images]
        return replace(self, visit=visit, values=self.values[images], embedding=embedding)

    def per_visit(self) -> Images:
        """Embeddings with one vector at each visit, the mean of those of its images."""
        first = np.flatnonzero(np.diff(self.visit, prepend=-1))
        if len(first) == len(self.visit):
            return self
        counts = np.diff(first, append=len(self.visit))
        means = np.add.reduceat(self.values.astype(np.float64), first, axis=0) / counts[:, None]
        return replace(self, visit=self.visit[first], values=means.astype(np.float32))
