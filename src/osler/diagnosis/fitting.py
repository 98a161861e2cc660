"""Fitting: one classifier on one training part, in whatever process the work runs; results as files that are whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.cohort.split import Split
from osler.config import DiagnosisConfig, code_digest, digest
from osler.diagnosis import create_classifier
from osler.diagnosis.base import Classifier
from osler.diagnosis.division import Division, predictors
from osler.diagnosis.store import load_classifier, save_classifier
from osler.engine import run_tasks
from osler.outputs import write_whole

__all__ = ["Fit", "fit_classifiers", "fit_everyone"]

Floats = NDArray[np.float64]
Tell = Callable[[str, int, int], None]
#: Names of classifiers, the costliest first, so that two workers finish together.
_COST = ("network", "boosted", "logistic", "shares")


@dataclass(frozen=True, eq=False)
class Fit:
    """One classifier fitted on one training part.

    Attributes:
        split: the part.
        model: as fitted.
        probability: (m, C) of the patients of ``split.test``, then of those of unknown class.
        seconds: that fitting took; None where an earlier run had done it.
    """

    split: Split
    model: Classifier
    probability: Floats
    seconds: float | None


def fit_classifiers(
    cohort: Cohort, config: DiagnosisConfig, division: Division, *, cache: Path, workers: int | None, tell: Tell
) -> dict[str, list[Fit]]:
    """Every classifier of the question on every training part, by name and in the order of the parts.

    What an earlier run has done is taken up where data, settings and code are unchanged.
    """
    cache.mkdir(parents=True, exist_ok=True)
    names = sorted(config.models, key=_COST.index)
    asked = [(name, split) for name in names for split in division.splits]
    paths = {(name, i): _path(cache, cohort, config, name, s) for name in names for i, s in enumerate(division.splits)}
    told = [(name, split, paths[name, division.splits.index(split)]) for name, split in asked]
    missing = [(name, split, path) for name, split, path in told if not path.exists()]
    done, seconds = len(told) - len(missing), dict[str, float]()
    seen = predictors(cohort, config)
    tasks = [(seen, config, name, split, division.unknown, path) for name, split, path in missing]
    for path, spent in _running(tasks, workers):
        seconds[path.name], done = spent, done + 1
        tell("classifiers on training parts", done, len(told))
    return {
        name: [_read(paths[name, i], split, seconds) for i, split in enumerate(division.splits)]
        for name in config.models
    }


def fit_everyone(
    cohort: Cohort, config: DiagnosisConfig, name: str, *, cache: Path, tell: Tell, provenance: dict[str, Any]
) -> Classifier:
    """A classifier on every patient of known class."""
    path = cache / f"{digest('everyone', *_inputs(cohort, config, name))[:32]}.osler"
    tell("the chosen classifier on every patient", 0, 1)
    if not path.exists():
        model = _create(config, name, config.seed).fit(predictors(cohort, config))
        write_whole(path, lambda part: save_classifier(model, part, provenance))
    tell("the chosen classifier on every patient", 1, 1)
    return load_classifier(path)


def _running(tasks: Iterable[tuple[Any, ...]], workers: int | None) -> Iterable[tuple[Path, float]]:
    return run_tasks(_fit, tasks, workers=workers)


def _fit(
    cohort: Cohort, config: DiagnosisConfig, name: str, split: Split, unknown: NDArray[np.int64], path: Path
) -> tuple[Path, float]:
    """Fit on one training part; the classes of those who are predicted are not even there."""
    began = time.perf_counter()
    # The seed differs between folds, so that an unlucky draw does not repeat itself, and not between classifiers.
    model = _create(config, name, config.seed + split.fold).fit(cohort.subset(split.train))
    probability = model.predict(cohort.subset(np.concatenate([split.test, unknown]))).probability
    write_whole(path.with_suffix(".npy"), lambda part: _save(part, probability))
    write_whole(path, lambda part: save_classifier(model, part, {"data_digest": cohort.digest}))
    return path, time.perf_counter() - began


def _read(path: Path, split: Split, seconds: dict[str, float]) -> Fit:
    probability = np.load(path.with_suffix(".npy"), allow_pickle=False)
    return Fit(split, load_classifier(path), probability, seconds.get(path.name))


def _save(path: Path, values: Floats) -> None:
    with path.open("wb") as file:
        np.save(file, values, allow_pickle=False)


def _create(config: DiagnosisConfig, name: str, seed: int) -> Classifier:
    given: dict[str, Any] = dict(next((s for model, s in config.settings.items() if model == name), {}))
    return create_classifier(name, at=config.at, random_state=seed, **given)


def _path(cache: Path, cohort: Cohort, config: DiagnosisConfig, name: str, split: Split) -> Path:
    """The file of a fit: its name is the digest of everything that its predictions depend on."""
    parts = (split.train, split.test, split.fold)
    return cache / f"{digest('part', *_inputs(cohort, config, name), *parts)[:32]}.osler"


def _inputs(cohort: Cohort, config: DiagnosisConfig, name: str) -> list[Any]:
    given = next((settings for model, settings in config.settings.items() if model == name), {})
    return [cohort.digest, config.at, config.seed, config.split_by, name, given, code_digest()]
