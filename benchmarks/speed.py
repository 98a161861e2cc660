"""How quickly predictions are judged, beside numpy.argsort, lifelines, scikit-survival and TorchSurv, in one run.

    .venv/bin/python benchmarks/speed.py [--peers-env .bench-env] [--largest 1000000] >> benchmarks/RESULTS.md

The peers live in an environment of their own, made when it is missing (network; about 1.5 GB). Every measurement is a
child process that draws the same patients by seed, calls once on few of them (imports, compilation), and then reports
the median of several calls on all, and the memory that they add. A Markdown section goes to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
#: Installed in this order: torch decides which numpy the others get.
PEERS = (("torch==2.13.0",), ("scikit-survival==0.28.0", "lifelines==0.30.3", "torchsurv==0.2.0"))
#: A child is given up after so many seconds; it repeats its call within its budget, five times at most.
LIMIT, BUDGET, REPEATS = 600, 20, 5
HORIZONS = np.linspace(200.0, 3000.0, 10)
GRID = np.linspace(30.0, 3000.0, 100)
FEW = 2000


def draw(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Days of follow-up (whole, up to 3650), whether an event ended it, the log hazard, and a blurred view of it."""
    rng = np.random.default_rng(seed)
    hazard = 1.3 * rng.standard_normal(n)
    event, out = rng.exponential(2000 * np.exp(-hazard)), rng.uniform(200, 7300, n)
    time_ = np.ceil(np.minimum(np.minimum(event, out), 3650))
    return time_, event <= np.minimum(out, 3650), hazard, hazard + rng.standard_normal(n)


def curves(hazard: np.ndarray, grid: np.ndarray = GRID) -> np.ndarray:
    """(n, T) risks of the event at the times of the grid."""
    return -np.expm1(-np.outer(np.exp(hazard), grid / 2000))


Call = Callable[[], Any]


def argsort(n: int) -> Call:
    values = np.random.default_rng(0).random(n)
    return lambda: np.argsort(values)


def osler_harrell(n: int) -> Call:
    from osler.evaluation.concordance import concordance_index

    days, event, _, score = draw(n)
    return lambda: concordance_index(days, event, score)


def osler_uno(n: int) -> Call:
    from osler.evaluation.concordance import concordance
    from osler.evaluation.follow_up import FollowUp

    days, event, _, score = draw(n)
    return lambda: concordance(FollowUp(days, event.astype(np.int64), 1), score[:, None], 3000.0).value[0]


def osler_auc(n: int) -> Call:
    from osler.evaluation.discrimination import auc
    from osler.evaluation.follow_up import FollowUp

    days, event, _, score = draw(n)

    def call() -> float:
        follow_up = FollowUp(days, event.astype(np.int64), 1)
        return float(np.mean([auc(follow_up, score[:, None], float(h)).value[0] for h in HORIZONS]))

    return call


def osler_antolini(n: int) -> Call:
    from osler.evaluation.antolini import time_dependent_concordance
    from osler.evaluation.follow_up import FollowUp

    days, event, hazard, _ = draw(n)
    risks = curves(hazard)
    return lambda: time_dependent_concordance(FollowUp(days, event.astype(np.int64), 1), [risks], GRID, 3000.0).value[0]


def osler_integrated_brier(n: int, times: int = 100) -> Call:
    from osler.evaluation.accuracy import integrated_brier
    from osler.evaluation.follow_up import FollowUp

    days, event, hazard, _ = draw(n)
    grid = np.linspace(30.0, 3000.0, times)
    risks = curves(hazard, grid)

    def call() -> float:
        follow_up = FollowUp(days, event.astype(np.int64), 1)
        return integrated_brier(follow_up, [risks], grid, [3000.0])[3000.0].value[0]

    return call


def osler_integrated_brier_20(n: int) -> Call:
    return osler_integrated_brier(n, 20)


def osler_evaluate(n: int) -> Call:
    from osler.evaluation import evaluate

    days, event, hazard, _ = draw(n)
    rng = np.random.default_rng(1)
    risks = {f"model {k}": curves(hazard + 0.2 * k * rng.standard_normal(n)) for k in range(8)}
    asked = {"times": GRID, "horizons": [1000.0, 2000.0, 3000.0], "measures": ("auc", "brier", "integrated_brier")}
    return lambda: len(evaluate(days, event.astype(np.int64), risks, **asked).differences)


