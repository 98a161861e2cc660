"""Genomic blocks whose features outnumber the patients: a real cohort cross-validated, and signals planted in noise.

    .venv/bin/python benchmarks/genomics.py --data ../shared/data [--repeats 3] [--seeds 3] [--parts cohort,planted]

How many components of a block the linear models should take is asked of the first; the second holds a ridge on all
components against fewer, against screening (the k features with the largest score statistics of the training
patients, then the ridge) and against gene sets, on new patients whose hazards are known.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort, Genomics, Variable
from osler.cohort.outcome import Outcome
from osler.cohort.split import folds
from osler.cohort.tables import read_cohort
from osler.config import Question
from osler.evaluation.concordance import concordance_index
from osler.evaluation.evaluation import evaluate
from osler.models import create

ROOT = Path(__file__).resolve().parent.parent
#: Model, most components (None: the default), blocks.
VARIANTS = [
    *(("stacked_cox", k, "expression") for k in (20, 50, 100, None)),
    ("stacked_cox", None, None),
    *(("boosted_cox", k, None) for k in (20, 100)),
    *(("recurrent", k, None) for k in (20, 50, None)),
    ("recurrent", None, "expression"),
]
COLUMNS = ["2 y: AUC", "Harrell's C", "Uno's C", "integrated Brier", "5 y: Harrell's C", "integrated Brier"]
LEARN, NEW, WIDE = 200, 800, 20_000
SET_SIZE, SETS = 25, 50
SIGNALS = {
    "none": "nothing",
    "sparse": "20 genes of 20,000",
    "factor": "a factor behind 2,500 genes",
    "set": "a factor behind the 25 genes of one set",
}


def main() -> None:
    """Measure and print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("OSLER_DATA", str(ROOT.parent / "shared" / "data")))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", default="cohort,planted")
    chosen = parser.parse_args()
    print("## Genomic blocks with more features than patients\n")
    if "cohort" in chosen.parts:
        cross_validated(read_cohort(ROOT / "data" / "tcga_luad", root=chosen.data), chosen.repeats)
    if "planted" in chosen.parts:
        planted(chosen.seeds)


def cross_validated(cohort: Cohort, repeats: int) -> None:
    """Every variant on the same folds, one row each."""
    print(
        f"### TCGA-LUAD\n\n`benchmarks/genomics.py --parts cohort --repeats {repeats}`: {len(cohort)} patients, "
        f"{cohort.outcome.events()['death']} deaths, {repeats} repeats of five folds balanced over events and time "
        "(`osler.cohort.split.folds`, seed 4000), compared within folds.\n"
    )
    print("| model | blocks | components | " + " | ".join(COLUMNS) + " | fit, s |\n" + "|---" * 10 + "|")
    for model, components, block in VARIANTS:
        some = cohort if block is None else cohort.without(*(name for name in cohort.genomics if name != block))
        settings = {} if components is None else {"components": components}
        values, seconds = _judged(some, model, settings, repeats)
        told = "default" if components is None else components
        shown = " | ".join(f"{value:.4f}" if value < 0.3 else f"{value:.3f}" for value in values)
        print(f"| {model} | {block or 'all'} | {told} | {shown} | {seconds:.1f} |", flush=True)
    print()


def _judged(cohort: Cohort, model: str, settings: dict[str, int], repeats: int) -> tuple[list[float], float]:
    """What ``COLUMNS`` say, out of fold, and the mean seconds of a fit."""
    question = cohort.study.question
    risks = np.empty((repeats, len(cohort), len(question.grid)))
    fold = np.empty((repeats, len(cohort)), dtype=np.int64)
    spent = 0.0
    for repeat, k, train, test in folds(cohort.outcome, 5, repeats, 4000):
        began = time.perf_counter()
        fitted = create(model, question, **settings).fit(cohort.subset(train))
        spent += time.perf_counter() - began
        risks[repeat, test] = fitted.predict(cohort.subset(test), at=0.0).incidence[:, 0]
        fold[repeat, test] = k
    found = evaluate(
        cohort.outcome.time,
        cohort.outcome.event,
        {"model": risks},
        times=question.grid,
        horizons=question.horizons,
        folds=fold,
        measures=["auc", "harrell_c", "c_index", "integrated_brier"],
    ).metrics.set_index(["horizon", "measure"])["value"]
    near, far = question.horizons
    asked = [(near, name) for name in ("auc", "harrell_c", "c_index", "integrated_brier")]
    asked += [(far, name) for name in ("harrell_c", "integrated_brier")]
    return [float(found[cell]) for cell in asked], spent / (5 * repeats)


