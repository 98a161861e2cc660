"""Rows: what the models that use a design share about landmarks, follow-up and bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from osler.cohort.landmark import Landmark
from osler.errors import ModelError

__all__ = ["by_chunks", "nearest", "training_rows"]

Floats = NDArray[np.float64]
_CHUNK = 2048


def training_rows(landmark: Landmark, horizon: float) -> tuple[Floats, NDArray[np.int64], tuple[str, ...]]:
    """(R,) follow-up and event codes of rows with an outcome, censored at ``horizon`` days, and the causes."""
    outcome = landmark.outcome
    if outcome is None:
        raise ModelError("a model cannot be fitted on rows without an outcome")
    within = outcome.time <= horizon
    return np.minimum(outcome.time, horizon), np.where(within, outcome.event, 0), outcome.causes


def nearest(moments: Sequence[float], time: Floats) -> NDArray[np.int64]:
    """(R,) position of the moment nearest to each time; the earlier one of two equally near."""
    return np.abs(np.asarray(moments)[None, :] - time[:, None]).argmin(axis=1)


def by_chunks(answer: Callable[[Floats], tuple[Floats, ...]], X: Floats) -> tuple[Floats, ...]:
    """``answer`` for (R, P) rows a few thousand at a time, so that memory does not grow with what is in between."""
    parts = [answer(X[first : first + _CHUNK]) for first in range(0, max(len(X), 1), _CHUNK)]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
