"""ClassRisk: the probability of each class, patient by patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osler.errors import ModelError

__all__ = ["ClassRisk"]

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class ClassRisk:
    """Probabilities of C classes for n patients.

    Attributes:
        patients: (n,) identifiers, in the order of the cohort asked.
        classes: C names.
        probability: (n, C) float64 in [0, 1]; every row sums to one.
    """

    patients: NDArray[np.object_]
    classes: tuple[str, ...]
    probability: NDArray[np.float64]

    def __post_init__(self) -> None:
        p = self.probability
        if p.shape != (len(self.patients), len(self.classes)):
            raise ModelError(f"{p.shape} probabilities for {len(self.patients)} patients, {len(self.classes)} classes")
        if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(axis=1), 1.0, rtol=0, atol=_ROUNDING)):
            raise ModelError("probabilities of classes must lie between 0 and 1 and sum to one")

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def likeliest(self) -> NDArray[np.int64]:
        """(n,) code of the most probable class; the first of equals."""
        return self.probability.argmax(axis=1)

    def of(self, name: str) -> NDArray[np.float64]:
        """(n,) probability of the class called ``name``; raises ModelError when there is none."""
        if name not in self.classes:
            raise ModelError(f"no class is called {name!r}: there are {', '.join(self.classes)}")
        return self.probability[:, self.classes.index(name)]
