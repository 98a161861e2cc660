"""What the recurrent model costs from a hundred patients to a million: time and memory of fitting and predicting.

    .venv/bin/python benchmarks/scale.py [--sizes 100,1000,10000,100000,1000000]

Cohorts are drawn as arrays: three record variables, five visit variables, three visits, two competing events. The
default model, asked at two landmarks and two horizons, is fitted to the cohort and then predicts everybody at one
landmark, 100,000 patients a call. Every size is a process of its own, on one thread; its memory is the most it ever
held, libraries included.
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
CALL = 100_000


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
    """Seconds of processor time of fitting and predicting; MB held before, and the most while fitting and of all."""
    torch.set_num_threads(1)
    cohort = draw(n)
    before, began = most_held(), time.process_time()
    model = Recurrent(QUESTION).fit(cohort)
    fitted, fitting = time.process_time(), most_held()
    for first in range(0, n, CALL):
        some = cohort if n <= CALL else cohort.subset(np.arange(first, min(first + CALL, n)))
        model.predict(some, at=2 * YEAR)
    predicting = time.process_time() - fitted
    best = max(model.history_.epoch)
    return {
        "fit": fitted - began,
        "predict": predicting,
        "before": before,
        "fitting": fitting,
        "all": most_held(),
        "best": best,
    }


def most_held() -> float:
    """MB that this process held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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
        "events; the default model on one thread; processor time. Memory is the most that the process held.\n\n"
        "| patients | fit | predict all, at one landmark | memory of the cohort and libraries | most while fitting "
        "| most of all | epoch of the last best check |\n"
        "|---|---|---|---|---|---|---|"
    )
    for n in map(int, asked.sizes.split(",")):
        command = [sys.executable, __file__, "--child", str(n)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        seconds = f"{found['fit']:.1f} s | {found['predict']:.1f} s"
        memory = f"{found['before']:.0f} MB | {found['fitting']:.0f} MB | {found['all']:.0f} MB"
        print(f"| {n:,} | {seconds} | {memory} | {found['best']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
