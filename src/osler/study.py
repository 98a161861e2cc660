"""Study: cohort, question, models and evaluation, from one manifest to a report, reproducibly."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.cohort.split import folds
from osler.config import MODEL_NAMES, StudyConfig, digest
from osler.engine import available_workers, run_tasks
from osler.errors import UsageError
from osler.evaluation import Choice, Evaluation, choose, combine, evaluate
from osler.fitting import fit_everyone, fit_fold, read_fold, write_whole
from osler.models import MODELS
from osler.models.base import RiskModel
from osler.models.store import load_model, save_model
from osler.reporting import report_patient, write_study_report

__all__ = ["Study", "StudyResult", "code_digest"]

#: The costliest first, so that two workers finish together.
_COST = ("recurrent", "boosted_hazard", "stacked_cox", "boosted_cox", "aft", "cox", "reference")
_LIBRARIES = ("lifelines", "monai", "numpy", "pandas", "scikit-learn", "scipy", "torch", "xgboost")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Attributes:
        folder: where its files lie.
        metrics, differences, calibration: the frames of ``osler.evaluation.Evaluation``.
        predictions: one row per pseudonym, repeat, landmark, horizon, model and cause: out-of-fold risk.
        choice: the model to ship, and the words why.
        run: provenance: digests, versions, seeds, notes.
    """

    folder: Path
    metrics: pd.DataFrame
    differences: pd.DataFrame
    calibration: pd.DataFrame
    predictions: pd.DataFrame
    choice: Choice
    run: dict[str, Any]

    @property
    def report(self) -> Path:
        """The report to open in a browser."""
        return self.folder / "report.html"

    @property
    def model(self) -> Path:
        """The chosen model, fitted on every patient."""
        return self.folder / "model.osler"


