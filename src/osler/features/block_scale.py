"""Block scale: thousands of features of one kind brought to comparable scales, by rules fitted in training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockScale", "Kind"]

Floats = NDArray[np.float64]
#: What the numbers of a block are: the kinds of ``Genomics``; embeddings of images are "other".
Kind = Literal["expression", "mutation", "copy_number", "dosage", "other"]

_AT_ONCE = 1000  # features standardised at a time: memory stays near that of the block itself
_LEAST_SPREAD = 1e-6  # relative to the mean: below it a feature does not vary
_RARE_MUTATION = 0.1  # least spread of a mutation: that of one which 1 % carry
_RARE_ALLELE = 0.01  # allele frequency below which a variant is scaled as if it had this one
_CENTRED = 2.5  # expression is bounded at so many standard deviations: its tails are measurement more than biology
_SKEW, _ENOUGH = 1.0, 20  # median skewness above which logarithms are tried; patients needed to judge it


class BlockScale:
    """``(f(x) - centre) / spread`` of every feature, bounded; a single missing value becomes 0, the average.

    By kind of block:

    - expression: mean and standard deviation, bounded at 2.5. Where no value is negative, the median skewness of the
      features exceeds 1 and log(1 + x) makes it smaller, as of raw counts or TPM, f is that logarithm, for all
      features alike; otherwise the identity.
    - mutation: counts about their mean, with a spread of at least 0.1, lest the few carriers of a rare mutation weigh
      ten standard deviations.
    - dosage: 0, 1 or 2 copies about 2 p and over sqrt(2 p (1 - p)), p the allele frequency (Patterson N et al. PLoS
      Genet 2006;2:e190); variants rarer than 1 % are scaled as if they had 1 %.
    - copy_number: about the mean, all over one common spread: an amplification of two copies is twice one of a single
      copy in whatever gene.
    - other: mean and standard deviation.

    Features that do not vary in training are dropped.

    Args:
        kind: of the block.
        clip: bound of the scaled values.

    Attributes:
        width: p, features of the block.
        kept: (q,) int64 positions of the features that vary, ascending.
        centre, spread: (q,) of them.
        log: whether the logarithm is taken first.
    """

    def __init__(self, *, kind: Kind, clip: float) -> None:
        if kind not in get_args(Kind):
            raise ValueError(f"kind {kind!r}; expected one of {', '.join(get_args(Kind))}")
        self.kind, self.clip = kind, min(clip, _CENTRED) if kind == "expression" else clip

    def fit(self, values: NDArray[np.floating[Any]]) -> Self:
        """Learn from (n, p) values, NaN where not measured."""
        self.width = values.shape[1]
        self.log = self.kind == "expression" and _looks_raw(values)
        mean, deviation = np.zeros(self.width), np.zeros(self.width)
        for part in _parts(np.arange(self.width)):
            mean[part], deviation[part] = _moments(self._numbers(values[:, part]))
        self.kept = np.flatnonzero(deviation > _LEAST_SPREAD * np.maximum(1.0, np.abs(mean)))
        self.centre = mean[self.kept]
        self.spread = self._spread(deviation[self.kept])
        return self

    def _numbers(self, values: NDArray[np.floating[Any]]) -> Floats:
        x = values.astype(float)
        return np.log1p(np.maximum(x, 0.0)) if self.log else x

    def _spread(self, deviation: Floats) -> Floats:
        if self.kind == "mutation":
            return np.maximum(deviation, _RARE_MUTATION)
        if self.kind == "dosage":
            frequency = np.clip(self.centre / 2, _RARE_ALLELE, 1 - _RARE_ALLELE)
            return np.sqrt(2 * frequency * (1 - frequency))
        if self.kind == "copy_number" and len(deviation):
            return np.full(len(deviation), np.sqrt((deviation**2).mean()))
        return deviation

    def chunks(self, values: NDArray[np.floating[Any]]) -> Iterator[tuple[slice, Floats]]:
        """Scaled values of (n, p), some kept features at a time: their positions among ``kept``, and (n, m) numbers."""
        for part in _parts(np.arange(len(self.kept))):
            yield part, self.some(values, part)

    def some(self, values: NDArray[np.floating[Any]], positions: slice | NDArray[np.int64]) -> Floats:
        """(n, m) scaled values of the kept features at ``positions``."""
        z = (self._numbers(values[:, self.kept[positions]]) - self.centre[positions]) / self.spread[positions]
        return np.clip(np.where(np.isfinite(z), z, 0.0), -self.clip, self.clip)

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        names = ("kind", "width", "kept", "centre", "spread", "log")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave, in a scale made with the same arguments."""
        for name, value in state.items():
            setattr(self, name, value)
        return self


def _parts(positions: NDArray[np.int64]) -> Iterator[slice]:
    return (slice(first, first + _AT_ONCE) for first in range(0, len(positions), _AT_ONCE))


def _moments(x: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column's finite values; 0 and 0 where there are none."""
    known = np.isfinite(x)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, x, 0.0).sum(axis=0) / count
    return mean, np.sqrt((np.where(known, x - mean, 0.0) ** 2).sum(axis=0) / count)


def _looks_raw(values: NDArray[np.floating[Any]]) -> bool:
    """Whether expression is on the scale of counts: none negative, skewed to the right, and less so as logarithms."""
    some = values[:, :: max(1, values.shape[1] // _AT_ONCE)].astype(float)
    if len(some) < _ENOUGH or not np.isfinite(some).any() or np.nanmin(values) < 0:
        return False
    raw, logged = _median_skewness(some), _median_skewness(np.log1p(some))
    return raw > _SKEW and abs(logged) < raw


def _median_skewness(x: Floats) -> float:
    """Median over the columns that vary of their skewness; 0 where none does."""
    mean, deviation = _moments(x)
    varies = deviation > _LEAST_SPREAD * np.maximum(1.0, np.abs(mean))
    cubes = ((x[:, varies] - mean[varies]) / deviation[varies]) ** 3
    known = np.isfinite(cubes)
    skewness = np.where(known, cubes, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return float(np.median(skewness)) if len(skewness) else 0.0
