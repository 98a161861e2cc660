"""Record features: what was measured once, at the time origin."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Variable
from osler.cohort.landmark import Landmark
from osler.features.column import Column
from osler.features.encoding import Encoding, MissingFlags, raw_values

__all__ = ["RecordFeatures"]

Floats = NDArray[np.float64]


class RecordFeatures:
    """Numbers scaled (see ``Scale``), flags and levels as indicators, a flag where more than 5 % is missing.

    Missing values become 0, the average of the training patients, or stay NaN with ``keep_missing`` (then there are
    no flags). Variables that do not vary among the training patients leave no column.
    """

    def __init__(self, *, keep_missing: bool, splines: int, clip: float) -> None:
        self.keep_missing, self.splines, self.clip = keep_missing, splines, clip

    def fit(self, landmark: Landmark) -> Self:
        """Learn from the patients who have a row, each counted once."""
        self._prepare(landmark.known.record_variables)
        values = _values(landmark.known, self.variables)[np.unique(landmark.patient)]
        for i, encoding in enumerate(self.encodings):
            encoding.fit(values[:, i], clip=self.clip, splines=self.splines)
        if not self.keep_missing:
            self.flags.fit(np.isnan(values), [v.modality for v in self.variables])
        return self

    def _prepare(self, variables: tuple[Variable, ...]) -> None:
        self.variables = variables
        self.encodings = [Encoding(v, "value", self.keep_missing) for v in variables]
        self.flags = MissingFlags()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The meaning of each column of ``transform``."""
        missing = [self.variables[i] for i in self.flags.kept]
        return (
            *(column for encoding in self.encodings for column in encoding.columns),
            *(Column(f"{v.name}.missing", v.modality, v.name, "missing") for v in missing),
        )

    def transform(self, landmark: Landmark) -> Floats:
        """(R, p) features of the rows."""
        values = _values(landmark.known, self.variables)
        parts = [encoding.transform(values[:, i]) for i, encoding in enumerate(self.encodings)]
        return np.column_stack([*parts, self.flags.transform(np.isnan(values))])[landmark.patient]

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"encodings": [e.state() for e in self.encodings], "flags": self.flags.state()}

    def restore(self, state: dict[str, Any], variables: tuple[Variable, ...]) -> Self:
        """Take back what ``state`` gave, for the same variables."""
        self._prepare(variables)
        for encoding, data in zip(self.encodings, state["encodings"], strict=True):
            encoding.restore(data)
        self.flags.restore(state["flags"])
        return self


def _values(known: Cohort, variables: tuple[Variable, ...]) -> Floats:
    """(n, variables) raw values; a variable that the cohort lacks is missing."""
    out = np.empty((len(known), len(variables)))
    for i, variable in enumerate(variables):
        column = known.record.get(variable.name)
        out[:, i] = raw_values(column, variable, len(known))
    return out
