"""CaseCohort: which patients of a very large cohort a model learns from, and what each of them stands for.

Events are what is learned from. All patients with one are kept, or as many as fill half of the places, and the others
are drawn at random; the follow-up of those drawn counts for those left out, so that rates stay what they were.
Prentice RL. Biometrika 1986;73:1-11; weights as in Barlow WE et al. J Clin Epidemiol 1999;52:1165-1172.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osler.cohort.outcome import Outcome

__all__ = ["CaseCohort"]


@dataclass(frozen=True, eq=False)
class CaseCohort:
    """A sample of n patients.

    Attributes:
        patient: (m,) positions of those drawn, ascending.
        weight: (m,) how many patients' follow-up each one's counts for, relative to those with an event: at least 1.
        note: the sample in words; empty when everybody is in it.
    """

    patient: NDArray[np.int64]
    weight: NDArray[np.float64]
    note: str

    @classmethod
    def draw(cls, outcome: Outcome, most: int, random_state: int) -> CaseCohort:
        """At most ``most`` patients; everybody, where there are no more."""
        n, case = len(outcome), outcome.event > 0
        if n <= most:
            return cls(np.arange(n), np.ones(n), "")
        cases, others = np.flatnonzero(case), np.flatnonzero(~case)
        kept = min(len(cases), max(most // 2, round(most * len(cases) / n)))
        drawn = min(most - kept, len(others))
        rng = np.random.default_rng(random_state)
        chosen = [rng.choice(group, size, replace=False) for group, size in ((cases, kept), (others, drawn))]
        patient = np.sort(np.concatenate(chosen))
        ratio = (len(others) / max(drawn, 1)) / (len(cases) / kept) if kept else 1.0
        weight = np.where(case[patient], 1.0, max(ratio, 1.0))
        note = (
            f"Learned from {kept + drawn:,} of {n:,} patients: {kept:,} of the {len(cases):,} with an event, and "
            f"{drawn:,} of the others, the follow-up of each counting {max(ratio, 1.0):.3g} times."
        )
        return cls(patient, weight, note)
