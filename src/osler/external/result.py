"""Result: what an external validation found, as frames and words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from osler.external.recalibration import Recalibration

__all__ = ["ExternalResult"]


@dataclass(frozen=True, eq=False)
class ExternalResult:
    """What an external validation found.

    Attributes:
        metrics, differences, calibration: the frames of ``osler.evaluation.Evaluation``; the model as it is carries its
            own name, its updates the name and ":in_the_large", ":slope" or ":flexible". Updates are cross-fitted: no
            patient's risk was updated by a map that had seen their outcome.
        smooth, decision: further frames of the evaluation, or None.
        predictions: one row per pseudonym, model or update, landmark and horizon.
        updates: the closed test of the methods at every landmark and horizon; empty when nothing was to be updated.
        recalibration: the maps fitted on everybody, and the method that the test recommends; or None.
        labels: model or update -> what to call it.
        warnings: what a reader of the numbers must know; sentences.
        sentence: the finding in words.
        advice: which update to use, and the tests that say so; empty when nothing was to be updated.
        run: provenance: digests, versions, seed.
        folder: where the files lie, or None.
    """

    metrics: pd.DataFrame
    differences: pd.DataFrame
    calibration: pd.DataFrame
    smooth: pd.DataFrame | None
    decision: pd.DataFrame | None
    predictions: pd.DataFrame
    updates: pd.DataFrame
    recalibration: Recalibration | None
    labels: dict[str, str]
    warnings: tuple[str, ...]
    sentence: str
    advice: str
    run: dict[str, Any]
    folder: Path | None = field(default=None)

    @property
    def report(self) -> Path | None:
        """The report to open in a browser, when files were written."""
        return None if self.folder is None else self.folder / "report.html"
