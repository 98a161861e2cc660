"""Files: what an external validation leaves in its folder, each file whole or absent."""

from __future__ import annotations

from typing import Any

from osler.cohort.cohort import Cohort
from osler.external.result import ExternalResult
from osler.outputs import write_frame, write_json, write_whole
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
        write_frame(folder, name, getattr(result, name))
    write_frame(folder, "predictions", result.predictions, csv=False)
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
    write_json(folder / "run.json", {**result.run, "sentence": result.sentence, "advice": result.advice})
