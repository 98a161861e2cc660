"""Latent: the hidden traits of simulated patients, and the hazards they cause."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from osler.cohort.simulation import CAUSAL, MODULE_SIZE, Simulation

__all__ = ["ACTIONS", "CAUSES", "GROWTH", "Latent", "draw_latent", "log_hazards"]

Floats = NDArray[np.float64]

CAUSES = ("progression", "death")
#: Log hazard ratios of progression for what a plan may change; the manifest declares exactly these.
SMOKING, PRESSURE_PER_10 = float(np.log(1.8)), 0.18
ACTIONS = {"stop_smoking": -SMOKING, "lower_pressure": -PRESSURE_PER_10}
#: Growth of the marker per year for one SD of slope, in SDs of its level between patients.
GROWTH = 0.35
#: Correlation of two genes of one module.
MODULE_CORRELATION = 0.6
#: Causal weights within a module: unequal, of one sign, so that a module's mean already tells most of it.
WEIGHTS = np.array([1.0, 0.8, 1.2, 0.6, 1.4])[:CAUSAL]
_MODULE_SD = float(np.sqrt((1 - MODULE_CORRELATION) * (WEIGHTS**2).sum() + MODULE_CORRELATION * WEIGHTS.sum() ** 2))


@dataclass(frozen=True, eq=False)
class Latent:
    """What is true of n patients, by position; (n,) float64 unless said otherwise.

    Attributes:
        age: years at the time origin. male, smoker, diabetes: 0 or 1. stage: 0, 1, 2 (higher is worse). bmi: kg/m2.
        pressure, pressure_slope: true systolic pressure at the time origin in mm[Hg], and its change per year.
        frailty: standard normal; lowers albumin and hastens death, never progression.
        level, slope: standard normal, independent; the marker is ``level + GROWTH * slope * years`` (higher is worse).
        genome: standard normal score of the 15 causal genes; higher is worse.
        module: standard normal score of the genes that modify the treatment; higher is more benefit.
        lesion: standard normal trait of the pictures; larger and more spiculated is higher and worse.
        propensity: probability of being treated. treated: 0 or 1.
        log_hr: the patient's own log hazard ratio of treatment on progression; negative is benefit.
    """

    age: Floats
    male: Floats
    smoker: Floats
    diabetes: Floats
    bmi: Floats
    stage: Floats
    pressure: Floats
    pressure_slope: Floats
    frailty: Floats
    level: Floats
    slope: Floats
    genome: Floats
    module: Floats
    lesion: Floats
    propensity: Floats
    treated: Floats
    log_hr: Floats

    def __len__(self) -> int:
        return len(self.age)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Latent:
        """Some of the patients, by position (repeats allowed) or mask."""
        return Latent(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def marker(self, years: Floats) -> Floats:
        """(n, T) true marker at ``years`` (T,) or (n, T) since the time origin, in SDs of its level."""
        return self.level[:, None] + GROWTH * self.slope[:, None] * np.atleast_1d(years)

    def systolic(self, years: Floats) -> Floats:
        """(n, T) true systolic pressure in mm[Hg]."""
        return self.pressure[:, None] + self.pressure_slope[:, None] * np.atleast_1d(years)


def draw_latent(simulation: Simulation, rng: np.random.Generator) -> tuple[Latent, NDArray[np.float32]]:
    """Traits of every patient and the (n, genes) expression they carry, standard normal per gene."""
    n = simulation.patients
    expression, genome, module = _genome(n, simulation.genes, rng)
    age = np.clip(rng.normal(62, 10, n), 30, 92).round(1)
    male, smoker = (rng.random(n) < 0.5).astype(float), (rng.random(n) < 0.3).astype(float)
    diabetes = (rng.random(n) < 0.15).astype(float)
    stage = rng.choice([0.0, 1.0, 2.0], n, p=[0.45, 0.35, 0.2])
    pressure = 134 + 0.4 * (age - 62) + rng.normal(0, 14, n)
    level = rng.standard_normal(n)
    propensity = np.full(n, 0.5)
    if simulation.assignment == "confounded":
        propensity = 1 / (1 + np.exp(-(1.2 * (stage - 0.75) + 0.03 * (age - 62) + 0.5 * diabetes)))
    # Benefit grows with a gene module that does not predict the outcome, and with the level of the marker.
    log_hr = -simulation.benefit - simulation.heterogeneity * (0.8 * module + 0.6 * level)
    latent = Latent(
        age=age,
        male=male,
        smoker=smoker,
        diabetes=diabetes,
        bmi=np.clip(rng.normal(27 + 2 * diabetes, 4, n), 15, 55),
        stage=stage,
        pressure=np.clip(pressure, 95, 215),
        pressure_slope=rng.normal(0.5, 0.8, n),
        frailty=rng.standard_normal(n),
        level=level,
        slope=rng.standard_normal(n),
        genome=genome,
        module=module,
        lesion=rng.standard_normal(n),
        propensity=propensity,
        treated=(rng.random(n) < propensity).astype(float),
        log_hr=log_hr,
    )
    return latent, expression


def _genome(n: int, genes: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], Floats, Floats]:
    """Expression in modules, the prognostic score (modules 0 to 2) and the treatment-modifying score (module 3)."""
    modules = -(-genes // MODULE_SIZE)
    activity = rng.standard_normal((n, modules), dtype=np.float32)
    own = rng.standard_normal((n, genes), dtype=np.float32)
    shared = np.float32(np.sqrt(MODULE_CORRELATION))
    expression = shared * np.repeat(activity, MODULE_SIZE, axis=1)[:, :genes] + np.sqrt(1 - shared**2) * own
    scores = [
        expression[:, m * MODULE_SIZE : m * MODULE_SIZE + CAUSAL].astype(float) @ WEIGHTS / _MODULE_SD for m in range(4)
    ]
    return expression, (scores[0] + scores[1] - scores[2]) / np.sqrt(3.0), scores[3]


def log_hazards(latent: Latent, simulation: Simulation, years: Floats, treated: Floats | None = None) -> Floats:
    """(n, 2, T) log hazard per year of progression and of death at ``years`` (T,) since the time origin.

    Args:
        latent: the patients.
        simulation: the sizes of the effects.
        years: moments at which the hazards are wanted.
        treated: (n,) 0 or 1 in place of the treatment really given.
    """
    treated = latent.treated if treated is None else treated
    fixed = (
        0.045 * (latent.age - 62)
        + 0.2 * latent.male
        + SMOKING * latent.smoker
        + 0.45 * latent.diabetes
        + simulation.genome_effect * latent.genome
        + simulation.lesion_effect * latent.lesion
        + simulation.course_effect * latent.slope
        + treated * latent.log_hr
    )
    fading = 0.9 * np.exp(-years / 10.0)  # what the stage at entry tells wears off: the effect is not proportional
    progression = (
        np.log(0.024)
        + fixed[:, None]
        + latent.stage[:, None] * fading
        + PRESSURE_PER_10 / 10 * (latent.systolic(years) - 135)
        + 0.3 * latent.marker(years)
    )
    ageing = 0.085 * (latent.age - 62) + 0.25 * latent.male + 0.6 * latent.frailty
    death = np.log(0.018) + ageing[:, None] + 0.085 * years
    return np.stack([progression, death], axis=1)
