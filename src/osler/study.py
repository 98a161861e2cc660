"""Study: cohort, question, models and evaluation, from one manifest to a report, reproducibly."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort
from osler.cohort.split import split_variable, splits, told_split
from osler.config import MODEL_NAMES, StudyConfig, code_digest, digest
from osler.cross_validation import climb, cross_validate, gather, ladder, predictions
from osler.engine import available_workers, run_tasks
from osler.errors import UsageError
from osler.evaluation import Choice, choose
from osler.evaluation.forecasting import ForecastScores
from osler.fitting import Variant, everyone_key, fit_everyone
from osler.forecasting import gather_forecasts, judge_forecasts
from osler.importance import importance
from osler.judging import Findings, judge
from osler.models import MODELS, create
from osler.models.base import RiskModel
from osler.models.store import load_model, save_model
from osler.optimism import correct_optimism
from osler.outputs import folder_name, write_frame, write_json, write_whole
from osler.provenance import provenance, tuned
from osler.reporting import report_patient, write_study_report

__all__ = ["Study", "StudyResult"]

#: Tables that are written even without a row.
_ALWAYS = ("metrics", "differences", "calibration")
#: Tables that are there only where the study could make them; what an earlier run left of others goes.
_ASKED_FOR = ("importance", "agreement", "optimism", "forecasts", "forecast_differences")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Attributes:
        folder: where its files lie.
        findings: the evaluation of every model, subgroups, and what each modality adds.
        predictions: one row per pseudonym, repeat, landmark, horizon, model and cause: out-of-fold risk.
        choice: the model to ship, and the words why.
        run: provenance: digests, versions, seeds, notes.
        importance: what models rely on, and whether the models of different folds agree (``osler.importance``).
        optimism: performance corrected by the bootstrap (``osler.optimism``), where the study asks for it.
        forecasts: scores of out-of-fold forecasts of biomarkers (``osler.evaluation.forecasting``), where a model of
            the study makes any.
    """

    folder: Path
    findings: Findings
    predictions: pd.DataFrame
    choice: Choice
    run: dict[str, Any]
    importance: dict[str, pd.DataFrame] = field(default_factory=dict)
    optimism: pd.DataFrame | None = None
    forecasts: ForecastScores | None = None

    @property
    def metrics(self) -> pd.DataFrame:
        """Measures by model, landmark and horizon; see ``osler.evaluation.Evaluation``."""
        return self.findings.evaluation.metrics

    @property
    def differences(self) -> pd.DataFrame:
        """Paired differences of models; see ``osler.evaluation.Evaluation``."""
        return self.findings.evaluation.differences

    @property
    def calibration(self) -> pd.DataFrame:
        """Groups of predicted risk; see ``osler.evaluation.Evaluation``."""
        return self.findings.evaluation.calibration

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Every table of results by name, as written; those of what was not asked are left out."""
        optimism = {} if self.optimism is None else {"optimism": self.optimism}
        forecasts = {} if self.forecasts is None else self.forecasts.frames
        found = {**self.findings.evaluation.frames, **self.findings.frames, **self.importance, **optimism, **forecasts}
        return {name: frame for name, frame in found.items() if len(frame) or name in _ALWAYS}

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
        """Cross-validate every model on the same parts, evaluate, choose, fit the chosen one, report.

        Work done by an earlier, interrupted or identical run in the same folder is taken up where every input,
        setting and line of code it depends on is unchanged.

        Raises:
            UsageError: the cohort has no outcome, no study is declared, it has too few patients, or the study names
                variables or settings that there are not; every such name at once.
        """
        config = self._config()
        parts = splits(self.cohort, config)
        folder = Path(self.folder or Path("reports") / folder_name(self.cohort.name, "study"))
        folder.mkdir(parents=True, exist_ok=True)
        cache = _cache(folder)
        cache.mkdir(parents=True, exist_ok=True)

        models: dict[str, Variant] = {name: Variant(name) for name in config.models}
        steps = ladder(self.cohort, config)
        variants = [*models.values(), *(step.variant for step in steps)]
        fitted = cross_validate(self.cohort, config, variants, cache=cache, workers=self.workers, tell=self._tell)
        curves = gather(config, fitted, models)
        ladders = climb(config, fitted, steps)
        findings = judge(self.cohort, config, curves, steps, ladders, workers=self.workers, tell=self._tell)
        choice = choose(findings.evaluation, order=sorted(config.models, key=MODEL_NAMES.index), labels=MODELS)
        model = self._fit_everyone(config, choice.model, cache, "the chosen model on every patient")
        run = {
            **provenance(self.cohort, config, fitted, choice.model),
            "split": told_split(config, len(parts) // config.repeats),
            "added_value": {step.model: [s.text for s in steps if s.model == step.model] for step in steps},
            "tuned": tuned(fitted, steps),
            "settings": model.settings(),
            "choice": choice.sentence,
            "added_verdict": findings.added_verdict,
        }
        result = StudyResult(
            folder=folder,
            findings=findings,
            predictions=predictions(self.cohort, config, curves),
            choice=choice,
            run=run,
            importance=importance(self.cohort, config, fitted, models),
            optimism=self._optimism(config, cache),
            forecasts=judge_forecasts(self.cohort, gather_forecasts(fitted, models.values()), config.confidence),
        )
        seconds = {
            name: round(sum(fit["seconds"] for key, fit in fitted.items() if key[0] == variant), 2)
            for name, variant in models.items()
        }
        _write(result, self.cohort, config, model, seconds)
        # What other code left behind can never be used again.
        for stale in set(cache.parent.iterdir()) - {cache}:
            shutil.rmtree(stale, ignore_errors=True)
        return result

    def report_patients(self, result: StudyResult, count: int) -> list[Path]:
        """Reports of ``count`` patients at the middle landmark, spread from low to high out-of-fold risk.

        They lie in ``patients/`` under their pseudonyms; those that an earlier run chose and this one does not are
        removed. Returns their paths, the lowest risk first.
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
        forecaster = model if model.forecaster is not None else self._forecaster(result)
        report = partial(report_patient, model=model, at=landmark, forecaster=forecaster, run=result.run)
        paths = []
        for done, name in enumerate(shown["patient"].iloc[wanted]):
            self._tell("patient reports", done, len(wanted))
            path = folder / f"{name}.html"
            write_whole(path, partial(report, patient=self.cohort.patient(name)))
            paths.append(path)
        self._tell("patient reports", len(wanted), len(wanted))
        known = {folder / f"{name}.html" for name in self.cohort.pseudonyms}
        for stale in set(folder.glob("*.html")) & known - set(paths):
            stale.unlink()
        return paths

    def _forecaster(self, result: StudyResult) -> RiskModel | None:
        """The recurrent model on every patient, where it was not chosen but there are courses to forecast."""
        config = self._config()
        if "recurrent" not in config.models or not self.cohort.visit_variables:
            return None
        return self._fit_everyone(config, "recurrent", _cache(result.folder), "the model of the biomarkers' course")

    def _config(self) -> StudyConfig:
        config = self.config or self.cohort.study
        if self.cohort.diagnosis is not None:
            raise UsageError(
                f"the outcome of {self.cohort.name!r} is a class and has no time: `osler diagnose` "
                "(osler.DiagnosisStudy) is its study"
            )
        if self.cohort.outcome is None:
            raise UsageError(f"the cohort {self.cohort.name!r} has no outcome: a study needs one")
        if config is None:
            raise UsageError("no question is asked: declare [study] in cohort.toml, or pass a StudyConfig")
        if len(self.cohort) < 2 * config.folds:
            raise UsageError(f"{len(self.cohort)} patients are too few for {config.folds} folds: lower [study] folds")
        wrong = list(_unknown(self.cohort, config))
        if wrong:
            raise UsageError("the study asks for what is not there:\n  " + "\n  ".join(wrong))
        return config

    def _fit_everyone(self, config: StudyConfig, name: str, cache: Path, what: str) -> RiskModel:
        path = cache / f"{everyone_key(self.cohort, config, Variant(name))}.osler"
        self._tell(what, 0, 1)
        if not path.exists():
            list(run_tasks(fit_everyone, [(self.cohort, config, Variant(name), path)], workers=1))
        self._tell(what, 1, 1)
        return load_model(path)

    def _optimism(self, config: StudyConfig, cache: Path) -> pd.DataFrame | None:
        if not config.bootstrap:
            return None
        return correct_optimism(self.cohort, config, config.models, cache=cache, workers=self.workers, tell=self._tell)

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)


