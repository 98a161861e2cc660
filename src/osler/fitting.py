"""Fitting: one model on one training fold, in whatever process the work runs; results as files that are whole."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.models import create
from osler.models.store import save_model

__all__ = ["fit_everyone", "fit_fold", "read_fold", "write_whole"]


def fit_fold(
    cohort: Cohort,
    config: StudyConfig,
    name: str,
    fold: int,
    split: tuple[NDArray[np.int64], NDArray[np.int64]],
    path: Path,
) -> None:
    """Fit one model on one training fold; write its held-out incidence at every landmark to ``path``."""
    train, test = split
    began = time.perf_counter()
    # The seed differs between folds, so that an unlucky draw does not repeat itself, and not between models.
    model = create(name, config.question, random_state=config.seed + fold, **config.settings.get(name, {}))
    model.fit(cohort.subset(train))
    held_out = cohort.subset(test)
    assert held_out.outcome is not None
    arrays: dict[str, NDArray[Any]] = {}
    for i, landmark in enumerate(config.landmarks):
        arrays[f"patient{i}"] = test[held_out.outcome.time > landmark]
        arrays[f"incidence{i}"] = model.predict(held_out, at=landmark).incidence
    about = {"seconds": time.perf_counter() - began, "notes": model.notes_}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    write_whole(path, lambda part: _save_arrays(part, arrays))


def fit_everyone(cohort: Cohort, config: StudyConfig, name: str, path: Path) -> None:
    """Fit the chosen model on every patient and save it to ``path``."""
    model = create(name, config.question, random_state=config.seed, **config.settings.get(name, {}))
    model.fit(cohort)
    write_whole(path, lambda part: save_model(model, part))


def _save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_fold(path: Path) -> dict[str, Any]:
    """What ``fit_fold`` wrote: patient and incidence of each landmark by number, seconds, notes."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    return {**arrays, **json.loads(arrays.pop("about").tobytes())}


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file under another name first: what carries the right name is whole."""
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
