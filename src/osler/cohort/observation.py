"""What is measured of simulated patients: record, irregular visits with informative gaps, genome, pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.latent import Latent
from osler.cohort.simulation import Simulation
from osler.units import DAYS_PER

__all__ = ["expression_table", "image_table", "record_table", "visit_table"]

Floats = NDArray[np.float64]
YEAR = DAYS_PER["y"]

STAGES = np.array(["I", "II", "III"], dtype=object)
#: Years before the time origin at which patients under surveillance were seen already.
RUN_IN = (-2.0, -1.3, -0.6)
MARKER_ERROR = 0.15
_SHORTEST_GAP = 14 / YEAR


def record_table(
    latent: Latent, simulation: Simulation, patients: NDArray[np.object_], rng: np.random.Generator
) -> pd.DataFrame:
    """One row per patient: what is known at the time origin; the body mass index of some is missing, for no reason."""
    bmi = latent.bmi.round(1)
    bmi[rng.random(len(latent)) < simulation.missingness / 2] = np.nan
    pressure = latent.pressure + 5 * simulation.noise * rng.standard_normal(len(latent))
    return pd.DataFrame(
        {
            "patient": patients,
            "age": latent.age,
            "sex": np.where(latent.male == 1, "M", "F"),
            "smoker": latent.smoker.astype(np.int64),
            "diabetes": latent.diabetes.astype(np.int64),
            "bmi": bmi,
            "stage": STAGES[latent.stage.astype(np.int64)],
            "entry_sbp": np.clip(pressure.round(), 70, 260),
            "treated": latent.treated.astype(np.int64),
        }
    )


def visit_table(
    latent: Latent,
    simulation: Simulation,
    patients: NDArray[np.object_],
    end: Floats,
    entry_pressure: Floats,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Long table patient, day, marker, albumin, creatinine, sbp; ``end`` (n,) is the last day of follow-up.

    Everybody is seen on day 0 (with the pressure of the record), most were seen up to three times in the two years
    before, and later visits follow at gaps of about eight months. Sicker patients (a high marker) come sooner, and
    their labs are less often missing: both are informative.
    """
    who, day = _schedule(latent, simulation, end, rng)
    order = np.lexsort((day, who))
    who, day = who[order], day[order]
    here, years = latent.take(who), day / YEAR
    m, noise = len(who), simulation.noise
    marker = here.marker(years[:, None])[:, 0]
    usual_creatinine = rng.normal(0, 12, len(latent))[who]
    values = {
        "marker": np.exp(2 + 0.5 * (marker + MARKER_ERROR * noise * rng.standard_normal(m))).round(2),
        "albumin": (41 - 2.5 * here.frailty + 1.2 * noise * rng.standard_normal(m)).round(1),
        "creatinine": (82 + 0.4 * (here.age - 62) + usual_creatinine + 6 * noise * rng.standard_normal(m)).round(),
        "sbp": (here.systolic(years[:, None])[:, 0] + 5 * noise * rng.standard_normal(m)).round().clip(70, 260),
    }
    values["sbp"] = np.where(day == 0, entry_pressure[who], values["sbp"])
    odds = simulation.missingness / (1 - simulation.missingness) * np.exp(-simulation.informative * _severity(marker))
    for name in ("marker", "albumin", "creatinine"):
        values[name] = np.where(rng.random(m) < odds / (1 + odds), np.nan, values[name])
    return pd.DataFrame({"patient": patients[who], "day": day.astype(np.int64), **values})


def _severity(marker: Floats) -> Floats:
    """How ill a patient feels: the true marker, within two SDs."""
    return np.clip(marker, -2, 2)


def _schedule(
    latent: Latent, simulation: Simulation, end: Floats, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Floats]:
    """Patient (position) and day of every visit, none on or after the end of follow-up."""
    n = len(latent)
    everyone = np.arange(n)
    who, when = [everyone], [np.zeros(n)]
    for moment in RUN_IN:
        seen = rng.random(n) < 1 / (1 + np.exp(-2.0 - simulation.informative * _severity(latent.level)))
        who.append(everyone[seen])
        when.append((moment + rng.uniform(-0.15, 0.15, n))[seen])
    now = np.zeros(n)
    while True:
        ill = _severity(latent.marker(now[:, None])[:, 0])
        gap = rng.gamma(6.0, 0.7 / 6, n) * np.exp(-0.4 * simulation.informative * ill)
        now = now + np.maximum(gap, _SHORTEST_GAP)
        seen = np.floor(now * YEAR) < end
        if not seen.any():
            break
        who.append(everyone[seen])
        when.append(now[seen])
    return np.concatenate(who), np.floor(np.concatenate(when) * YEAR)


def expression_table(
    expression: NDArray[np.float32], latent: Latent, patients: NDArray[np.object_], rng: np.random.Generator
) -> pd.DataFrame:
    """Patients x genes (float32); no row for those without a sample, more often the old."""
    absent = rng.random(len(latent)) < 0.05 * np.exp(0.03 * (latent.age - 62))
    genes = pd.DataFrame(expression[~absent].round(3), columns=[f"G{i:05d}" for i in range(1, expression.shape[1] + 1)])
    genes.insert(0, "patient", patients[~absent])
    return genes


def image_table(visits: pd.DataFrame, simulation: Simulation, rng: np.random.Generator) -> pd.DataFrame:
    """Index of pictures: patient, day, file; nearly all on day 0, and some at later visits."""
    day = visits["day"].to_numpy()
    chance = np.select([day == 0, day > 0], [0.95, simulation.later_images], 0.0)
    index = visits.loc[rng.random(len(visits)) < chance, ["patient", "day"]].reset_index(drop=True)
    index["file"] = index["patient"].astype(str) + "_" + index["day"].astype(str).str.zfill(5) + ".png"
    return index
