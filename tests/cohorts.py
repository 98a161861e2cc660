"""Small cohorts in memory, for tests that need no files."""

from __future__ import annotations

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort, Genomics, Images, Variable
from osler.cohort.outcome import Outcome
from osler.config import Question

YEAR = 365.25
QUESTION = Question(landmarks=(0.0, YEAR), horizons=(2 * YEAR, 4 * YEAR), grid_size=16)


def make_cohort(
    n: int = 240,
    seed: int = 0,
    *,
    causes: tuple[str, ...] = ("progression", "death"),
    genes: int = 12,
    image_size: int | None = 12,
    embedding: int | None = 6,
    missing: float = 0.1,
) -> Cohort:
    """Two causes driven by age, marker (level and slope), a gene sum, and the brightness of images.

    Record: age (number), sex (category), smoker (flag). Visits: marker, pressure (numbers), stage (category).
    Genomics "rna"; images "scan" (pixels) and "slide" (embedding); any of them is left out with 0 or None.
    """
    rng = np.random.default_rng(seed)
    age, sex = rng.normal(60, 10, n), rng.integers(0, 2, n)
    smoker = (rng.random(n) < 0.3).astype(float)
    level, slope = rng.normal(0, 1, n), rng.normal(0, 0.4, n)
    rna = rng.normal(size=(n, max(genes, 1))).astype(np.float32)
    lesion = rng.normal(size=n)
    risk = 0.05 * (age - 60) + 0.5 * level + 0.6 * slope + 0.4 * rna[:, 0] + 0.5 * lesion
    times = np.column_stack(
        [
            rng.exponential(6 * YEAR * np.exp(-risk)),
            rng.exponential(12 * YEAR * np.exp(-0.06 * (age - 60))),
            rng.uniform(2, 10, n) * YEAR,
        ]
    )
    first = times.argmin(axis=1)
    event = np.where(first == 2, 0, np.minimum(first + 1, len(causes))).astype(np.int64)
    time = times.min(axis=1) + 1.0

    rows = []
    for i in range(n):
        when = np.concatenate([[0.0], np.cumsum(rng.uniform(0.3, 1.2, 6)) * YEAR])
        for t in when[when < min(time[i], 5 * YEAR)]:
            marker = level[i] + slope[i] * t / YEAR + rng.normal(0, 0.3)
            rows.append((i, t, marker, rng.normal(120, 15), "high" if marker > 0.5 else "low"))
    visits = pd.DataFrame(rows, columns=["patient", "time", "marker", "pressure", "stage"])
    visits["patient"] = visits["patient"].astype(np.int64)
    visits.loc[rng.random(len(visits)) < missing, "marker"] = np.nan
    visits["stage"] = pd.Categorical(
        visits["stage"].where(rng.random(len(visits)) >= missing), categories=["low", "high"]
    )
    record = pd.DataFrame(
        {
            "age": np.where(rng.random(n) < missing, np.nan, age),
            "sex": pd.Categorical(np.where(sex == 1, "male", "female"), categories=["female", "male"]),
            "smoker": smoker,
        }
    )
    variables = {
        "age": Variable("age", "Age", "number", "record", "a", minimum=18, maximum=110),
        "sex": Variable("sex", "Sex", "category", "record", levels=("female", "male")),
        "smoker": Variable("smoker", "Smoker", "flag", "record", modifiable=True),
        "marker": Variable("marker", "Marker", "number", "visits", "mg/dL"),
        "pressure": Variable("pressure", "Systolic blood pressure", "number", "visits", "mm[Hg]", modifiable=True),
        "stage": Variable("stage", "Stage", "category", "visits", levels=("low", "high")),
    }
    genomics = {}
    if genes:
        rna[rng.random(n) < 0.1] = np.nan
        genomics["rna"] = Genomics("rna", "expression", tuple(f"G{i}" for i in range(genes)), rna)
    images = {}
    baseline = np.flatnonzero(visits["time"].to_numpy() == 0).astype(np.int64)
    owner = visits["patient"].to_numpy()
    if image_size:
        seen = baseline[rng.random(len(baseline)) < 0.9]
        pixels = rng.random((len(seen), 1, image_size, image_size)) * 0.4
        pixels += 0.3 + 0.1 * np.clip(lesion[owner[seen]], -3, 3)[:, None, None, None]
        images["scan"] = Images("scan", "pixels", seen, pixels.clip(0, 1).astype(np.float32))
    if embedding:
        seen = baseline[rng.random(len(baseline)) < 0.9]
        vectors = rng.normal(size=(len(seen), embedding))
        vectors[:, 0] += lesion[owner[seen]]
        images["slide"] = Images("slide", "embedding", seen, vectors.astype(np.float32))
    return Cohort(
        name="test cohort",
        patients=np.array([f"id-{seed}-{i}" for i in range(n)], dtype=object),
        record=record,
        visits=visits,
        variables=variables,
        genomics=genomics,
        images=images,
        outcome=Outcome(time, event, causes),
    )
