"""Landmark: what is known of the patients at risk at a moment of prediction, and their follow-up from there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from osler.cohort.outcome import Outcome

if TYPE_CHECKING:
    from osler.cohort.cohort import Cohort

__all__ = ["Landmark"]


@dataclass(frozen=True, eq=False)
class Landmark:
    """R rows, each one patient at one moment of prediction.

    ``known`` holds nothing later than a patient's latest row, and row r may use only its own visits, those at
    positions ``start[r]:stop[r]`` of ``known.visits``: everything on or before the landmark, in time order.

    Attributes:
        time: (R,) landmark in days from the time origin.
        patient: (R,) positions in ``known`` (equal to those of the cohort asked).
        known: the cohort without outcome, with visits up to each patient's latest landmark here.
        start, stop: (R,) the row's visits; ``start == stop`` when there were none yet.
        outcome: follow-up counted from the landmark, or None when unknown.
    """

    time: NDArray[np.float64]
    patient: NDArray[np.int64]
    known: Cohort
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    outcome: Outcome | None

    @classmethod
    def of(cls, cohort: Cohort, moments: list[float], *, at_risk: bool = True) -> Landmark:
        """Rows of ``cohort`` at each of ``moments`` (days); see ``Cohort.at``."""
        everyone = np.arange(len(cohort))
        patients, times = [], []
        for moment in moments:
            here = everyone
            if at_risk and cohort.outcome is not None:
                here = everyone[cohort.outcome.time > moment]
            patients.append(here)
            times.append(np.full(len(here), float(moment)))
        patient = np.concatenate(patients).astype(np.int64) if patients else everyone[:0]
        time = np.concatenate(times) if times else np.empty(0)

        latest = np.full(len(cohort), -np.inf)
        np.maximum.at(latest, patient, time)
        owner, when = cohort.visits["patient"].to_numpy(), cohort.visits["time"].to_numpy()
        known = replace(cohort.keep_visits(when <= latest[owner]), outcome=None, diagnosis=None)
        start, stop = _prefixes(known, patient, time)
        outcome = None if cohort.outcome is None else cohort.outcome.take(patient).since(time)
        return cls(time=time, patient=patient, known=known, start=start, stop=stop, outcome=outcome)

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Landmark:
        """Some of the rows, by position or mask."""
        outcome = None if self.outcome is None else self.outcome.take(rows)
        return Landmark(self.time[rows], self.patient[rows], self.known, self.start[rows], self.stop[rows], outcome)


def _prefixes(
    known: Cohort, patient: NDArray[np.int64], time: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First visit of each row's patient, and one past the last visit on or before the row's landmark."""
    owner, when = known.visits["patient"].to_numpy(), known.visits["time"].to_numpy()
    start = np.searchsorted(owner, patient, "left").astype(np.int64)
    # One sort over (patient, time) answers all rows; a landmark sorts after visits of its own moment.
    keys = np.concatenate([owner, patient])
    order = np.lexsort((np.repeat([0, 1], [len(owner), len(patient)]), np.concatenate([when, time]), keys))
    is_visit = order < len(owner)
    seen = np.cumsum(is_visit)
    stop = np.empty(len(patient), dtype=np.int64)
    stop[order[~is_visit] - len(owner)] = seen[~is_visit]
    return start, stop
