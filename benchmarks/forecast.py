"""Forecasts of biomarkers against the last value carried forward and against a linear mixed model.

    .venv/bin/python benchmarks/forecast.py --data ../shared/data [--only pbc2,simulated] [--patients 800]

At every landmark, each patient's later visits within three years are forecast from the visits so far, at the moment at
which they took place, by models fitted to the other folds. Values are scored on the scale on which they are analysed
(logarithms of skewed variables, in spreads), which is fixed once for all methods. The mixed model (random intercept and
slope; time, sex and age) is R's nlme; its forecasts are best linear unbiased predictions given the visits so far, and
their variance holds the patient's own doubt and the noise. Needs Rscript.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort
from osler.cohort.latent import GROWTH
from osler.cohort.simulate import simulate
from osler.cohort.split import assign_folds
from osler.cohort.tables import read_cohort
from osler.config import Question
from osler.evaluation.forecasting import ALL_VARIABLES, Forecast, ForecastScores, score_forecasts
from osler.features.scale import Scale
from osler.models import create
from osler.models.carried_forward import CarriedForward
from osler.units import DAYS_PER

ROOT = Path(__file__).resolve().parent.parent
YEAR = DAYS_PER["y"]
LANDMARKS, FOLDS, FARTHEST = (1.0, 3.0, 5.0), 5, 3.0
WINDOWS = ((0.0, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 3.0))
OURS, CARRIED, MIXED = "recurrent (Osler)", "last value carried forward", "linear mixed model"
BAND = 1.6448536269514722
LAW = "Their courses were drawn as straight lines with noise: the mixed model is the law itself, to be equalled."
MEASURES = {"interval_score": "interval score", "coverage": "coverage of 90% bands", "width": "width", "rmse": "RMSE"}


def main() -> None:
    """Both cohorts, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("OSLER_DATA", str(ROOT.parent / "shared" / "data")))
    parser.add_argument("--only", default="pbc2,simulated")
    parser.add_argument("--patients", type=int, default=800, help="of the simulated cohort")
    parser.add_argument("--seed", type=int, default=5)
    chosen = parser.parse_args()
    print(
        "\n## Forecasts of biomarkers\n\n"
        f"`benchmarks/forecast.py`: visits after landmarks at {', '.join(f'{s:g}' for s in LANDMARKS)} years, up to "
        f"{FARTHEST:g} years ahead, {FOLDS} patient-grouped folds; means over variables, each on its analysed scale. "
        "Lower is better, but for coverage, which should be 90%. Intervals: 95%, patients as clusters.\n"
    )
    with tempfile.TemporaryDirectory() as base:
        for name in chosen.only.split(","):
            if name == "pbc2":
                report(name, Study.of(read_cohort(ROOT / "data" / name, chosen.data)))
            else:
                folder = simulate(Path(base) / "simulated", patients=chosen.patients, seed=chosen.seed)
                study = Study.of(read_cohort(folder).without("expression", "scan"))
                report(f"simulated, {chosen.patients} patients", study, LAW)
                selection(study, folder)


