"""What a training step of the recurrent committee costs, beside bare packed ``torch.nn.GRU`` passes of its shape.

    .venv/bin/python benchmarks/committee.py [--rounds 15] [--members 1,5,10,25] [--units 16,32,64]

Visits like those of the PBC2 trial are simulated: 312 patients, 1,945 visits, 28 inputs of a visit, and the training
rows and forecast pairs that the default model makes of them. A step is all that training does for a batch: dropout
drawn, forward, hazard and forecast loss, backward, gradients clipped, AdamW. Beside it stand E forward and backward
passes of ``torch.nn.GRU`` over ``pack_padded_sequence``, with neither head, nor loss, nor optimiser. Everything runs on
one thread; what is compared runs by turns in one process, the order drawn anew each round; medians of processor time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from osler.features.sequence import pack
from osler.models.committee import Committee, Shape
from osler.models.optimiser import AdamW
from osler.models.recurrent import RecurrentSettings
from osler.models.training import Batch, Masks, step

PATIENTS, VISITS, MOST_VISITS = 312, 1945, 16
VISIT_INPUTS, ROW_INPUTS, ROWS, PAIRS, VARIABLES, BINS, CAUSES = 28, 42, 3454, 2895, 8, 12, 1
MEMBERS, UNITS = (1, 5, 10, 25), (16, 32, 64)


def lengths(rng: np.random.Generator) -> np.ndarray:
    """Visits of each patient: from 1 to 16, skewed as in the trial, ``VISITS`` in all."""
    drawn = np.clip(rng.geometric(0.14, PATIENTS), 1, MOST_VISITS)
    while drawn.sum() != VISITS:
        i, change = rng.integers(PATIENTS), np.sign(VISITS - drawn.sum())
        drawn[i] = np.clip(drawn[i] + change, 1, MOST_VISITS)
    return drawn


def batch_of(members: int, rng: np.random.Generator) -> Batch:
    """The patients as one batch for so many members, each of which leaves a fifth of the rows out."""

    def normal(*size: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=size).astype(np.float32))

    def weight(size: int) -> torch.Tensor:
        return torch.from_numpy((rng.random((members, size)) > 0.2).astype(np.float32))

    sizes = pack(np.repeat(np.arange(PATIENTS), lengths(rng))).sizes
    end, event = rng.integers(0, BINS, ROWS), rng.random((ROWS, CAUSES)) < 0.2
    exposure = (np.arange(BINS) <= end[:, None]) / BINS
    return Batch(
        sizes=sizes,
        visits=normal(VISITS, VISIT_INPUTS),
        last=torch.from_numpy(rng.integers(-1, VISITS, ROWS)),
        rows=normal(ROWS, ROW_INPUTS),
        offset=normal(members, ROWS, CAUSES),
        drift=normal(members, ROWS, CAUSES),
        base=torch.full((members, CAUSES, BINS), -1.0),
        gain=torch.ones(members, 1, 1),
        exposure=torch.from_numpy(exposure.astype(np.float32)),
        where=torch.from_numpy(end),
        events=torch.from_numpy(event.astype(np.float32)),
        weight=weight(ROWS),
        time=torch.linspace(-1, 1, BINS),
        origin=torch.from_numpy(rng.integers(0, VISITS, PAIRS)),
        ahead=normal(PAIRS, 1 + 2 * VARIABLES),
        target=normal(PAIRS, VARIABLES),
        known=torch.ones(PAIRS, VARIABLES),
        mean=normal(PAIRS, VARIABLES),
        spread=torch.zeros(PAIRS, VARIABLES),
        pair_weight=weight(PAIRS),
    )


def training(members: int, units: int) -> Callable[[], object]:
    """A function that does one whole training step of a committee."""
    generator = torch.Generator().manual_seed(0)
    shape = Shape(
        members, VISIT_INPUTS, ROW_INPUTS, units, units, CAUSES, BINS, VARIABLES, forecast_inputs=1 + 2 * VARIABLES
    )
    everyone = torch.arange(members)
    learner = Committee.create(shape, generator).of_members(everyone, learning=True)
    batch = batch_of(members, np.random.default_rng(1))
    recipe = RecurrentSettings().recipe
    optimiser = AdamW(learner.parameters(), decay=recipe.weight_decay, members=members)
    visit = torch.arange(VISIT_INPUTS) % 2
    masks = Masks(visit, torch.arange(ROW_INPUTS) % 2, torch.zeros(ROW_INPUTS), 2)
    return lambda: step(learner, optimiser, batch, masks, recipe, generator)


def bare(members: int, units: int) -> Callable[[], object]:
    """A function that does a forward and a backward pass of so many packed GRUs."""
    rng = np.random.default_rng(1)
    counts = torch.from_numpy(np.sort(lengths(rng))[::-1].copy())
    padded = torch.from_numpy(rng.normal(size=(PATIENTS, MOST_VISITS, VISIT_INPUTS)).astype(np.float32))
    packed = torch.nn.utils.rnn.pack_padded_sequence(padded, counts, batch_first=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = [torch.nn.GRU(VISIT_INPUTS, units, batch_first=True) for _ in range(members)]

    def run() -> None:
        for network in networks:
            network(packed)[0].data.sum().backward()
            network.zero_grad()

    return run


def measured(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time of every function in every round, by turns."""
    rng = np.random.default_rng(0)
    names, seconds = list(functions), {name: [] for name in functions}
    for turn in range(rounds + 3):
        for i in rng.permutation(len(names)):
            began = time.process_time()
            functions[names[i]]()
            if turn >= 3:
                seconds[names[i]].append(time.process_time() - began)
    return seconds


def row(members: int, units: int, rounds: int) -> str:
    """One row of the table: medians in milliseconds, and medians of the ratios within rounds."""
    alone = training(1, units)

    def loop() -> None:
        for _ in range(members):
            alone()

    seconds = measured(
        {"step": training(members, units), "bare": bare(members, units), "loop": loop},
        max(7, rounds // (members // 10 + 1)),
    )

    def ratio(over: str, under: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[over], seconds[under], strict=True))

    step_, bare_, loop_ = (1e3 * statistics.median(seconds[name]) for name in ("step", "bare", "loop"))
    return (
        f"| {members} | {units} | {step_:.1f} | {bare_:.1f} | {ratio('step', 'bare'):.2f} "
        f"| {loop_:.1f} | {ratio('loop', 'step'):.2f} |"
    )


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--members", default=",".join(map(str, MEMBERS)))
    parser.add_argument("--units", default=",".join(map(str, UNITS)))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "## A training step of the committee\n\n"
        f"`benchmarks/committee.py --rounds {asked.rounds}`: {PATIENTS} simulated patients with {VISITS:,} visits, "
        f"{ROWS:,} rows, {PAIRS:,} forecast pairs; one thread, torch {torch.__version__}; medians in milliseconds. A "
        "step holds dropout, forward, hazard and forecast loss, backward, clipping and AdamW; the passes of `nn.GRU` "
        "over packed visits are bare. The loop trains the same members one after the other.\n\n"
        "| members | units | whole step | bare passes | step / passes | loop over members | loop / one pass |\n"
        "|---|---|---|---|---|---|---|"
    )
    for members in map(int, asked.members.split(",")):
        for units in map(int, asked.units.split(",")):
            print(row(members, units, asked.rounds))
            print(f"{members} members of {units} units: done", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
