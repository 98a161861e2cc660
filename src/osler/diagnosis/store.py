"""Store: a fitted classifier as one file, by custom ``model.osler``, without anything that runs when it is read."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from osler.cohort.schema import Schema
from osler.diagnosis import create_classifier
from osler.diagnosis.base import Classifier
from osler.errors import ModelError
from osler.models.archive import read_archive, write_archive

__all__ = ["load_classifier", "save_classifier"]

_FORMAT, _VERSION = "osler-classifier", 1


def save_classifier(model: Classifier, path: str | Path, provenance: dict[str, Any] | None = None) -> Path:
    """Write a fitted classifier to ``path``; identical bytes for an identical one.

    Args:
        model: after ``fit``; raises ModelError otherwise.
        path: file to write; it is replaced.
        provenance: JSON values to keep with it, such as digests of data and configuration.
    """
    if not hasattr(model, "schema_"):
        raise ModelError(f"{model.label} cannot be saved: it has not been fitted")
    content = {
        "name": model.name,
        "settings": model.settings(),
        "at": model.at,
        "random_state": model.random_state,
        "classes": model.classes_,
        "diagnosis": model.diagnosis_,
        "positive": model.positive_,
        "present": model.present_,
        "shares": model.shares_,
        "notes": model.notes_,
        "schema": model.schema_.to_json(),
        "provenance": {"osler": version("osler"), **(provenance or {})},
        "state": model.state(),
    }
    return write_archive(path, content, _FORMAT, _VERSION)


def load_classifier(path: str | Path) -> Classifier:
    """Read a classifier that ``save_classifier`` wrote; ``provenance_`` holds what was kept with it.

    Raises:
        UsageError: there is no such file.
        ModelError: it is no classifier, of an unknown version, damaged, or larger than a model can be.
    """
    return read_archive(path, _FORMAT, _VERSION, _rebuilt)


def _rebuilt(content: dict[str, Any]) -> Classifier:
    at, seed = content["at"], content["random_state"]
    model = create_classifier(content["name"], at=at, random_state=seed, **content["settings"])
    model.classes_, model.diagnosis_ = tuple(content["classes"]), content["diagnosis"]
    model.positive_, model.present_, model.shares_ = content["positive"], content["present"], content["shares"]
    model.notes_ = list(content["notes"])
    model.schema_ = Schema.from_json(content["schema"])
    model.provenance_ = content["provenance"]  # type: ignore[attr-defined]
    model.restore(content["state"])
    return model
