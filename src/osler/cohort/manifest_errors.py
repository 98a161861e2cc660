"""Manifest errors: what pydantic found, in the words and form of the data contract."""

from __future__ import annotations

import difflib
import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from osler.errors import Violation

__all__ = ["explain"]


def explain(error: ValidationError, model: type[BaseModel], file: str) -> list[Violation]:
    """One violation for every mistake, with its dotted place; a misspelt key is told with what was probably meant."""
    details = error.errors(include_input=False, include_url=False)
    places = [_place(detail["loc"]) for detail in details]
    violations = []
    for detail, place in zip(details, places, strict=True):
        # A list whose only entry is wrong is also "too short": the entry's own mistake says it better.
        if detail["type"] == "too_short" and any(other.startswith(f"{place}.") for other in places):
            continue
        violations.append(_violation(file, model, detail))
    return list(dict.fromkeys(violations))


def _place(loc: tuple[Any, ...]) -> str:
    """A dotted path with entries counted from 1; the branches of a union are not part of it."""
    parts = [part for part in loc if isinstance(part, int) or not any(sign in part for sign in "[(")]
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in parts)


def _violation(file: str, model: type[BaseModel], detail: Any) -> Violation:
    place = _place(detail["loc"])
    kind, message = detail["type"], detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        key = str(detail["loc"][-1])
        known = _known_keys(model, detail["loc"][:-1])
        near = difflib.get_close_matches(key, known, n=2)
        remedy = f"Did you mean {' or '.join(near)}?" if near else f"The keys here are {', '.join(known)}."
        return Violation(
            file, "keys are those of the contract", "a known key", f"the unknown key {key!r}", remedy, column=place
        )
    if kind == "missing":
        return Violation(
            file, "required keys are given", f"the key {detail['loc'][-1]!r}", "none", "Add it.", column=place
        )
    if kind == "value_error":
        return Violation(
            file, message, "what the contract allows", "something else", "Correct it.", column=place or None
        )
    expected = message.removeprefix("Input should be ")
    return Violation(
        file, "declarations follow the contract", expected, "something else", "Correct it.", column=place or None
    )


def _known_keys(model: type[BaseModel], place: tuple[Any, ...]) -> list[str]:
    """Keys that the model allows at a place such as ("record", 0, "variables", 2)."""
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
