"""Run benchmarks and put what they print into benchmarks/RESULTS.md, each part in its place.

    .venv/bin/python benchmarks/run.py [--parts studies,external,speed] [--data ../shared/data] [--peers-env .bench-env]

Parts that are not run keep what an earlier run wrote. Everything runs in a process of its own, one after the other.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
#: Part -> script and arguments; {data} and {peers} are filled in.
PARTS = {
    "studies": ("studies.py", "--data", "{data}"),
    "external": ("external.py", "--data", "{data}"),
    "same_folds": ("same_folds.py", "--data", "{data}", "--peers-env", "{peers}"),
    "speed": ("speed.py", "--peers-env", "{peers}"),
    "committee": ("committee.py",),
    "scale": ("scale.py",),
    "intervals": ("interval_coverage.py",),
    "refitting": ("refitting.py",),
    "forecast": ("forecast.py", "--data", "{data}"),
    "explanations": ("explanations.py", "--data", "{data}"),
    "simulation": ("simulation.py", "--patients", "4000", "--models", "stacked_cox,boosted_hazard,recurrent,ensemble"),
    "ceiling": ("simulation.py", "--patients", "20000", "--models", "stacked_cox,recurrent", "--revealed"),
    "availability": ("availability.py", "--patients", "4000", "--trained"),
    "genomics": ("genomics.py", "--data", "{data}"),
}


def main() -> None:
    """Run the parts asked for, in the order of ``PARTS``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--data", default=os.environ.get("OSLER_DATA", str(ROOT.parent / "shared" / "data")))
    parser.add_argument(
        "--peers-env", default=str(ROOT / ".bench-env"), help="environment of the peers; made if absent"
    )
    asked = parser.parse_args()
    for name in asked.parts.split(","):
        script, *arguments = PARTS[name]
        filled = [argument.format(data=asked.data, peers=asked.peers_env) for argument in arguments]
        print("benchmarks:", script, *filled, file=sys.stderr, flush=True)
        command = [sys.executable, str(ROOT / "benchmarks" / script), *filled]
        put(name, subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)


def put(name: str, text: str) -> None:
    """Write one part into the results, in place of what it was."""
    parts = dict(re.findall(r"<!-- (\w+) -->\n(.*?)<!-- end -->\n", _written(), flags=re.DOTALL))
    parts[name] = text.strip() + "\n"
    body = "\n".join(f"<!-- {part} -->\n{parts[part]}<!-- end -->\n" for part in PARTS if part in parts)
    cores = len(os.sched_getaffinity(0))
    machine = f"Python {platform.python_version()}, {platform.machine()}, {cores} cores"
    RESULTS.write_text(f"# Results\n\nMade by `make bench` ({machine}).\n\n{body}", encoding="utf-8")


def _written() -> str:
    return RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""


if __name__ == "__main__":
    main()
