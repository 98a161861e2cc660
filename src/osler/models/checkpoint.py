"""Checkpoint: a training in progress as one file, so that a killed one goes on and ends with the same bits.

Tensors are kept as safetensors with the numbers beside them as JSON in its header: one file, replaced in one go, and
nothing in it that runs when it is read. Its name is a digest of everything that training depends on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_arrays

from osler.config import digest
from osler.outputs import write_whole

__all__ = ["Checkpoint", "Saved"]

Arrays = dict[str, NDArray[Any]]

_SECONDS = 20.0  # between two writings: what takes less than this to train is never written
_SUFFIX = ".training"
_HEADER = "osler"


@dataclass(frozen=True)
class Saved:
    """What was written: ``arrays`` by name, and ``numbers``, JSON values."""

    arrays: Arrays
    numbers: dict[str, Any]


@dataclass(eq=False)
class Checkpoint:
    """Where one training leaves its state.

    Args:
        folder: made when something is first written; None: nothing is ever written.
        seconds: least time between two writings.
        clock: seconds that only grow.

    Attributes:
        notes: what was found to be damaged.
    """

    folder: Path | None
    seconds: float = _SECONDS
    clock: Callable[[], float] = time.monotonic
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._written = self.clock()
        self._key: Callable[[], str] = lambda: ""
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """The file of this training, whether it is there or not."""
        assert self.folder is not None
        if self._path is None:
            self._path = self.folder / f"{self._key()[:32]}{_SUFFIX}"
        return self._path

    def read(self, key: Callable[[], str]) -> Saved | None:
        """What an earlier run left; None where it left nothing, or nothing that is whole.

        ``key`` is a digest of everything that the training depends on; it is asked for only when it is needed.
        """
        self._key, self._path = key, None
        if self.folder is None or next(self.folder.glob(f"*{_SUFFIX}"), None) is None or not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
                header = json.loads(file.metadata()[_HEADER])
            if header["digest"] != digest(arrays, header["numbers"]):
                raise ValueError("the contents do not have their digest")
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            self.notes.append("The state of an interrupted training was damaged and was not used: it began anew.")
            return None
        return Saved(arrays, header["numbers"])

    def offer(self, state: Callable[[], Saved]) -> None:
        """Write ``state()``, if the last writing is long enough ago."""
        if self.folder is None or self.clock() - self._written < self.seconds:
            return
        saved = state()
        arrays = {name: np.ascontiguousarray(array) for name, array in saved.arrays.items()}
        header = json.dumps({"numbers": saved.numbers, "digest": digest(arrays, saved.numbers)}, sort_keys=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, lambda part: part.write_bytes(save_arrays(arrays, {_HEADER: header})))
        self._written = self.clock()

    def remove(self) -> None:
        """Forget the training: it ended."""
        if self.folder is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