def _unknown(cohort: Cohort, config: StudyConfig) -> Iterable[str]:
    """What the study names and the cohort or a model does not have."""
    record = [variable.name for variable in cohort.record_variables]
    every = [*record, *(variable.name for variable in cohort.visit_variables)]
    if config.split_by is not None:
        try:
            split_variable(cohort, config)
        except UsageError as error:
            yield str(error)
    asked = [("subgroups", subgroup.variable, "variable", every) for subgroup in config.subgroups]
    asked += [("censoring", name, "record variable", record) for name in config.censoring]
    for where, name, what, known in asked:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2)
            remedy = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known[:20]) or 'none'}"
            yield f"{where}: {name!r} is no {what} of the cohort; {remedy}"
    for subgroup in config.subgroups:
        variable = cohort.variables.get(subgroup.variable)
        if subgroup.cuts and variable is not None and variable.type != "number":
            yield f"subgroups: {subgroup.variable!r} is a {variable.type}, which cannot be cut: leave out its cuts"
    for model, settings in config.settings.items():
        try:
            create(model, config.question, **settings)
        except UsageError as error:
            yield f"settings: {error}"


def _cache(folder: Path) -> Path:
    return folder / "cache" / code_digest()[:16]


def _write(
    result: StudyResult, cohort: Cohort, config: StudyConfig, model: RiskModel, seconds: dict[str, float]
) -> None:
    folder = result.folder
    made_by = {name: result.run[name] for name in ("data_digest", "config_digest", "code_digest")}
    write_whole(result.model, lambda part: save_model(model, part, made_by))
    for name in (*result.findings.evaluation.frames, *result.findings.frames, *_ASKED_FOR):
        write_frame(folder, name, result.frames.get(name))
    write_frame(folder, "predictions", result.predictions, csv=False)
    model_digest = digest(result.model.read_bytes())
    run = {**result.run, "model_digest": model_digest}
    told: dict[str, Any] = {
        **result.frames,
        **{"added_verdict": result.findings.added_verdict, "choice": result.choice, "run": run},
    }
    about = cohort.description or None
    write_whole(
        result.report,
        lambda part: write_study_report(part, cohort=cohort, config=config, description=about, **told),
    )
    write_json(folder / "run.json", {**run, "workers": available_workers(), "fit_seconds": seconds})
