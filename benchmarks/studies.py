"""Run the study of every recipe, and of the simulated cohort, on this machine; print what they found in Markdown.

    .venv/bin/python benchmarks/studies.py --data ../shared/data [--only framingham,pbc2]

Each study runs as a user would run it, in a process of its own, so that its time includes reading and reporting.
"""

from __future__ import annotations

import argparse
import json
import os
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
    "pbc2": 180,
    "pbc2_composite": 900,
    "ispy1": 120,
    "metabric": 360,
    "hancock": 360,
    "covid_chestxray": 300,
    "demo": 180,
}
MEASURES = {
    "auc": "AUC",
    "c_index": "Uno's C",
    "brier": "Brier",
    "integrated_brier": "integrated Brier",
    "ipa": "IPA",
    "observed_expected": "O/E",
    "calibration_slope": "slope",
    "ici": "ICI",
}
#: What others published of the same question.
PUBLISHED = {
    "pbc2_composite": "Published for a joint model (JMbayes2: log bilirubin, prothrombin time, ascites) at landmark "
    "5 y, window 3 y, 202 at risk, 40 events, cross-validated on folds of its own: AUC 0.818, integrated Brier 0.0863."
}
_FOUR_DIGITS = ("brier", "integrated_brier")


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
    print("\n".join([_heading(), *parts]))


def _osler(*arguments: str) -> None:
    print("osler", *arguments, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "osler", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _heading() -> str:
    return (
        "## Studies\n\n"
        "Patient-grouped folds, out-of-fold predictions. 95% intervals hold refitting (`osler.evaluation.refitting`). "
        "In square brackets the range that perfectly calibrated risks of the same patients would show. Times count "
        "everything from reading to the written report, nothing cached.\n"
    )


def _section(name: str, folder: Path, seconds: float) -> str:
    metrics = pd.read_parquet(folder / "metrics.parquet")
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    division = f"{run['folds']} folds, {run['repeats']} repeat{'s' if run['repeats'] > 1 else ''}, seed {run['seed']}"
    lines = [
        f"### {name}",
        "",
        f"`osler run data/{name}` ({division}): {seconds:.0f} s (limit {LIMITS[name]} s). {run['choice']}",
        *([PUBLISHED[name]] if name in PUBLISHED else []),
        "",
    ]
    lines += [
        "| landmark | horizon | model | " + " | ".join(MEASURES.values()) + " |",
        "|---|---|---|" + "---|" * len(MEASURES),
    ]
    for (landmark, horizon, model), cell in metrics.groupby(["landmark", "horizon", "model"], sort=False):
        by_measure = cell.set_index("measure")
        shown = [_shown(by_measure, measure) for measure in MEASURES]
        lines.append(f"| {duration(landmark)} | {duration(horizon)} | {model} | " + " | ".join(shown) + " |")
    lines += ["", *(f"- {duration(told['landmark'])}: {told['sentence']}" for told in run["added_verdict"])]
    return "\n".join([*lines, ""])


def _shown(by_measure: pd.DataFrame, measure: str) -> str:
    if measure not in by_measure.index or pd.isna(by_measure.loc[measure, "value"]):
        return "-"
    row = by_measure.loc[measure]
    digits = 4 if measure in _FOUR_DIGITS else 3
    interval = f"{row['value']:.{digits}f} ({row['lower']:.{digits}f}, {row['upper']:.{digits}f})"
    if pd.isna(row["calibrated_lower"]):
        return interval
    return f"{interval} [{row['calibrated_lower']:.{digits}f}, {row['calibrated_upper']:.{digits}f}]"


if __name__ == "__main__":
    main()