@dataclass(frozen=True, eq=False)
class Study:
    """A cohort divided into folds, with the scale of each numeric visit variable.

    Attributes:
        cohort: the patients. fold: (n,) of each. scales: analysed scale by variable.
        targets: one row per measured value: patient, fold, landmark, ahead (days), variable, z.
        models: fitted to the other folds, by fold.
    """

    cohort: Cohort
    fold: np.ndarray
    scales: dict[str, Scale]
    targets: pd.DataFrame
    models: list

    @classmethod
    def of(cls, cohort: Cohort) -> Study:
        names = [v.name for v in cohort.visit_variables if v.type == "number"]
        scales = {name: Scale.fit(cohort.visits[name].to_numpy(float), clip=np.inf, logs=True) for name in names}
        fold = assign_folds(cohort.outcome, FOLDS, 0, cohort.patients)
        question = Question(tuple(s * YEAR for s in LANDMARKS), (FARTHEST * YEAR,))
        models = []
        for left in range(FOLDS):
            started = time.perf_counter()
            models.append(create("recurrent", question).fit(cohort.subset(np.flatnonzero(fold != left))))
            print(f"fold {left}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        targets = pd.concat([_targets(cohort, scales, s * YEAR) for s in LANDMARKS], ignore_index=True)
        targets["fold"] = fold[targets["patient"]]
        return cls(cohort, fold, scales, targets, models)


def _targets(cohort: Cohort, scales: dict[str, Scale], landmark: float) -> pd.DataFrame:
    """Values measured in the years after the landmark, of patients at risk then in whom it was measured before."""
    visits = cohort.visits
    at_risk = cohort.outcome.time > landmark
    frames = []
    for name, scale in scales.items():
        z, when = scale(visits[name].to_numpy(float)), visits["time"].to_numpy(float)
        owner = visits["patient"].to_numpy()
        before = np.isin(owner, owner[np.isfinite(z) & (when <= landmark)])
        use = np.isfinite(z) & (when > landmark) & (when <= landmark + FARTHEST * YEAR) & at_risk[owner] & before
        columns = {"patient": owner[use], "landmark": landmark, "ahead": when[use] - landmark}
        frames.append(pd.DataFrame({**columns, "variable": name, "z": z[use]}))
    return pd.concat(frames, ignore_index=True)


def report(name: str, study: Study, remark: str = "") -> None:
    """Scores of all methods, by variable and by time ahead."""
    targets = study.targets
    forecasts = {CARRIED: carried(study), MIXED: mixed(study), OURS: ours(study)}
    whole = score(targets, forecasts, np.ones(len(targets), dtype=bool))
    print(f"### {name}\n\n{len(targets):,} values of {targets['patient'].nunique()} patients. {remark}".rstrip() + "\n")
    print("| method | " + " | ".join(MEASURES.values()) + " |\n|---" + "|---" * len(MEASURES) + "|")
    for method in forecasts:
        print(f"| {method} | " + " | ".join(_estimate(whole, method, measure) for measure in MEASURES) + " |")
    print()
    for versus in (CARRIED, MIXED):
        told = [f"{MEASURES[m]} {_difference(whole, OURS, versus, m)}" for m in ("interval_score", "rmse")]
        print(f"- {OURS} minus {versus}: {', '.join(told)}")
    print(f"\n| variable or time ahead | {' | '.join(f'{m}: interval score, coverage, RMSE' for m in forecasts)} |")
    print("|---" * (1 + len(forecasts)) + "|")
    for variable in study.scales:
        print(f"| {variable} | " + " | ".join(_brief(whole, method, variable) for method in forecasts) + " |")
    for low, high in WINDOWS:
        part = ((targets["ahead"] > low * YEAR) & (targets["ahead"] <= high * YEAR)).to_numpy()
        scores = score(targets, forecasts, part)
        cells = [_brief(scores, method, ALL_VARIABLES) for method in forecasts]
        print(f"| {low:g} to {high:g} years | " + " | ".join(cells) + " |")
    print()


def score(targets: pd.DataFrame, forecasts: dict[str, Forecast], part: np.ndarray) -> ForecastScores:
    """Scores of some of the values."""
    chosen = {m: Forecast(f.expected[part], f.lower[part], f.upper[part]) for m, f in forecasts.items()}
    seen = targets[part]
    return score_forecasts(seen["z"], chosen, variables=seen["variable"].to_numpy(), patients=seen["patient"])


def _cell(scores: ForecastScores, method: str, measure: str, variable: str) -> pd.Series:
    frame = scores.scores
    return frame[(frame["method"] == method) & (frame["measure"] == measure) & (frame["variable"] == variable)].iloc[0]


def _estimate(scores: ForecastScores, method: str, measure: str) -> str:
    cell = _cell(scores, method, measure, ALL_VARIABLES)
    return f"{cell['value']:.3f} ({cell['lower']:.3f}, {cell['upper']:.3f})"


def _brief(scores: ForecastScores, method: str, variable: str) -> str:
    values = (_cell(scores, method, m, variable)["value"] for m in ("interval_score", "coverage", "rmse"))
    return ", ".join(f"{value:.3f}" for value in values)


def _difference(scores: ForecastScores, method: str, versus: str, measure: str) -> str:
    frame = scores.differences
    row = frame[
        (frame["method"] == method)
        & (frame["versus"] == versus)
        & (frame["measure"] == measure)
        & (frame["variable"] == ALL_VARIABLES)
    ].iloc[0]
    return f"{row['value']:+.4f} ({row['lower']:+.4f}, {row['upper']:+.4f})"


def ours(study: Study) -> Forecast:
    """The recurrent model's forecasts."""
    return _by_fold(study, lambda left: study.models[left])


def carried(study: Study) -> Forecast:
    """The last value, with the changes of training patients about it."""
    return _by_fold(study, lambda left: CarriedForward().fit(study.cohort.subset(np.flatnonzero(study.fold != left))))


def _by_fold(study: Study, model_of) -> Forecast:
    targets = study.targets
    out = np.full((3, len(targets)), np.nan)
    for left in range(FOLDS):
        model = model_of(left)
        for landmark in targets["landmark"].unique():
            rows = np.flatnonzero((targets["fold"] == left) & (targets["landmark"] == landmark))
            part = targets.iloc[rows]
            table = model.forecast_at(study.cohort, landmark, part["patient"].to_numpy(), part["ahead"].to_numpy())
            mine = table[table["variable"].to_numpy() == part["variable"].to_numpy()[table["row"]]]
            for name, scale in study.scales.items():
                own = mine[mine["variable"] == name]
                for k, column in enumerate(("expected", "lower", "upper")):
                    out[k, rows[own["row"]]] = scale(own[column].to_numpy())
    assert np.isfinite(out).all(), "every value is forecast"
    return Forecast(*out)


def mixed(study: Study) -> Forecast:
    """The linear mixed model's predictions given the visits so far."""
    cohort, targets = study.cohort, study.targets
    visits = cohort.visits
    male = (cohort.record["sex"].astype(str) == "male").to_numpy(float)
    age = (cohort.record["age"].to_numpy(float) - 50) / 10
    owner, years = visits["patient"].to_numpy(), visits["time"].to_numpy(float) / YEAR
    scaled = {name: scale(visits[name].to_numpy(float)) for name, scale in study.scales.items()}
    fits = _fit_mixed(study, scaled, owner, years, male, age)
    mean, variance = np.empty(len(targets)), np.empty(len(targets))
    for (patient, landmark, name), rows in targets.groupby(["patient", "landmark", "variable"]).indices.items():
        fit = fits.loc[(study.fold[patient], name)]
        here = slice(*np.searchsorted(owner, [patient, patient + 1]))
        past = np.isfinite(scaled[name][here]) & (years[here] <= landmark / YEAR)
        t, z = years[here][past], scaled[name][here][past]
        ahead = (landmark + targets["ahead"].to_numpy()[rows]) / YEAR
        fixed = fit["intercept"] + fit["male"] * male[patient] + fit["age"] * age[patient]
        D = np.array([[fit["d00"], fit["d01"]], [fit["d01"], fit["d11"]]])
        A, B = (np.column_stack([np.ones_like(x), x]) for x in (t, ahead))
        gain = D @ A.T @ np.linalg.inv(A @ D @ A.T + fit["noise"] * np.eye(len(t)))
        own = gain @ (z - fixed - fit["time"] * t)
        mean[rows] = fixed + fit["time"] * ahead + B @ own
        variance[rows] = ((B @ (D - gain @ A @ D)) * B).sum(axis=1) + fit["noise"]
    reach = BAND * np.sqrt(variance)
    return Forecast(mean, mean - reach, mean + reach)


def _fit_mixed(study: Study, scaled, owner, years, male, age) -> pd.DataFrame:
    frames = []
    for left in range(FOLDS):
        for name, z in scaled.items():
            use = np.isfinite(z) & (study.fold[owner] != left)
            who = owner[use]
            columns = {"id": who, "time": years[use], "male": male[who], "age": age[who], "z": z[use]}
            frames.append(pd.DataFrame({"fold": left, "variable": name, **columns}))
    with tempfile.TemporaryDirectory() as base:
        given, answer = Path(base) / "in.csv", Path(base) / "out.csv"
        pd.concat(frames).to_csv(given, index=False)
        subprocess.run(["Rscript", str(ROOT / "benchmarks" / "mixed_model.R"), str(given), str(answer)], check=True)
        return pd.read_csv(answer).set_index(["fold", "variable"])


def selection(study: Study, folder: Path) -> None:
    """Forecasts of the marker against its true course, in patients followed on and in those who had an event before."""
    latent = pd.read_csv(folder / "truth" / "latent.csv", dtype={"patient": str}).set_index("patient")
    latent = latent.reindex(study.cohort.patients)
    print(
        "The marker's true course minus its forecast two years ahead (logarithms), mean and 95% interval, by what "
        "became of the patients: forecasts are of patients still under observation.\n"
    )
    print("| landmark | still under observation | event within the two years |\n|---|---|---|")
    for landmark in LANDMARKS:
        cells = _errors(study, latent, landmark)
        print(f"| {landmark:g} y | " + " | ".join(cells) + " |")
    print()


def _errors(study: Study, latent: pd.DataFrame, landmark: float) -> Iterator[str]:
    cohort, at, ahead = study.cohort, landmark * YEAR, 2 * YEAR
    patient = np.flatnonzero(cohort.outcome.time > at)
    frames = []
    for left in range(FOLDS):
        mine = patient[study.fold[patient] == left]
        frames.append(study.models[left].forecast_at(cohort, at, mine, np.full(len(mine), ahead)))
    table = pd.concat(frames)
    table = table[table["variable"] == "marker"]
    who = table["patient"].to_numpy()
    truth = 2 + 0.5 * (latent["level"].to_numpy() + GROWTH * latent["slope"].to_numpy() * (landmark + 2))
    error = truth[who] - np.log(table["expected"].to_numpy())
    later, event = cohort.outcome.time[who] > at + ahead, cohort.outcome.event[who] > 0
    for chosen in (later, ~later & event):
        mean, se = error[chosen].mean(), error[chosen].std(ddof=1) / np.sqrt(chosen.sum())
        yield f"{mean:+.3f} ({mean - 1.96 * se:+.3f}, {mean + 1.96 * se:+.3f}), n = {chosen.sum()}"


if __name__ == "__main__":
    main()
