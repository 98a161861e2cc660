"""Run the study of every recipe, and of the simulated cohort, on this machine; write benchmarks/RESULTS.md.

    .venv/bin/python benchmarks/studies.py --data ../shared/data [--only framingham,pbc2]

Each study runs as a user would run it, in a process of its own, so that its time includes reading and reporting.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from osler.units import duration

ROOT = Path(__file__).resolve().parent.parent
#: Wall time in seconds that a study may take on two cores.
LIMITS = {
    "framingham": 240,
    "pbc2": 120,
    "ispy1": 120,
    "metabric": 300,
    "hancock": 300,
    "covid_chestxray": 300,
    "demo": 120,
}
MEASURES = {"auc": "AUC", "integrated_brier": "integrated Brier", "ipa": "IPA", "observed_expected": "O/E"}


def main() -> None:
    """Run, time and tabulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("OSLER_DATA", str(ROOT.parent / "shared" / "data")))
    parser.add_argument("--only", default=",".join(LIMITS))
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "bench")
    arguments = parser.parse_args()
    if not (ROOT / "data" / "demo" / "cohort.toml").exists():
        _osler("simulate", "data/demo", "--patients", "1000")
    parts = []
    for name in arguments.only.split(","):
        root = [] if name == "demo" else ["--root", arguments.data]
        began = time.perf_counter()
        _osler("run", f"data/{name}", *root, "--out", str(arguments.out / name))
        parts.append(_section(name, arguments.out / name, time.perf_counter() - began))
    text = "\n".join([_heading(), *parts])
    (ROOT / "benchmarks" / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)


def _osler(*arguments: str) -> None:
    print("osler", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "osler", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _heading() -> str:
    cores = len(os.sched_getaffinity(0))
    return (
        "# Results\n\nMade by `make bench` "
        f"(Python {platform.python_version()}, {platform.machine()}, {cores} cores). "
        "Five patient-grouped folds, out-of-fold predictions; 95% intervals by influence functions, which leave out "
        "the variation of refitting. Times count everything from reading to the written report, nothing cached.\n"
    )


def _section(name: str, folder: Path, seconds: float) -> str:
    metrics = pd.read_parquet(folder / "metrics.parquet")
    lines = [f"## {name}", "", f"`osler run data/{name}`: {seconds:.0f} s (limit {LIMITS[name]} s)", ""]
    lines += [
        "| landmark | horizon | model | " + " | ".join(MEASURES.values()) + " |",
        "|---|---|---|" + "---|" * len(MEASURES),
    ]
    for (landmark, horizon, model), cell in metrics.groupby(["landmark", "horizon", "model"], sort=False):
        by_measure = cell.set_index("measure")
        shown = [_shown(by_measure, measure) for measure in MEASURES]
        lines.append(f"| {duration(landmark)} | {duration(horizon)} | {model} | " + " | ".join(shown) + " |")
    return "\n".join([*lines, ""])


def _shown(by_measure: pd.DataFrame, measure: str) -> str:
    if measure not in by_measure.index or pd.isna(by_measure.loc[measure, "value"]):
        return "-"
    value, lower, upper = by_measure.loc[measure, ["value", "lower", "upper"]]
    digits = 4 if measure == "integrated_brier" else 3
    return f"{value:.{digits}f} ({lower:.{digits}f}, {upper:.{digits}f})"


if __name__ == "__main__":
    main()
