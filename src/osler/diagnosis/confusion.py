"""Confusion: which class patients of each class are taken for, in counts that give no small one away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cells import reveal

__all__ = ["CONFUSION", "confusion"]

CONFUSION = ["model", "observed", "predicted", "count", "share"]


def confusion(
    label: NDArray[np.int64], probability: Mapping[str, NDArray[np.float64]], classes: Sequence[str]
) -> pd.DataFrame:
    """Patients by observed and most probable class.

    Args:
        label: (n,) codes 0 to C - 1.
        probability: (n, C) for each model.
        classes: C names.

    Returns:
        model, observed, predicted, count and share of the observed class. A count of 1 to 9 is missing, and so are
        those that would give it away, as the number of patients of each observed class is known.
    """
    rows: list[dict[str, Any]] = []
    for model, p in probability.items():
        taken = p.argmax(axis=1)
        for code, name in enumerate(classes):
            mine = label == code
            counts = np.bincount(taken[mine], minlength=len(classes))
            for other, shown in zip(classes, reveal([int(n) for n in counts]), strict=True):
                share = np.nan if shown is None or not mine.any() else shown / mine.sum()
                count = np.nan if shown is None else float(shown)
                rows.append({"model": model, "observed": name, "predicted": other, "count": count, "share": share})
    return pd.DataFrame(rows, columns=CONFUSION)
