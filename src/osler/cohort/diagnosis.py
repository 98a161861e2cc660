"""Diagnosis: the class of every patient, where what is asked has no time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osler.errors import UsageError

__all__ = ["UNKNOWN", "Diagnosis"]

#: The code of a patient whose class is not known.
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Classes of n patients.

    Attributes:
        name: what is diagnosed, in the words of reports.
        classes: C names, at least two, in the order of their codes.
        label: (n,) int64, 0 to C - 1, or ``UNKNOWN``.
        positive: code of the class whose probability is meant where one number is told, such as the disease.
    """

    name: str
    classes: tuple[str, ...]
    label: NDArray[np.int64]
    positive: int

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise UsageError(f"a diagnosis needs two classes or more of different names, found {len(self.classes)}")
        if self.label.ndim != 1 or (
            self.label.size and not UNKNOWN <= self.label.min() <= self.label.max() < len(self.classes)
        ):
            raise UsageError(f"class codes must be one for each patient, from {UNKNOWN} to {len(self.classes) - 1}")
        if not 0 <= self.positive < len(self.classes):
            raise UsageError(f"the positive class must be one of the codes 0 to {len(self.classes) - 1}")

    def __len__(self) -> int:
        return len(self.label)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n,) whether the class is known."""
        return self.label != UNKNOWN

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Diagnosis:
        """The classes of some patients, by position or mask."""
        return Diagnosis(self.name, self.classes, self.label[index], self.positive)

    def withheld(self) -> Diagnosis:
        """The same patients with nobody's class told."""
        return Diagnosis(self.name, self.classes, np.full(len(self), UNKNOWN), self.positive)

    def counts(self) -> dict[str, int]:
        """How many patients are known to be of each class."""
        return {name: int((self.label == code).sum()) for code, name in enumerate(self.classes)}
