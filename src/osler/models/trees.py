"""Trees: what every model of XGBoost trees here shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

__all__ = ["best_rounds", "booster_from", "raw_bytes", "tree_parameters", "with_a_column"]

Floats = NDArray[np.float64]

_PATIENCE = 20
_LEAST_EVENTS = 7  # outside a fold, below which it has no say in the number of rounds


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


def best_rounds(
    parameters: dict[str, Any],
    data: Callable[[NDArray[np.bool_]], xgb.DMatrix],
    most: int,
    happened: NDArray[np.bool_],
    fold: NDArray[np.int64] | None,
) -> tuple[int, list[tuple[NDArray[np.bool_], xgb.Booster]]]:
    """Rounds at which the mean loss of the held-out parts is least, and the trees that never saw each part.

    There are no rounds and no trees where no fold has events to tell.
    """
    curves, held_out = [], []
    for held in np.unique(fold) if fold is not None else []:
        out = fold == held
        if happened[out].any() and happened[~out].sum() >= _LEAST_EVENTS:
            losses: dict[str, dict[str, list[float]]] = {}
            booster = xgb.train(
                parameters,
                data(~out),
                most,
                evals=[(data(out), "held_out")],
                evals_result=losses,
                early_stopping_rounds=_PATIENCE,
                verbose_eval=False,
            )
            curves.append(np.array(losses["held_out"][parameters["eval_metric"]]))
            held_out.append((out, booster))
    if not curves:
        return 0, []
    # A fold that stopped early is taken to stay where it was.
    longest = max(len(curve) for curve in curves)
    mean = np.mean([np.append(curve, np.full(longest - len(curve), curve[-1])) for curve in curves], axis=0)
    return int(mean.argmin()) + 1, held_out


def raw_bytes(booster: xgb.Booster | None) -> bytes | None:
    """Trees as XGBoost's UBJSON."""
    return None if booster is None else bytes(booster.save_raw("ubj"))


def booster_from(raw: bytes | None) -> xgb.Booster | None:
    """The inverse of ``raw_bytes``; one thread."""
    return None if raw is None else xgb.Booster({"nthread": 1}, model_file=bytearray(raw))
