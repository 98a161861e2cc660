"""Explanation by time: which visit moved the risk, and what was found there.

A path from the typical patient to this one, in the order in which things became known: first the record, the genome
and which measurements there are, then visit after visit what was found. Until a visit has had its turn, it is taken to
have found what was last known (before the first measurement, the typical value), and its images are absent. A visit's
contribution is the change of the risk predicted at the landmark when its turn comes; within a visit it is shared among
what changed there by Shapley values. These are asymmetric Shapley values (Frye C, Rowat C, Feige I. NeurIPS 2020) for
the order of time: contributions sum to the difference from the typical patient, whatever the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Patient, Variable
from osler.models.base import RiskModel
from osler.models.blend import Part, Step, differences, filled, typical_state, worth
from osler.models.explain import known_of, value_text
from osler.models.shapley import game
from osler.units import days

__all__ = ["VisitExplanation", "explain_visits"]

Masks = NDArray[np.bool_]

#: A longer course is told in so many steps, of neighbouring visits together.
_STEPS = 24
#: Synthetic patients asked about, for all steps together, about; and the fewest and most pairs of orders for it.
_ASKED, _FEWEST, _MOST = 4_096, 4, 64


@dataclass(frozen=True)
class VisitExplanation:
    """What each visit contributed to the risk of one cause at one horizon, predicted at one landmark.

    Attributes:
        steps: one row per step: step (0 is what does not depend on findings at visits: record, genome, and what was
            measured when), time (days from the time origin, of the last visit of the step; missing for step 0), visits
            (how many), contribution (absolute risk; positive raises it), risk (after the step).
        frame: one row per step and what changed in it: step, time, modality, variable, label, before and after (text),
            contribution, error (standard error of drawing orders); by step, the largest contribution first.
        patient_risk, typical_risk: their difference is the sum of the contributions, of either table.
    """

    steps: pd.DataFrame
    frame: pd.DataFrame
    patient_risk: float
    typical_risk: float

    @property
    def error(self) -> float:
        """Completeness error: how far the contributions are from summing to the difference; rounding only."""
        return float(abs(self.frame["contribution"].sum() - (self.patient_risk - self.typical_risk)))


def explain_visits(
    model: RiskModel,
    patient: Patient,
    at: float | str,
    *,
    horizon: float | str,
    cause: int = 1,
    random_state: int = 0,
) -> VisitExplanation:
    """Contributions of every visit up to the landmark, and of what was found there, to the risk predicted at it.

    Args:
        model: fitted.
        patient: at risk at ``at``; with many visits, neighbouring ones are told together, in at most 24 steps.
        at: landmark, days or "6y"; visits after it are not used.
        horizon: days ahead or "5y".
        cause: 1-based position among the model's causes.
        random_state: seed of the orders drawn within a visit at which much changed.

    Raises:
        UsageError: the patient's follow-up ended before the landmark.
        BeyondSupport: the horizon lies past the model's curve.
    """
    own = known_of(model, patient, at)
    typical = typical_state(own, model.typical_)
    groups = [group for group in np.array_split(np.arange(len(own.visits)), _STEPS) if len(group)]
    learned = [_learned(own, typical, 0), *(_learned(own, typical, int(group[-1]) + 1) for group in groups)]
    rng = np.random.default_rng(random_state)
    steps = [_step(*states, len(learned), rng) for states in zip([typical, *learned[:-1]], learned, strict=True)]
    risks = worth(model, steps, at, days(horizon), cause)
    for earlier, later in pairwise(risks):
        later[0] = earlier[-1]  # the same state; single precision may differ by a digit between places in a batch
    times = [np.nan, *(float(own.visits["time"].iloc[group[-1]]) for group in groups)]
    told = [
        _told(step, risk).assign(step=number, time=time)
        for number, (step, risk, time) in enumerate(zip(steps, risks, times, strict=True))
    ]
    frame = pd.concat(told, ignore_index=True)[["step", "time", *_COLUMNS]]
    after = np.array([risk[-1] for risk in risks])
    return VisitExplanation(
        steps=pd.DataFrame(
            {
                "step": np.arange(len(steps)),
                "time": times,
                "visits": [0, *map(len, groups)],
                "contribution": [risk[-1] - risk[0] for risk in risks],
                "risk": after,
            }
        ),
        frame=frame,
        patient_risk=float(after[-1]),
        typical_risk=float(risks[0][0]),
    )


def _learned(own: Cohort, typical: Cohort, visits: int) -> Cohort:
    """The patient when the findings of so many visits are known, and later ones have found what was last known."""
    turn = np.arange(len(own.visits)) < visits
    table = own.visits.copy()
    for variable in own.visit_variables:
        table[variable.name] = _carried(own.visits[variable.name], typical.visits[variable.name], turn, variable)
    images = {name: block.take(block.visit < visits) for name, block in own.images.items()}
    return replace(own, visits=table, images=images)


def _carried(course: pd.Series, usual: pd.Series, turn: Masks, variable: Variable) -> pd.Series:
    """The course with what is known by now at all later measurements; where nothing was measured, nothing is."""
    measured = course.notna().to_numpy()
    later = measured & ~turn
    known = course[measured & turn]
    return course.where(~later, filled(course, known.iloc[-1]) if len(known) else usual)


def _step(before: Cohort, after: Cohort, steps: int, rng: np.random.Generator) -> Step:
    """One of so many steps, with its share of what all may ask about."""
    parts = tuple(differences(before, after))
    pairs = int(np.clip(_ASKED / steps / (2 * max(len(parts) - 1, 1)), _FEWEST, _MOST))
    return Step(before, after, parts, game(len(parts), pairs, rng))


_COLUMNS = ("modality", "variable", "label", "before", "after", "contribution", "error")


def _told(step: Step, risk: NDArray[np.float64]) -> pd.DataFrame:
    """What changed in a step, the largest contribution first."""
    contribution, error = step.game.contributions(risk)
    rows = [
        (part.modality, part.name, *_words(part, step), float(value), float(doubt))
        for part, value, doubt in zip(step.parts, contribution, error, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS)).astype({"contribution": float, "error": float})
    return frame.sort_values("contribution", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def _words(part: Part, step: Step) -> tuple[str, ...]:
    """Label, and the value before and after, as text."""
    if part.kind == "genomics":
        return part.name, "not measured", f"{len(step.after.genomics[part.name].features)} features"
    if part.kind == "images":
        block = step.after.images[part.name]
        new = len(block.visit) - len(step.before.images[part.name].visit)
        return block.label or part.name, "not seen", f"{new} image{'s' if new > 1 else ''}"
    variable = step.after.variables[part.name]
    measured = [state.visits[part.name].notna() for state in (step.before, step.after) if part.kind == "visits"]
    if measured and not measured[0].equals(measured[1]):
        return variable.label, *(f"measured at {found.sum()} of {len(found)} visits" for found in measured)
    tables = (state.record if part.kind == "record" else state.visits for state in (step.before, step.after))
    values = [table[part.name].iloc[-1 if part.kind == "record" else _last(table[part.name])] for table in tables]
    return variable.label, *(value_text(variable, value) for value in values)


def _last(course: pd.Series) -> int:
    """Position of the last measurement; the last position where there is none."""
    measured = np.flatnonzero(course.notna())
    return int(measured[-1]) if len(measured) else len(course) - 1
