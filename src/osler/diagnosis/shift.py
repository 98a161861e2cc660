"""Shift: prior shift of every model of a study, and their probabilities put right where that is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osler.diagnosis.prior_shift import PriorShift, estimate_shares

__all__ = ["CORRECTED", "ShiftFindings", "find_shift", "told_shift"]

Floats = NDArray[np.float64]
#: What is put after a model's name where its probabilities were put right.
CORRECTED = ":corrected"


@dataclass(frozen=True, eq=False)
class ShiftFindings:
    """Class shares in training and among those who are tested.

    Attributes:
        estimates: by model, from its probabilities of the tested patients, whose classes were not used.
        observed: (C,) shares of the classes among the tested patients, as they turned out.
        used: by model the shares to which its probabilities were brought; empty where no correction was asked.
        source: "estimated", "given", or empty.
    """

    estimates: dict[str, PriorShift]
    observed: Floats
    used: dict[str, Floats]
    source: str

    @property
    def sentence(self) -> str:
        """Which models notice a shift, for a terminal; empty where none does."""
        return told_shift(self.estimates, corrected=bool(self.used))

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "estimates": {name: found.to_dict() for name, found in self.estimates.items()},
            "observed": [float(share) for share in self.observed],
            "used": {name: [float(share) for share in shares] for name, shares in self.used.items()},
            "source": self.source,
        }


def find_shift(
    everybody: Mapping[str, Floats],
    training: Mapping[str, Floats],
    observed: Floats,
    *,
    correct: bool,
    given: Floats | None,
    nothing: Sequence[str],
    level: float,
) -> ShiftFindings:
    """Estimate the shares by each model, and decide to which ones probabilities are brought.

    Args:
        everybody: by model (n, C) probabilities of all tested patients, those of unknown class included.
        training: by model (C,) class shares of its training patients.
        observed: (C,) shares among the tested.
        correct: whether probabilities are to be put right.
        given: (C,) shares to bring them to; None takes each model's own estimate.
        nothing: models that know nothing of a patient: their probabilities tell nothing of shares.
        level: of intervals.
    """
    estimates = {
        name: estimate_shares(p, training[name], level=level) for name, p in everybody.items() if name not in nothing
    }
    used: dict[str, Floats] = {}
    if given is not None:
        used = dict.fromkeys(everybody, given)
    elif correct:
        used = {name: found.shares for name, found in estimates.items()}
    source = "" if not used else "estimated" if given is None else "given"
    return ShiftFindings(estimates, observed, used, source)


def told_shift(estimates: Mapping[str, PriorShift], *, corrected: bool) -> str:
    """Which models notice a shift, and whether it was corrected; empty where none does."""
    seen = [(name, found) for name, found in estimates.items() if found.noticed]
    if not seen:
        return ""
    told = "; ".join(f"{name} estimates {_told(found.shares)}, p {found.p:.2g}" for name, found in seen)
    done = "" if corrected else " Nothing was corrected; --prior-shift does it."
    return f"Class shares have shifted from {_told(seen[0][1].training)} in training: {told}.{done}"


def _told(shares: Floats) -> str:
    return " / ".join(f"{100 * share:.0f}%" for share in shares)
