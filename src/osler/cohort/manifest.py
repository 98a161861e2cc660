"""Manifest: ``cohort.toml``, which says what the user's tables mean."""

from __future__ import annotations

import difflib
import re
import tomllib
import types
import typing
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from osler.cohort.actions import ActionSpec, ContraindicationSpec, EffectSpec
from osler.cohort.cohort import VISIT_KEYS
from osler.cohort.specs import CohortSpec, GenomicsSpec, ImagesSpec, OutcomeSpec, RecordSpec, VariableSpec, VisitsSpec
from osler.config import StudyConfig
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
        raise DataError(_violation(file.name, detail) for detail in error.errors(include_input=False)) from None
    clashes = list(_clashes(file.name, manifest))
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


def _violation(file: str, detail: Any) -> Violation:
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in detail["loc"])
    kind, message = detail["type"], detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        key = str(detail["loc"][-1])
        known = _known_keys(detail["loc"][:-1])
        near = difflib.get_close_matches(key, known, n=2)
        remedy = (
            f"Did you mean {' or '.join(near)}?"
            if near
            else f"Keys here: {', '.join(known)}."
            if known
            else "Remove it."
        )
        return Violation(
            file, "keys are those of the contract", "a known key", f"the unknown key {key!r}", remedy, column=place
        )
    if kind == "missing":
        return Violation(
            file, "required keys are given", f"the key {detail['loc'][-1]!r}", "none", "Add it.", column=place
        )
    expected = message if kind == "value_error" else message.removeprefix("Input should be ")
    return Violation(
        file, "declarations follow the contract", expected, "something else", "Correct it.", column=place or None
    )


def _known_keys(place: tuple[Any, ...]) -> list[str]:
    """Keys that the models allow at a place such as ("record", 0, "variables", 2)."""
    model: Any = Manifest
    for part in place:
        if isinstance(part, int):
            continue
        fields = {f.alias or name: f for name, f in model.model_fields.items()}
        if part not in fields or (inner := _model_in(fields[part].annotation)) is None:
            return []
        model = inner
    return [f.alias or name for name, f in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, BaseModel)
    ):
        return annotation
    for inner in typing.get_args(annotation):
        if (model := _model_in(inner)) is not None:
            return model
    return None


def _clashes(file: str, manifest: Manifest) -> Iterable[Violation]:
    """Rules between blocks, which no single block can see."""
    variables: list[VariableSpec] = [v for block in (*manifest.record, *manifest.visits) for v in block.variables]
    yield from _twice(
        file, "variable", [v.name for v in variables], 'Give one of them another name and say column = "...".'
    )
    blocks = [
        *(b.name for b in (*manifest.record, *manifest.visits, *manifest.images)),
        *(g.title for g in manifest.genomics),
    ]
    yield from _twice(file, "block", blocks, 'Give each block its own name = "...".')
    for name in sorted({v.name for v in variables} & set(VISIT_KEYS)):
        yield Violation(
            file, "variable names are free", "another name", f"{name!r}", 'Say name = "..." and column = "...".'
        )
    yield from _twice(file, "action", [action.name for action in manifest.actions], "Name the actions apart.")
    outcome = manifest.outcome
    if outcome is not None:
        yield from _outcome_clashes(file, manifest)
        causes = [outcome.name, *(c.name for c in outcome.competing)]
        for action in manifest.actions:
            if action.cause is not None and action.cause not in causes:
                near = difflib.get_close_matches(action.cause, causes, n=1)
                yield Violation(
                    file,
                    "an action acts on a declared event",
                    ", ".join(causes),
                    f"{action.cause!r}",
                    f"Did you mean {near[0]!r}?" if near else "Name one of these.",
                    column="actions.cause",
                )


def _outcome_clashes(file: str, manifest: Manifest) -> Iterable[Violation]:
    outcome = manifest.outcome
    assert outcome is not None
    yield from _twice(file, "event", [outcome.name, *(c.name for c in outcome.competing)], "Name the events apart.")
    shared = [c for c in outcome.competing if c.event is None]
    codes = [*outcome.codes, *outcome.censored, *outcome.missing, *(code for c in shared for code in c.codes)]
    yield from _twice(
        file, "outcome code", codes, "A code means one thing: event, competing event, censored or missing."
    )
    for c in outcome.competing:
        if c.event is not None:
            yield from _twice(
                file, f"code of {c.name}", [*c.codes, *c.censored], "A code means one thing: event or none."
            )


def _twice(file: str, what: str, names: list[str], remedy: str) -> Iterable[Violation]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Violation(
                file, f"a {what} is declared once", "one declaration", f"{name!r} more than once", remedy, count=count
            )
