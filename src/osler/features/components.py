"""Components: a wide block of numbers as a few principal components, or as it is when it is narrow."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from osler.features.scale import dot_rows

__all__ = ["Components"]

Floats = NDArray[np.float64]
_LEAST_SPREAD = 1e-6


class Components:
    """Features standardised (clipped), then projected on at most ``limit`` principal components of the training rows.

    The components keep their unequal spreads, scaled by one common factor to a mean variance of one: a ridge penalty
    on them acts like a ridge on the features themselves. No more than ``limit`` features are left as they are.
    Features that do not vary are dropped; single missing values are taken as average; a row without any is missing.
    """

    def __init__(self, *, limit: int, clip: float, least_spread: float = _LEAST_SPREAD) -> None:
        self.limit, self.clip, self.least_spread = limit, clip, least_spread

    def fit(self, values: Floats) -> Self:
        """Learn from (n, p) values, NaN where not measured; fewer than two complete rows leave no component."""
        self.width = values.shape[1]
        rows = values[np.isfinite(values).any(axis=1)]
        known = np.isfinite(rows)
        count = np.maximum(known.sum(axis=0), 1)
        centre = np.where(known, rows, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, rows - centre, 0.0) ** 2).sum(axis=0) / count)
        self.kept = np.flatnonzero(spread > _LEAST_SPREAD * np.maximum(1.0, np.abs(centre)))
        self.centre, self.spread = centre[self.kept], np.maximum(spread[self.kept], self.least_spread)
        self.axes = None
        if len(self.kept) > self.limit:
            pca = PCA(min(self.limit, len(rows) - 1), random_state=0).fit(self._standardised(rows))
            self.origin = pca.mean_
            self.axes = pca.components_.T / np.sqrt(max(float(pca.explained_variance_.mean()), 1e-12))
        return self

    @property
    def size(self) -> int:
        """Number of columns of ``transform``."""
        return len(self.kept) if self.axes is None else self.axes.shape[1]

    def transform(self, values: Floats) -> Floats:
        """(n, size) components; a row of which nothing is known is NaN throughout."""
        rows = np.flatnonzero(np.isfinite(values).any(axis=1))
        out = np.full((len(values), self.size), np.nan)
        z = self._standardised(values[rows])
        out[rows] = z if self.axes is None else dot_rows(z - self.origin, self.axes)
        return out

    def _standardised(self, values: Floats) -> Floats:
        z = (values[:, self.kept].astype(float) - self.centre) / self.spread
        return np.clip(np.where(np.isfinite(z), z, 0.0), -self.clip, self.clip)

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        arrays = {"kept": self.kept, "centre": self.centre, "spread": self.spread}
        return {
            "width": self.width,
            **arrays,
            **({} if self.axes is None else {"axes": self.axes, "origin": self.origin}),
        }

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave."""
        self.width, self.kept = state["width"], state["kept"]
        self.centre, self.spread = state["centre"], state["spread"]
        self.axes = state.get("axes")
        self.origin = state.get("origin")
        return self
