"""A cohort whose truth is known: all modalities, two competing causes, and the risk that each patient really had.

The risk of progression has parts that only one modality shows: fifteen genes, the shape of a lesion in pictures, the
slope of a marker over visits. What a model reports on such a cohort can be held against ``truth/``: true risks at every
landmark and horizon, under either treatment and under the declared actions, and each patient's true treatment effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from osler.cohort.latent import Latent, draw_latent
from osler.cohort.lesion import draw_lesions
from osler.cohort.observation import expression_table, image_table, record_table, visit_table
from osler.cohort.simulated_manifest import manifest_text
from osler.cohort.simulation import Simulation
from osler.cohort.truth import draw_events, effect_table, risk_table
from osler.errors import UsageError
from osler.units import DAYS_PER

__all__ = ["Simulated", "Simulation", "draw", "simulate"]

YEAR = DAYS_PER["y"]
_CODES = np.array(["censored", "progression", "death"], dtype=object)


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated cohort in memory: the tables as users would have them, and the truth behind them.

    Attributes:
        simulation: its parameters.
        patients: (n,) identifiers, digits with leading zeros.
        record, visits, expression, images: tables keyed by "patient"; ``images`` is the index.
        pixels: (m, size, size) uint8, one picture per row of ``images``.
        outcome: patient, days (whole, from 1) and event ("censored", "progression", "death").
        latent: hidden traits, aligned with ``patients``.
        true_risk: see ``osler.cohort.truth.risk_table``.
        true_effect: see ``osler.cohort.truth.effect_table``.
    """

    simulation: Simulation
    patients: NDArray[np.object_]
    record: pd.DataFrame
    visits: pd.DataFrame
    expression: pd.DataFrame
    images: pd.DataFrame
    pixels: NDArray[np.uint8]
    outcome: pd.DataFrame
    latent: Latent
    true_risk: pd.DataFrame
    true_effect: pd.DataFrame


def draw(simulation: Simulation) -> Simulated:
    """Simulate in memory. Every component has its own stream of chance, so that one can be changed alone."""
    traits, events, ends, records, visits, genes, pictures, pixels = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(simulation.seed).spawn(8)
    )
    n = simulation.patients
    width = max(4, len(str(n)))
    patients = np.array([f"{i:0{width}d}" for i in range(1, n + 1)], dtype=object)
    latent, expression = draw_latent(simulation, traits)
    outcome = _follow(latent, simulation, patients, events, ends)
    end = outcome["days"].to_numpy(dtype=float)
    record = record_table(latent, simulation, patients, records)
    seen = visit_table(latent, simulation, patients, end, record["entry_sbp"].to_numpy(dtype=float), visits)
    index = image_table(seen, simulation, pictures)
    trait = latent.lesion[index["patient"].astype(np.int64).to_numpy() - 1]
    return Simulated(
        simulation=simulation,
        patients=patients,
        record=record,
        visits=seen,
        expression=expression_table(expression, latent, patients, genes),
        images=index,
        pixels=draw_lesions(trait, simulation.image_size, simulation.noise, pixels),
        outcome=outcome,
        latent=latent,
        true_risk=risk_table(latent, simulation, patients, end),
        true_effect=effect_table(latent, simulation, patients),
    )


def _follow(
    latent: Latent,
    simulation: Simulation,
    patients: NDArray[np.object_],
    events: np.random.Generator,
    ends: np.random.Generator,
) -> pd.DataFrame:
    """Whole days to the first of event, dropout and the end of the study, counted from each patient's entry."""
    years, event = draw_events(latent, simulation, events)
    until = simulation.years - ends.uniform(0, simulation.accrual, len(latent))
    if simulation.dropout > 0:
        until = np.minimum(until, ends.exponential(1 / simulation.dropout, len(latent)))
    event = np.where(until < years, 0, event)
    days = np.maximum(np.ceil(np.minimum(years, until) * YEAR), 1).astype(np.int64)
    return pd.DataFrame({"patient": patients, "days": days, "event": _CODES[event]})


def simulate(
    folder: str | Path,
    *,
    patients: int = 1000,
    seed: int = 20240,
    progress: Callable[[str], None] | None = None,
    **parameters: Any,
) -> Path:
    """Write a simulated cohort: tables, pictures, ``cohort.toml``, and the truth that the manifest does not name.

    Args:
        folder: where to write; it may exist, but must not hold a cohort already.
        patients: how many.
        seed: the same seed and parameters give the same bytes.
        progress: called with the name of each step as it starts.
        **parameters: any other field of ``Simulation``, such as ``assignment="confounded"``.

    Returns:
        The folder, which ``read_cohort`` reads.

    Raises:
        UsageError: a parameter is unknown or out of range (all are named), or the folder holds a cohort already.
    """
    try:
        simulation = Simulation(patients=patients, seed=seed, **parameters)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'parameters'}: {e['msg']}" for e in error.errors())
        raise UsageError(f"cannot simulate: {wrong}. The parameters are {', '.join(Simulation.model_fields)}") from None
    target = Path(folder)
    if target.is_file() or any(parent.is_file() for parent in target.parents):
        raise UsageError(f"cannot write to {target}: expected a folder, found a file; choose another name")
    if (target / "cohort.toml").exists():
        raise UsageError(f"{target} holds a cohort already: choose another folder, or delete it first")
    tell = progress or (lambda step: None)
    tell("drawing patients")
    simulated = draw(simulation)
    tell("writing tables")
    _write_tables(simulated, target)
    tell("writing pictures")
    _write_pictures(simulated, target / "images")
    (target / "cohort.toml").write_text(manifest_text(simulation), encoding="utf-8", newline="\n")
    return target


def _write_tables(simulated: Simulated, target: Path) -> None:
    (target / "truth").mkdir(parents=True, exist_ok=True)
    tables = {
        "record.csv": simulated.record,
        "visits.csv": simulated.visits,
        "images.csv": simulated.images,
        "outcome.csv": simulated.outcome,
        "truth/true_risk.csv": simulated.true_risk,
        "truth/true_effect.csv": simulated.true_effect,
        "truth/latent.csv": pd.DataFrame({"patient": simulated.patients, **asdict(simulated.latent)}),
    }
    for name, table in tables.items():
        table.to_csv(target / name, index=False, lineterminator="\n", float_format="%.10g")
    simulated.expression.to_parquet(target / "expression.parquet", index=False, compression="zstd")
    parameters = simulated.simulation.model_dump_json(indent=2) + "\n"
    (target / "truth" / "simulation.json").write_text(parameters, encoding="utf-8", newline="\n")


def _write_pictures(simulated: Simulated, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in zip(simulated.images["file"], simulated.pixels, strict=True):
        Image.fromarray(pixels).save(folder / name, format="PNG", compress_level=6)