def lifelines_harrell(n: int) -> Call:
    from lifelines.utils import concordance_index

    days, event, _, score = draw(n)
    return lambda: concordance_index(days, -score, event)


def sksurv_harrell(n: int) -> Call:
    from sksurv.metrics import concordance_index_censored

    days, event, _, score = draw(n)
    return lambda: concordance_index_censored(event, days, score)[0]


def sksurv_uno(n: int) -> Call:
    from sksurv.metrics import concordance_index_ipcw
    from sksurv.util import Surv

    days, event, _, score = draw(n)
    outcome = Surv.from_arrays(event, days)
    return lambda: concordance_index_ipcw(outcome, outcome, score, tau=3000.0)[0]


def sksurv_auc(n: int) -> Call:
    from sksurv.metrics import cumulative_dynamic_auc
    from sksurv.util import Surv

    days, event, _, score = draw(n)
    outcome, kept = Surv.from_arrays(event, days), days < days.max()  # it refuses events on the last day of censoring
    return lambda: cumulative_dynamic_auc(outcome, outcome[kept], score[kept], HORIZONS)[0].mean()


def sksurv_integrated_brier(n: int) -> Call:
    from sksurv.metrics import integrated_brier_score
    from sksurv.util import Surv

    days, event, hazard, _ = draw(n)
    outcome, free = Surv.from_arrays(event, days), 1 - curves(hazard)
    return lambda: integrated_brier_score(outcome, outcome, free, GRID)


def torchsurv_harrell(n: int) -> Call:
    import torch
    from torchsurv.metrics.cindex import ConcordanceIndex

    days, event, _, score = draw(n)
    parts = torch.tensor(score).float(), torch.tensor(event), torch.tensor(days).float()
    return lambda: float(ConcordanceIndex()(*parts))


CALLS = (
    argsort, osler_harrell, osler_uno, osler_auc, osler_antolini, osler_integrated_brier, osler_integrated_brier_20,
    osler_evaluate, lifelines_harrell, sksurv_harrell, sksurv_uno, sksurv_auc, sksurv_integrated_brier,
    torchsurv_harrell,
)  # fmt: skip
JOBS: dict[str, Callable[[int], Call]] = {call.__name__: call for call in CALLS}


def child(name: str, n: int) -> None:
    """Measure one job in this process and print what was found."""
    warnings.filterwarnings("ignore")
    call = JOBS[name](min(n, FEW))  # with the imports
    began = time.perf_counter()
    call()
    first = time.perf_counter() - began
    call = JOBS[name](n)
    before, taken = _memory(anew=True)[0], []
    while len(taken) < REPEATS and sum(taken) < BUDGET:
        began = time.perf_counter()
        value = call()
        taken.append(time.perf_counter() - began)
    peak, value = _memory()[1], np.ravel(np.asarray(value, dtype=float))[0]
    found = {"seconds": statistics.median(taken), "first": first, "added": peak - before, "value": float(value)}
    print("@" + json.dumps(found))


def _memory(*, anew: bool = False) -> tuple[float, float]:
    """Resident memory now, and its peak (from now on, if ``anew``), in MiB; NaN where Linux does not tell."""
    try:
        if anew:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan"), float("nan")
    told = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return int(told["VmRSS"]) / 1024, int(told["VmHWM"]) / 1024


