"""Store: a fitted model as one file, ``model.osler``, without anything that runs when it is read.

``archive.py`` says what is in the file. Equal models give equal bytes.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from osler.cohort.schema import Schema
from osler.config import Question
from osler.errors import ModelError
from osler.models import MODELS, create
from osler.models.archive import read_archive, write_archive
from osler.models.base import RiskModel

__all__ = ["FORMAT_VERSION", "load_model", "save_model"]

FORMAT_VERSION = 1
_FORMAT = "osler-model"


def save_model(model: RiskModel, path: str | Path, provenance: dict[str, Any] | None = None) -> Path:
    """Write a fitted model to ``path``; identical bytes for an identical model.

    Args:
        model: after ``fit``.
        path: file to write, by custom ``model.osler``; it is replaced.
        provenance: JSON values to keep with it, such as digests of data and configuration.

    Raises:
        ModelError: the model has not been fitted.
    """
    if not hasattr(model, "causes_"):
        raise ModelError(f"{model.label} cannot be saved: it has not been fitted")
    content = {
        "format_version": FORMAT_VERSION,
        "name": model.name,
        "settings": model.settings(),
        "question": asdict(model.question),
        "random_state": model.random_state,
        "causes": model.causes_,
        "notes": model.notes_,
        "schema": model.schema_.to_json(),
        "typical": model.typical_,
        "average": model.average_,
        "provenance": {"osler": version("osler"), **(provenance or {})},
        "state": model.state(),
    }
    return write_archive(path, content, _FORMAT, FORMAT_VERSION)


def load_model(path: str | Path) -> RiskModel:
    """Read a model that ``save_model`` wrote; ``provenance_`` holds what was kept with it.

    Raises:
        UsageError: there is no such file.
        ModelError: it is no model, of an unknown version, damaged, or larger than a model can be.
    """
    return read_archive(path, _FORMAT, FORMAT_VERSION, _rebuilt)


def _rebuilt(content: dict[str, Any]) -> RiskModel:
    if content["name"] not in MODELS:
        raise ModelError(f"it holds a model of an unknown kind; there are {', '.join(MODELS)}")
    asked = content["question"]
    question = Question(tuple(asked["landmarks"]), tuple(asked["horizons"]), asked["grid_size"])
    model = create(content["name"], question, random_state=content["random_state"], **content["settings"])
    model.causes_ = tuple(content["causes"])
    model.notes_ = list(content["notes"])
    model.schema_ = Schema.from_json(content["schema"])
    model.typical_ = content["typical"]
    model.average_ = content["average"]
    model.provenance_ = content["provenance"]  # type: ignore[attr-defined]
    model.restore(content["state"])
    return model
