"""Scale: one column of numbers brought to mean 0 and spread 1 by rules fitted in training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["MISSING_SHARE", "Scale", "dot_rows"]

#: A missing flag is made when more than this share of the training rows lacks the value.
MISSING_SHARE = 0.05

_TAIL = 0.025  # share of each tail that is winsorised before mean, spread and skewness are taken
_SKEW = 1.0  # winsorised skewness above which the logarithm is tried
_ENOUGH = 20  # known values needed to judge skewness
_WIDE = 10_000  # weights above which a matrix product per row is several times quicker than sums of columns
_RARE = 0.1  # least spread of an indicator: that of a level with a prevalence of 1 %


@dataclass(frozen=True)
class Scale:
    """``(f(x) - centre) / spread``, clipped at ``clip``; f is the identity or ``log(max(x, low) + shift)``.

    Mean and spread are taken after winsorising 2.5 % of each tail, so that a few impossible values move nothing. The
    logarithm is used where no training value is negative, the winsorised skewness exceeds 1 and taking logs makes
    it smaller; zeros, where there are any, are moved up by half the smallest positive value.
    """

    centre: float
    spread: float
    clip: float
    log: bool = False
    low: float = 0.0
    shift: float = 0.0

    @classmethod
    def fit(cls, values: NDArray[np.float64], *, clip: float, logs: bool = False) -> Self | None:
        """The scale of the finite ``values`` (any shape); None when they hold no two different values."""
        known = values[np.isfinite(values)]
        if not known.size or known.min() == known.max():
            return None
        log, low, shift = False, 0.0, 0.0
        if logs and known.size >= _ENOUGH and known.min() >= 0 and _skewness(_winsorised(known)) > _SKEW:
            half = float(known[known > 0].min()) / 2
            low, shift = (0.0, half) if known.min() == 0 else (half, 0.0)
            logged = np.log(np.maximum(known, low) + shift)
            log = abs(_skewness(_winsorised(logged))) < _skewness(_winsorised(known))
            known = logged if log else known
        core = _winsorised(known)
        if core.std() <= 1e-9 * max(1.0, float(np.abs(core).max())):
            core = known  # nearly all values are equal: what differs is the signal
        return cls(float(core.mean()), float(core.std()), clip, log, low if log else 0.0, shift if log else 0.0)

    @classmethod
    def of_indicator(cls, values: NDArray[np.float64]) -> Self | None:
        """The scale of zeros and ones (finite ones count): not clipped, and rare levels are not blown up."""
        known = values[np.isfinite(values)]
        if not known.size or known.min() == known.max():
            return None
        return cls(float(known.mean()), max(float(known.std()), _RARE), float("inf"))

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scaled values of the same shape; what is not finite stays missing (NaN)."""
        x = np.where(np.isfinite(values), values, np.nan)
        if self.log:
            x = np.log(np.maximum(x, self.low) + self.shift)
        return np.clip((x - self.centre) / self.spread, -self.clip, self.clip)

    def to_json(self) -> dict[str, Any]:
        """JSON values; an absent clip is None."""
        return {**asdict(self), "clip": self.clip if np.isfinite(self.clip) else None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of ``to_json``."""
        return cls(**{**data, "clip": float("inf") if data["clip"] is None else data["clip"]})


def dot_rows(X: NDArray[np.float64], W: NDArray[np.float64]) -> NDArray[np.float64]:
    """``X @ W`` for X (R, P) and W (P, C) whose every row has the same bits whatever the other rows are.

    A matrix product of BLAS sums in an order that depends on the number of rows; sums along contiguous rows do not, nor
    do products of one row at a time.
    """
    X = np.ascontiguousarray(X)
    if W.size >= _WIDE:
        W = np.ascontiguousarray(W)
        return np.matmul(X[:, None, :], W)[:, 0, :]  # a product of its own for each row, of the same shape always
    out = np.empty((X.shape[0], W.shape[1]))
    for c in range(W.shape[1]):
        out[:, c] = (X * W[:, c]).sum(axis=1)
    return out


def _winsorised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(values, *np.quantile(values, (_TAIL, 1 - _TAIL)))


def _skewness(values: NDArray[np.float64]) -> float:
    spread = values.std()
    return float((((values - values.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0
