"""What each modality adds on the simulated cohort, held against the true risks of new patients.

    .venv/bin/python benchmarks/simulation.py [--patients 1000] [--models stacked_cox,recurrent] [--revealed]

Models are fitted to one simulated cohort and asked about another. As the true risk r of every new patient is known, so
is the expected Brier score of a prediction p, r (1 - r) + (r - p)^2, and with it the index of prediction accuracy,
without the noise of events and censoring. "Revealed" gives the hidden trait of the lesion in place of the pictures.
With many patients and ``--revealed`` alone this is what the measurements can tell at most: the oracle also knows the
true course behind noisy visits.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort, Variable
from osler.cohort.simulate import simulate
from osler.cohort.tables import read_cohort
from osler.cohort.truth import read_true_risk
from osler.models import create

MODALITIES = ("record", "visits", "expression", "scan")


def main() -> None:
    """Simulate, fit, judge, print a table in Markdown: index of prediction accuracy in percent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=1000, help="patients to learn from")
    parser.add_argument("--new", type=int, default=3000, help="patients to be judged on")
    parser.add_argument("--models", default="stacked_cox")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--revealed", action="store_true", help="only models that are told the lesion trait")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        learn = simulate(Path(base) / "learn", patients=chosen.patients, seed=chosen.seed)
        new = simulate(Path(base) / "new", patients=chosen.new, seed=chosen.seed + 1)
        rows = ladder(learn, new, chosen.models.split(","), only_revealed=chosen.revealed)
    table = pd.DataFrame(rows).pivot_table(index=["model", "knows"], columns="asked", values="ipa", sort=False)
    how = f"--patients {chosen.patients} --models {chosen.models}{' --revealed' if chosen.revealed else ''}"
    heading = f"Against the true risks of {chosen.new:,} new simulated patients"
    print(
        f"\n## {heading}, {chosen.patients:,} learned from\n\n"
        f"`benchmarks/simulation.py {how}`: index of prediction accuracy in percent, expected under the true risks; "
        "the oracle knows the hidden traits.\n"
    )
    print("| model | knows | " + " | ".join(table.columns) + " |\n" + "|---" * (2 + len(table.columns)) + "|")
    for (model, knows), values in table.iterrows():
        print(f"| {model} | {knows} | " + " | ".join(f"{value:.1f}" for value in values) + " |")


def ladder(learn: Path, new: Path, models: list[str], *, only_revealed: bool = False) -> list[dict[str, object]]:
    """One row per model, knowledge, landmark and horizon, the oracle among them."""
    training, testing = read_cohort(learn), read_cohort(new)
    question = training.study.question
    asked = [(s, h) for s in question.landmarks for h in question.horizons]
    truth = {(s, h): read_true_risk(new, testing.patients[testing.outcome.time > s], s, h) for s, h in asked}
    rows = [_row("oracle", "the hidden traits", s, h, accuracy(truth[s, h], truth[s, h])) for s, h in asked]
    for name in models:
        told = [] if only_revealed else _steps(training, testing)
        for knows, one, other in [*told, ("scan revealed", _revealed(training, learn), _revealed(testing, new))]:
            started = time.perf_counter()
            model = create(name, question).fit(one)
            curves = {s: model.predict(other, at=s) for s in question.landmarks}
            rows += [_row(name, knows, s, h, accuracy(curves[s].risk(h), truth[s, h])) for s, h in asked]
            print(f"{name}, {knows}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return rows


def accuracy(predicted: np.ndarray, risk: np.ndarray) -> float:
    """Expected index of prediction accuracy in percent: 100 foresees every event, 0 knows only the average risk."""
    brier, null = np.mean(risk * (1 - risk) + (risk - predicted) ** 2), risk.mean() * (1 - risk.mean())
    return 100 * (1 - brier / null)


def _row(model: str, knows: str, landmark: float, horizon: float, ipa: float) -> dict[str, object]:
    years = f"{landmark / 365.25:g} y + {horizon / 365.25:g} y"
    return {"model": model, "knows": knows, "asked": years, "ipa": ipa}


def _steps(training: Cohort, testing: Cohort) -> Iterator[tuple[str, Cohort, Cohort]]:
    for last in range(1, len(MODALITIES) + 1):
        unknown = MODALITIES[last:]
        yield " + ".join(MODALITIES[:last]), training.without(*unknown), testing.without(*unknown)


def _revealed(cohort: Cohort, folder: Path) -> Cohort:
    traits = pd.read_csv(folder / "truth" / "latent.csv", dtype={"patient": str}).set_index("patient")["lesion"]
    record = cohort.record.assign(lesion=traits.reindex(cohort.patients).to_numpy())
    lesion = Variable("lesion", "Lesion trait", "number", "record")
    return replace(cohort.without("scan"), record=record, variables={**cohort.variables, "lesion": lesion})


if __name__ == "__main__":
    main()
