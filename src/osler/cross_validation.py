"""Cross-validation: every model, on all data and on parts of them, fitted on the same training parts; each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.cohort.split import splits
from osler.config import MODEL_NAMES, StudyConfig
from osler.engine import run_tasks
from osler.fitting import COST, Variant, fit_fold, fold_key, members_of, predictors, read_fold

__all__ = ["KINDS", "Curves", "Fitted", "Step", "climb", "cross_validate", "gather", "ladder", "predictions"]

#: Kinds of data in the order in which they are added.
KINDS = ("record", "visits", "genomics", "images")

#: Steps of a ladder that a reader can follow, and a machine can fit.
_MOST_STEPS = 6

#: What ``osler.fitting.fit_fold`` wrote, by variant, repeat and fold.
Fitted = dict[tuple[Variant, int, int], dict[str, Any]]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Curves:
    """Out-of-fold incidence for one repeat and landmark, patients in cohort order.

    Attributes:
        repeat: number of the repeat.
        landmark: days from the time origin.
        patient: (n,) positions of the patients predicted; with forward chaining in time those of the first block, whom
            no model predicted, are not among them.
        fold: (n,) fold in which each was held out.
        incidence: label -> (n, K, T) on the grid of the question.
        bounds: label -> (n, 2) days between which the first event comes, by models that state them
            (``RiskModel.event_times``).
    """

    repeat: int
    landmark: float
    patient: NDArray[np.int64]
    fold: NDArray[np.int64]
    incidence: dict[str, NDArray[np.float64]]
    bounds: dict[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One step of a ladder: a model with one more modality.

    Attributes:
        variant: the model and the modalities that it may use at this step.
        text: the data so far, such as "record + visits".
        added: what this step adds; empty for the first.
    """

    variant: Variant
    text: str
    added: str

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.variant.model


def cross_validate(
    cohort: Cohort,
    config: StudyConfig,
    variants: Iterable[Variant],
    *,
    cache: Path,
    workers: int | None = None,
    tell: Tell | None = None,
) -> Fitted:
    """Fit every variant on every training part; what lies in ``cache`` under the same key is not computed again.

    Args:
        cohort: patients with an outcome.
        config: question, models' settings, tuning and how patients are divided.
        variants: what to fit; one that is given twice is fitted once.
        cache: folder of earlier results.
        workers: processes; None takes every core.
        tell: called with ("cross-validation", done, total).

    Raises:
        UsageError: the patients cannot be divided as asked; see ``osler.cohort.split.splits``.
    """
    say = tell or (lambda what, done, total: None)
    ordered = sorted(dict.fromkeys(variants), key=lambda variant: COST.index(variant.model))
    parts = splits(cohort, config)
    wanted = {
        (variant, split): cache / f"{fold_key(cohort, config, variant, split)}.npz"
        for variant in ordered
        for split in parts
    }
    missing = {key: path for key, path in wanted.items() if not path.exists()}
    done, tasks = len(wanted) - len(missing), []
    say("cross-validation", done, len(wanted))
    while missing:  # the costliest come first, and take with them what they fit on the way
        (variant, split), path = next(iter(missing.items()))
        del missing[variant, split]
        members = {name: (replace(variant, model=name), split) for name in members_of(config, variant.model)}
        along = {name: missing.pop(key) for name, key in members.items() if key in missing}
        tasks.append((cohort, config, variant, split, path, along))
    for written in run_tasks(fit_fold, tasks, workers=workers):
        done += written
        say("cross-validation", done, len(wanted))
    return {(variant, split.repeat, split.fold): read_fold(path) for (variant, split), path in wanted.items()}


def gather(config: StudyConfig, fitted: Fitted, labels: Mapping[str, Variant]) -> list[Curves]:
    """Out-of-fold curves of some variants, under the caller's labels, by repeat and landmark.

    All variants of one study were fitted on the same parts: their curves are of the same patients in the same order.
    """
    gathered = []
    pairs = sorted({(repeat, fold) for _, repeat, fold in fitted})
    for repeat in sorted({repeat for repeat, _ in pairs}):
        folds = [fold for other, fold in pairs if other == repeat]
        for i, landmark in enumerate(config.landmarks):
            incidence: dict[str, NDArray[np.float64]] = {}
            bounds: dict[str, NDArray[np.float64]] = {}
            for label, variant in labels.items():
                parts = [fitted[variant, repeat, fold] for fold in folds]
                patient = np.concatenate([part[f"patient{i}"] for part in parts])
                order = np.argsort(patient)
                incidence[label] = np.concatenate([part[f"incidence{i}"] for part in parts])[order]
                stated = [part[f"bounds{i}"] for part in parts if f"bounds{i}" in part]
                if sum(map(len, stated)) == len(order):
                    bounds[label] = np.concatenate([np.empty((0, 2)), *stated])[order]
                held = np.repeat(folds, [len(part[f"patient{i}"]) for part in parts])[order]
            if incidence:
                gathered.append(Curves(repeat, landmark, patient[order], held.astype(np.int64), incidence, bounds))
    return gathered


