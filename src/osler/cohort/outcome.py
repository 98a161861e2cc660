"""Outcome: follow-up time and event code of every patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osler.errors import UsageError

__all__ = ["Outcome"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Follow-up of n patients (or of n rows, a patient at a landmark each).

    Attributes:
        time: (n,) float64, days from the time origin (or the landmark) to the first event or the end of follow-up.
        event: (n,) int64; 0 censored, 1 the event of interest, 2.. competing events.
        causes: names of codes 1, 2, ...
    """

    time: NDArray[np.float64]
    event: NDArray[np.int64]
    causes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.time.shape != self.event.shape or self.time.ndim != 1:
            raise UsageError(f"outcome times {self.time.shape} and events {self.event.shape} must be equally long")
        if not np.isfinite(self.time).all():
            raise UsageError("outcome times must be finite")
        if self.event.size and (self.event.min() < 0 or self.event.max() > len(self.causes)):
            raise UsageError(f"event codes must lie between 0 and {len(self.causes)}")

    def __len__(self) -> int:
        return len(self.time)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Outcome:
        """The outcomes of some rows, by position or mask."""
        return Outcome(self.time[index], self.event[index], self.causes)

    def since(self, landmark: NDArray[np.float64] | float) -> Outcome:
        """The same outcomes, counted from ``landmark`` (a number, or one per row)."""
        return Outcome(self.time - landmark, self.event, self.causes)

    def events(self) -> dict[str, int]:
        """How many events of each cause."""
        return {name: int((self.event == code).sum()) for code, name in enumerate(self.causes, 1)}
