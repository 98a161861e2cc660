"""Job: predictions of a cohort become an evaluation, updates, words and files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort
from osler.cohort.origin import origin
from osler.evaluation import Evaluation, combine, evaluate
from osler.evaluation.measuring import EVERY_MEASURE
from osler.evaluation.updating import risk_at
from osler.external.files import write_result
from osler.external.predicted import Predicted, cause_code
from osler.external.recalibration import Recalibration
from osler.external.result import ExternalResult
from osler.external.sentence import advice, told
from osler.external.updates import SUFFIX, Updates, in_order, updated
from osler.models import MODELS
from osler.reporting.external_words import METHOD_NAMES

__all__ = ["Job"]

#: Measures of whole curves, which a table of a few horizons does not hold.
_OF_CURVES = ("antolini_c", "d_calibration")
_ONCE = 2  # dimensions of risks that are given once for each patient
_LIBRARIES = ("numpy", "pandas", "scipy", "torch", "xgboost")


@dataclass
class Job:
    """One validation under way.

    Attributes:
        cohort: with an outcome.
        event: whose risk was predicted, by its name in the cohort or the model.
        predicted: one entry for each landmark.
        horizons: days since the landmark.
        updated: the model whose risks are to be updated, or None.
        thresholds: risks from which one would act.
        remarks: what a reader of the numbers must know; sentences.
        run: provenance of the predictions.
        folds: parts of the cross-fitting.
        confidence: level of intervals.
        replicates: draws of the bootstrap and of perfectly calibrated outcomes.
        random_state: seed of what is drawn.
        training: what a model tells of the patients it was fitted on; None for a table.
        progress: told (what, done, total), or None.
    """

    cohort: Cohort
    event: str
    predicted: list[Predicted]
    horizons: tuple[float, ...]
    updated: str | None
    thresholds: tuple[float, ...]
    remarks: list[str]
    run: dict[str, Any]
    folds: int
    confidence: float
    replicates: int
    random_state: int
    training: dict[str, Any] | None
    progress: Callable[[str, int, int], None] | None = None

    def run_to(self, folder: str | Path | None) -> ExternalResult:
        """Update, judge, say it in words and, with a folder, write it."""
        cause = cause_code(self.cohort, self.event)
        updates = None if self.updated is None else self._update(self.updated, cause)
        evaluation = combine([self._judge(part, cause) for part in self.predicted])
        evaluation = evaluation if self.updated is None else in_order(evaluation, self.updated)
        recalibration = None if updates is None or self.updated is None else self._maps(self.updated, updates)
        advised = None if updates is None or self.updated is None else (self.updated, updates.recommendation)
        labels = self._labels()
        result = ExternalResult(
            metrics=evaluation.metrics,
            differences=evaluation.differences,
            calibration=evaluation.calibration,
            smooth=evaluation.smooth,
            decision=evaluation.decision,
            predictions=self._predictions(),
            updates=pd.DataFrame() if updates is None else updates.tests,
            recalibration=recalibration,
            labels=labels,
            warnings=tuple([*self.remarks, *(() if updates is None else updates.notes)]),
            sentence=told(evaluation, self.cohort.name, labels, advised),
            advice="" if updates is None else advice(updates.recommendation),
            run=self._provenance(recalibration),
        )
        if folder is None:
            return result
        result = replace(result, folder=Path(folder))
        write_result(result, self.cohort, event=self.event, training=self.training, confidence=self.confidence)
        return result

    def _update(self, name: str, cause: int) -> Updates:
        """Update the model's risks; its cross-fitted curves are put beside its own, to be judged with them."""
        updates = updated(
            self.cohort,
            self.predicted,
            name,
            self.horizons,
            cause,
            folds=self.folds,
            random_state=self.random_state,
            level=1 - self.confidence,
        )
        for part, after in zip(self.predicted, updates.curves, strict=True):
            part.curves.update({name + SUFFIX[method]: curve for method, curve in after.items()})
        return updates

    def _judge(self, part: Predicted, cause: int) -> Evaluation:
        assert self.cohort.outcome is not None
        outcome = self.cohort.outcome.take(part.patient).since(part.landmark)
        # A model from elsewhere is set against the average risk here; a table may bring its own null model.
        null = "reference" if self.training is None and "reference" in part.curves else None
        return evaluate(
            outcome.time,
            outcome.event,
            part.curves,
            times=part.times,
            horizons=part.answerable(self.horizons),
            cause=cause,
            folds=part.folds,
            patients=part.patient,
            level=self.confidence,
            null=null,
            landmark=part.landmark,
            measures=EVERY_MEASURE if part.between else [name for name in EVERY_MEASURE if name not in _OF_CURVES],
            thresholds=self.thresholds,
            replicates=self.replicates,
            random_state=self.random_state,
            progress=self.progress,
        )

    def _maps(self, name: str, updates: Updates) -> Recalibration:
        return Recalibration(
            model=name,
            model_digest=self.run.get("model_digest", ""),
            cause=self.event,
            cohort=self.cohort.name,
            data_digest=self.cohort.digest,
            recommended=updates.recommendation.method,
            landmarks=tuple(part.landmark for part in self.predicted),
            updatings=updates.updatings,
        )

    def _labels(self) -> dict[str, str]:
        names = dict.fromkeys(name for part in self.predicted for name in part.curves)
        labels = {}
        for name in names:
            base, _, method = name.rpartition(":")
            if method in METHOD_NAMES and base == self.updated:
                labels[name] = f"{MODELS.get(base, base)}, {METHOD_NAMES[method]}"
            else:
                labels[name] = MODELS.get(name, name) + (f", {METHOD_NAMES['as_is']}" if name == self.updated else "")
        return labels

    def _predictions(self) -> pd.DataFrame:
        frames = []
        for part in self.predicted:
            at = [h for h in part.answerable(self.horizons) if h <= part.times[-1] * (1 + 1e-9)]
            for name, curves in part.curves.items():
                for repeat, curve in enumerate(curves if curves.ndim > _ONCE else curves[None]):
                    risk = np.column_stack([risk_at(curve, part.times, h) for h in at]) if at else np.zeros((0, 0))
                    frame = {
                        "patient": np.repeat(self.cohort.pseudonyms[part.patient], len(at)),
                        "model": name,
                        "landmark_days": part.landmark,
                        "horizon_days": np.tile(np.asarray(at), len(part.patient)),
                        "cause": self.event,
                        "risk": risk.ravel(),
                    }
                    if part.folds is not None:
                        frame["fold"] = np.repeat(part.folds[repeat], len(at))
                    if not part.once:
                        frame["repeat"] = repeat
                    frames.append(pd.DataFrame(frame))
        return pd.concat(frames, ignore_index=True)

    def _provenance(self, recalibration: Recalibration | None) -> dict[str, Any]:
        """What a reader needs to repeat the validation; nothing that changes from run to run."""
        return {
            **origin(self.cohort, self.random_state, _LIBRARIES),
            **self.run,
            "landmarks": [part.landmark for part in self.predicted],
            "horizons": list(self.horizons),
            "folds": self.folds if recalibration is not None else 0,
            "recommended": "" if recalibration is None else recalibration.recommended,
            "warnings": list(self.remarks),
        }
