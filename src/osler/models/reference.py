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
        curves = [_aalen_johansen(o.time, o.event, self.question.grid, len(o.causes)) for o in rows if o is not None]
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


def _aalen_johansen(time: Floats, event: NDArray[np.int64], grid: Floats, n_causes: int) -> tuple[Floats, Floats]:
    """(K, T) cumulative incidence and its standard error (delta method)."""
    moments = np.unique(time[event > 0])
    at_risk = (len(time) - np.searchsorted(np.sort(time), moments, "left")).astype(float)
    codes = np.arange(1, n_causes + 1)[:, None]
    deaths = np.stack([((event == code) & (time == moments[:, None])).sum(axis=1) for code in codes[:, 0]]).astype(
        float
    )
    total = deaths.sum(axis=0)
    free = np.concatenate([[1.0], np.cumprod(1 - total / at_risk)])[:-1]
    incidence = np.cumsum(free * deaths / at_risk, axis=1)
    at = np.searchsorted(moments, grid, "right")
    on_grid = np.concatenate([np.zeros((n_causes, 1)), incidence], axis=1)[:, at]
    later = np.where(np.arange(len(moments)) < at[:, None], 1.0, 0.0)  # (T, J)
    gain = (on_grid[:, :, None] - incidence[:, None, :]) * later
    leave = np.divide(total, at_risk * (at_risk - total), out=np.zeros_like(total), where=at_risk > total)
    own = free**2 * (at_risk - deaths) * deaths / at_risk**3
    cross = free * deaths / at_risk**2
    variance = (gain**2 * leave).sum(axis=2) + own @ later.T - 2 * (gain * cross[:, None, :]).sum(axis=2)
    return on_grid, np.sqrt(np.maximum(variance, 0.0))
