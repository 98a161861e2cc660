"""A record-only cohort whose hazards are known in closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cohorts import YEAR
from osler.cohort.cohort import Cohort, Variable
from osler.cohort.outcome import Outcome

BETA = (0.8, -0.5)


def plain_cohort(
    n: int,
    seed: int,
    causes: tuple[str, ...] = ("event",),
    beta: tuple[float, float] = BETA,
    shape: float = 1.0,
) -> Cohort:
    """Two normal covariates a, b; censoring uniform over 2 to 12 years.

    The cumulative hazard of the first cause at t years is (t / 10)^shape * exp(eta), eta = (a, b) beta; that of a
    second cause has -eta in place of eta.
    """
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    eta = X @ np.array(beta)
    signs = [-1 if k == 0 else 1 for k in range(len(causes))]
    times = [10 * (rng.exponential(1, n) * np.exp(sign * eta)) ** (1 / shape) for sign in signs]
    times.append(rng.uniform(2, 12, n))
    first = np.argmin(times, axis=0)
    return Cohort(
        name="plain",
        patients=np.array([str(i) for i in range(n)], dtype=object),
        record=pd.DataFrame(X, columns=["a", "b"]),
        visits=pd.DataFrame({"patient": np.empty(0, dtype=np.int64), "time": np.empty(0)}),
        variables={name: Variable(name, name, "number", "record") for name in ("a", "b")},
        outcome=Outcome(np.min(times, axis=0) * YEAR, np.where(first == len(causes), 0, first + 1), causes),
    )
