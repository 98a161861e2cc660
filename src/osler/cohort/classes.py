"""Classes: an outcome block of kind "class" becomes a class code for every patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from osler.cohort.decode import lookup
from osler.cohort.diagnosis import UNKNOWN, Diagnosis
from osler.cohort.outcome_specs import OutcomeSpec
from osler.cohort.reading import Reading, Rows

__all__ = ["Classes", "read_classes"]

_NOTED = -2


class Classes:
    """Class codes of the patients that were asked for, before policies.

    Args:
        spec: the outcome block.
        label: (n,) codes; -1 where unknown, -2 where a violation was noted.
    """

    def __init__(self, spec: OutcomeSpec, label: NDArray[np.int64]) -> None:
        self.spec, self.label = spec, label

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """(n,) whether the class is missing, and no violation tells of it already."""
        return np.asarray(self.label == UNKNOWN)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Classes:
        """Some of the patients."""
        return Classes(self.spec, self.label[index])

    def diagnosis(self) -> Diagnosis:
        """The classes, once no violation was found."""
        spec = self.spec
        positive = len(spec.classes) - 1 if spec.positive is None else spec.classes.index(spec.positive)
        return Diagnosis(spec.name, spec.classes, self.label, positive)


def read_classes(reading: Reading, spec: OutcomeSpec, rows: Rows) -> Classes:
    """Classes of ``reading.patients`` from rows of the outcome's table; several rows of a patient must agree."""
    at = reading.at(rows.patient)
    rows, at = rows.take(at >= 0), at[at >= 0]
    codes = {code: float(spec.classes.index(name)) for code, name in spec.levels.items()}
    values, undeclared = lookup(rows, spec.event, codes, spec.missing)
    if undeclared.any():
        reading.findings.add(
            rows.table.name,
            "class codes are declared",
            f"one of {', '.join(codes)}",
            "other codes",
            "Declare them in levels, or as missing.",
            column=spec.event,
            rows=rows.position[undeclared],
        )
    label = np.where(undeclared, _NOTED, np.where(np.isnan(values), UNKNOWN, values)).astype(np.int64)
    _, first = np.unique(at, return_index=True)
    labels = np.full(len(reading.patients), UNKNOWN, dtype=np.int64)
    labels[at[first]] = label[first]
    differ = labels[at] != label
    if differ.any():
        reading.findings.add(
            rows.table.name,
            "a patient has one class",
            "rows of one patient that agree",
            "rows that differ",
            "Choose the row that counts with where.",
            column=spec.event,
            rows=rows.position[differ],
        )
    return Classes(spec, labels)