class Bench:
    """Measurements in child processes, each made once.

    Args:
        python: of the peers' environment; None leaves the peers out.
    """

    def __init__(self, python: Path | None) -> None:
        self.python, self.found = python, dict[tuple[str, int], dict[str, float] | None]()

    def __call__(self, name: str, n: int) -> dict[str, float] | None:
        """What one job took; None when it was not measured or did not end in time."""
        if (name, n) not in self.found:
            ours = name.startswith(("osler", "argsort"))
            self.found[name, n] = None if not ours and self.python is None else self._run(name, n, ours)
        return self.found[name, n]

    def _run(self, name: str, n: int, ours: bool, **environment: str) -> dict[str, float] | None:
        python = sys.executable if ours else str(self.python)
        kept = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        command = [python, str(Path(__file__).resolve()), "--child", name, str(n)]
        try:
            done = subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            done = None
        lines = [line for line in done.stdout.splitlines() if line.startswith("@")] if done else []
        found = json.loads(lines[0][1:]) if lines else None
        told = (
            f"{found['seconds']:.4f} s" if found else "failed: " + (done.stderr.strip()[-300:] if done else "too slow")
        )
        print(f"{name}, {n:,}: {told}", file=sys.stderr, flush=True)
        return found

    def seconds(self, name: str, n: int) -> float:
        found = self(name, n)
        return found["seconds"] if found else float("nan")

    def times_quicker(self, ours: str, peer: str, n: int) -> float:
        return self.seconds(peer, n) / self.seconds(ours, n)

    def compiling(self) -> dict[str, float]:
        """Seconds of the first call of each of our jobs on few patients, with nothing compiled before."""
        with tempfile.TemporaryDirectory() as cache:
            names = [name for name in JOBS if name.startswith("osler") and name not in _ALIKE]
            found = {name: self._run(name, FEW, True, NUMBA_CACHE_DIR=cache) for name in names}
        return {name: one["first"] for name, one in found.items() if one}


_ALIKE = ("osler_integrated_brier_20", "osler_evaluate")


def install(folder: Path) -> Path:
    """The Python of the peers' environment, which is made if it is missing."""
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        print(f"Setting up {folder} (once)", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, stdout=sys.stderr)
        for packages in PEERS:
            subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True, stdout=sys.stderr)
        (folder / ".ready").touch()
    return python


def section(peers: Path | None = ROOT / ".bench-env", largest: int = 1_000_000) -> str:
    """The results as a section of Markdown.

    Args:
        peers: folder of the peers' environment; None measures without them.
        largest: most patients.
    """
    bench = Bench(None if peers is None else install(peers).absolute())
    cores = len(os.sched_getaffinity(0))
    compiling = bench.compiling()
    parts = [
        "## Speed of the evaluation",
        f"`benchmarks/speed.py --largest {largest}`: medians of up to {REPEATS} calls in seconds, all in one run "
        f"(Python {platform.python_version()}, {platform.machine()}, {cores} cores). Osler, in one thread, gives the "
        "influence of every patient with each value, and so the interval, except for the plain C-index; the peers give "
        f"values. Compilation comes on top, once per machine: {sum(compiling.values()):.0f} s for all of it.",
        _table(bench, largest),
        *(["Memory that a call adds to its inputs:", _memory_table(bench, largest)] if largest >= 10**5 else []),
        _targets(bench, largest),
    ]
    return "\n" + "\n\n".join(parts) + "\n"


def _sizes(largest: int) -> list[int]:
    return [n for n in (10_000, 100_000, 1_000_000) if n <= largest]


#: What is measured, by us and by others, and up to how many patients the others are asked.
_ROWS: tuple[tuple[str, str, dict[str, int]], ...] = (
    ("Harrell's C, value only", "osler_harrell", {"lifelines_harrell": 10**6, "sksurv_harrell": 10**5,
                                                  "torchsurv_harrell": 10**4}),
    ("Uno's C", "osler_uno", {"sksurv_uno": 10**5}),
    ("AUC at 10 horizons", "osler_auc", {"sksurv_auc": 10**6}),
    ("integrated Brier score, 100 times", "osler_integrated_brier", {"sksurv_integrated_brier": 10**5}),
    ("Antolini's C, 100 times", "osler_antolini", {}),
)  # fmt: skip
#: At the largest size curves at 100 times would take more memory than the machines at hand have to spare.
_CURVES = ("osler_integrated_brier", "osler_antolini")


def _table(bench: Bench, largest: int) -> str:
    lines = [
        "| | patients | Osler | numpy.argsort | lifelines | scikit-survival | TorchSurv |",
        "|---|---|---|---|---|---|---|",
    ]
    for what, ours, peers in _ROWS:
        for n in _sizes(largest):
            if ours in _CURVES and n > 10**5:
                continue
            cells = [what, f"{n:,}", _second(bench.seconds(ours, n)), _second(bench.seconds("argsort", n))]
            for library in ("lifelines", "sksurv", "torchsurv"):
                name = next((peer for peer in peers if peer.startswith(library)), "")
                asked = bool(name) and n <= peers[name]
                cells.append(_beside(bench, name, ours, n) if asked else "-")
            lines.append("| " + " | ".join(cells) + " |")
    lines.append(f"| AUC, Brier, integrated Brier of 8 models, all differences | 10,000 | "
                 f"{_second(bench.seconds('osler_evaluate', 10_000))} | - | - | - | - |")  # fmt: skip
    return "\n".join(lines)


