"""Explanation: what makes a patient's predicted risk differ from that of the typical patient.

Baseline Shapley values (Shapley 1953; Strumbelj and Kononenko 2014; Sundararajan and Najmi 2020): every variable is a
player that is either the patient's own or the typical patient's; a player's contribution is its mean effect on the
predicted risk over the orders in which players may join. Contributions sum to the difference but for rounding. The same
for every RiskModel, whatever is inside. They describe the model, not causes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Patient, Variable
from osler.errors import UsageError
from osler.models.base import RiskModel
from osler.models.blend import Part, Step, typical_state, worth
from osler.units import days

__all__ = ["Explanation", "Scale", "explain", "known_of", "on_scale", "value_text"]

#: Pairs of orders drawn: coalitions of up to ten variables are all asked about.
PAIRS = 64

Floats = NDArray[np.float64]
#: "risk": absolute risk. "log_hazard": its complementary log-log, log(-log(1 - risk)); of proportional hazards without
#: competing causes the linear predictor but for a constant, so that contributions are coefficient times difference.
Scale = Literal["risk", "log_hazard"]

_SURE = 1e-12  # risks are kept so far from 0 and 1 where logarithms are taken


@dataclass(frozen=True)
class Explanation:
    """Contributions to one patient's risk of one cause at one horizon.

    Attributes:
        frame: modality, variable, label, value and typical (text), contribution (absolute risk, or what ``scale`` says;
            positive raises it), error (standard error of drawing orders, 0 when exact); the largest contribution first.
        patient_risk, typical_risk: their difference, on the scale, is the sum of the contributions.
        scale: "risk" or "log_hazard".
    """

    frame: pd.DataFrame
    patient_risk: float
    typical_risk: float
    scale: Scale = "risk"

    @property
    def by_modality(self) -> pd.DataFrame:
        """Sum of contributions by modality, the largest first."""
        summed = self.frame.groupby("modality", sort=False)["contribution"].sum().reset_index()
        return summed.sort_values("contribution", key=np.abs, ascending=False, ignore_index=True)

    @property
    def difference(self) -> float:
        """What is explained: the patient's risk minus the typical patient's, on the scale."""
        change = on_scale(self.scale)
        return float(np.diff(change(np.array([self.typical_risk, self.patient_risk])))[0])

    @property
    def error(self) -> float:
        """Completeness error: how far the contributions are from summing to the difference; rounding only."""
        return float(abs(self.frame["contribution"].sum() - self.difference))


def explain(
    model: RiskModel,
    patient: Patient,
    at: float | str,
    *,
    horizon: float | str,
    cause: int = 1,
    scale: Scale = "risk",
    permutations: int = PAIRS,
    random_state: int = 0,
) -> Explanation:
    """Contributions of every variable, genomic block and image to a patient's risk, against the typical patient.

    A visit variable's whole course is replaced by the typical value at the patient's own visits; a genomic block or
    an image is present or absent. What equals the typical patient's contributes nothing and is not listed.

    Args:
        model: fitted.
        patient: at risk at ``at``.
        at: landmark, days or "6y".
        horizon: days ahead or "5y".
        cause: 1-based position among the model's causes.
        scale: of the contributions: "risk" or "log_hazard".
        permutations: orders drawn (at least 2), each used forwards and backwards; not needed where enumerating all
            coalitions costs no more, with the default up to ten players.
        random_state: seed of the orders.

    Raises:
        UsageError: the patient's follow-up ended before the landmark.
        BeyondSupport: the horizon lies past the model's curve.
    """
    own = known_of(model, patient, at)
    rng = np.random.default_rng(random_state)
    step = Step.between(typical_state(own, model.typical_), own, permutations, rng)
    (risk,) = worth(model, [step], at, days(horizon), cause)
    contribution, error = step.game.contributions(on_scale(scale)(risk))
    told = [(part.modality, part.name, *_told(part, own, model.typical_)) for part in step.parts]
    frame = pd.DataFrame(told, columns=["modality", "variable", "label", "value", "typical"])
    frame = frame.assign(contribution=contribution, error=error)
    return Explanation(
        frame=frame.sort_values("contribution", key=np.abs, ascending=False, ignore_index=True, kind="stable"),
        patient_risk=float(risk[-1]),
        typical_risk=float(risk[0]),
        scale=scale,
    )


def known_of(model: RiskModel, patient: Patient, at: float | str) -> Cohort:
    """What the model may know of a patient at the landmark: a cohort of one without outcome.

    Raises:
        UsageError: the patient's follow-up ended before the landmark.
    """
    landmark = model.schema_.conform(patient.cohort).at(at)
    if not len(landmark):
        raise UsageError(f"the follow-up of patient {patient.pseudonym} ended before the landmark")
    return landmark.known


def on_scale(scale: Scale) -> Callable[[Floats], Floats]:
    """The function from risks to the scale of contributions; raises UsageError for a scale that there is not."""
    if scale == "risk":
        return lambda risk: risk
    if scale == "log_hazard":
        return lambda risk: np.log(-np.log1p(-np.clip(risk, _SURE, 1 - _SURE)))
    raise UsageError(f"no scale is called {scale!r}; there are 'risk' and 'log_hazard'")


def _told(part: Part, own: Cohort, typical: dict[str, float | str | None]) -> tuple[str, str, str]:
    """Label, value and typical value of what differs, as text."""
    if part.kind == "genomics":
        return part.name, f"{len(own.genomics[part.name].features)} features", "not measured"
    if part.kind == "images":
        block = own.images[part.name]
        taken = len(block.visit)
        return block.label or part.name, f"{taken} image{'s' if taken > 1 else ''}", "not measured"
    variable = own.variables[part.name]
    usual = value_text(variable, typical[part.name])
    if part.kind == "record":
        return variable.label, value_text(variable, own.record[part.name].iloc[0]), usual
    known = own.visits[part.name].dropna()
    last = value_text(variable, known.iloc[-1] if len(known) else None)
    return variable.label, last + (f" (last of {len(known)})" if len(known) > 1 else ""), usual


def value_text(variable: Variable, value: Any) -> str:
    """A value in words, with its unit."""
    if value is None or pd.isna(value):
        return "not measured"
    if variable.type == "category":
        return str(value)
    if variable.type == "flag":
        return "yes" if value else "no"
    return f"{value:.4g} {variable.unit}".rstrip()
