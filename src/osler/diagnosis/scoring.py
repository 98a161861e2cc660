"""Scoring: a fitted classifier's probabilities for every patient of a cohort, written as a table of pseudonyms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort
from osler.diagnosis.base import Classifier
from osler.diagnosis.prior_shift import PriorShift, estimate_shares, given_shares, rescale
from osler.errors import UsageError
from osler.outputs import write_whole

__all__ = ["classify"]


def classify(
    model: Classifier,
    cohort: Cohort,
    out: Path,
    *,
    prior_shift: bool = False,
    shares: Mapping[str, float] | None = None,
) -> PriorShift:
    """Write patient (pseudonym), class and probability to ``out``; returns how class shares here differ from training.

    Args:
        model: after ``fit``.
        cohort: patients, whose classes need not be known and are not used.
        out: .csv or .parquet.
        prior_shift: whether probabilities are brought to the class shares estimated among these patients.
        shares: class name -> share to bring them to instead.

    Raises:
        UsageError: another kind of file, nobody to classify, or shares that do not fit.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"cannot write {out.name!r}: expected a name ending in .csv or .parquet")
    if not len(cohort):
        raise UsageError(f"the cohort {cohort.name!r} has no patients to classify")
    given = None if shares is None else given_shares(shares, model.classes_)
    probability = model.predict(cohort).probability
    found = estimate_shares(probability, model.shares_)
    if given is not None or prior_shift:
        probability = rescale(probability, model.shares_, found.shares if given is None else given)
    C = len(model.classes_)
    table = pd.DataFrame(
        {
            "patient": np.repeat(cohort.pseudonyms, C),
            "model": model.name,
            "class": np.tile(np.array(model.classes_, dtype=object), len(cohort)),
            "probability": probability.ravel(),
        }
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".parquet":
        write_whole(out, partial(table.to_parquet, index=False))
    else:
        write_whole(out, partial(table.to_csv, index=False, lineterminator="\n"))
    return found