def _beside(bench: Bench, peer: str, ours: str, n: int) -> str:
    ratio = bench.times_quicker(ours, peer, n)
    return f"{_second(bench.seconds(peer, n))} ({ratio:.3g}x)" if np.isfinite(ratio) else "-"


def _second(seconds: float) -> str:
    return f"{seconds:.3g}" if np.isfinite(seconds) else "-"


#: Whose memory is measured, in the largest cohorts.
_MEMORY = {
    "Harrell's C": "osler_harrell",
    "Uno's C": "osler_uno",
    "AUC at 10 horizons": "osler_auc",
    "integrated Brier score, 20 times": "osler_integrated_brier_20",
}


def _memory_table(bench: Bench, largest: int) -> str:
    sizes = [n for n in _sizes(largest) if n >= 10**5]
    lines = ["| bytes per patient | " + " | ".join(f"{n:,}" for n in sizes) + " |", "|---" * (1 + len(sizes)) + "|"]
    for what, name in _MEMORY.items():
        lines.append(f"| {what} | " + " | ".join(f"{_bytes(bench, name, n):.0f}" for n in sizes) + " |")
    return "\n".join(lines)


def _bytes(bench: Bench, name: str, n: int) -> float:
    found = bench(name, n)
    return found["added"] * 2**20 / n if found else float("nan")


def _targets(bench: Bench, largest: int) -> str:
    """Every target with what was measured."""
    lines = ["| target | measured | |", "|---|---|---|"]

    def add(what: str, value: float, limit: float, unit: str, *, least: bool = False) -> None:
        met = "not measured" if not np.isfinite(value) else "met" if (value >= limit) == least else "not met"
        lines.append(f"| {what} | {value:.3g} {unit} | {met} |")

    big, at = 10**6, 10**5
    if largest >= big:
        order = bench.seconds("osler_harrell", big) / bench.seconds("argsort", big)
        add("Harrell's C of 1,000,000 within 6 times one numpy.argsort", order, 6, "times")
        add("Uno's C of 1,000,000 with influences within 3 s", bench.seconds("osler_uno", big), 3, "s")
        add("AUC of 1,000,000 at 10 horizons with influences within 3 s", bench.seconds("osler_auc", big), 3, "s")
    for peer, ours, what, factor in (
        ("lifelines", "harrell", "Harrell's C", 15),
        ("sksurv", "harrell", "Harrell's C", 300),
        ("sksurv", "integrated_brier", "integrated Brier score at 100 times", 3),
    ):
        if largest >= at:
            ratio = bench.times_quicker(f"osler_{ours}", f"{peer}_{ours}", at)
            name = {"sksurv": "scikit-survival"}.get(peer, peer)
            add(f"{what} of 100,000 at least {factor} times quicker than {name}", ratio, factor, "times", least=True)
    add("intervals and differences of 8 models on 10,000 within 5 s", bench.seconds("osler_evaluate", 10**4), 5, "s")
    for what, name in _MEMORY.items() if largest >= big else ():
        add(f"memory of {what} for 1,000,000 at most 512 bytes per patient", _bytes(bench, name, big), 512, "bytes")
    return "\n".join(lines)


def main() -> None:
    """Measure and print a Markdown section; progress goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peers-env", type=Path, default=ROOT / ".bench-env", help="the peers' environment; made if missing"
    )
    parser.add_argument("--no-peers", action="store_true", help="measure Osler and numpy alone")
    parser.add_argument("--largest", type=int, default=1_000_000, help="most patients")
    parser.add_argument("--child", nargs=2, metavar=("JOB", "N"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child[0], int(chosen.child[1]))
    else:
        print(section(None if chosen.no_peers else chosen.peers_env, chosen.largest))


if __name__ == "__main__":
    main()