def planted(seeds: int) -> None:
    """Cox models of 200 patients and 20,000 features, asked about 800 new patients."""
    question = Question(landmarks=(0.0,), horizons=(2.0,), grid_size=16)
    print(
        f"### Signals planted in {WIDE:,} features of {LEARN} patients\n\n"
        "`benchmarks/genomics.py --parts planted "
        f"--seeds {seeds}`: Harrell's C of {NEW} new patients and, in brackets, the slope of their log hazard on the "
        "predicted one (1 is calibrated, less is overfitted), means over seeds; hazards spread by one on the log "
        "scale.\n"
    )
    ways = ["ridge, default", "ridge, 20 components", "screened to 20", "screened to 200", "leading", "gene sets"]
    print("| signal | " + " | ".join([*ways, "the truth"]) + " | fit, s |\n" + "|---" * (len(ways) + 3) + "|")
    for signal, told in SIGNALS.items():
        cells, seconds = [], []
        for seed in range(seeds):
            cohort, log_hazard = _planted(signal, seed)
            train, new = cohort.subset(np.arange(LEARN)), cohort.subset(np.arange(LEARN, LEARN + NEW))
            row = []
            for way in ways:
                one, settings = _prepared(way, train)
                began = time.perf_counter()
                model = create("cox", question, **settings).fit(one)
                seconds += [time.perf_counter() - began] if way == ways[0] else []
                row.append(_told(new, model.predict(new, at=0.0).risk(2.0), log_hazard[LEARN:]))
            truth = concordance_index(new.outcome.time, new.outcome.event, log_hazard[LEARN:], horizon=2.0)
            cells.append([*row, (truth, 1.0)])
        means = np.nanmean(np.array(cells), axis=0)
        shown = [f"{c:.3f} ({slope:.2f})" for c, slope in means[:-1]] + [f"{means[-1, 0]:.3f}"]
        print(f"| {told} | " + " | ".join(shown) + f" | {np.mean(seconds):.1f} |", flush=True)
    print()


def _planted(signal: str, seed: int) -> tuple[Cohort, np.ndarray]:
    """A cohort, and everybody's true log hazard; a hundred modules of fifty genes rise and fall together besides."""
    rng = np.random.default_rng(seed)
    n = LEARN + NEW
    values = rng.normal(size=(n, WIDE)).astype(np.float32)
    for _ in range(100):
        members = rng.choice(np.arange(SETS * SET_SIZE, WIDE), 50, replace=False)
        values[:, members] += 0.7 * rng.normal(size=(n, 1)).astype(np.float32)
    factor = rng.normal(size=n)
    log_hazard = np.zeros(n) if signal == "none" else factor
    if signal == "sparse":
        log_hazard = values[:, ::1000] @ rng.choice([-1.0, 1.0], 20) / np.sqrt(20)
    elif signal == "factor":
        values[:, ::8] += 0.5 * factor[:, None].astype(np.float32)
    elif signal == "set":
        values[:, :SET_SIZE] += 0.7 * factor[:, None].astype(np.float32)
    died, left = rng.exponential(np.exp(-log_hazard)), rng.exponential(2.0, n)
    names = [f"G{i}" for i in range(WIDE)]
    sets = {f"S{k}": tuple(names[SET_SIZE * k : SET_SIZE * (k + 1)]) for k in range(SETS)}
    cohort = Cohort(
        name=signal,
        patients=np.arange(n).astype(str).astype(object),
        record=pd.DataFrame({"age": rng.normal(60.0, 8.0, n)}),
        visits=pd.DataFrame({"patient": np.empty(0, dtype=np.int64), "time": np.empty(0)}),
        variables={"age": Variable("age", "Age", "number", "record", "a")},
        genomics={"rna": Genomics("rna", "expression", tuple(names), values, sets)},
        outcome=Outcome(np.minimum(died, left) + 1e-6, (died <= left).astype(np.int64), ("death",)),
    )
    return cohort, log_hazard


def _prepared(way: str, train: Cohort) -> tuple[Cohort, dict[str, int | bool]]:
    """The training patients as a way of learning sees them, and the settings of its model."""
    block = train.genomics["rna"]
    if way != "gene sets":
        block = replace(block, sets={})
    if way.startswith("screened"):
        best = np.argsort(-np.abs(score_statistics(block.values, train.outcome)))[: int(way.split()[-1])]
        block = replace(block, features=tuple(block.features[i] for i in best), values=block.values[:, best])
    settings = {"ridge, 20 components": {"components": 20}, "leading": {"leading": True}}.get(way, {})
    return replace(train, genomics={"rna": block}), settings


def score_statistics(values: np.ndarray, outcome: Outcome) -> np.ndarray:
    """(p,) standardised score of a Cox model in each feature at no effect (the log-rank test's generalisation)."""
    order = np.argsort(-outcome.time, kind="stable")
    x, event = values[order].astype(float), outcome.event[order] == 1
    size = np.arange(1, len(x) + 1)[:, None]
    mean = np.cumsum(x, axis=0) / size
    variance = np.cumsum(x**2, axis=0) / size - mean**2
    return (x - mean)[event].sum(axis=0) / np.sqrt(variance[event].sum(axis=0))


def _told(new: Cohort, risk: np.ndarray, log_hazard: np.ndarray) -> tuple[float, float]:
    """C of the predictions, and the slope of the true log hazard on the predicted one; NaN where none is predicted."""
    c = concordance_index(new.outcome.time, new.outcome.event, risk, horizon=2.0)
    predicted = np.log(-np.log1p(-np.clip(risk, 1e-9, 1 - 1e-9)))
    spread = predicted.std()
    return c, float(np.cov(predicted, log_hazard)[0, 1] / spread**2) if spread > 1e-3 else np.nan


if __name__ == "__main__":
    main()
