"""Twins: pictures of tested patients that all but lie in the training part too, so that memory passes for skill.

Archives of images often hold several frames of one patient, or one frame twice, and name nobody: dealt at random they
stand on both sides of the division.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.diagnosis.division import Division
from osler.diagnosis.inputs import coarse_pixels

__all__ = ["ALIKE", "twins"]

#: Two pictures that correlate by more than this, pixel by pixel, are taken for twins.
ALIKE = 0.99
_CHUNK = 512
_MOST = 5e11  # multiplications; beyond them nothing is looked for


def twins(cohort: Cohort, division: Division) -> NDArray[np.bool_] | None:
    """(n,) which of ``division.tested`` have a picture that correlates by more than ``ALIKE`` with one learned from.

    Pictures are compared by brightness and contrast removed, coarsened as for components; in any repeat. None where
    there are no pixels, or too many to compare.
    """
    blocks = [block for block in cohort.images.values() if block.form == "pixels"]
    found = np.zeros(len(division.tested), dtype=bool)
    owner = cohort.visits["patient"].to_numpy()
    work = 0.0
    for block in blocks:
        vectors, who = _standardised(coarse_pixels(block.values)), owner[block.visit]
        work += float(len(vectors)) ** 2 * vectors.shape[1]
        if work > _MOST:
            return None
        for split in division.splits:
            learned = vectors[np.isin(who, split.train)]
            tested = np.flatnonzero(np.isin(who, split.test))
            for first in range(0, len(tested), _CHUNK):
                rows = tested[first : first + _CHUNK]
                near = (vectors[rows] @ learned.T).max(axis=1, initial=-1.0) > ALIKE
                found[np.searchsorted(division.tested, who[rows[near]])] = True
    return found if blocks else None


def _standardised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of mean 0 and length 1; a picture without contrast is all 0 and like nothing."""
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return np.asarray(np.where(length > 1e-6, centred / np.maximum(length, 1e-6), 0.0), dtype=np.float32)
