"""Simulation: the parameters of a cohort whose truth is known, each with the reason for its default."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["Simulation"]

#: Genes of one co-regulated module; the first ``CAUSAL`` of a prognostic module drive the risk.
MODULE_SIZE, CAUSAL = 20, 5


class Simulation(BaseModel):
    """What to simulate. Times are in years; effects are log hazard ratios per standard deviation of a trait.

    The disease is imaginary: patients under surveillance start (or do not start) a new treatment at the time origin and
    are followed to progression (the event of interest), death without progression, or censoring.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patients: int = Field(
        1000,
        ge=20,
        le=1_000_000,
        description="Patients. 1,000: a usual single-centre cohort; a study of it stays quick.",
    )
    seed: int = Field(20240, ge=0, description="Seed of everything drawn; the same seed gives the same bytes.")
    years: float = Field(
        12.0, gt=1, le=40, description="Years from the first entry to the end of the study: covers landmark 4 y + 5 y."
    )
    accrual: float = Field(
        3.0,
        ge=0,
        description="Years over which patients enter, so that administrative censoring is spread, not a cliff.",
    )
    dropout: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Yearly hazard of leaving the study, independent of risk: Kaplan-Meier weights hold.",
    )
    assignment: Literal["randomised", "confounded"] = Field(
        "randomised",
        description="Who is treated: a coin, or (confounded) sicker and older patients, by recorded variables alone.",
    )
    benefit: float = Field(
        0.45,
        ge=-2,
        le=2,
        description="Mean log hazard ratio of treatment on progression, sign reversed: 0.45 is HR 0.64.",
    )
    heterogeneity: float = Field(
        0.35, ge=0, le=2, description="SD of that log hazard ratio over patients: 0.35 harms about one in ten."
    )
    genome_effect: float = Field(
        0.75, ge=0, le=3, description="Risk that shows only in the genome: 15 genes in three co-regulated modules."
    )
    lesion_effect: float = Field(
        0.8, ge=0, le=3, description="Risk that shows only in the pixels: size and spiculation of the lesion."
    )
    course_effect: float = Field(
        0.6, ge=0, le=3, description="Risk that shows only in the course: the slope of the marker, whatever its level."
    )
    missingness: float = Field(
        0.12, ge=0, lt=0.9, description="Share of laboratory values missing at a visit of an average patient."
    )
    informative: float = Field(
        0.7,
        ge=0,
        le=3,
        description="How much less often labs are missing, and how much sooner visits come, when sicker.",
    )
    noise: float = Field(
        1.0,
        ge=0,
        le=10,
        description="Scale of every measurement error; at 1 a slope over two years is 90 % signal.",
    )
    genes: int = Field(
        300, ge=4 * MODULE_SIZE, le=30_000, description="Measured genes, in modules of 20: a targeted panel; 15 matter."
    )
    image_size: int = Field(
        32, ge=16, le=256, description="Height and width of the pictures in pixels: small enough for a CNN on a laptop."
    )
    later_images: float = Field(
        0.2, ge=0, le=1, description="Chance of a picture at a visit after the first: about two pictures a patient."
    )
    landmarks: tuple[float, ...] = Field((0.0, 2.0, 4.0), min_length=1, description="Moments of prediction, in years.")
    horizons: tuple[float, ...] = Field(
        (2.0, 5.0), min_length=1, description="How far ahead risks are asked, in years."
    )

    @field_validator("landmarks", "horizons")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("must ascend, each moment once")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Simulation:
        if self.landmarks[0] < 0 or self.horizons[0] <= 0:
            raise ValueError("landmarks start at 0 or later and horizons are longer than nothing")
        if self.accrual >= self.years:
            raise ValueError("patients must enter before the study ends: accrual < years")
        return self
