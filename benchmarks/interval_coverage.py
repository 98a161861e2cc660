"""Do 95% intervals hold the truth in 95% of studies? Simulated cohorts, under censoring and competing events.

    .venv/bin/python benchmarks/interval_coverage.py [--replicates 1000] [--seed 7] [--patients 500]

In every replicate a new cohort is drawn, censored, and two fixed risk functions are judged on it: one knows the
covariate, the other sees it through noise. The truth of each measure is computed without Osler's estimators, among a
million uncensored patients. An interval is good when its coverage lies between 93 and 97%; the Monte Carlo error of a
coverage of 95% is 0.7% with 1,000 replicates. Where censoring depends on the risk, marginal weights must fail.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.optimize import brentq
from scipy.stats import rankdata

from osler.engine import run_tasks
from osler.evaluation.accuracy import brier, prediction_accuracy, trapezoid_weights
from osler.evaluation.calibration import observed_expected
from osler.evaluation.censoring import CensoringModel, StratifiedCensoring
from osler.evaluation.censoring_cox import CoxCensoring
from osler.evaluation.concordance import concordance
from osler.evaluation.discrimination import auc
from osler.evaluation.estimate import Measured, interval, standard_error
from osler.evaluation.follow_up import FollowUp

Floats = NDArray[np.float64]
Row = dict[str, float | str]
HORIZON, TIMES = 5.0, np.arange(0.5, 5.25, 0.5)
LEVEL, LIMITS = 0.95, (0.93, 0.97)
#: Patients among whom the truth is computed; four times as many pairs of them for the concordance.
MANY = 1_000_000
#: Replicates that a process does at a time.
BATCH = 25
WORKERS = 2
#: Measures in the order of the table; differences are of the noisy risks minus the informed ones.
LABELS = {
    "auc": "AUC",
    "auc_difference": "AUC, difference",
    "brier": "Brier",
    "brier_difference": "Brier, difference",
    "integrated_brier": "integrated Brier",
    "integrated_brier_difference": "integrated Brier, difference",
    "ipa": "IPA",
    "c_index": "Uno's C",
    "observed_expected": "observed/expected",
}
WEIGHTS: dict[str, Callable[[Floats], CensoringModel | None]] = {
    "marginal": lambda x: None,
    "Cox": lambda x: CoxCensoring(x[:, None]),
    "by group": lambda x: StratifiedCensoring(x > 0),
}


@dataclass(frozen=True)
class Scenario:
    """How cohorts are drawn and weighted.

    Attributes:
        name: for the table.
        competing: whether another event competes.
        censored: share of patients censored before their event and before the horizon.
        depends: what the censoring depends on: "nothing", "risk" (the covariate) or "group" (its upper half).
        steep: by how much the log hazard of censoring grows with it.
        weights: of ``WEIGHTS``.
        holds: whether intervals are expected to hold.
    """

    name: str
    competing: bool
    censored: float
    depends: str = "nothing"
    steep: float = 0.0
    weights: str = "marginal"
    holds: bool = True


SCENARIOS = (
    Scenario("one cause, 30% censored", competing=False, censored=0.3),
    Scenario("one cause, 60% censored", competing=False, censored=0.6),
    Scenario("competing events, 30% censored", competing=True, censored=0.3),
    Scenario("competing events, 60% censored", competing=True, censored=0.6),
    Scenario("censoring depends on risk", False, 0.45, "risk", 0.4, "marginal", holds=False),
    Scenario("censoring depends on risk", False, 0.45, "risk", 0.4, "Cox"),
    Scenario("competing events, censoring depends on risk", True, 0.45, "risk", 0.4, "Cox"),
    Scenario("censoring depends on group", False, 0.45, "group", 1.5, "marginal", holds=False),
    Scenario("censoring depends on group", False, 0.45, "group", 1.5, "by group"),
    Scenario("censoring depends steeply on risk", False, 0.45, "risk", 1.0, "Cox", holds=False),
)


def main() -> None:
    """Simulate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--patients", type=int, default=500)
    chosen = parser.parse_args()
    print(section(chosen.replicates, chosen.seed, chosen.patients))


