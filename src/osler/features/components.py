"""Components: a wide block of numbers as its principal components, or as it is when it is narrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.utils.extmath import randomized_svd

from osler.features.block_scale import BlockScale, Kind
from osler.features.scale import dot_rows

__all__ = ["Components", "most_components"]

Floats = NDArray[np.float64]
_CELLS = 100_000  # rows x components of a block: what a linear model may cost
_FEWEST = 50
_EXACT = 2000  # with more rows and more features than this, components are found by random projection
_NEGLIGIBLE = 1e-10  # share of the largest variance below which a component is rounding


def most_components(rows: int) -> int:
    """How many components of a block a linear model takes from so many training rows, patients times landmarks.

    A ridge on all components of a block is the ridge on its features, whatever their number; on the first few it is
    another, stronger assumption. With few patients all of them are affordable and predict better; with many the first
    50 to 100 predict as well (``benchmarks/genomics.py``). So rows x components stays near 100,000: all of up to 316
    rows, 276 of 362, 100 of 1,000, 50 of 2,000 and more.
    """
    return max(_FEWEST, _CELLS // max(rows, 1))


class Components:
    """Features scaled (``BlockScale``), then projected on at most ``limit`` principal components of the training rows.

    The components keep their unequal spreads, scaled by one common factor to a mean variance of one: a ridge penalty
    on them acts like a ridge on the features themselves, and on all of them it is exactly that. Features no more than
    ``limit`` and fewer than the rows, or no more than ``whole``, are left as they are. Features that do not vary are
    dropped; single missing values are taken as average; a row without any is missing. Costs grow with the smaller of
    rows and features squared, times the larger.

    Attributes:
        scale: of the features.
        axes: (q, k) weights of the kept features in each component, signed so that the largest is positive; None where
            features are left as they are.
        origin: (q,) mean scaled values of the training rows.
    """

    def __init__(self, *, limit: int, clip: float, kind: Kind = "other", whole: int = 0) -> None:
        self.limit, self.whole = limit, whole
        self.scale = BlockScale(kind=kind, clip=clip)

    def fit(self, values: NDArray[np.floating[Any]]) -> Self:
        """Learn from (n, p) values, NaN where not measured; fewer than two rows with any leave no component."""
        rows = values[np.isfinite(values).any(axis=1)]
        self.scale.fit(rows)
        self.axes: Floats | None = None
        self.origin: Floats | None = None
        most = min(self.limit, len(rows) - 1)
        if len(self.kept) > max(most, self.whole, 0):
            self.origin = np.zeros(len(self.kept))
            for part, z in self.scale.chunks(rows):
                self.origin[part] = z.mean(axis=0)
            variance, axes = self._decomposed(rows, most)
            clear = variance > _NEGLIGIBLE * variance.max(initial=0.0)
            axes, variance = axes[:, clear], variance[clear]
            largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] if len(variance) else variance
            self.axes = np.ascontiguousarray(axes * np.sign(largest) / np.sqrt(variance.mean() if clear.any() else 1.0))
        return self

    def _decomposed(self, rows: NDArray[np.floating[Any]], most: int) -> tuple[Floats, Floats]:
        """Variances (k,), descending, and axes (q, k) of the ``most`` largest components."""
        n, q = len(rows), len(self.kept)
        if min(n, q) > _EXACT:
            whole = np.empty((n, q), dtype=np.float32)
            for part, z in self._centred(rows):
                whole[:, part] = z
            _, size, right = randomized_svd(whole, most, n_iter=4, random_state=0)
            return size.astype(float) ** 2 / (n - 1), right.T.astype(float)
        if n > q:
            between: Floats = np.zeros((q, q), dtype=np.float64)
            for first in range(0, n, _EXACT):
                some = np.concatenate([z for _, z in self._centred(rows[first : first + _EXACT])], axis=1)
                between = between + some.T @ some
            squared, axes = _largest(between, most)
            return squared / (n - 1), axes
        among: Floats = np.zeros((n, n), dtype=np.float64)
        for _, z in self._centred(rows):
            among = among + z @ z.T
        squared, left = _largest(among, most)
        axes = np.empty((q, len(squared)))
        inverse = np.sqrt(np.divide(1.0, squared, out=np.zeros_like(squared), where=squared > 0))
        for part, z in self._centred(rows):
            axes[part] = (z.T @ left) * inverse
        return squared / (n - 1), axes

    def _centred(self, rows: NDArray[np.floating[Any]]) -> Iterator[tuple[slice, Floats]]:
        assert self.origin is not None
        return ((part, z - self.origin[part]) for part, z in self.scale.chunks(rows))

    @property
    def width(self) -> int:
        """Number of features."""
        return self.scale.width

    @property
    def kept(self) -> NDArray[np.int64]:
        """(q,) positions of the features that vary."""
        return self.scale.kept

    @property
    def size(self) -> int:
        """Number of columns of ``transform``."""
        return len(self.kept) if self.axes is None else self.axes.shape[1]

    def transform(self, values: NDArray[np.floating[Any]]) -> Floats:
        """(n, size) components; a row of which nothing is known is NaN throughout."""
        known = np.flatnonzero(np.isfinite(values).any(axis=1))
        out = np.full((len(values), self.size), np.nan)
        rows = values[known]
        if self.axes is None:
            for part, z in self.scale.chunks(rows):
                out[known, part] = z
            return out
        scores = np.zeros((len(rows), self.size))
        for part, z in self._centred(rows):
            scores += dot_rows(z, self.axes[part])
        out[known] = scores
        return out

    def scaled(self, values: NDArray[np.floating[Any]], positions: NDArray[np.int64]) -> Floats:
        """(n, m) scaled values of some kept features; a row of which nothing is known is NaN throughout."""
        known = np.flatnonzero(np.isfinite(values).any(axis=1))
        out = np.full((len(values), len(positions)), np.nan)
        out[known] = self.scale.some(values[known], positions)
        return out

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        scale = {"scale": self.scale.state()}
        return scale if self.axes is None else {**scale, "axes": self.axes, "origin": self.origin}

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave."""
        self.scale.restore(state["scale"])
        self.axes, self.origin = state.get("axes"), state.get("origin")
        return self


def _largest(matrix: Floats, most: int) -> tuple[Floats, Floats]:
    """The ``most`` largest eigenvalues of a symmetric matrix, none below 0, and their vectors as columns."""
    most = min(most, len(matrix))
    if most < 1:
        return np.empty(0), np.empty((len(matrix), 0))
    values, vectors = eigh(matrix, subset_by_index=[len(matrix) - most, len(matrix) - 1])
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]
