"""Trees: what every model of XGBoost trees here shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["tree_parameters", "with_a_column"]

Floats = NDArray[np.float64]


def tree_parameters(*, depth: int, eta: float, random_state: int, **more: Any) -> dict[str, Any]:
    """Parameters of XGBoost, one thread: processes are the unit of parallelism. ``more`` is put over them."""
    return {
        "max_depth": depth,
        "eta": eta,
        "subsample": 0.8,
        "colsample_bynode": 0.5,
        "tree_method": "hist",
        "max_bin": 64,
        "nthread": 1,
        "seed": random_state,
        "verbosity": 0,
        **more,
    }


def with_a_column(X: Floats) -> Floats:
    """XGBoost refuses a matrix without columns."""
    return X if X.shape[1] else np.zeros((len(X), 1))
