"""StudyConfig: the question a study asks and how it is answered, read from TOML; and content digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, field_validator

from osler.errors import UsageError
from osler.units import days

__all__ = ["MODEL_NAMES", "Duration", "Question", "StudyConfig", "digest"]

ModelName = Literal[
    "reference", "cox", "stacked_cox", "aft", "boosted_cox", "boosted_hazard", "recurrent"
]  # the models of osler.models, from the simplest to the richest
MODEL_NAMES: tuple[str, ...] = get_args(ModelName)


def _days(value: Any) -> float:
    try:
        return days(value)
    except UsageError as error:
        raise ValueError(str(error)) from error


#: A duration at the boundary ("10y", "6mo", "30d"), in days inside.
Duration = Annotated[
    float,
    BeforeValidator(_days),
    PlainSerializer(lambda value: f"{value:g}d", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["10y", "6mo", "30d"], "title": "Duration"}),
]


@dataclass(frozen=True)
class Question:
    """What a model is asked: risks at ``horizons`` days after each of ``landmarks`` (days from the time origin)."""

    landmarks: tuple[float, ...]
    horizons: tuple[float, ...]
    grid_size: int = 40

    @property
    def grid(self) -> NDArray[np.float64]:
        """(T,) days after the landmark on which risk curves are given: even steps and the horizons themselves."""
        even = np.linspace(0.0, max(self.horizons), self.grid_size + 1)
        near = np.abs(even[:, None] - np.asarray(self.horizons)).min(axis=1) < 1e-6 * max(self.horizons)
        return np.unique(np.concatenate([even[~near], [0.0], self.horizons]))


class StudyConfig(BaseModel):
    """The ``[study]`` table of a manifest: the question, the resampling and the models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    landmarks: tuple[Duration, ...] = Field(
        ("0d",), min_length=1, validate_default=True, description="Moments of prediction."
    )
    horizons: tuple[Duration, ...] = Field(min_length=1, description="How far ahead of a landmark risks are asked.")
    models: tuple[ModelName, ...] = Field(get_args(ModelName), min_length=1, description="Models to compare.")
    folds: int = Field(5, ge=2, le=50, description="Patient-grouped folds of one repeat.")
    repeats: int = Field(1, ge=1, le=100, description="Repeats of the cross-validation.")
    seed: int = Field(20240, ge=0, description="Seed of everything drawn at random.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of every interval.")
    settings: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Hyper-parameters by model name; what is not given keeps its default."
    )

    @field_validator("landmarks", "horizons")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each moment may be given once")
        return tuple(sorted(value))

    @field_validator("landmarks")
    @classmethod
    def _landmarks(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) < 0:
            raise ValueError("a landmark may not lie before the time origin")
        return value

    @field_validator("horizons")
    @classmethod
    def _horizons(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) <= 0:
            raise ValueError("a horizon must be longer than nothing")
        return value

    @property
    def question(self) -> Question:
        """The landmarks and horizons alone, as models take them."""
        return Question(landmarks=self.landmarks, horizons=self.horizons)


def digest(*parts: Any) -> str:
    """SHA-256 (64 hexadecimal digits) of any nesting of mappings, sequences, arrays, frames, numbers and text.

    Equal content gives an equal digest on every machine; the order of a mapping's keys does not count.
    """
    hasher = hashlib.sha256()
    for part in parts:
        _feed(hasher, part)
    return hasher.hexdigest()


def _feed(hasher: Any, part: Any) -> None:
    if isinstance(part, BaseModel):
        part = part.model_dump(mode="json")
    if isinstance(part, bytes):
        tag, data = b"b", part
    elif isinstance(part, np.ndarray) and part.dtype != object:
        tag, data = f"a{part.dtype.str}{part.shape}".encode(), np.ascontiguousarray(part).tobytes()
    elif isinstance(part, Mapping):
        hasher.update(b"m%d" % len(part))
        for key in sorted(part, key=str):
            _feed(hasher, str(key))
            _feed(hasher, part[key])
        return
    elif isinstance(part, (list, tuple, np.ndarray)):
        hasher.update(b"s%d" % len(part))
        for item in part:
            _feed(hasher, item)
        return
    elif hasattr(part, "columns") and hasattr(part, "items"):  # a data frame, without importing pandas for it
        hasher.update(b"f%d" % len(part))
        for name, column in part.items():
            _feed(hasher, str(name))
            codes = column.astype(str).to_numpy() if column.dtype.kind not in "fiub" else column.to_numpy()
            _feed(hasher, codes)
        return
    else:
        tag, data = b"j", json.dumps(part.item() if isinstance(part, np.generic) else part).encode()
    hasher.update(b"%s:%d:" % (tag, len(data)))
    hasher.update(data)
