"""Are explanations stable? The same patients explained by models fitted with different seeds, and by exact enumeration.

    .venv/bin/python benchmarks/explanations.py --data ../shared/data [--cohorts framingham,pbc2] [--patients 30]

Printed for each cohort and model: Spearman's rank correlation between seeds (0 and 1, and so on; every pair) of the
contributions to a patient's risk (median over patients and pairs, and the lowest tenth) and of the global importances;
the same between models of disjoint halves of the patients, which is chance of another kind; the completeness error;
the sampling error of contributions; and seconds for one patient's explanation by variable and by visit.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np

from osler.cohort.cohort import Cohort
from osler.cohort.tables import read_cohort
from osler.config import Question
from osler.models import create
from osler.models.base import RiskModel
from osler.models.explain import explain
from osler.models.explain_visits import explain_visits
from osler.models.importance import Contributions, contributions_of, rank_agreement, sample

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("recurrent", "boosted_cox", "cox")
COLUMNS = (
    "cohort",
    "model",
    "by patient, seeds",
    "lowest tenth",
    "global, seeds",
    "by patient, halves",
    "global, halves",
    "completeness error",
    "sampling error, points",
    "s by variable",
    "s by visit",
)


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("OSLER_DATA", str(ROOT.parent / "shared" / "data")))
    parser.add_argument("--cohorts", default="framingham,pbc2")
    parser.add_argument("--patients", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    print(
        "## Explanations\n\n"
        f"`benchmarks/explanations.py --cohorts {asked.cohorts} --patients {asked.patients} --seeds {asked.seeds}`: "
        "the middle landmark and the longest horizon of each study. Seeds: same patients learned from, another seed. "
        "Halves: models of disjoint halves of the patients. Errors: the largest of five patients.\n"
    )
    print("| " + " | ".join(COLUMNS) + " |\n|---|---|" + "---|" * (len(COLUMNS) - 2))
    for name in asked.cohorts.split(","):
        root = None if name == "demo" else asked.data
        cohort = read_cohort(ROOT / "data" / name, root=root)
        for model in MODELS:
            print(f"{name}, {model}", file=sys.stderr, flush=True)
            print(
                f"| {name} | {model} | " + " | ".join(row(cohort, model, asked.patients, asked.seeds)) + " |",
                flush=True,
            )


def row(cohort: Cohort, name: str, patients: int, seeds: int) -> list[str]:
    """One model on one cohort: the cells of the table."""
    question: Question = cohort.study.question
    at, horizon = question.landmarks[len(question.landmarks) // 2], max(question.horizons)
    chosen = cohort.subset(sample(cohort, at, patients, 0))
    halves = np.random.default_rng(0).permutation(len(cohort)) % 2
    models = [create(name, question, random_state=seed).fit(cohort) for seed in range(seeds)]
    halved = [create(name, question).fit(cohort.subset(np.flatnonzero(halves == half))) for half in (0, 1)]

    def told(model: RiskModel) -> Contributions:
        return contributions_of(model, chosen, at, horizon=horizon, pairs=32)

    each, overall = agreement([told(model) for model in models])
    each_half, overall_half = agreement([told(model) for model in halved])
    correlations = [np.nanmedian(each), np.nanquantile(each, 0.1), overall, np.nanmedian(each_half), overall_half]
    return [*(f"{value:.3f}" for value in correlations), *exactness(models[0], chosen, at, horizon)]


def agreement(told: list[Contributions]) -> tuple[np.ndarray, float]:
    """Rank correlations of every pair of models: of each patient, and the mean of those of the global importances."""
    found = [rank_agreement(one, other) for one, other in combinations(told, 2)]
    return np.concatenate([each for each, _ in found]), float(np.mean([overall for _, overall in found]))


def exactness(model: RiskModel, chosen: Cohort, at: float, horizon: float) -> list[str]:
    """Completeness and sampling error, and the time that one patient takes."""
    five = [chosen.patient(name) for name in chosen.patients[:5]]
    began = time.perf_counter()
    by_variable = [explain(model, patient, at, horizon=horizon) for patient in five]
    between = time.perf_counter()
    by_visit = [explain_visits(model, patient, at, horizon=horizon) for patient in five]
    ended = time.perf_counter()
    both = [*by_variable, *by_visit]
    sampling = max(float(told.frame["error"].max()) for told in both)
    return [
        f"{max(told.error for told in both):.0e}",
        f"{100 * sampling:.2f}",
        f"{(between - began) / 5:.2f}",
        f"{(ended - between) / 5:.2f}",
    ]


if __name__ == "__main__":
    main()
