"""Where a report comes from: versions, digests, seeds and settings, as rows of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from osler.cohort.cohort import Cohort
from osler.models import MODELS
from osler.reporting.words import text

__all__ = ["model_labels", "provenance"]

#: Words for keys that are expected; other keys are shown as they are.
_WORDS = {
    "data_digest": "Data, SHA-256",
    "config_digest": "Configuration, SHA-256",
    "code_digest": "Code, SHA-256",
    "model_digest": "Model, SHA-256",
    "osler": "Osler",
    "python": "Python",
    "libraries": "Libraries",
    "seed": "Seed",
    "folds": "Folds",
    "repeats": "Repeats",
    "workers": "Processes",
    "modalities": "Modalities",
    "files": "Files read",
    "config": "Settings",
    "used": "What each model used",
    "fit_seconds": "Seconds of fitting",
}
_ELSEWHERE = {"notes", "labels", "chosen", "cohort"}


def model_labels(models: Iterable[str], run: Mapping[str, Any]) -> dict[str, str]:
    """What to call each model: ``run["labels"]`` first, then the names Osler gives its own."""
    given = run.get("labels", {})
    return {name: str(given.get(name) or MODELS.get(name) or name.replace("_", " ")) for name in models}


def provenance(run: Mapping[str, Any] | None, labels: Mapping[str, str], cohort: Cohort) -> list[dict[str, Any]]:
    """Rows ``{"name", "value"}`` or ``{"name", "parts": [(name, value)]}``; digests are marked ``"code": True``."""
    rows: list[dict[str, Any]] = []
    told = dict(run or {})
    told.setdefault("data_digest", cohort.digest)
    names = [name for name in _WORDS if name in told]
    names += [name for name in told if name not in _WORDS and name not in _ELSEWHERE]
    for name in names:
        value, label = told[name], _WORDS.get(name, name.replace("_", " ").capitalize())
        if isinstance(value, Mapping):
            items = [
                (labels.get(str(key), str(key)), _flat(item)) for key, item in value.items() if item not in ({}, [], ())
            ]
            if items:
                rows.append({"name": label, "parts": items, "code": name == "files"})
        else:
            rows.append({"name": label, "value": _flat(value), "code": name.endswith("digest")})
    return rows


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_flat(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_flat(item) for item in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value)
