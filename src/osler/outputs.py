"""Outputs: files of results, each whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

__all__ = ["folder_name", "write_frame", "write_json", "write_whole"]

T = TypeVar("T")


def write_whole(path: Path, write: Callable[[Path], T]) -> T:
    """Write a file under another name first: what carries the right name is whole. Returns what ``write`` does."""
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        found = write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return found


def write_frame(folder: Path, name: str, frame: pd.DataFrame | None, *, csv: bool = True) -> None:
    """``name``.parquet and ``name``.csv; of a frame that there is not, what an earlier run left is removed."""
    parquet, text = folder / f"{name}.parquet", folder / f"{name}.csv"
    if frame is None or not len(frame.columns):
        parquet.unlink(missing_ok=True)
        text.unlink(missing_ok=True)
        return
    write_whole(parquet, lambda part: frame.to_parquet(part, index=False))
    if csv:
        said = frame.to_csv(index=False, lineterminator="\n")
        write_whole(text, lambda part: part.write_text(said, encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Indented, keys sorted, UTF-8."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    write_whole(path, lambda part: part.write_text(text + "\n", encoding="utf-8"))


def folder_name(name: str, otherwise: str) -> str:
    """What a folder is called after: letters and digits in lower case, up to 60; ``otherwise`` where there are none."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return "-".join(words)[:60] or otherwise
