"""Fitting: one model on one training part, in whatever process the work runs; results as files that are whole."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import VISIT_KEYS, Cohort
from osler.cohort.split import Split
from osler.config import MODEL_NAMES, StudyConfig, code_digest, digest
from osler.forecasting import held_out_forecasts
from osler.models import create
from osler.models.base import RiskModel
from osler.models.ensemble import MEMBERS, Ensemble
from osler.models.importance import contributions_of, sample
from osler.models.store import save_model
from osler.outputs import write_whole
from osler.tuning import Tuned, tune

__all__ = [
    "COST",
    "Fit",
    "Variant",
    "everyone_key",
    "fit_everyone",
    "fit_fold",
    "fit_model",
    "fold_key",
    "members_of",
    "predictors",
    "read_fold",
]

#: Names of models, the costliest first, so that two workers finish together.
COST = ("ensemble", "recurrent", "boosted_hazard", "stacked_cox", "boosted_cox", "aft", "cox", "reference")


@dataclass(frozen=True)
class Variant:
    """A model and the data it may use.

    Attributes:
        model: name of the model.
        modalities: those it may use; None for all of the cohort.
    """

    model: str
    modalities: tuple[str, ...] | None = None

    def sees(self, cohort: Cohort, config: StudyConfig) -> Cohort:
        """``cohort`` with only the predictors that the model may use.

        Encounters at which nothing of them was measured are not known either: when somebody came is data too.
        """
        seen = predictors(cohort, config)
        if self.modalities is None:
            return seen
        seen = seen.without(*(name for name in seen.modalities if name not in self.modalities))
        measured = seen.visits.drop(columns=list(VISIT_KEYS)).notna().any(axis=1).to_numpy(dtype=bool)
        for block in seen.images.values():
            measured[block.visit] = True
        return seen.keep_visits(measured)


def predictors(cohort: Cohort, config: StudyConfig) -> Cohort:
    """The cohort as models see it: without the variable that patients are divided by.

    A site left out has a label that no training part knows, and a block of entry lies beyond all times learned from:
    neither can be a predictor.
    """
    name = config.split_by
    if name is None or name not in cohort.record:
        return cohort
    others = {key: variable for key, variable in cohort.variables.items() if key != name}
    return replace(cohort, record=cohort.record.drop(columns=name), variables=others)


def fold_key(cohort: Cohort, config: StudyConfig, variant: Variant, split: Split) -> str:
    """Name of a fit on a training part: the digest of everything that its predictions depend on."""
    parts = (split.train, split.test, split.fold, _explains(config, variant, split))
    return digest("fold", *_inputs(cohort, config, variant), *parts)[:32]


def everyone_key(cohort: Cohort, config: StudyConfig, variant: Variant) -> str:
    """Name of a fit on every patient."""
    return digest("everyone", *_inputs(cohort, config, variant))[:32]


def _inputs(cohort: Cohort, config: StudyConfig, variant: Variant) -> list[Any]:
    models = (variant.model, *members_of(config, variant.model))
    tuned = [name for name in models if config.tuning.covers(name)]
    return [
        cohort.digest,
        {"landmarks": config.landmarks, "horizons": config.horizons},
        config.seed,
        variant.model,
        variant.modalities,
        config.split_by,
        [_given(config, name) for name in models],
        [tuned, config.tuning.trials, config.tuning.seconds] if tuned else None,
        code_digest(),
    ]


def members_of(config: StudyConfig, name: str) -> tuple[str, ...]:
    """Models that a study fits to join them in the one called ``name``: none, but for the ensemble.

    They have the settings that the study gives them; an ensemble whose settings say more of them fits its own.
    """
    given = _given(config, name)
    return () if name != Ensemble.name or "member_settings" in given else tuple(given.get("members", MEMBERS))


def _given(config: StudyConfig, name: str) -> dict[str, Any]:
    """Hyper-parameters that the study gives for a model."""
    return dict(next((given for model, given in config.settings.items() if model == name), {}))


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes:
        model: after ``fit``.
        tuned: its settings, and what a search for them found.
        seconds: that both took, those of its members included.
        members: of an ensemble, each fitted as it would be by itself.
    """

    model: RiskModel
    tuned: Tuned
    seconds: float
    members: tuple[Fit, ...] = ()


def fit_model(
    cohort: Cohort, config: StudyConfig, name: str, *, random_state: int, checkpoint: Path | None = None
) -> Fit:
    """A model fitted on patients with an outcome, after a search for its settings among them if the study asks for it.

    ``cohort`` holds the training patients and the predictors that the model may use, and nothing else. A long training
    leaves its state in the folder ``checkpoint`` and goes on from what it finds there.
    """
    began = time.perf_counter()
    parts = members_of(config, name)
    members = tuple(fit_model(cohort, config, part, random_state=random_state, checkpoint=checkpoint) for part in parts)
    settings = _given(config, name)
    if members:
        settings["member_settings"] = {member.model.name: member.model.settings() for member in members}
    tuned = Tuned(settings, [])
    if config.tuning.covers(name):
        tuned = tune(cohort, config.question, name, settings, config.tuning, random_state=random_state)
    model = create(name, config.question, random_state=random_state, **tuned.settings)
    model.checkpoint = checkpoint
    if isinstance(model, Ensemble):
        model.fitted = {member.model.name: member.model for member in members}
    model.fit(cohort)
    return Fit(model, tuned, time.perf_counter() - began, members)


