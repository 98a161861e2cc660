"""Optimism: how much better a model looks on the patients it learned from than it is, by the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.cohort.outcome import Outcome
from osler.config import StudyConfig, digest
from osler.engine import run_tasks
from osler.errors import ModelError
from osler.evaluation import evaluate
from osler.fitting import COST, Variant, everyone_key, fit_everyone, fit_model
from osler.models.base import RiskModel
from osler.models.store import load_model
from osler.outputs import write_whole

__all__ = ["MEASURES", "correct_optimism", "draw"]

Floats = NDArray[np.float64]
#: What is corrected.
MEASURES = ("auc", "c_index", "brier", "integrated_brier", "ipa", "calibration_slope", "observed_expected")
#: The range of the measures that are not in ``_RANGE``.
_PROBABILITY = (0.0, 1.0)
_RANGE = {"ipa": (-np.inf, 1.0), "calibration_slope": (-np.inf, np.inf), "observed_expected": (0.0, np.inf)}
_COLUMNS = ["model", "landmark", "horizon", "measure", "apparent", "optimism", "corrected", "lower", "upper"]
_CELL = ["landmark", "horizon", "measure"]
Tell = Callable[[str, int, int], None]


def correct_optimism(
    cohort: Cohort,
    config: StudyConfig,
    models: Sequence[str],
    *,
    cache: Path,
    workers: int | None = None,
    tell: Tell | None = None,
) -> pd.DataFrame:
    """Measures on the training patients themselves, corrected for optimism by refitting on bootstrap samples.

    Apparent is the model fitted on all patients, judged on all. In each of ``config.bootstrap`` samples, patients drawn
    with replacement, everything is done anew, the search for settings included; its optimism is the measure on the
    sample less that on the original patients, and the correction takes away the mean over samples. The interval is the
    apparent one moved by the optimism: it leaves out that the optimism itself is an estimate.

    Each copy of a patient in a sample counts as a patient; inner folds keep the copies of one together (``groups`` of
    ``assign_folds``), or else a model would be tuned, and stopped, by patients it has learned. For models that can
    learn patients by heart, such as trees, the bootstrap corrects too little: there cross-validation is the judge.

    Args:
        cohort: patients with an outcome.
        config: question, settings, number of samples and seed.
        models: names of models; all see the same samples.
        cache: folder of earlier results, used again where nothing that they depend on has changed.
        workers: processes; None takes every core.
        tell: called with ("optimism", done, total).

    Returns:
        model, landmark and horizon (days), measure (of ``MEASURES``), apparent, optimism, corrected, lower, upper. NaN
        where the measure cannot be had on the patients; samples in which it cannot be had are left out of the mean.

    Harrell FE, Lee KL, Mark DB. Stat Med 1996;15:361-387. Noma H et al. Stat Med 2021;40:5691-5701.
    """
    say = tell or (lambda what, done, total: None)
    names = sorted(models, key=COST.index)
    variants = {name: Variant(name) for name in names}
    whole = {name: cache / f"{everyone_key(cohort, config, variants[name])}.osler" for name in names}
    drawn = {
        (name, b): cache / f"{_key(cohort, config, name, b)}.npz" for name in names for b in range(config.bootstrap)
    }
    total = len(whole) + len(drawn)
    first = [(cohort, config, variants[name], path) for name, path in whole.items() if not path.exists()]
    second = [(cohort, config, name, b, path) for (name, b), path in drawn.items() if not path.exists()]
    done = total - len(first) - len(second)
    say("optimism", done, total)
    for function, tasks in ((fit_everyone, first), (fit_sample, second)):
        for _ in run_tasks(function, tasks, workers=workers):
            done += 1
            say("optimism", done, total)
    frames = []
    for name in models:
        optimism = [_read(drawn[name, b]) for b in range(config.bootstrap)]
        frames.append(_corrected(cohort, config, name, load_model(whole[name]), optimism))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=_COLUMNS)


def draw(n: int, seed: int, number: int) -> NDArray[np.int64]:
    """(n,) positions of bootstrap sample ``number``, ascending; patients drawn with replacement."""
    return np.sort(np.random.default_rng([seed, number]).integers(0, n, n))


def fit_sample(cohort: Cohort, config: StudyConfig, name: str, number: int, path: Path) -> None:
    """Fit a model on one bootstrap sample; write the optimism of every cell to ``path``, NaN where it has none."""
    seen = Variant(name).sees(cohort, config)
    sample = draw(len(seen), config.seed, number)
    try:
        model = fit_model(seen.subset(sample), config, name, random_state=config.seed + number).model
    except ModelError:
        optimism = np.full((len(config.landmarks), len(config.horizons), len(MEASURES)), np.nan)
    else:
        curves = [_everyones(model, seen, landmark) for landmark in config.landmarks]
        everyone = np.arange(len(seen))
        apparent, tested = (
            np.stack([_values(seen, config, i, curve, who) for i, curve in enumerate(curves)])
            for who in (sample, everyone)
        )
        optimism = apparent - tested
    write_whole(path, lambda part: _save(part, optimism))


def _key(cohort: Cohort, config: StudyConfig, name: str, number: int) -> str:
    return digest("optimism", everyone_key(cohort, config, Variant(name)), number, list(MEASURES))[:32]


def _everyones(model: RiskModel, cohort: Cohort, landmark: float) -> Floats:
    """(n, T) risk of the event of interest for every patient at risk at a landmark; NaN for the others.

    A patient's risk depends on nobody else: copies in a sample have the risk of the one in the cohort.
    """
    assert cohort.outcome is not None
    rows = np.flatnonzero(cohort.outcome.time > landmark)
    risk = np.full((len(cohort), len(model.question.grid)), np.nan)
    if len(rows):
        risk[rows] = model.predict(cohort, at=landmark).incidence[:, 0]
    return risk


def _values(cohort: Cohort, config: StudyConfig, i: int, risk: Floats, who: NDArray[np.int64]) -> Floats:
    """(H, M) measures at a landmark among the patients ``who`` (positions, repeats allowed) still at risk."""
    assert cohort.outcome is not None
    frame = _measured(cohort.outcome, config, config.landmarks[i], risk, who)
    values = np.full((len(config.horizons), len(MEASURES)), np.nan)
    if frame is not None:
        at = [np.searchsorted(config.horizons, frame["horizon"] - 1e-6), frame["measure"].map(MEASURES.index)]
        values[tuple(np.asarray(index, dtype=np.int64) for index in at)] = frame["value"]
    return values


def _measured(
    outcome: Outcome, config: StudyConfig, landmark: float, risk: Floats, who: NDArray[np.int64]
) -> pd.DataFrame | None:
    """Metrics of one model; None when nobody is at risk."""
    rows = who[outcome.time[who] > landmark]
    if not len(rows):
        return None
    ahead = outcome.take(rows).since(landmark)
    return evaluate(
        ahead.time,
        ahead.event,
        {"model": risk[rows]},
        times=config.question.grid,
        horizons=config.horizons,
        level=config.confidence,
        landmark=landmark,
        measures=MEASURES,
    ).metrics


def _corrected(cohort: Cohort, config: StudyConfig, name: str, model: RiskModel, samples: list[Floats]) -> pd.DataFrame:
    """The frame of one model."""
    seen = Variant(name).sees(cohort, config)
    assert seen.outcome is not None
    everyone = np.arange(len(seen))
    optimism = _mean(np.stack(samples)) if samples else np.zeros(())
    rows: list[dict[str, Any]] = []
    for i, landmark in enumerate(config.landmarks):
        frame = _measured(seen.outcome, config, landmark, _everyones(model, seen, landmark), everyone)
        for row in () if frame is None else frame.to_dict("records"):
            h = int(np.searchsorted(config.horizons, row["horizon"] - 1e-6))
            excess = float(optimism[i, h, MEASURES.index(row["measure"])]) if optimism.ndim else np.nan
            moved = np.array([row["value"], row["lower"], row["upper"]], dtype=float) - excess
            corrected, lower, upper = np.clip(moved, *_RANGE.get(row["measure"], _PROBABILITY))
            cell = {"model": name, **{key: row[key] for key in _CELL}, "apparent": row["value"], "optimism": excess}
            rows.append({**cell, "corrected": corrected, "lower": lower, "upper": upper})
    return pd.DataFrame(rows, columns=_COLUMNS)


def _mean(samples: Floats) -> Floats:
    """Mean over samples (the first axis) of those that are numbers; NaN where none is."""
    known = np.isfinite(samples)
    count = known.sum(axis=0)
    total = np.where(known, samples, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _save(path: Path, optimism: Floats) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, optimism=optimism)


def _read(path: Path) -> Floats:
    with np.load(path, allow_pickle=False) as file:
        return np.asarray(file["optimism"])
