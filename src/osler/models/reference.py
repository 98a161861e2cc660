"""Reference: what is known of patients in general at a landmark, and nothing of the patient at hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.cohort.landmark import Landmark
from osler.features.grid import training_landmarks
from osler.models.base import RiskModel
from osler.models.rows import nearest
from osler.survival.nonparametric import aalen_johansen

__all__ = ["Reference"]

Floats = NDArray[np.float64]
_Z90 = 1.6448536269514722


class Reference(RiskModel):
    """The Aalen-Johansen estimator among training patients at risk at the landmark: the null of every skill score.

    Curves are held for the landmarks of the question and moments between them; the nearest one answers. Bands are
    pointwise on the scale log(-log(1 - incidence)). Aalen OO, Johansen S. Scand J Stat 1978;5:141-150.
    """

    name = "reference"
    label = "Reference (Aalen-Johansen)"

    def _fit(self, cohort: Cohort) -> None:
        asked = [moment for moment in self.question.landmarks if len(cohort.at(moment))]
        self._moments = sorted({*asked, *training_landmarks(cohort, self.question)})
        rows = [cohort.at(moment).outcome for moment in self._moments]
        curves = [aalen_johansen(o.time, o.event, self.question.grid, len(o.causes)) for o in rows if o is not None]
        self._incidence = np.stack([incidence for incidence, _ in curves])
        self._bands = np.stack([_band(incidence, error) for incidence, error in curves])

    def _predict(self, landmark: Landmark) -> tuple[Floats, Floats, Floats]:
        which = nearest(self._moments, landmark.time)
        return self._incidence[which], self._bands[which, 0], self._bands[which, 1]

    def state(self) -> dict[str, Any]:
        """Curves by moment."""
        return {"moments": self._moments, "incidence": self._incidence, "bands": self._bands}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self._moments = [float(moment) for moment in state["moments"]]
        self._incidence, self._bands = state["incidence"], state["bands"]


def _band(incidence: Floats, error: Floats) -> Floats:
    """(2, K, T) lower and upper bounds; where nothing has happened yet both are zero."""
    inside = (incidence > 0) & (incidence < 1)
    p = np.where(inside, incidence, 0.5)
    centre = np.log(-np.log1p(-p))
    half = _Z90 * error / ((1 - p) * -np.log1p(-p))
    bounds = -np.expm1(-np.exp(np.stack([centre - half, centre + half])))
    return np.where(inside, bounds, incidence)
