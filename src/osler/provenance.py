"""Provenance of a study: what a reader needs to repeat it; nothing that changes from run to run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from osler.cohort.cohort import Cohort
from osler.cohort.origin import origin
from osler.config import StudyConfig, digest
from osler.fitting import Variant

if TYPE_CHECKING:
    from osler.cross_validation import Fitted, Step

__all__ = ["provenance", "tuned"]

_LIBRARIES = ("lifelines", "monai", "numpy", "pandas", "scikit-learn", "scipy", "torch", "xgboost")


def provenance(cohort: Cohort, config: StudyConfig, fitted: Fitted, chosen: str) -> dict[str, Any]:
    """What a reader needs to repeat the study; nothing that changes from run to run."""
    notes = {
        name: sorted({note for key, fit in fitted.items() if key[0] == Variant(name) for note in fit["notes"]})
        for name in config.models
    }
    return {
        **origin(cohort, config.seed, _LIBRARIES),
        "config": config.model_dump(mode="json"),
        "config_digest": digest(config),
        "folds": config.folds,
        "repeats": config.repeats,
        "notes": {name: found for name, found in notes.items() if found},
        "chosen": chosen,
    }


def tuned(fitted: Fitted, steps: Iterable[Step]) -> dict[str, list[dict[str, Any]]]:
    """Of every model that was tuned, by training part: the settings kept, the inner scores, the number of trials."""
    told = {step.variant: f"{step.model}: {step.text}" for step in steps if step.variant.modalities is not None}
    found: dict[str, list[dict[str, Any]]] = {}
    for (variant, repeat, fold), fit in sorted(fitted.items(), key=lambda item: item[0][1:]):
        if fit["trace"]:
            scores = [trial["score"] for trial in fit["trace"] if trial["score"] is not None]
            found.setdefault(told.get(variant, variant.model), []).append(
                {
                    "repeat": repeat,
                    "fold": fold,
                    "settings": {name: fit["settings"][name] for name in fit["trace"][0]["settings"]},
                    "own_score": fit["trace"][0]["score"],
                    "score": min(scores, default=None),
                    "trials": len(fit["trace"]),
                }
            )
    return found