def ladder(cohort: Cohort, config: StudyConfig) -> list[Step]:
    """What each modality adds: a model on the record, then with visits, then genomics, then images.

    Only what the cohort has counts. A kind of several blocks (tables of the record, genomic blocks) is a step for each,
    in the order of the manifest; images are one step, and so is every kind where there would be more than six steps.
    The last step uses all data and so is the model's own cross-validation. For every model of ``config.added_value``
    or, if that is not given, the richest of the study; empty where there is one step only, or nothing but the reference
    to ask.
    """
    models: tuple[str, ...] | None = config.added_value
    if models is None:
        models = (max(config.models, key=MODEL_NAMES.index),)
    rungs = _rungs(predictors(cohort, config))
    steps = []
    for model in models if len(rungs) > 1 else ():
        if model == MODEL_NAMES[0]:
            continue
        so_far: tuple[str, ...] = ()
        for i, (name, modalities) in enumerate(rungs.items()):
            so_far += modalities
            everything = i == len(rungs) - 1
            text = " + ".join(list(rungs)[: i + 1])
            steps.append(Step(Variant(model, None if everything else so_far), text, name if i else ""))
    return steps


def climb(config: StudyConfig, fitted: Fitted, steps: Iterable[Step]) -> dict[str, list[Curves]]:
    """Out-of-fold curves of every ladder: model -> curves whose labels are the texts of its steps, in their order."""
    listed = list(steps)
    return {
        model: gather(config, fitted, {step.text: step.variant for step in listed if step.model == model})
        for model in dict.fromkeys(step.model for step in listed)
    }


def _rungs(cohort: Cohort) -> dict[str, tuple[str, ...]]:
    """Modalities that come together, by the name of their step."""
    kinds = _kinds(cohort)
    rungs: dict[str, tuple[str, ...]] = {}
    for kind, names in kinds.items():
        apart = len(names) > 1 and kind != KINDS[-1]
        rungs |= {name: (name,) for name in names} if apart else {kind: names}
    return rungs if len(rungs) <= _MOST_STEPS else kinds


def _kinds(cohort: Cohort) -> dict[str, tuple[str, ...]]:
    """Modalities of each kind that is there; one that is of two kinds counts with the first."""
    of_kind = {
        "record": [variable.modality for variable in cohort.record_variables],
        "visits": [variable.modality for variable in cohort.visit_variables],
        "genomics": list(cohort.genomics),
        "images": list(cohort.images),
    }
    seen: set[str] = set()
    kinds = {}
    for kind in KINDS:
        new = tuple(dict.fromkeys(name for name in of_kind[kind] if name not in seen))
        seen |= set(new)
        if new:
            kinds[kind] = new
    return kinds


def predictions(cohort: Cohort, config: StudyConfig, curves: Iterable[Curves]) -> pd.DataFrame:
    """Out-of-fold risks by pseudonym: one row per patient, repeat, landmark, horizon, model and cause."""
    assert cohort.outcome is not None
    grid = config.question.grid
    at = np.searchsorted(grid, np.asarray(config.horizons) - 1e-6)
    frames = []
    for part in curves:
        for name, incidence in part.incidence.items():
            risk = incidence[:, :, at]
            n, k, h = risk.shape
            frames.append(
                pd.DataFrame(
                    {
                        "patient": np.repeat(cohort.pseudonyms[part.patient], k * h),
                        "model": name,
                        "repeat": part.repeat,
                        "fold": np.repeat(part.fold, k * h),
                        "landmark_days": part.landmark,
                        "horizon_days": np.tile(np.asarray(config.horizons), n * k),
                        "cause": np.tile(np.repeat(np.array(cohort.outcome.causes, dtype=object), h), n),
                        "risk": risk.ravel(),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)
