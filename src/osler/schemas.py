"""JSON Schemas of what crosses the boundary, written from the models: ``python -m osler.schemas [FOLDER]``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from osler.cohort.manifest import Manifest
from osler.config import DiagnosisConfig, StudyConfig
from osler.planning.plans import Plan

__all__ = ["PredictionRow", "documents", "write"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ROUNDING = 1e-9


class PredictionRow(BaseModel):
    """One row of ``predictions.parquet`` or of a table of scores: a risk of one patient, by one model, at one horizon.

    A table of predictions made elsewhere that has these columns can be evaluated like one of ours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, title="Osler prediction")

    patient: str = Field(min_length=1, description="Pseudonym; never an identifier.")
    model: str = Field(min_length=1)
    landmark_days: float = Field(ge=0, description="Moment of prediction, in days from the time origin.")
    horizon_days: float = Field(gt=0, description="How far ahead of the landmark, in days.")
    cause: str = Field(min_length=1, description="The event.")
    risk: float = Field(ge=0, le=1, description="Probability of that event within the horizon, before any other.")
    lower: float | None = Field(None, ge=0, le=1, description="Band of the risk, where the model gives one.")
    upper: float | None = Field(None, ge=0, le=1)
    repeat: int | None = Field(None, ge=0, description="Repeat of the cross-validation; absent in scores.")
    fold: int | None = Field(None, ge=0, description="The fold that was held out; absent in scores.")

    @model_validator(mode="after")
    def _inside_its_band(self) -> PredictionRow:
        if (self.lower is None) != (self.upper is None):
            raise ValueError("a band has two ends")
        if self.lower is not None and self.upper is not None:
            low, high = self.lower - _ROUNDING, self.upper + _ROUNDING
            if not low <= self.risk <= high:
                raise ValueError("a risk lies inside its band: lower <= risk <= upper")
        return self


def documents() -> dict[str, dict[str, Any]]:
    """The schemas by file name."""
    models: dict[str, Any] = {
        "cohort": Manifest,
        "study": StudyConfig,
        "diagnosis": DiagnosisConfig,
        "prediction": PredictionRow,
        "plan": Plan,
    }
    return {
        f"{name}.schema.json": {"$schema": _DIALECT, **TypeAdapter(model).json_schema()}
        for name, model in models.items()
    }


def write(folder: Path) -> list[Path]:
    """Write every schema into ``folder``, the same bytes for the same models; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, document in documents().items():
        path = folder / name
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


if __name__ == "__main__":
    for written in write(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas")):
        sys.stdout.write(f"{written}\n")
