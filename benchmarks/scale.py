"""What the recurrent model costs from a hundred patients to a million: time and memory of fitting and predicting.

    .venv/bin/python benchmarks/scale.py [--sizes 100,1000,10000,100000,1000000]

Cohorts are drawn as arrays: three record variables, five visit variables, three visits, two competing events. The model
is the default one, asked at two landmarks and two horizons; it is fitted to all patients and then predicts them all at
one landmark. Every size is a process of its own, on one thread; its memory is the most it ever held, libraries included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import torch

from osler.cohort.cohort import Cohort, Variable
from osler.cohort.outcome import Outcome
from osler.config import Question
from osler.models.recurrent import Recurrent

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
YEAR = 365.25
QUESTION = Question(landmarks=(0.0, 2 * YEAR), horizons=(2 * YEAR, 5 * YEAR))
RECORD, VISITS, TIMES = 3, 5, (0.0, 1.0, 2.0)


def draw(n: int, seed: int = 0) -> Cohort:
    """``n`` patients whose hazards follow a record variable, a marker's level and its slope."""
    rng = np.random.default_rng(seed)
    record = rng.normal(size=(n, RECORD))
    level, slope = rng.normal(size=(2, n))
    years = np.asarray(TIMES)
    values = rng.normal(size=(n, len(years), VISITS))
    values[:, :, 0] = level[:, None] + 0.5 * slope[:, None] * years + 0.3 * values[:, :, 0]
    hazard = np.exp(0.5 * record[:, 0] + 0.4 * level + 0.4 * slope)
    drawn = np.column_stack([rng.exponential(30 / hazard), rng.exponential(60, n), rng.uniform(1, 10, n)])
    first, time_ = drawn.argmin(axis=1), drawn.min(axis=1)
    visits = pd.DataFrame(values.reshape(-1, VISITS), columns=[f"visit{i}" for i in range(VISITS)])
    visits.insert(0, "patient", np.repeat(np.arange(n), len(years)))
    visits.insert(1, "time", np.tile(years * YEAR, n))
    seen = visits["time"].to_numpy() < np.repeat(time_, len(years)) * YEAR
    variables = {f"record{i}": Variable(f"record{i}", f"Record {i}", "number", "record") for i in range(RECORD)}
    variables |= {f"visit{i}": Variable(f"visit{i}", f"Visit {i}", "number", "visits") for i in range(VISITS)}
    return Cohort(
        name="drawn",
        patients=np.array([f"id{i}" for i in range(n)], dtype=object),
        record=pd.DataFrame(record, columns=[f"record{i}" for i in range(RECORD)]),
        visits=visits[seen].reset_index(drop=True),
        variables=variables,
        outcome=Outcome(time_ * YEAR, np.where(first == 2, 0, first + 1).astype(np.int64), ("event", "death")),
    )


def measure(n: int) -> dict[str, float]:
    """Seconds of fitting and of predicting, peak memory in MB, and the drawn cohort's share of it."""
    torch.set_num_threads(1)
    cohort = draw(n)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    model = Recurrent(QUESTION).fit(cohort)
    fitted = time.perf_counter()
    fit_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model.predict(cohort, at=2 * YEAR)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    epochs = max(model.history_.epoch)
    return {
        "n": n,
        "fit": fitted - began,
        "predict": done - fitted,
        "before": held,
        "fit_peak": fit_peak,
        "peak": peak,
        "best": epochs,
    }


def main() -> None:
    """Print the table in Markdown; with ``--child`` measure one size and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        print(json.dumps(measure(asked.child)))
        return
    print(
        "## The recurrent model by size of the cohort\n\n"
        f"`benchmarks/scale.py --sizes {asked.sizes}`: eight variables, three visits, two landmarks, two competing "
        "events; the default model on one thread. Memory is the most that the process held.\n\n"
        "| patients | fit | predict all, at one landmark | cohort and libraries | most memory | latest best epoch |\n"
        "|---|---|---|---|---|---|"
    )
    for n in map(int, asked.sizes.split(",")):
        command = [sys.executable, __file__, "--child", str(n)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(
            f"| {n:,} | {found['fit']:.1f} s | {found['predict']:.1f} s | {found['before']:.0f} MB | {found['peak']:.0f} MB "
            f"| {found['best']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
