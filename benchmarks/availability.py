"""What the absence of a modality costs, and whether bands hold the true risk, on simulated cohorts.

    .venv/bin/python benchmarks/availability.py [--patients 1000] [--model ensemble] [--set noise=1.5 lesion_effect=0.5]

A model is fitted to one simulated cohort and asked about new patients, from whom one modality after another is
withheld. Three tables:

- how often 90 % bands hold the patient's true risk (given all hidden traits), by pattern of modalities;
- how often 90 % intervals of the time to the first event hold it, counted as a study of real data counts it;
- the index of prediction accuracy without the modality, beside that of a model trained without it (``--trained``).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from simulation import MODALITIES, accuracy

from osler.cohort.cohort import Cohort
from osler.cohort.simulate import simulate
from osler.cohort.tables import read_cohort
from osler.cohort.truth import read_true_risk
from osler.evaluation.availability import event_time_coverage, risk_coverage
from osler.fitting import Variant
from osler.models import create
from osler.models.base import RiskModel

PATTERNS = ((), ("scan",), ("expression",), ("visits",), ("record",), ("expression", "scan"))
Case = tuple[float, float]


def main() -> None:
    """Simulate, fit, withhold, print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=1000, help="patients to learn from")
    parser.add_argument("--new", type=int, default=3000, help="patients to be asked about")
    parser.add_argument("--model", default="recurrent")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="parameters of the simulation")
    parser.add_argument("--trained", action="store_true", help="compare with models trained without the modality")
    chosen = parser.parse_args()
    parameters = {name: float(value) for name, value in (each.split("=") for each in chosen.set)}
    with tempfile.TemporaryDirectory() as base:
        learn = simulate(Path(base) / "learn", patients=chosen.patients, seed=chosen.seed, **parameters)
        new = simulate(Path(base) / "new", patients=chosen.new, seed=chosen.seed + 1, **parameters)
        training, testing = read_cohort(learn), read_cohort(new)
        question = training.study.question
        truth = {
            (s, h): read_true_risk(new, testing.patients[testing.outcome.time > s], s, h)
            for s in question.landmarks
            for h in question.horizons
        }
    model = create(chosen.model, question).fit(training)
    setting = f" ({' '.join(chosen.set)})" if chosen.set else ""
    print(f"\n## Without a modality: {chosen.patients:,} patients learned from, {chosen.new:,} asked about{setting}\n")
    how = f"--patients {chosen.patients} --model {chosen.model}{' --trained' if chosen.trained else ''}"
    print(f"`benchmarks/availability.py {how}`")
    _print("Bands: share of true risks within, percent", 100 * coverage(model, testing, truth))
    _print("Intervals: share of first events within, percent", 100 * event_times(model, testing))
    if chosen.trained:
        _print(
            "Index of prediction accuracy, percent: withheld / trained without", fall(model, training, testing, truth)
        )


def coverage(model: RiskModel, testing: Cohort, truth: dict[Case, np.ndarray]) -> pd.DataFrame:
    """Shares (0 to 1) of true risks within bands, by pattern, landmark and horizon; the last column is the mean."""
    table = {}
    for name, known in withheld(testing):
        curves = {s: model.predict(known, at=s) for s, _ in truth}
        row = {}
        for (s, h), risk in truth.items():
            everybody = risk_coverage(risk, *curves[s].band(h), [name] * len(risk))
            row[_asked(s, h)] = everybody["coverage"][0]
        table[name] = {**row, "all": np.mean(list(row.values()))}
    return pd.DataFrame(table).T


def event_times(model: RiskModel, testing: Cohort) -> pd.DataFrame:
    """Shares (0 to 1) of first events within their intervals, by pattern and landmark."""
    table = {}
    for name, known in withheld(testing):
        row = {}
        for s in model.question.landmarks:
            outcome = testing.at(s).outcome
            bounds = model.event_times(model.predict(known, at=s))
            found = event_time_coverage(outcome.time, outcome.event, *bounds, [name] * len(outcome.time))
            row[f"{s / 365.25:g} y"] = found["coverage"][0]
        table[name] = row
    return pd.DataFrame(table).T


def fall(model: RiskModel, training: Cohort, testing: Cohort, truth: dict[Case, np.ndarray]) -> pd.DataFrame:
    """Accuracy without a modality: of the model that had it, and of one that never did."""
    table = {}
    for (name, known), (_, learned) in zip(withheld(testing), withheld(training), strict=True):
        other = model if name == "everything" else create(model.name, model.question).fit(learned)
        print(f"{name}: fitted", file=sys.stderr, flush=True)
        row = {}
        for (s, h), risk in truth.items():
            values = [accuracy(m.predict(known, at=s).risk(h), risk) for m in (model, other)]
            row[_asked(s, h)] = " / ".join(f"{value:.1f}" for value in values)
        table[name] = row
    return pd.DataFrame(table).T


def withheld(cohort: Cohort) -> Iterator[tuple[str, Cohort]]:
    """The cohort without some modalities, by name; nor is it known when somebody came for these alone."""
    for gone in PATTERNS:
        kept = tuple(name for name in MODALITIES if name not in gone)
        name = "no " + " + ".join(gone) if gone else "everything"
        yield name, Variant("recurrent", kept).sees(cohort, cohort.study) if gone else cohort


def _asked(landmark: float, horizon: float) -> str:
    return f"{landmark / 365.25:g} y + {horizon / 365.25:g} y"


def _print(title: str, table: pd.DataFrame) -> None:
    print(f"\n{title}\n")
    print("| known | " + " | ".join(table.columns) + " |\n" + "|---" * (1 + len(table.columns)) + "|")
    for name, row in table.iterrows():
        print(f"| {name} | " + " | ".join(v if isinstance(v, str) else f"{v:.1f}" for v in row) + " |")


if __name__ == "__main__":
    main()
