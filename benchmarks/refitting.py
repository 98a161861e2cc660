"""Do the intervals of a cross-validation hold what they promise once models are fitted anew?

    .venv/bin/python benchmarks/refitting.py [--replicates 300] [--seed 0]

Ridge logistic models (penalties 1 and 30; two true predictors among many) are cross-validated in simulated cohorts
whose truth is known: the Brier score that models fitted to cohorts of this size reach on everybody. Printed is how
often 95% intervals hold it, for the first model and for the difference of the two, with standard errors that (a) take
the models as they are, (b) are those of ``osler.evaluation.refitting``, (c) have the whole variance corrected as Nadeau
and Bengio do.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scipy.special import expit, ndtri

from osler.evaluation.estimate import standard_error
from osler.evaluation.refitting import refitted_error

PENALTIES = (1.0, 30.0)
FOLDS = 5
SETTINGS = ((100, 30, 1), (100, 30, 4), (200, 10, 1), (200, 10, 4), (200, 40, 1), (200, 40, 4))


def fit(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Coefficients of ridge logistic regression, the intercept first and free, by Newton's method."""
    design = np.column_stack([np.ones(len(x)), x])
    ridge = penalty * np.eye(design.shape[1])
    ridge[0, 0] = 0.0
    beta = np.zeros(design.shape[1])
    for _ in range(12):
        p = expit(design @ beta)
        beta += np.linalg.solve((design * (p * (1 - p))[:, None]).T @ design + ridge, design.T @ (y - p) - ridge @ beta)
    return beta


def predict(x: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Risks of a fitted model."""
    return expit(beta[0] + x @ beta[1:])


def one(rng: np.random.Generator, n: int, p: int, repeats: int, everybody: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Estimates of one cohort: value and difference, their truths in this cohort, three errors of each."""
    effect = np.r_[0.8, 0.5, np.zeros(p - 2)]
    x = rng.normal(size=(n, p))
    y = (rng.random(n) < expit(x @ effect - 0.8)).astype(float)
    new, risk = everybody
    influences, folds = np.empty((repeats, n, 2)), np.empty((repeats, n), dtype=np.int64)
    values, truths = [], []
    for r in range(repeats):
        fold = rng.permutation(np.arange(n) % FOLDS)
        loss = np.empty((n, 2))
        for k in range(FOLDS):
            held = fold == k
            fitted = [fit(x[~held], y[~held], penalty) for penalty in PENALTIES]
            loss[held] = np.column_stack([(y[held] - predict(x[held], beta)) ** 2 for beta in fitted])
            truths.append([np.mean(risk * (1 - risk) + (risk - predict(new, beta)) ** 2) for beta in fitted])
        values.append(loss.mean(axis=0))
        influences[r], folds[r] = loss - loss.mean(axis=0), fold
    value, truth = np.mean(values, axis=0), np.mean(truths, axis=0)
    both = np.stack([influences[:, :, 0], influences[:, :, 0] - influences[:, :, 1]], axis=2)
    errors = [standard_error(both.mean(axis=0)), refitted_error(both, folds), _whole(both, folds)]
    pair = [(value[0], truth[0]), (value[0] - value[1], truth[0] - truth[1])]
    return np.array([[*pair[k], *(error[k] for error in errors)] for k in range(2)])


def _whole(influences: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(1/J + n2/n1) times the variance of the measures of all folds."""
    means = np.array([[i[f == k].mean(axis=0) for k in range(FOLDS)] for i, f in zip(influences, folds, strict=True)])
    means = means.reshape(-1, influences.shape[2])
    return np.sqrt((1 / len(means) + 1 / (FOLDS - 1)) * means.var(axis=0, ddof=1))


def section(replicates: int = 300, seed: int = 0) -> str:
    """The table in Markdown."""
    rng = np.random.default_rng(seed)
    lines = [
        "## Intervals of a cross-validation, against the truth of refitted models",
        "",
        f"`benchmarks/refitting.py --replicates {replicates} --seed {seed}`: share of {replicates} simulated cohorts "
        "whose 95% interval holds the true Brier score (difference of two models) of models fitted to such cohorts.",
        "",
        "| patients | predictors | repeats | of | true SD | models as they are | refitting | all corrected |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for n, p, repeats in SETTINGS:
        new = rng.normal(size=(10_000, p))
        everybody = new, expit(new @ np.r_[0.8, 0.5, np.zeros(p - 2)] - 0.8)
        drawn = np.array([one(rng, n, p, repeats, everybody) for _ in range(replicates)])
        for k, what in enumerate(("Brier score", "difference")):
            value, truth, errors = drawn[:, k, 0], drawn[:, k, 1].mean(), drawn[:, k, 2:]
            held = np.abs(value - truth)[:, None] <= ndtri(0.975) * errors
            cells = [
                f"{100 * h:.1f}% (mean SE {e:.4f})" for h, e in zip(held.mean(axis=0), errors.mean(axis=0), strict=True)
            ]
            lines.append(f"| {n} | {p} | {repeats} | {what} | {value.std(ddof=1):.4f} | " + " | ".join(cells) + " |")
        print(f"{n} patients, {p} predictors, {repeats} repeats: done", file=sys.stderr, flush=True)
    return "\n".join([*lines, ""])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(section(asked.replicates, asked.seed))


if __name__ == "__main__":
    main()
