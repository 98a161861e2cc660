"""DiagnosisStudy: cohort, classes, classifiers and their evaluation, from one manifest to a report, reproducibly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cells import SMALLEST
from osler.cohort.cohort import Cohort
from osler.cohort.diagnosis import Diagnosis
from osler.cohort.origin import origin
from osler.config import CLASSIFIER_NAMES, DiagnosisConfig, code_digest, digest
from osler.diagnosis import CLASSIFIERS
from osler.diagnosis.base import Classifier
from osler.diagnosis.choice import choose_classifier, verdict
from osler.diagnosis.division import Division, divide
from osler.diagnosis.evaluation import ClassEvaluation, evaluate_classes
from osler.diagnosis.fitting import Fit, fit_classifiers, fit_everyone
from osler.diagnosis.prior_shift import given_shares, rescale
from osler.diagnosis.saliency import Picture, explain_images
from osler.diagnosis.shift import CORRECTED, ShiftFindings, find_shift
from osler.diagnosis.store import save_classifier
from osler.diagnosis.twins import twins
from osler.errors import UsageError
from osler.evaluation.comparison import Choice
from osler.outputs import folder_name, write_frame, write_json, write_whole
from osler.reporting.diagnosis_report import write_diagnosis_report

__all__ = ["DiagnosisResult", "DiagnosisStudy"]

Floats = NDArray[np.float64]
_LIBRARIES = ("monai", "numpy", "pandas", "scikit-learn", "scipy", "torch", "xgboost")
_NOTHING = CLASSIFIER_NAMES[0]


@dataclass(frozen=True)
class DiagnosisResult:
    """What a study of classes found.

    Attributes:
        folder: where its files lie.
        evaluation: every measure of every classifier.
        predictions: patient (pseudonym), repeat, fold, model, class, probability: of those who were tested.
        choice: the classifier to use, and why.
        shift: class shares in training and among the tested; None where folds make them equal.
        run: provenance: digests, versions, seed, notes.
        pictures: saliency maps, where asked for.
        twins: how many of the tested have a picture that all but lies in the training part; None if not looked for.
        apart: the evaluation without them, where there are any and enough others.
    """

    folder: Path
    evaluation: ClassEvaluation
    predictions: pd.DataFrame
    choice: Choice
    shift: ShiftFindings | None
    run: dict[str, Any]
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    twins: int | None = None
    apart: ClassEvaluation | None = field(default=None, repr=False)

    @property
    def labels(self) -> dict[str, str]:
        """What to call each model, those with corrected probabilities included."""
        return _labels(self.evaluation.metrics["model"].unique())

    @property
    def report(self) -> Path:
        """The report to open in a browser."""
        return self.folder / "report.html"

    @property
    def model(self) -> Path:
        """The chosen classifier: of a given division the one that was judged, of folds one fitted on every patient."""
        return self.folder / "model.osler"


@dataclass(frozen=True)
class DiagnosisStudy:
    """One scripted analysis of classes.

    Args:
        cohort: patients with classes.
        config: how they are divided, and by which classifiers told apart; by default what the manifest says.
        folder: where files are written.
        prior_shift: whether probabilities are to be brought to the class shares estimated among the tested patients.
        shares: class name -> share to bring them to instead, such as those of the clinic in mind.
        saliency: of how many tested patients' images to show what the network looked at.
        workers: processes; None takes every core.
        progress: told (what, done, total).
    """

    cohort: Cohort
    config: DiagnosisConfig | None = None
    folder: Path | str | None = None
    prior_shift: bool = False
    shares: Mapping[str, float] | None = None
    saliency: int = 0
    workers: int | None = None
    progress: Callable[[str, int, int], None] | None = field(default=None, repr=False)

    def run(self) -> DiagnosisResult:
        """Fit every classifier on the same parts, judge, choose, report.

        Raises:
            UsageError: the cohort has no classes, cannot be divided as asked, or shares are given that do not fit.
        """
        config = self._checked()
        told = self.cohort.diagnosis
        assert told is not None
        division = divide(self.cohort, config)
        given = None if self.shares is None else given_shares(self.shares, told.classes)
        if self.prior_shift and given is None and not division.given:
            raise UsageError(
                "folds have the class shares of training, so there is no shift to correct: name a division in "
                "[diagnosis] split_by, or give the shares of the patients in mind"
            )
        folder = Path(self.folder or Path("reports") / folder_name(self.cohort.name, "diagnosis"))
        cache = folder / "cache" / code_digest()[:16]
        fits = fit_classifiers(self.cohort, config, division, cache=cache, workers=self.workers, tell=self._tell)
        probabilities = {name: _gathered(division, parts) for name, parts in fits.items()}
        shift = self._shift(config, division, fits, given)
        judged = dict(probabilities)
        for name, shares in ({} if shift is None else shift.used).items():
            judged[name + CORRECTED] = _gathered(division, fits[name], shares)
        evaluation = evaluate_classes(
            told.label[division.tested],
            judged,
            told.classes,
            positive=told.positive,
            folds=division.folds,
            level=config.confidence,
            replicates=config.replicates,
            random_state=config.seed,
            progress=self.progress,
        )
        alike = twins(self.cohort, division)
        order = sorted(config.models, key=CLASSIFIER_NAMES.index)
        choice = choose_classifier(evaluation, order, CLASSIFIERS)
        run = self._provenance(config, division, fits, choice, verdict(evaluation, order, CLASSIFIERS), shift)
        model = self._final(config, division, fits, choice.model, cache, run)
        result = DiagnosisResult(
            folder=folder,
            evaluation=evaluation,
            predictions=_predictions(self.cohort, division, judged),
            choice=choice,
            shift=shift,
            run=run,
            pictures=self._pictures(config, fits),
            twins=None if alike is None else int(alike.sum()),
            apart=_apart(told, division, probabilities, alike, config),
        )
        _write(result, self.cohort, config, model, division, judged, _seconds(fits))
        return result

    def _checked(self) -> DiagnosisConfig:
        told = self.cohort.diagnosis
        if told is None:
            remedy = (
                "its outcome has a time: `osler run` is its study"
                if self.cohort.outcome is not None
                else 'declare [outcome] kind = "class"'
            )
            raise UsageError(f"the cohort {self.cohort.name!r} has no classes to tell apart; {remedy}")
        if sum(count > 0 for count in told.counts().values()) < 2:
            raise UsageError(f"all patients of {self.cohort.name!r} are of one class: there is nothing to tell apart")
        if self.saliency < 0:
            raise UsageError("the number of patients whose images are explained is 0 or more")
        return self.config or self.cohort.question or DiagnosisConfig.model_validate({})

    def _shift(
        self, config: DiagnosisConfig, division: Division, fits: Mapping[str, list[Fit]], given: Floats | None
    ) -> ShiftFindings | None:
        """Class shares among the tested; with folds only where shares are given, as there is nothing to notice."""
        told = self.cohort.diagnosis
        assert told is not None
        if not division.given and given is None:
            return None
        counts = np.bincount(told.label[division.tested], minlength=len(told.classes))
        everybody = {name: parts[0].probability for name, parts in fits.items()}
        return find_shift(
            everybody,
            {name: parts[0].model.shares_ for name, parts in fits.items()},
            counts / counts.sum(),
            correct=self.prior_shift,
            given=given,
            nothing=[_NOTHING, *([] if division.given else fits)],
            level=config.confidence,
        )

    def _final(
        self,
        config: DiagnosisConfig,
        division: Division,
        fits: Mapping[str, list[Fit]],
        name: str,
        cache: Path,
        run: dict[str, Any],
    ) -> Classifier:
        if division.given:
            return fits[name][0].model
        made_by = {key: run[key] for key in ("data_digest", "config_digest", "code_digest")}
        return fit_everyone(self.cohort, config, name, cache=cache, tell=self._tell, provenance=made_by)

    def _pictures(self, config: DiagnosisConfig, fits: Mapping[str, list[Fit]]) -> tuple[Picture, ...]:
        """Saliency maps of patients whom the network did not learn from."""
        if not self.saliency:
            return ()
        if "network" not in fits:
            raise UsageError("saliency is of the network: name it among the models")
        fit = fits["network"][0]
        return explain_images(fit.model, self.cohort, fit.split.test, self.saliency)

    def _provenance(
        self,
        config: DiagnosisConfig,
        division: Division,
        fits: Mapping[str, list[Fit]],
        choice: Choice,
        said: str,
        shift: ShiftFindings | None,
    ) -> dict[str, Any]:
        notes = {name: sorted({note for fit in parts for note in fit.model.notes_}) for name, parts in fits.items()}
        return {
            **origin(self.cohort, config.seed, _LIBRARIES),
            "config": config.model_dump(mode="json"),
            "config_digest": digest(config),
            "division": division.sentence,
            "notes": {name: found for name, found in notes.items() if found},
            "settings": {name: parts[0].model.settings() for name, parts in fits.items() if parts[0].model.settings()},
            "chosen": choice.model,
            "choice": choice.sentence,
            "verdict": said,
            **({} if shift is None else {"prior_shift": shift.to_dict()}),
        }

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)


def _apart(
    told: Diagnosis,
    division: Division,
    probabilities: Mapping[str, Floats],
    alike: NDArray[np.bool_] | None,
    config: DiagnosisConfig,
) -> ClassEvaluation | None:
    """The evaluation of those without a twin in training, where there are twins and ten others of each class."""
    if alike is None or not alike.any():
        return None
    label = told.label[division.tested][~alike]
    counts = np.bincount(label, minlength=len(told.classes))
    if counts[np.unique(told.label[division.tested])].min() < SMALLEST:
        return None
    return evaluate_classes(
        label,
        {name: p[:, ~alike] for name, p in probabilities.items()},
        told.classes,
        positive=told.positive,
        folds=None if division.folds is None else division.folds[:, ~alike],
        calibration=False,
        level=config.confidence,
    )


def _gathered(division: Division, parts: list[Fit], shares: Floats | None = None) -> Floats:
    """(R, n, C) probabilities of the tested patients, in the order of their positions; brought to other ``shares``."""
    repeats = max(fit.split.repeat for fit in parts) + 1
    out = np.full((repeats, len(division.tested), parts[0].probability.shape[1]), np.nan)
    for fit in parts:
        at = np.searchsorted(division.tested, fit.split.test)
        found = fit.probability[: len(at)]
        out[fit.split.repeat, at] = found if shares is None else rescale(found, fit.model.shares_, shares)
    return out


def _predictions(cohort: Cohort, division: Division, judged: Mapping[str, Floats]) -> pd.DataFrame:
    assert cohort.diagnosis is not None
    classes, who = cohort.diagnosis.classes, cohort.pseudonyms[division.tested]
    n, C = len(who), len(classes)
    frames = []
    for name, probability in judged.items():
        for r, p in enumerate(probability):
            fold = np.zeros(n, dtype=np.int64) if division.folds is None else division.folds[r]
            frame = {"patient": np.repeat(who, C), "repeat": r, "fold": np.repeat(fold, C), "model": name}
            frames.append(pd.DataFrame({**frame, "class": np.tile(classes, n), "probability": p.ravel()}))
    return pd.concat(frames, ignore_index=True)


def _seconds(fits: Mapping[str, list[Fit]]) -> dict[str, float]:
    return {name: round(sum(fit.seconds or 0.0 for fit in parts), 2) for name, parts in fits.items()}


def _write(
    result: DiagnosisResult,
    cohort: Cohort,
    config: DiagnosisConfig,
    model: Classifier,
    division: Division,
    judged: Mapping[str, Floats],
    seconds: dict[str, float],
) -> None:
    assert cohort.diagnosis is not None
    folder = result.folder
    folder.mkdir(parents=True, exist_ok=True)
    made_by = {key: result.run[key] for key in ("data_digest", "config_digest", "code_digest")}
    write_whole(result.model, lambda part: save_classifier(model, part, made_by))
    for name, frame in result.evaluation.frames.items():
        write_frame(folder, name, frame)
    write_frame(folder, "predictions", result.predictions, csv=False)
    run = {**result.run, "model_digest": digest(result.model.read_bytes())}
    write_whole(
        result.report,
        lambda part: write_diagnosis_report(
            part,
            cohort=cohort,
            tested=division.tested,
            frames=result.evaluation.frames,
            probabilities=judged,
            classes=result.evaluation.classes,
            labels=result.labels,
            choice=result.choice,
            run=run,
            confidence=config.confidence,
            shift=None if result.shift is None else result.shift.to_dict(),
            pictures=result.pictures,
            twins=result.twins,
            apart=None if result.apart is None else result.apart.metrics,
        ),
    )
    write_json(folder / "run.json", {**run, "fit_seconds": seconds})


def _labels(judged: Iterable[str]) -> dict[str, str]:
    """What to call each model."""
    names = {name: name.removesuffix(CORRECTED) for name in judged}
    return {
        name: CLASSIFIERS[base] + (" (corrected)" if name.endswith(CORRECTED) else "") for name, base in names.items()
    }
