"""Command line: parse, call the API, print. Heavy modules are reached when a command runs, not before."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osler.errors import OslerError

if TYPE_CHECKING:
    from osler.diagnosis.study import DiagnosisResult
    from osler.external import ExternalResult
    from osler.study import StudyResult

__all__ = ["app", "main"]

app = typer.Typer(
    name="osler",
    help="Patient risk over time from record, genome and images, beside honest baselines.",
    epilog="Start with:  osler simulate data/demo   then   osler run data/demo --out reports/demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

CohortFolder = Annotated[Path, typer.Argument(metavar="COHORT", help="Folder with cohort.toml, or that file.")]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A model.osler written by `osler run`.")]
Root = Annotated[Path | None, typer.Option("--root", help="Where the cohort's files lie (or OSLER_DATA).")]
At = Annotated[str, typer.Option("--at", help="Landmark: the moment of prediction, such as 6y.")]


def _examples(*lines: str) -> str:
    return "**Examples**\n\n" + "\n\n".join(f"`{line}`" for line in lines)


@app.command(
    epilog=_examples(
        "osler simulate data/demo", "osler simulate data/confounded -n 4000 --assignment confounded --seed 7"
    )
)
def simulate(
    folder: Annotated[Path, typer.Argument(help="Folder to write; must not hold a cohort already.")],
    patients: Annotated[int, typer.Option("--patients", "-n", min=20, help="How many patients.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 20240,
    assignment: Annotated[str, typer.Option(help="Treatment: randomised or confounded.")] = "randomised",
) -> None:
    """Write a cohort whose truth is known: record, visits, genome, images, and every patient's true risks."""
    from osler.cohort.simulate import simulate as write_simulation

    path = write_simulation(folder, patients=patients, seed=seed, assignment=assignment)
    typer.echo(f"Wrote {patients} patients to {path}; the truth lies in {Path(path) / 'truth'}.")


@app.command(epilog=_examples("osler validate data/framingham --root /data", "osler validate my_cohort"))
def validate(cohort: CohortFolder, root: Root = None) -> None:
    """Check a cohort against its manifest: every violation at once, exit code 2 if there is any."""
    from osler.cohort.tables import read_cohort

    found = read_cohort(cohort, root)
    typer.echo(f"{found!r}\nNo violation of the data contract.")