@dataclass(frozen=True)
class Study:
    """One scripted analysis of a cohort.

    Args:
        cohort: patients with an outcome.
        config: the question and the models; by default what the manifest's ``[study]`` says.
        folder: where files are written; by default ``reports/<name of the cohort>``.
        workers: processes; None takes every core.
    """

    cohort: Cohort
    config: StudyConfig | None = None
    folder: Path | str | None = None
    workers: int | None = None
    progress: Progress | None = field(default=None, repr=False)

    def run(self) -> StudyResult:
        """Cross-validate every model on the same folds, evaluate, choose, fit the chosen one, report.

        Work done by an earlier, interrupted or identical run in the same folder is taken up where every input,
        setting and line of code it depends on is unchanged.

        Raises:
            UsageError: the cohort has no outcome, no study is declared, or it has too few patients.
        """
        config = self._config()
        folder = Path(self.folder or Path("reports") / _slug(self.cohort.name))
        folder.mkdir(parents=True, exist_ok=True)
        cache = _cache(folder)
        cache.mkdir(parents=True, exist_ok=True)

        fitted = self._cross_validate(config, cache)
        curves = _gather(self.cohort, config, fitted)
        evaluation = _evaluate(self.cohort, config, curves)
        choice = choose(evaluation, order=sorted(config.models, key=MODEL_NAMES.index), labels=MODELS)
        model = self._fit_everyone(config, choice.model, cache, "the chosen model on every patient")
        predictions = _predictions(self.cohort, config, curves)
        run = _provenance(self.cohort, config, fitted, choice)
        result = StudyResult(
            folder, evaluation.metrics, evaluation.differences, evaluation.calibration, predictions, choice, run
        )
        _write(result, self.cohort, config, model, durations={key: fit["seconds"] for key, fit in fitted.items()})
        # What other code left behind can never be used again.
        for stale in set(cache.parent.iterdir()) - {cache}:
            shutil.rmtree(stale, ignore_errors=True)
        return result

    def report_patients(self, result: StudyResult, count: int) -> list[Path]:
        """Reports of ``count`` patients at the middle landmark, spread from low to high out-of-fold risk.

        They lie in ``patients/`` under their pseudonyms; returns their paths, the lowest risk first.
        """
        config = self._config()
        landmark = config.landmarks[len(config.landmarks) // 2]
        shown = result.predictions.query(
            "model == @result.choice.model and repeat == 0 and landmark_days == @landmark "
            "and horizon_days == @config.horizons[-1] and cause == @self.cohort.outcome.causes[0]"
        ).sort_values(["risk", "patient"])
        wanted = np.unique(np.linspace(0.1, 0.95, count).dot(len(shown) - 1).round().astype(int))
        folder = result.folder / "patients"
        folder.mkdir(exist_ok=True)
        model = load_model(result.model)
        report = partial(report_patient, model=model, at=landmark, forecaster=self._forecaster(result), run=result.run)
        paths = []
        for done, name in enumerate(shown["patient"].iloc[wanted]):
            self._tell("patient reports", done, len(wanted))
            path = folder / f"{name}.html"
            write_whole(path, partial(report, patient=self.cohort.patient(name)))
            paths.append(path)
        self._tell("patient reports", len(wanted), len(wanted))
        return paths

    def _forecaster(self, result: StudyResult) -> RiskModel | None:
        """The recurrent model on every patient, where it was not chosen but there are courses to forecast."""
        config = self._config()
        if result.choice.model == "recurrent" or "recurrent" not in config.models or not self.cohort.visit_variables:
            return None
        return self._fit_everyone(config, "recurrent", _cache(result.folder), "the model of the biomarkers' course")

    def _config(self) -> StudyConfig:
        config = self.config or self.cohort.study
        if self.cohort.outcome is None:
            raise UsageError(f"the cohort {self.cohort.name!r} has no outcome: a study needs one")
        if config is None:
            raise UsageError("no question is asked: declare [study] in cohort.toml, or pass a StudyConfig")
        if len(self.cohort) < 2 * config.folds:
            raise UsageError(f"{len(self.cohort)} patients are too few for {config.folds} folds: lower [study] folds")
        return config

    def _cross_validate(self, config: StudyConfig, cache: Path) -> dict[tuple[str, int, int], dict[str, Any]]:
        """Fit every model on every training fold; what is cached under the same key is not computed again."""
        assert self.cohort.outcome is not None
        splits = {
            (repeat, fold): (train, test)
            for repeat, fold, train, test in folds(self.cohort.outcome, config.folds, config.repeats, config.seed)
        }
        names = sorted(config.models, key=_COST.index)
        wanted = {(name, *split): cache / f"{self._key(config, name, split)}.npz" for name in names for split in splits}
        missing = [key for key, path in wanted.items() if not path.exists()]
        done = len(wanted) - len(missing)
        self._tell("cross-validation", done, len(wanted))
        tasks = [
            (self.cohort, config, name, fold, splits[repeat, fold], wanted[name, repeat, fold])
            for name, repeat, fold in missing
        ]
        for _ in run_tasks(fit_fold, tasks, workers=self.workers):
            done += 1
            self._tell("cross-validation", done, len(wanted))
        return {key: read_fold(path) for key, path in wanted.items()}

    def _fit_everyone(self, config: StudyConfig, name: str, cache: Path, what: str) -> RiskModel:
        path = cache / f"{self._key(config, name, 'everyone')}.osler"
        self._tell(what, 0, 1)
        if not path.exists():
            list(run_tasks(fit_everyone, [(self.cohort, config, name, path)], workers=1))
        self._tell(what, 1, 1)
        return load_model(path)

    def _key(self, config: StudyConfig, name: str, split: Any) -> str:
        question = {"landmarks": config.landmarks, "horizons": config.horizons}
        resampling = (config.folds, config.seed) if split != "everyone" else config.seed
        settings = config.settings.get(name, {})
        return digest(self.cohort.digest, question, resampling, name, settings, split, code_digest())[:32]

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)


