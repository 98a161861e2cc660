"""Fit on one cohort, validate on another: rotterdam -> gbsg, with the risks updated there; print it in Markdown.

    .venv/bin/python benchmarks/external.py --data ../shared/data

Both steps run as a user would run them: `osler run` on rotterdam, `osler evaluate` of its model on gbsg.
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
MODELS = "reference,cox,aft,boosted_cox,boosted_hazard"
MEASURES = {
    "auc": "AUC",
    "c_index": "Uno's C",
    "brier": "Brier",
    "ipa": "IPA",
    "observed_expected": "O/E",
    "calibration_intercept": "intercept",
    "calibration_slope": "slope",
    "ici": "ICI",
}


def main() -> None:
    """Run, time and tabulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("OSLER_DATA", str(ROOT.parent / "shared" / "data")))
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "bench")
    asked = parser.parse_args()
    fitted, judged = asked.out / "rotterdam", asked.out / "gbsg-external"
    began = time.perf_counter()
    _osler("run", "data/rotterdam", "--root", asked.data, "--models", MODELS, "--out", str(fitted))
    middle = time.perf_counter()
    _osler("evaluate", str(fitted / "model.osler"), "data/gbsg", "--root", asked.data, "--out", str(judged))
    print(_section(fitted, judged, middle - began, time.perf_counter() - middle))


def _osler(*arguments: str) -> None:
    print("osler", *arguments, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "osler", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _section(fitted: Path, judged: Path, fitting: float, judging: float) -> str:
    metrics = pd.read_parquet(judged / "metrics.parquet")
    run = json.loads((judged / "run.json").read_text(encoding="utf-8"))
    chosen = json.loads((fitted / "run.json").read_text(encoding="utf-8"))["choice"]
    lines = [
        "## External validation: rotterdam -> gbsg",
        "",
        f"`osler run data/rotterdam --models {MODELS}` ({fitting:.0f} s): {chosen}",
        "",
        "`osler evaluate reports/bench/rotterdam/model.osler data/gbsg` "
        f"({judging:.0f} s): {run['sentence']} Updates are cross-fitted: no patient's risk was updated "
        "by a map that had seen their outcome. In square brackets the range of perfectly calibrated risks.",
        "",
        "| horizon | risks | " + " | ".join(MEASURES.values()) + " |",
        "|---|---|" + "---|" * len(MEASURES),
    ]
    for (horizon, model), cell in metrics.groupby(["horizon", "model"], sort=False):
        by_measure = cell.set_index("measure")
        shown = [_shown(by_measure, measure) for measure in MEASURES]
        lines.append(f"| {duration(float(horizon))} | {model} | " + " | ".join(shown) + " |")
    return "\n".join([*lines, ""])


def _shown(by_measure: pd.DataFrame, measure: str) -> str:
    if measure not in by_measure.index or pd.isna(by_measure.loc[measure, "value"]):
        return "-"
    row = by_measure.loc[measure]
    interval = f"{row['value']:.3f} ({row['lower']:.3f}, {row['upper']:.3f})"
    if pd.isna(row["calibrated_lower"]):
        return interval
    return f"{interval} [{row['calibrated_lower']:.3f}, {row['calibrated_upper']:.3f}]"


if __name__ == "__main__":
    main()