@app.command(epilog=_examples("osler describe data/pbc2 --root /data", "osler describe data/pbc2 --json > pbc2.json"))
def describe(
    cohort: CohortFolder,
    root: Root = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Participant flow, what is missing, follow-up, and events per cause."""
    from osler.cohort.describe import describe as describe_cohort
    from osler.cohort.tables import read_cohort
    from osler.terminal import print_description

    description = describe_cohort(read_cohort(cohort, root))
    if as_json:
        typer.echo(json.dumps(description, indent=2, ensure_ascii=False))
    else:
        print_description(description)


@app.command(
    epilog=_examples(
        "osler run data/demo --out reports/demo --patients 3",
        "osler run data/framingham --root /data --models reference,stacked_cox,recurrent",
        "osler run my_cohort --repeats 5 --bootstrap 100 --tune 20",
    )
)
def run(
    cohort: CohortFolder,
    root: Root = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the study; default reports/NAME.")] = None,
    models: Annotated[str | None, typer.Option(help="Comma-separated; default those of the manifest.")] = None,
    patients: Annotated[
        int, typer.Option(min=0, help="Also write reports of so many patients, from low to high risk.")
    ] = 0,
    folds: Annotated[int | None, typer.Option(min=2)] = None,
    repeats: Annotated[int | None, typer.Option(min=1)] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    bootstrap: Annotated[
        int | None, typer.Option(min=0, help="Also correct for optimism, by so many bootstrap samples.")
    ] = None,
    tune: Annotated[
        int | None, typer.Option(min=0, help="Settings tried for each model in each training part.")
    ] = None,
    added_value: Annotated[
        bool, typer.Option("--added-value/--no-added-value", help="Tell what each modality adds, which refits a model.")
    ] = True,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default one per core.")] = None,
) -> None:
    """The whole study: cross-validate all models on the same folds, evaluate, choose, report.

    A run that was killed goes on where it was; what changed is computed anew.
    """
    from osler.cohort.tables import read_cohort
    from osler.study import Study
    from osler.terminal import Bar

    folder = out or Path("reports") / _name(cohort)
    read = read_cohort(cohort, root, vectors=folder / "vectors")
    changes = {
        "models": models and tuple(models.split(",")),
        **{"folds": folds, "repeats": repeats, "seed": seed, "bootstrap": bootstrap},
        "tuning": None if tune is None or read.study is None else {**read.study.tuning.model_dump(), "trials": tune},
        "added_value": None if added_value else (),
    }
    config = _configured(read.study, {name: value for name, value in changes.items() if value is not None})
    with Bar() as bar:
        study = Study(read, config, folder=folder, workers=workers, progress=bar)
        result = study.run()
        written = study.report_patients(result, patients) if patients else []
    _print_result(result, written)


@app.command(
    epilog=_examples(
        "osler diagnose data/breastmnist --root /data --saliency 6",
        "osler diagnose data/pneumoniamnist --root /data --prior-shift",
        "osler diagnose my_cohort --shares normal=0.9,pneumonia=0.1 --models logistic,network",
    )
)
def diagnose(
    cohort: CohortFolder,
    root: Root = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the study; default reports/NAME.")] = None,
    models: Annotated[str | None, typer.Option(help="Comma-separated; default those of the manifest.")] = None,
    prior_shift: Annotated[
        bool, typer.Option("--prior-shift", help="Bring probabilities to the class shares estimated in the test part.")
    ] = False,
    shares: Annotated[
        str | None, typer.Option(help="Bring probabilities to these class shares: normal=0.9,pneumonia=0.1.")
    ] = None,
    saliency: Annotated[
        int, typer.Option(min=0, help="Show where the network looks in images of so many test patients.")
    ] = 0,
    folds: Annotated[int | None, typer.Option(min=2)] = None,
    repeats: Annotated[int | None, typer.Option(min=1)] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default one per core.")] = None,
) -> None:
    """A study of classes (a diagnosis, no time): fit classifiers on the same parts, judge, choose, report.

    The cohort's outcome is of kind "class". A shift of class shares between training and test is told in any case, and
    corrected only where asked. A run that was killed goes on where it was.
    """
    from osler.cohort.tables import read_cohort
    from osler.config import DiagnosisConfig
    from osler.diagnosis.prior_shift import parse_shares
    from osler.diagnosis.study import DiagnosisStudy
    from osler.terminal import Bar

    folder = out or Path("reports") / _name(cohort)
    read = read_cohort(cohort, root, vectors=folder / "vectors")
    changes = {"models": models and tuple(models.split(",")), "folds": folds, "repeats": repeats, "seed": seed}
    asked = {name: value for name, value in changes.items() if value is not None}
    config = _configured(read.question or DiagnosisConfig.model_validate({}), asked)
    options: dict[str, Any] = {"prior_shift": prior_shift, "shares": parse_shares(shares), "saliency": saliency}
    with Bar() as bar:
        result = DiagnosisStudy(read, config, folder=folder, workers=workers, progress=bar, **options).run()
    _print_diagnosis(result)


@app.command(
    epilog=_examples(
        "osler classify reports/pneumoniamnist/model.osler new_films --out probabilities.csv",
        "osler classify model.osler new_films --out probabilities.parquet --prior-shift",
    )
)
def classify(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model.osler written by `osler diagnose`.")],
    cohort: CohortFolder,
    out: Annotated[Path, typer.Option(help="Table to write: .csv or .parquet.")],
    root: Root = None,
    prior_shift: Annotated[
        bool,
        typer.Option("--prior-shift", help="Bring probabilities to the class shares estimated among these patients."),
    ] = False,
    shares: Annotated[
        str | None, typer.Option(help="Bring probabilities to these class shares: normal=0.9,pneumonia=0.1.")
    ] = None,
) -> None:
    """Class probabilities of every patient, by pseudonym; tells whether class shares differ from those of training."""
    from osler.cohort.tables import read_cohort
    from osler.diagnosis.prior_shift import parse_shares
    from osler.diagnosis.scoring import classify as classify_cohort
    from osler.diagnosis.shift import told_shift
    from osler.diagnosis.store import load_classifier

    fitted, asked = load_classifier(model), parse_shares(shares)
    patients = read_cohort(cohort, root, outcome=False)
    found = classify_cohort(fitted, patients, out, prior_shift=prior_shift, shares=asked)
    typer.echo(f"Wrote probabilities of {len(patients)} patients to {out}.")
    for sentence in filter(None, [told_shift({fitted.name: found}, corrected=prior_shift or asked is not None)]):
        typer.echo(sentence)


@app.command(
    epilog=_examples(
        "osler evaluate reports/rotterdam/model.osler data/gbsg --root /data",
        "osler evaluate model.osler other_cohort --at 0y --at 2y --horizons 3y,5y --no-update",
        "osler evaluate their_predictions.csv my_cohort --out reports/theirs",
    )
)
def evaluate(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A model.osler, or a table of predictions (.csv, .tsv, .txt, .parquet)."),
    ],
    cohort: CohortFolder,
    root: Root = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", help="Landmark, such as 0y; may be repeated. Default: the model's.")
    ] = None,
    horizons: Annotated[str | None, typer.Option(help="Comma-separated, such as 3y,5y. Default: the model's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default reports/NAME-external.")] = None,
    update: Annotated[
        bool | None,
        typer.Option("--update/--no-update", help="Also update the risks there. Default: for one model, not several."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the parts in which updates are cross-fitted.")] = 20240,
) -> None:
    """External validation: judge a model, or a table of predictions, on a cohort that it was not fitted on.

    The model is judged as it is, and after updating its risks by a shift, by shift and slope, and by a flexible map; a
    closed test says how much updating is called for. A table names its patients by identifier or pseudonym and has
    columns patient, landmark, horizon, risk; model where it holds several, which are compared in pairs.
    """
    from osler.cohort.tables import read_cohort
    from osler.external import evaluate_external, evaluate_predictions
    from osler.terminal import Bar

    asked: dict[str, Any] = {"at": at or None, "horizons": horizons.split(",") if horizons else None}
    folder = out or Path("reports") / f"{_name(cohort)}-external"
    read = read_cohort(cohort, root)
    asked |= {"folder": folder, "random_state": seed}
    with Bar() as bar:
        if model.suffix == ".osler":
            result = evaluate_external(model, read, **asked, update=update is not False, progress=bar)
        else:
            result = evaluate_predictions(model, read, **asked, update=update, progress=bar)
    _print_validation(result)


@app.command(
    epilog=_examples(
        "osler score reports/demo/model.osler data/demo --at 2y --out risks.csv",
        "osler score model.osler new_patients --at 0y --out risks.parquet --key key.csv",
    )
)
def score(
    model: ModelFile,
    cohort: CohortFolder,
    at: At,
    out: Annotated[Path, typer.Option(help="Table to write: .csv or .parquet.")],
    root: Root = None,
    key: Annotated[
        Path | None, typer.Option(help="Also write which identifier each pseudonym stands for (readable by you alone).")
    ] = None,
) -> None:
    """Risks of every patient at a landmark, at each horizon of the model, by pseudonym."""
    from osler.cohort.tables import read_cohort
    from osler.models.store import load_model
    from osler.scoring import score as score_cohort

    rows = score_cohort(load_model(model), read_cohort(cohort, root, outcome=False), at=at, out=out, key=key)
    typer.echo(f"Wrote {rows} risks to {out}.")


@app.command(
    epilog=_examples("osler report reports/demo/model.osler data/demo --patient P0001 --at 2y --out P0001.html")
)
def report(
    model: ModelFile,
    cohort: CohortFolder,
    at: At,
    patient: Annotated[str, typer.Option(help="Identifier or pseudonym.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")],
    root: Root = None,
    saliency: Annotated[
        bool, typer.Option("--saliency", help="Also show where the latest images raise and lower the hazard.")
    ] = False,
) -> None:
    """One patient's report: risk over time, course and forecast, what drives the risk, plan."""
    from osler.cohort.tables import read_cohort
    from osler.models.store import load_model
    from osler.reporting import report_patient

    person = read_cohort(cohort, root, outcome=False).patient(patient)
    written = report_patient(out, model=load_model(model), patient=person, at=at, saliency=saliency)
    typer.echo(f"Wrote {written}.")


@app.command(epilog=_examples("osler plan reports/demo/model.osler data/demo --patient P0001 --at 2y"))
def plan(
    model: ModelFile,
    cohort: CohortFolder,
    at: At,
    patient: Annotated[str, typer.Option(help="Identifier or pseudonym.")],
    horizon: Annotated[str | None, typer.Option(help="How far ahead; default the model's longest horizon.")] = None,
    root: Root = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """What could be done for a patient: absolute risk with and without each action, with intervals and sources."""
    from osler.cohort.tables import read_cohort
    from osler.models.store import load_model
    from osler.planning import plan as make_plan
    from osler.terminal import print_plan

    person = read_cohort(cohort, root, outcome=False).patient(patient)
    made = make_plan(load_model(model), person, at, horizon=horizon)
    if as_json:
        typer.echo(json.dumps(made.to_dict(), indent=2, ensure_ascii=False))
    else:
        print_plan(made.to_dict())


def _configured(config: Any, changes: dict[str, Any]) -> Any:
    """The manifest's study with what the command line changes, checked again as a whole."""
    if config is None or not changes:
        return config
    from pydantic import ValidationError

    from osler.errors import UsageError

    try:
        return type(config).model_validate({**config.model_dump(), **changes})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"the study cannot be run as asked: {wrong}") from None


def _name(cohort: Path) -> str:
    """What a cohort's folder is called."""
    return (cohort.resolve().parent if cohort.is_file() else cohort.resolve()).name


def _print_validation(result: ExternalResult) -> None:
    from osler.terminal import print_metrics

    for warning in result.warnings:
        typer.echo(f"osler: {warning}", err=True)
    print_metrics(result.metrics.assign(model=result.metrics["model"].map(result.labels)))
    typer.echo(result.sentence)
    typer.echo(f"Report:  {result.report}")
    if result.recalibration is not None and result.folder is not None:
        typer.echo(f"Maps:    {result.folder / 'recalibration.json'}")


def _print_diagnosis(result: DiagnosisResult) -> None:
    from osler.terminal import print_classes

    print_classes(result.evaluation.metrics, result.labels)
    typer.echo(result.choice.sentence)
    for sentence in (result.run["verdict"], result.shift.sentence if result.shift else ""):
        if sentence:
            typer.echo(sentence)
    typer.echo(f"Report:  {result.report}\nModel:   {result.model}")


def _print_result(result: StudyResult, patients: list[Path]) -> None:
    from osler.terminal import print_metrics

    print_metrics(result.metrics)
    typer.echo(result.choice.sentence)
    for what, path in (("Report", result.report), ("Model", result.model), *(("Patient", p) for p in patients)):
        typer.echo(f"{what + ':':9}{path}")


def main() -> None:
    """Run the command line; errors that a user can act on are printed without a traceback, exit code 2."""
    try:
        app()
    except OslerError as error:
        typer.echo(f"osler: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("osler: stopped; the same command goes on from here.", err=True)
        sys.exit(130)
    except Exception as error:
        if os.environ.get("OSLER_DEBUG"):
            raise
        # The message of an unforeseen error may hold patients' values: only its kind is shown.
        typer.echo(
            f"osler: an unforeseen {type(error).__name__} stopped the work; this is a defect of Osler. "
            "Set OSLER_DEBUG=1 to see where (the trace may show data).",
            err=True,
        )
        sys.exit(70)