def fit_fold(
    cohort: Cohort,
    config: StudyConfig,
    variant: Variant,
    split: Split,
    path: Path,
    members: Mapping[str, Path] = MappingProxyType({}),
) -> int:
    """Fit one model on one training part; write its held-out incidence at every landmark to ``path``.

    Beside it, where the model has all data and forecasts biomarkers, its forecasts of the held-out patients' visits. Of
    an ensemble's members, those in ``members`` are written to the paths there as well, as if each were fitted alone.
    Returns how many results were written.
    """
    seen = variant.sees(cohort, config)
    # The seed differs between folds, so that an unlucky draw does not repeat itself, and not between models.
    seed = config.seed + split.fold
    fit = fit_model(seen.subset(split.train), config, variant.model, random_state=seed, checkpoint=path.parent)
    along = [member for member in fit.members if member.model.name in members]
    for member in along:
        alone = replace(variant, model=member.model.name)
        _write_fold(member, seen, config, alone, split, members[member.model.name])
    _write_fold(fit, seen, config, variant, split, path)
    return 1 + len(along)


def _write_fold(fit: Fit, seen: Cohort, config: StudyConfig, variant: Variant, split: Split, path: Path) -> None:
    """What a fitted model says of the held-out patients, from what it may use of the cohort."""
    model, held_out, began = fit.model, seen.subset(split.test), time.perf_counter()
    assert held_out.outcome is not None
    arrays: dict[str, NDArray[Any]] = {}
    for i, landmark in enumerate(config.landmarks):
        arrays[f"patient{i}"] = split.test[held_out.outcome.time > landmark]
        arrays[f"incidence{i}"] = np.zeros((0, len(model.causes_), len(config.question.grid)))
        if len(arrays[f"patient{i}"]):
            curve = model.predict(held_out, at=landmark)
            arrays[f"incidence{i}"] = curve.incidence
            bounds = model.event_times(curve)
            if bounds is not None:
                arrays[f"bounds{i}"] = np.column_stack(bounds)
    seconds = fit.seconds + time.perf_counter() - began
    if patients := _explains(config, variant, split):
        arrays |= _contributions(model, seen, config, patients)
    if variant.modalities is None and not _foreseen_by_another(fit, config):
        arrays |= held_out_forecasts(model, seen.subset(split.train), held_out, config, split.test)
    about = {
        "seconds": seconds,
        "notes": [*model.notes_, *([fit.tuned.note] if fit.tuned.note else [])],
        "settings": model.settings(),
        "trace": fit.tuned.trace,
    }
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    write_whole(path, lambda part: _save_arrays(part, arrays))


def _foreseen_by_another(fit: Fit, config: StudyConfig) -> bool:
    """Whether the forecasts are a member's, and the study judges that member by itself."""
    own = fit.model.forecaster
    return any(member.model.forecaster is own and member.model.name in config.models for member in fit.members)


def _explains(config: StudyConfig, variant: Variant, split: Split) -> int:
    """How many patients' risks a fit explains: those of the first repeat that use all data and some predictor."""
    asked = split.repeat == 0 and variant.modalities is None and variant.model != MODEL_NAMES[0]
    return config.explain if asked else 0


def _contributions(model: RiskModel, seen: Cohort, config: StudyConfig, patients: int) -> dict[str, NDArray[Any]]:
    """What each thing contributes to the risks of the same patients in every fit, whether it learned from them or not.

    The time that this takes is not counted to the model's.
    """
    at, horizon = config.explained
    chosen = seen.subset(sample(seen, at, patients, config.seed))
    told = contributions_of(model, chosen, at, horizon=horizon, random_state=config.seed)
    return {"contribution": told.values, "differs": told.differs}


def fit_everyone(cohort: Cohort, config: StudyConfig, variant: Variant, path: Path) -> None:
    """Fit a model on every patient and save it to ``path``."""
    seen = variant.sees(cohort, config)
    model = fit_model(seen, config, variant.model, random_state=config.seed, checkpoint=path.parent).model
    write_whole(path, lambda part: save_model(model, part, {"data_digest": cohort.digest}))


def _save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_fold(path: Path) -> dict[str, Any]:
    """What ``fit_fold`` wrote: patient, incidence and, where the model states them, bounds of the time to the event at
    each landmark, by number; seconds, notes, settings, trace.

    Where the fit explained risks, also "contribution" and "differs" of ``osler.models.importance.Contributions``.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    return {**arrays, **json.loads(arrays.pop("about").tobytes())}
