"""Availability: which modalities were measured by the moment of prediction, row by row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Variable
from osler.cohort.landmark import Landmark

__all__ = ["available", "pattern_names"]

Mask = NDArray[np.bool_]

NOTHING = "nothing"


def available(landmark: Landmark) -> dict[str, Mask]:
    """Modality -> (R,) whether anything of it is known of the row's patient at the row's landmark.

    A modality of which single values are missing is there; it is absent when none of its values, visits or images is
    known on or before the landmark. The modalities are those of ``landmark.known``, in the cohort's order.
    """
    known = landmark.known
    found: dict[str, Mask] = {name: np.zeros(len(landmark), dtype=bool) for name in known.modalities}
    for name, measured in _measured(known.record, known.record_variables).items():
        found[name] |= measured[landmark.patient]
    for name, measured in _measured(known.visits, known.visit_variables).items():
        found[name] |= _any_so_far(measured.astype(np.int64), landmark)
    for name, genes in known.genomics.items():
        found[name] |= genes.available[landmark.patient]
    for name, images in known.images.items():
        taken = np.bincount(images.visit, minlength=len(known.visits))
        found[name] |= _any_so_far(taken, landmark)
    return found


def pattern_names(found: Mapping[str, Mask], labels: Mapping[str, str] | None = None) -> NDArray[np.object_]:
    """(R,) the pattern of each row in words, such as "record + visits, no scan".

    Args:
        found: as ``available`` gives it.
        labels: what to call modalities; by default their names.
    """
    called = labels or {}
    names = [called.get(name, name) for name in found]
    there = np.column_stack([np.asarray(mask, dtype=bool) for mask in found.values()])
    patterns, which = np.unique(there, axis=0, return_inverse=True)
    words = np.array([_in_words(names, list(pattern)) for pattern in patterns], dtype=object)
    return words[np.ravel(which)]


def _in_words(names: list[str], there: list[bool]) -> str:
    known = " + ".join(name for name, is_there in zip(names, there, strict=True) if is_there) or NOTHING
    absent = ["no " + name for name, is_there in zip(names, there, strict=True) if not is_there]
    return ", ".join([known, *absent])


def _measured(table: pd.DataFrame, variables: tuple[Variable, ...]) -> dict[str, Mask]:
    """Modality -> whether each row of a table has any of its values."""
    members: dict[str, list[str]] = {}
    for variable in variables:
        members.setdefault(variable.modality, []).append(variable.name)
    return {name: np.asarray(table[columns].notna().to_numpy().any(axis=1)) for name, columns in members.items()}


def _any_so_far(counts: NDArray[np.int64], landmark: Landmark) -> Mask:
    """(R,) whether the visits that a row may use have any of ``counts`` (V,)."""
    before = np.concatenate([[0], np.cumsum(counts)])
    return np.asarray(before[landmark.stop] > before[landmark.start])
