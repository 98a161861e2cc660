"""Manifest: ``cohort.toml``, which says what the user's tables mean."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from osler.cohort.actions import ActionSpec, ContraindicationSpec, EffectSpec
from osler.cohort.image_specs import ImagesSpec
from osler.cohort.manifest_errors import explain
from osler.cohort.manifest_rules import clashes_of
from osler.cohort.outcome_specs import OutcomeSpec
from osler.cohort.specs import CohortSpec, GenomicsSpec, RecordSpec, VisitsSpec
from osler.config import DiagnosisConfig, StudyConfig
from osler.errors import DataError, UsageError, Violation

__all__ = ["MANIFEST", "ActionSpec", "ContraindicationSpec", "EffectSpec", "Manifest", "manifest_path", "read_manifest"]

#: File name of a manifest inside its folder.
MANIFEST = "cohort.toml"
_LARGEST = 16 * 1024**2


class _OneOrMany:
    """JSON Schema of a table that may be given once ([record]) or several times ([[record]])."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        array = handler(core)
        return {"anyOf": [array["items"], array]}


def _several(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


_Several = BeforeValidator(_several)


class Manifest(BaseModel):
    """The whole of ``cohort.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Osler cohort manifest")

    cohort: CohortSpec
    record: Annotated[tuple[RecordSpec, ...], _Several, _OneOrMany()] = Field(min_length=1)
    visits: Annotated[tuple[VisitsSpec, ...], _Several, _OneOrMany()] = ()
    genomics: Annotated[tuple[GenomicsSpec, ...], _Several, _OneOrMany()] = ()
    images: Annotated[tuple[ImagesSpec, ...], _Several, _OneOrMany()] = ()
    outcome: OutcomeSpec | None = None
    actions: Annotated[tuple[ActionSpec, ...], _Several, _OneOrMany()] = ()
    study: StudyConfig | None = None
    diagnosis: DiagnosisConfig | None = None


def manifest_path(path: str | Path) -> Path:
    """The manifest file of a folder, or the file itself; raises UsageError when there is none."""
    file = Path(path)
    if file.is_dir():
        file = file / MANIFEST
    if not file.is_file():
        raise UsageError(f"no cohort here: expected the file {MANIFEST} or a folder with it, found neither at {path}")
    return file


def read_manifest(path: str | Path) -> Manifest:
    """Read ``cohort.toml`` (the file, or its folder).

    Raises:
        UsageError: there is no such file.
        DataError: the file is not TOML, or declares what the contract does not know; every mistake at once.
    """
    file = manifest_path(path)
    document = _parse(file)
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        raise DataError(explain(error, Manifest, file.name)) from None
    clashes = list(clashes_of(manifest, file.name))
    if clashes:
        raise DataError(clashes)
    return manifest


def _parse(file: Path) -> dict[str, Any]:
    def refused(found: str, remedy: str, rows: tuple[int, ...] = ()) -> DataError:
        return DataError(
            [Violation(file.name, "a manifest is written in TOML", "TOML 1.0 in UTF-8", found, remedy, rows=rows)]
        )

    with file.open("rb") as stream:
        data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise refused(f"more than {_LARGEST:,} bytes", "Is this the manifest? It should be a page or two.")
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refused(f"other bytes in line {line}", "Save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+), column (\d+)", str(error))
        where = f"line {place[1]}, column {place[2]}" if place else "the end of the file"
        reason = str(error).split(" (at")[0]
        raise refused(
            f"{reason[:100]!r} at {where}", "Correct it there; texts and unusual keys stand in quotes."
        ) from None
    except RecursionError:
        raise refused("tables nested too deep", "Is this the manifest?") from None
