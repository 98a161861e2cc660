"""Declared actions: what can be done for a patient, for whom, and the published effect behind it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from osler.cohort.specs import Condition, Name

__all__ = ["ActionSpec", "ContraindicationSpec", "EffectSpec"]


class EffectSpec(BaseModel):
    """A published relative effect; below 1 the event becomes rarer.

    Attributes:
        measure: what ``value`` is.
        value, lower, upper: estimate and its interval of level ``confidence``, all above 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    measure: Literal["hazard ratio", "risk ratio", "odds ratio"] = "hazard ratio"
    value: float = Field(gt=0, lt=1000)
    lower: float = Field(gt=0, lt=1000)
    upper: float = Field(gt=0, lt=1000)
    confidence: float = Field(0.95, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _ordered(self) -> EffectSpec:
        if not self.lower <= self.value <= self.upper:
            raise ValueError("an effect lies inside its interval: lower <= value <= upper")
        return self


class ContraindicationSpec(BaseModel):
    """A reason against an action."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: Condition
    reason: Name


class ActionSpec(BaseModel):
    """One ``[[actions]]`` entry.

    Conditions speak of the last values known at the landmark, by variable name and category label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    source: Literal["evidence"] = Field("evidence", description="Where the effect comes from.")
    modifies: str | None = Field(None, description="The variable it acts on, shown with the action.")
    where: Condition | None = Field(None, description="Who it is for; everyone if not given.")
    contraindicated: tuple[ContraindicationSpec, ...] = ()
    cause: str | None = Field(None, description="The event it acts on; the event of interest if not given.")
    effect: EffectSpec
    citation: Name
    note: str = ""
