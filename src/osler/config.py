"""StudyConfig: the question a study asks and how it is answered, read from TOML; and content digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from osler.errors import UsageError
from osler.units import days

__all__ = [
    "CLASSIFIER_NAMES",
    "MODEL_NAMES",
    "DiagnosisConfig",
    "Duration",
    "Question",
    "StudyConfig",
    "Subgroup",
    "Tuning",
    "code_digest",
    "digest",
]

ModelName = Literal[
    "reference", "cox", "stacked_cox", "aft", "boosted_cox", "boosted_hazard", "recurrent", "ensemble"
]  # the models of osler.models, from the simplest to the richest
MODEL_NAMES: tuple[str, ...] = get_args(ModelName)
ClassifierName = Literal["shares", "logistic", "boosted", "network"]
#: The classifiers of osler.diagnosis, from the simplest to the richest.
CLASSIFIER_NAMES: tuple[str, ...] = get_args(ClassifierName)
#: The model that uses no predictor.
_NOTHING = MODEL_NAMES[0]


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


class Tuning(BaseModel):
    """Search for better hyper-parameters inside every training part; off unless ``trials`` is above 0.

    ``seconds`` makes results depend on the speed of the machine: leave it out where they must be repeated to the digit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    trials: int = Field(0, ge=0, le=10_000, description="Settings tried for each model, beside its own; 0: none.")
    seconds: float | None = Field(
        None, gt=0, description="No new trial after so many seconds of one search; the result then depends on speed."
    )
    models: tuple[ModelName, ...] | None = Field(
        None,
        min_length=1,
        description="Which models of the study to tune; all that have something to tune if not given.",
    )

    @field_validator("models")
    @classmethod
    def _something_to_tune(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _uses_predictors(value)

    def covers(self, name: str) -> bool:
        """Whether the model called ``name`` is to be tuned."""
        return self.trials > 0 and name != _NOTHING and (self.models is None or name in self.models)


class Subgroup(BaseModel):
    """A variable by whose levels the evaluation is repeated (of visits, the last value at the landmark)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    variable: str = Field(min_length=1, max_length=500)
    cuts: tuple[float, ...] = Field(
        (), description="Where to cut a number, in its unit; a value at a cut belongs to the range above."
    )

    @field_validator("cuts")
    @classmethod
    def _cuts(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return _ascending_once(value, "cut")


def _subgroup(value: Any) -> Any:
    return {"variable": value} if isinstance(value, str) else value


class StudyConfig(BaseModel):
    """The ``[study]`` table of a manifest: the question, the resampling, the models and their evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    landmarks: tuple[Duration, ...] = Field(
        ("0d",), min_length=1, validate_default=True, description="Moments of prediction."
    )
    horizons: tuple[Duration, ...] = Field(min_length=1, description="How far ahead of a landmark risks are asked.")
    models: tuple[ModelName, ...] = Field(
        MODEL_NAMES[:-1],  # type: ignore[arg-type]
        min_length=1,
        description="Models to compare; all but the ensemble if not given. It joins the fits of its members.",
    )
    folds: int = Field(5, ge=2, le=50, description="Patient-grouped folds of one repeat.")
    repeats: int = Field(1, ge=1, le=100, description="Repeats of the cross-validation; of random folds only.")
    split: Literal["random", "sites", "time"] = Field(
        "random",
        description="How patients are divided: at random; whole sites; or blocks of entry time, each predicted from "
        "those before it (the first is never tested).",
    )
    split_by: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="Record variable of the site, or of the time of entry (a number). It is not used as a predictor.",
    )
    seed: int = Field(20240, ge=0, description="Seed of everything drawn at random.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of every interval.")
    settings: dict[ModelName, dict[str, Any]] = Field(
        default_factory=dict, description="Hyper-parameters by model name; what is not given keeps its default."
    )
    tuning: Tuning = Field(
        Tuning.model_validate({}), description="Search for better hyper-parameters inside every training part."
    )
    bootstrap: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Bootstrap samples of the correction for optimism; 0: none. Each refits all models.",
    )
    added_value: tuple[ModelName, ...] | None = Field(
        None,
        description="Models asked what each kind of data adds; [] for none. If not given, the richest of the study "
        "where there are several kinds of data.",
    )
    subgroups: tuple[Annotated[Subgroup, BeforeValidator(_subgroup, json_schema_input_type=str | Subgroup)], ...] = (
        Field(
            (),
            description="Variables in whose subgroups the models are evaluated too; of visits, the last value at the "
            "landmark.",
        )
    )
    thresholds: tuple[float, ...] = Field(
        (0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50),
        min_length=1,
        description="Risks above which one would act: where net benefit is computed.",
    )
    censoring: tuple[str, ...] = Field(
        (), description="Record variables on which censoring may depend; none: it is taken as independent of patients."
    )
    explain: int = Field(
        30,
        ge=0,
        le=1_000,
        description="Patients whose risks every model of the first repeat explains, to tell what models rely on; 0: "
        "none. They are at risk at the middle landmark.",
    )
    replicates: int = Field(200, ge=50, le=100_000, description="Bootstrap replicates of intervals of calibration.")

    @field_validator("landmarks", "horizons")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return _ascending_once(value, "moment")

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

    @field_validator("thresholds")
    @classmethod
    def _thresholds(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < threshold < 1 for threshold in value):
            raise ValueError("a threshold is a risk between 0 and 1, both left out")
        return _ascending_once(value, "threshold")

    @field_validator("added_value")
    @classmethod
    def _added_value(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _uses_predictors(value)

    @field_validator("subgroups")
    @classmethod
    def _subgroups(cls, value: tuple[Subgroup, ...]) -> tuple[Subgroup, ...]:
        if len({subgroup.variable for subgroup in value}) < len(value):
            raise ValueError("each variable may be given once")
        return value

    @field_validator("censoring")
    @classmethod
    def _censoring(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("each variable may be given once")
        return value

    @model_validator(mode="after")
    def _one_way_to_split(self) -> StudyConfig:
        if self.split == "random" and self.split_by is not None:
            raise ValueError('split_by belongs to split = "sites" or split = "time"')
        if self.split != "random" and self.split_by is None:
            what = "the site" if self.split == "sites" else "the time of entry"
            raise ValueError(f'split = "{self.split}" needs split_by, the record variable of {what}')
        if self.split != "random" and self.repeats > 1:
            raise ValueError(f'repeats belong to random folds: split = "{self.split}" has one division only')
        return self

    @property
    def explained(self) -> tuple[float, float]:
        """The landmark and horizon, in days, at which risks are explained: the middle one, and the longest."""
        return self.landmarks[len(self.landmarks) // 2], self.horizons[-1]

    @property
    def question(self) -> Question:
        """The landmarks and horizons alone, as models take them."""
        return Question(landmarks=self.landmarks, horizons=self.horizons)


class DiagnosisConfig(BaseModel):
    """The ``[diagnosis]`` table of a manifest: how classes are told apart, and how that is judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: Duration = Field(
        "0d", validate_default=True, description="Moment of prediction: what is known by then is used."
    )
    models: tuple[ClassifierName, ...] = Field(get_args(ClassifierName), min_length=1, description="To be compared.")
    split_by: str | None = Field(
        None, min_length=1, max_length=500, description="Record category that tells the test part. It is no predictor."
    )
    test: tuple[str, ...] = Field(("test",), min_length=1, description="Labels of split_by that are tested, once.")
    folds: int = Field(5, ge=2, le=50, description="Folds balanced over classes, where there is no split_by.")
    repeats: int = Field(1, ge=1, le=100, description="Repeats of the folds.")
    seed: int = Field(20240, ge=0, description="Seed of everything drawn at random.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of every interval.")
    replicates: int = Field(200, ge=50, le=100_000, description="Bootstrap replicates of intervals of calibration.")
    settings: dict[ClassifierName, dict[str, Any]] = Field(
        default_factory=dict, description="Hyper-parameters by model name; what is not given keeps its default."
    )

    @model_validator(mode="after")
    def _one_division(self) -> DiagnosisConfig:
        if self.split_by is not None and self.repeats > 1:
            raise ValueError("a given division has no repeats: leave out split_by or repeats")
        return self


def _ascending_once(value: tuple[float, ...], what: str) -> tuple[float, ...]:
    if len(set(value)) != len(value):
        raise ValueError(f"each {what} may be given once")
    return tuple(sorted(value))


def _uses_predictors(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Refuse the reference, which has neither settings nor predictors, and a model named twice."""
    if value is not None and _NOTHING in value:
        raise ValueError(f"the model {_NOTHING!r} has no setting and uses no predictor: leave it out here")
    if value is not None and len(set(value)) < len(value):
        raise ValueError("each model may be given once")
    return value


@cache
def code_digest() -> str:
    """SHA-256 of the package's own source: a cached fit is used again only by the code that made it."""
    root = Path(__file__).resolve().parent
    return digest({str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.py"))})


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
