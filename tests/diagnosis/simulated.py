"""Simulated classes: columns whose probabilities are known, and small pictures whose signal moves about."""

from __future__ import annotations

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort, Genomics, Variable
from osler.cohort.diagnosis import Diagnosis
from osler.cohort.images import Images

SIDE = 16


def columns_cohort(n: int, seed: int, classes: int = 2) -> tuple[Cohort, np.ndarray]:
    """Two numbers and a category, and the true (n, C) probabilities; the category says nothing."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n))
    slopes = np.array([[0.0, 1.2, -0.8], [0.0, -0.7, 1.1], [0.3, -0.2, -0.4]])[:, :classes]
    logits = np.column_stack([a, b, np.ones(n)]) @ slopes
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (p.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    record = pd.DataFrame({"a": a, "b": b, "site": pd.Categorical(rng.choice(["x", "y"], n), categories=["x", "y"])})
    variables = {name: Variable(name, name, "number", "record") for name in ("a", "b")}
    variables["site"] = Variable("site", "Site", "category", "record", levels=("x", "y"))
    names = tuple(f"class {code}" for code in range(classes))
    return _cohort(record, variables, Diagnosis("kind", names, label, classes - 1)), p


def picture_cohort(n: int, seed: int, share: float = 0.5) -> Cohort:
    """Pictures of noise; nine in ten of class "lesion" and one in ten others have a bright blob at a place of its own.

    Within a class pictures are alike whatever its share, so that a change of ``share`` is a pure prior shift.
    """
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < share).astype(np.int64)
    pixels = rng.normal(0.4, 0.1, (n, 1, SIDE, SIDE))
    for i in np.flatnonzero(rng.random(n) < np.where(label == 1, 0.9, 0.1)):
        y, x = rng.integers(2, SIDE - 4, 2)
        pixels[i, 0, y : y + 3, x : x + 3] += 0.35
    pixels += 0.4 - pixels.mean(axis=(1, 2, 3), keepdims=True)  # mean brightness tells nothing
    record = pd.DataFrame(index=range(n))
    cohort = _cohort(record, {}, Diagnosis("lesion", ("none", "lesion"), label, 1))
    visits = pd.DataFrame({"patient": np.arange(n, dtype=np.int64), "time": np.zeros(n)})
    block = Images("scan", "pixels", np.arange(n, dtype=np.int64), pixels.clip(0, 1).astype(np.float32))
    return Cohort(**{**_parts(cohort), "visits": visits, "images": {"scan": block}})


def mixed_cohort(n: int, seed: int) -> Cohort:
    """Columns, a genomic block and pictures, some of them absent."""
    cohort, _ = columns_cohort(n, seed)
    pictures = picture_cohort(n, seed + 1)
    rng = np.random.default_rng(seed + 2)
    genes = rng.normal(size=(n, 5)).astype(np.float32)
    genes[rng.random(n) < 0.2] = np.nan
    genomics = {"genes": Genomics("genes", "expression", tuple("vwxyz"), genes)}
    block = pictures.images["scan"].take(np.flatnonzero(rng.random(n) < 0.8))
    given = {"visits": pictures.visits, "images": {"scan": block}, "genomics": genomics}
    return Cohort(**{**_parts(cohort), **given})


def _cohort(record: pd.DataFrame, variables: dict[str, Variable], diagnosis: Diagnosis) -> Cohort:
    return Cohort(
        name="simulated classes",
        patients=np.array([f"id{i}" for i in range(len(record))], dtype=object),
        record=record,
        visits=pd.DataFrame({"patient": np.empty(0, dtype=np.int64), "time": np.empty(0)}),
        variables=variables,
        diagnosis=diagnosis,
    )


def _parts(cohort: Cohort) -> dict:
    return {name: getattr(cohort, name) for name in ("name", "patients", "record", "variables", "diagnosis")}
