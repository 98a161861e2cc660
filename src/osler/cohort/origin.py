"""Origin: of which data, code and libraries a result was made; nothing that changes from run to run."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from osler.cohort.cohort import Cohort
from osler.config import code_digest

__all__ = ["origin"]


def origin(cohort: Cohort, seed: int, libraries: Sequence[str]) -> dict[str, Any]:
    """What a reader needs to repeat a computation on ``cohort``, its settings aside; ``libraries`` with versions."""
    return {
        "cohort": cohort.name,
        "data_digest": cohort.digest,
        "files": dict(sorted(cohort.sources.items())),
        "modalities": list(cohort.modalities),
        "code_digest": code_digest(),
        "osler": version("osler"),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in libraries},
        "seed": seed,
    }
