"""Files: what an external validation leaves in its folder, each file whole or absent."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from osler.cohort.cohort import Cohort
from osler.external.result import ExternalResult
from osler.fitting import write_whole
from osler.reporting.external_report import write_external_report

__all__ = ["write_result"]

_FRAMES = ("metrics", "differences", "calibration", "smooth", "decision", "updates")
_MAPS = "recalibration.json"


def write_result(
    result: ExternalResult, cohort: Cohort, *, event: str, training: dict[str, Any] | None, confidence: float
) -> None:
    """Write tables, maps, report and provenance to ``result.folder``; what an earlier run left and this has not goes.

    Args:
        result: with a folder.
        cohort: where the model was judged.
        event: the event of interest.
        training: what the model tells of the patients it was fitted on, or None.
        confidence: level of intervals.
    """
    assert result.folder is not None
    folder = result.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FRAMES:
        _write_frame(folder, name, getattr(result, name))
    write_whole(folder / "predictions.parquet", partial(result.predictions.to_parquet, index=False))
    if result.recalibration is not None:
        result.recalibration.save(folder / _MAPS)
    else:
        (folder / _MAPS).unlink(missing_ok=True)
    write_whole(
        folder / "report.html",
        lambda part: write_external_report(
            part,
            cohort=cohort,
            event=event,
            metrics=result.metrics,
            differences=result.differences,
            calibration=result.calibration,
            predictions=result.predictions,
            labels=result.labels,
            sentence=result.sentence,
            run=result.run,
            confidence=confidence,
            smooth=result.smooth,
            decision=result.decision,
            updates=result.updates,
            maps=None if result.recalibration is None else result.recalibration.to_json(),
            advice=result.advice,
            training=training,
            warnings=result.warnings,
        ),
    )
    found = {**result.run, "sentence": result.sentence, "advice": result.advice}
    text = json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False)
    write_whole(folder / "run.json", lambda part: part.write_text(text + "\n", encoding="utf-8"))


def _write_frame(folder: Path, name: str, frame: pd.DataFrame | None) -> None:
    paths = {suffix: folder / f"{name}.{suffix}" for suffix in ("parquet", "csv")}
    if frame is None or not len(frame.columns):
        for path in paths.values():
            path.unlink(missing_ok=True)
        return
    write_whole(paths["parquet"], partial(frame.to_parquet, index=False))
    text = frame.to_csv(index=False, lineterminator="\n")
    write_whole(paths["csv"], partial(Path.write_text, data=text, encoding="utf-8"))
