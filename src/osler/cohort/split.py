"""Folds: patients, never rows, are split; the same seed gives the same folds to every model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from osler.cohort.outcome import Outcome
from osler.errors import UsageError

__all__ = ["assign_folds", "folds"]


def assign_folds(outcome: Outcome, n_folds: int, random_state: int) -> NDArray[np.int64]:
    """(n,) fold of every patient, 0 to ``n_folds - 1``: balanced over event codes and, within a code, over time.

    Patients of one event code are ordered by follow-up time, dealt in blocks of ``n_folds``, and each block is
    shuffled: every fold sees early and late events. Raises UsageError when there are fewer patients than folds.
    """
    n = len(outcome)
    if n < n_folds:
        raise UsageError(f"{n} patients cannot be split into {n_folds} folds: use at most {n} folds")
    rng = np.random.default_rng(random_state)
    fold = np.empty(n, dtype=np.int64)
    offset = 0
    for code in np.unique(outcome.event):
        members = np.flatnonzero(outcome.event == code)
        members = members[np.argsort(outcome.time[members], kind="stable")]
        for first in range(0, len(members), n_folds):
            block = members[first : first + n_folds]
            # An incomplete block starts where the last one stopped, so that fold sizes differ by one at most.
            free = (np.arange(len(block)) + offset) % n_folds
            fold[block] = rng.permutation(free)
            offset = (offset + len(block)) % n_folds
    return fold


def folds(
    outcome: Outcome, n_folds: int, repeats: int, random_state: int
) -> Iterator[tuple[int, int, NDArray[np.int64], NDArray[np.int64]]]:
    """Repeat, fold, training positions and held-out positions of a repeated cross-validation."""
    for repeat in range(repeats):
        assigned = assign_folds(outcome, n_folds, random_state + repeat)
        for fold in range(n_folds):
            yield repeat, fold, np.flatnonzero(assigned != fold), np.flatnonzero(assigned == fold)