def section(replicates: int = 1000, seed: int = 7, patients: int = 500) -> str:
    """A section of the results in Markdown: coverage of every interval in every scenario, met or not met."""
    table = pd.concat([coverage(s, replicates, seed, patients).assign(scenario=s) for s in SCENARIOS])
    command = f"benchmarks/interval_coverage.py --replicates {replicates} --seed {seed} --patients {patients}"
    lines = [
        "## Do intervals hold the truth?\n",
        f"`{command}`: coverage of {LEVEL:.0%} intervals over {replicates:,} cohorts of {patients:,} patients; met "
        f"between {LIMITS[0]:.0%} and {LIMITS[1]:.0%}. Error ratio: mean standard error over the standard deviation of "
        "the estimates. Effective: mean effective sample size of the weights. Two things must fail, and are marked: "
        "marginal weights where censoring depends on the patients, and any weights where few patients carry them.\n",
        "| scenario | weights | effective | measure | truth | mean estimate | error ratio | coverage | error | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        numbers = f"{row.truth:.4f} | {row.mean:.4f} | {row.ratio:.3f} | {row.coverage:.1%} | {row.error:.1%}"
        verdict = "met" if row.met else "not met" if row.scenario.holds else "not met (expected)"
        verdict += f"; {row.refused} refused" if row.refused else ""
        where = f"{row.scenario.name} | {row.scenario.weights} | {row.effective:.0f} | {LABELS[row.measure]}"
        lines.append(f"| {where} | {numbers} | {verdict} |")
    return "\n".join(lines) + "\n"


def coverage(
    scenario: Scenario, replicates: int, seed: int, patients: int, *, workers: int = WORKERS, many: int = MANY
) -> pd.DataFrame:
    """One row per measure: measure, truth, mean, ratio (of errors), coverage, error, met, refused, effective.

    Args:
        scenario: how cohorts are drawn.
        replicates: cohorts.
        seed: of all chance; the result does not depend on ``workers``.
        patients: in each cohort.
        workers: processes of one thread each; 1 works in this one, without a progress bar.
        many: patients among whom the truth is computed.
    """
    rate = censoring_rate(scenario, seed, many)
    known = truth(scenario.competing, seed, many)
    batches = [range(start, min(start + BATCH, replicates)) for start in range(0, replicates, BATCH)]
    tasks = [(scenario, rate, seed, patients, batch) for batch in batches]
    label = f"{scenario.name}, {scenario.weights}"
    console = Console(stderr=True, quiet=workers == 1)
    under_way = track(run_tasks(_batch, tasks, workers=workers), label, len(tasks), console=console)
    found = pd.DataFrame([row for rows in under_way for row in rows]).sort_values("replicate", kind="stable")
    out = []
    for measure, rows in found.groupby("measure", sort=False):
        usable = rows[rows["value"].notna()]
        held = (usable["lower"] <= known[measure]) & (known[measure] <= usable["upper"])
        share = float(held.mean())
        out.append(
            {
                "measure": measure,
                "truth": known[measure],
                "mean": usable["value"].mean(),
                "ratio": usable["se"].mean() / usable["value"].std(),
                "coverage": share,
                "error": float(np.sqrt(share * (1 - share) / len(usable))),
                "met": LIMITS[0] <= share <= LIMITS[1],
                "refused": len(rows) - len(usable),
                "effective": usable["effective"].mean(),
            }
        )
    return pd.DataFrame(out)


def _batch(scenario: Scenario, rate: float, seed: int, patients: int, replicates: range) -> list[Row]:
    which = SCENARIOS.index(scenario)
    rows = []
    for r in replicates:
        found = replicate(scenario, rate, np.random.default_rng([seed, which, r]), patients)
        rows += [{"replicate": r, **row} for row in found]
    return rows


def replicate(scenario: Scenario, rate: float, rng: np.random.Generator, patients: int) -> list[Row]:
    """Value, lower, upper and se of every measure in one cohort."""
    time, event, x, seen = cohort(scenario, rate, rng, patients)
    follow_up = FollowUp(time, event, 1, WEIGHTS[scenario.weights](x))
    refused = follow_up.unsupported(HORIZON)
    effective = follow_up.effective(HORIZON)
    rows: list[Row] = []
    both: dict[str, Measured | str] = {}
    for name in LABELS:
        measure = name.removesuffix("_difference")
        if measure not in both:
            both[measure] = refused or measured(follow_up, x, seen, measure)
        found = both[measure]
        if isinstance(found, str):
            nothing = dict.fromkeys(("value", "lower", "upper", "se", "effective"), np.nan)
            rows.append({"measure": name, **nothing})
            continue
        value, influence, cut = found.value[0], found.influence[:, :1], measure
        if name != measure:
            value, influence, cut = found.value[1] - value, found.influence[:, 1:] - influence, "difference"
        se = standard_error(influence)[0]
        lower, upper = interval(cut, value, se, LEVEL)
        numbers = {"value": value, "lower": float(lower), "upper": float(upper), "se": se, "effective": effective}
        rows.append({"measure": name, **numbers})
    return rows


def measured(follow_up: FollowUp, x: Floats, seen: Floats, measure: str) -> Measured | str:
    """One measure of both risk functions."""
    risk = risks(x, seen, HORIZON)
    if measure == "integrated_brier":
        weights = trapezoid_weights(TIMES, HORIZON)
        parts = [brier(follow_up, risks(x, seen, t), t) for t in TIMES]
        value = sum(w * part.value for w, part in zip(weights, parts, strict=True))
        return Measured(value, sum(w * part.influence for w, part in zip(weights, parts, strict=True)))
    if measure == "ipa":
        status = follow_up.status(HORIZON)
        average = (status.weight * status.case).sum() / status.weight.sum()
        null = brier(follow_up, np.full((len(x), 1), average), HORIZON)
        return prediction_accuracy(brier(follow_up, risk, HORIZON), null)
    measures = {"auc": auc, "brier": brier, "c_index": concordance, "observed_expected": observed_expected}
    return measures[measure](follow_up, risk, HORIZON)


def risks(x: Floats, seen: Floats, at: float) -> Floats:
    """(n, 2) risks by a time of the two models: of the covariate, and of the covariate seen through noise."""
    return 1 - np.exp(-at * np.stack([0.09 * np.exp(0.8 * x), 0.11 * np.exp(0.4 * seen)], axis=1))


def uncensored(competing: bool, rng: np.random.Generator, n: int) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
    """Time and cause of the first event, the covariate, and what the second model sees of it."""
    x = rng.normal(size=n)
    first, second = (
        rng.exponential(size=n) / (0.09 * np.exp(0.8 * x)),
        rng.exponential(size=n) / (0.06 * np.exp(0.3 * x)),
    )
    seen = x + rng.normal(size=n)
    if not competing:
        return first, np.ones(n, dtype=np.int64), x, seen
    return np.minimum(first, second), np.where(first <= second, 1, 2), x, seen


def cohort(
    scenario: Scenario, rate: float, rng: np.random.Generator, n: int
) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
    """Like ``uncensored``, after censoring."""
    time, event, x, seen = uncensored(scenario.competing, rng, n)
    left = rng.exponential(size=n) / (rate * _haste(scenario, x))
    return np.minimum(time, left), np.where(left < time, 0, event), x, seen


def _haste(scenario: Scenario, x: Floats) -> Floats:
    """(n,) relative hazards of censoring."""
    return np.exp(scenario.steep * (x > 0 if scenario.depends == "group" else x))


def censoring_rate(scenario: Scenario, seed: int, many: int = MANY) -> float:
    """The hazard of censoring with which the wanted share is censored before event and horizon."""
    rng = np.random.default_rng([seed, 1 << 20])
    time, _, x, _ = uncensored(scenario.competing, rng, many // 5)
    until = np.minimum(time, HORIZON) * _haste(scenario, x)
    return float(brentq(lambda rate: np.mean(1 - np.exp(-rate * until)) - scenario.censored, 1e-4, 10.0))


@cache
def truth(competing: bool, seed: int, many: int = MANY) -> dict[str, float]:
    """Every measure among many uncensored patients, from its definition."""
    rng = np.random.default_rng([seed, 1 << 21])
    time, event, x, seen = uncensored(competing, rng, many)
    case = (time <= HORIZON) & (event == 1)
    risk, share = risks(x, seen, HORIZON), case.mean()
    score = ((case[:, None] - risk) ** 2).mean(axis=0)
    by_time = [((((time <= t) & (event == 1))[:, None] - risks(x, seen, t)) ** 2).mean(axis=0) for t in TIMES]
    curve = np.vstack([np.zeros((1, 2)), by_time])
    mean_score = np.trapezoid(curve, np.concatenate([[0.0], TIMES]), axis=0) / HORIZON
    rank = np.column_stack([rankdata(column)[case].sum() for column in risk.T])[0]
    order = (rank / case.sum() - (case.sum() + 1) / 2) / (many - case.sum())
    return {
        "auc": order[0],
        "auc_difference": order[1] - order[0],
        "brier": score[0],
        "brier_difference": score[1] - score[0],
        "integrated_brier": mean_score[0],
        "integrated_brier_difference": mean_score[1] - mean_score[0],
        "ipa": 1 - score[0] / (share * (1 - share)),
        "c_index": _order_of_pairs(time, event, risk[:, 0], rng),
        "observed_expected": share / risk[:, 0].mean(),
    }


def _order_of_pairs(time: Floats, event: NDArray[np.int64], risk: Floats, rng: np.random.Generator) -> float:
    """Share of pairs in the right order, of those with an event by the horizon while the other has not had it."""
    i, j = rng.integers(0, len(time), (2, 4 * len(time)))
    counted = (event[i] == 1) & (time[i] <= HORIZON) & (i != j) & ((time[j] > time[i]) | (event[j] != 1))
    return float((risk[i] > risk[j])[counted].mean())


if __name__ == "__main__":
    main()