def code_digest() -> str:
    """SHA-256 of the package's own source: a cached fit is used again only by the code that made it."""
    root = Path(__file__).resolve().parent
    return digest({str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.py"))})


def _cache(folder: Path) -> Path:
    return folder / "cache" / code_digest()[:16]


@dataclass(frozen=True)
class _Curves:
    """Out-of-fold incidence of every model for one repeat and landmark, patients in cohort order."""

    repeat: int
    landmark: float
    patient: NDArray[np.int64]
    fold: NDArray[np.int64]
    incidence: dict[str, NDArray[np.float64]]


def _gather(cohort: Cohort, config: StudyConfig, fitted: dict[tuple[str, int, int], dict[str, Any]]) -> list[_Curves]:
    gathered = []
    for repeat in range(config.repeats):
        for i, landmark in enumerate(config.landmarks):
            incidence: dict[str, NDArray[np.float64]] = {}
            for name in config.models:
                parts = [fitted[name, repeat, fold] for fold in range(config.folds)]
                patient = np.concatenate([part[f"patient{i}"] for part in parts])
                order = np.argsort(patient)
                incidence[name] = np.concatenate([part[f"incidence{i}"] for part in parts])[order]
                fold = np.repeat(np.arange(config.folds), [len(part[f"patient{i}"]) for part in parts])[order]
            gathered.append(_Curves(repeat, landmark, patient[order], fold, incidence))
    return gathered


def _evaluate(cohort: Cohort, config: StudyConfig, curves: list[_Curves]) -> Evaluation:
    """Measures of the event of interest at every landmark and horizon, repeats averaged."""
    assert cohort.outcome is not None
    parts = []
    for part in curves:
        outcome = cohort.outcome.take(part.patient).since(part.landmark)
        parts.append(
            evaluate(
                outcome.time,
                outcome.event,
                {name: incidence[:, 0] for name, incidence in part.incidence.items()},
                times=config.question.grid,
                horizons=config.horizons,
                strata=part.fold,
                level=config.confidence,
                null="reference" if "reference" in part.incidence else None,
                landmark=part.landmark,
            )
        )
    return combine(parts)


def _predictions(cohort: Cohort, config: StudyConfig, curves: list[_Curves]) -> pd.DataFrame:
    assert cohort.outcome is not None
    grid = config.question.grid
    at = np.searchsorted(grid, np.asarray(config.horizons) - 1e-6)
    frames = []
    for part in curves:
        for name, incidence in part.incidence.items():
            risk = incidence[:, :, at]
            n, k, h = risk.shape
            frames.append(
                pd.DataFrame(
                    {
                        "patient": np.repeat(cohort.pseudonyms[part.patient], k * h),
                        "model": name,
                        "repeat": part.repeat,
                        "fold": np.repeat(part.fold, k * h),
                        "landmark_days": part.landmark,
                        "horizon_days": np.tile(np.asarray(config.horizons), n * k),
                        "cause": np.tile(np.repeat(np.array(cohort.outcome.causes, dtype=object), h), n),
                        "risk": risk.ravel(),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def _provenance(
    cohort: Cohort, config: StudyConfig, fitted: dict[tuple[str, int, int], dict[str, Any]], choice: Choice
) -> dict[str, Any]:
    """What a reader needs to repeat the study; nothing that changes from run to run."""
    notes = {
        name: sorted({note for key, fit in fitted.items() if key[0] == name for note in fit["notes"]})
        for name in config.models
    }
    return {
        "cohort": cohort.name,
        "data_digest": cohort.digest,
        "files": dict(sorted(cohort.sources.items())),
        "config": config.model_dump(mode="json"),
        "config_digest": digest(config),
        "code_digest": code_digest(),
        "osler": version("osler"),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "seed": config.seed,
        "folds": config.folds,
        "repeats": config.repeats,
        "modalities": list(cohort.modalities),
        "notes": {name: found for name, found in notes.items() if found},
        "chosen": choice.model,
    }


def _write(
    result: StudyResult,
    cohort: Cohort,
    config: StudyConfig,
    model: RiskModel,
    durations: dict[tuple[str, int, int], float],
) -> None:
    folder = result.folder
    write_whole(result.model, lambda part: save_model(model, part))
    for name in ("metrics", "differences", "calibration", "predictions"):
        frame: pd.DataFrame = getattr(result, name)
        write_whole(folder / f"{name}.parquet", partial(frame.to_parquet, index=False))
    for name in ("metrics", "differences", "calibration"):
        text = getattr(result, name).to_csv(index=False, lineterminator="\n")
        write_whole(folder / f"{name}.csv", partial(Path.write_text, data=text, encoding="utf-8"))
    model_digest = digest(result.model.read_bytes())
    run = {**result.run, "model_digest": model_digest}
    write_whole(
        result.report,
        lambda part: write_study_report(
            part,
            cohort=cohort,
            config=config,
            metrics=result.metrics,
            differences=result.differences,
            calibration=result.calibration,
            choice=result.choice,
            run=run,
            description=cohort.description or None,
        ),
    )
    seconds = {name: round(sum(s for key, s in durations.items() if key[0] == name), 2) for name in config.models}
    text = json.dumps({**run, "workers": available_workers(), "fit_seconds": seconds}, indent=2, sort_keys=True)
    write_whole(folder / "run.json", lambda part: part.write_text(text + "\n", encoding="utf-8"))


def _slug(name: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return "-".join(words)[:60] or "study"
