"""Trees: what every model of XGBoost trees here shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

__all__ = [
    "best_rounds",
    "booster_from",
    "held_out_losses",
    "mean_curve",
    "raw_bytes",
    "tree_parameters",
    "with_a_column",
]

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

    There are no rounds and no trees where no fold has events to tell, or where none predict the parts better than no
    tree does: then everybody is the same.
    """
    outs = [] if fold is None else [fold == held for held in np.unique(fold)]
    told = [out for out in outs if happened[out].any() and happened[~out].sum() >= _LEAST_EVENTS]
    found = [held_out_losses(parameters, data(~out), data(out), most) for out in told]
    if not found:
        return 0, []
    mean, none = mean_curve([curve for _, curve in found]), np.mean([_loss_of_none(parameters, data(o)) for o in told])
    if mean.min() >= none:
        return 0, []
    return int(mean.argmin()) + 1, [(out, booster) for out, (booster, _) in zip(told, found, strict=True)]


def held_out_losses(
    parameters: dict[str, Any], inside: xgb.DMatrix, outside: xgb.DMatrix, most: int
) -> tuple[xgb.Booster, Floats]:
    """Trees grown inside until those outside are no longer better predicted, and the loss there after each round."""
    seen: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        parameters,
        inside,
        most,
        evals=[(outside, "held_out")],
        evals_result=seen,
        early_stopping_rounds=_PATIENCE,
        verbose_eval=False,
    )
    return booster, np.array(seen["held_out"][parameters["eval_metric"]])


def mean_curve(curves: Sequence[Floats]) -> Floats:
    """Mean loss after each round; a part that stopped early is taken to stay where it was."""
    longest = max(len(curve) for curve in curves)
    mean: Floats = np.mean([np.append(curve, np.full(longest - len(curve), curve[-1])) for curve in curves], axis=0)
    return mean


def _loss_of_none(parameters: dict[str, Any], outside: xgb.DMatrix) -> float:
    """Loss without any tree: of the margins that the rows bring."""
    return float(xgb.Booster(parameters, [outside]).eval(outside).rsplit(":", 1)[1])


def raw_bytes(booster: xgb.Booster | None) -> bytes | None:
    """Trees as XGBoost's UBJSON."""
    return None if booster is None else bytes(booster.save_raw("ubj"))


def booster_from(raw: bytes | None) -> xgb.Booster | None:
    """The inverse of ``raw_bytes``; one thread."""
    return None if raw is None else xgb.Booster({"nthread": 1}, model_file=bytearray(raw))
