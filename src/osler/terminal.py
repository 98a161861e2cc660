"""Terminal: a progress bar, and results as tables of text."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from osler.models import MODELS
from osler.reporting.frames import remarks
from osler.units import duration

__all__ = ["Bar", "print_classes", "print_description", "print_metrics", "print_plan"]

#: The measures that a terminal has room for; the report tells all.
_SHOWN = {
    "auc": "AUC",
    "c_index": "C",
    "brier": "Brier",
    "integrated_brier": "integrated Brier",
    "ipa": "IPA",
    "observed_expected": "O/E",
    "ici": "ICI",
}
_OF_CLASSES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "brier": "Brier",
    "log_score": "log score",
}


class Bar:
    """A progress bar on standard error; as a callable it takes (what, done, total). It shows when first called."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks:
            self._progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` pieces of ``what`` are finished."""
        if not self._tasks:
            self._progress.start()
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)


def print_metrics(metrics: pd.DataFrame) -> None:
    """One table per landmark and horizon: models by measures, each with its interval below it."""
    console = _console()
    for _, cell in metrics.groupby(["landmark", "horizon"]):
        first = cell.iloc[0]
        landmark, horizon = float(first.landmark), float(first.horizon)
        size = f"{first.events:.0f} events, {first.at_risk:.0f} patients followed so far"
        title = f"At {duration(landmark)}, {duration(horizon)} ahead: {size}"
        table = Table(title=title, title_justify="left", title_style="bold")
        table.add_column("model")
        names = [name for name in _SHOWN if name in set(cell["measure"])]
        for name in names:
            table.add_column(_SHOWN[name], justify="right")
        for model, rows in cell.groupby("model", sort=False):
            by_measure = {str(row["measure"]): row for _, row in rows.iterrows()}
            values = [_interval(by_measure[m]) if m in by_measure else "" for m in names]
            table.add_row(MODELS.get(str(model), str(model)), *values)
        console.print(table)
        for note in remarks(cell):
            console.print(f"  {note}", markup=False)


def print_classes(metrics: pd.DataFrame, labels: Mapping[str, str]) -> None:
    """One table of all classes together: classifiers by measures, each with its interval below it."""
    table = Table(title="All classes together", title_justify="left", title_style="bold")
    table.add_column("classifier")
    for words in _OF_CLASSES.values():
        table.add_column(words, justify="right")
    here = metrics[metrics["class"] == ""]
    for model, rows in here.groupby("model", sort=False):
        by_measure = {str(row["measure"]): row for _, row in rows.iterrows()}
        values = [_interval(by_measure[m]) if m in by_measure else "" for m in _OF_CLASSES]
        table.add_row(labels.get(str(model), str(model)), *values)
    _console().print(table)


def print_description(description: dict[str, Any]) -> None:
    """What ``osler.cohort.describe`` computed, section by section."""
    console = _console()
    for section, content in description.items():
        if isinstance(content, list) and content and isinstance(content[0], dict):
            table = Table(title=section.replace("_", " "), title_justify="left", title_style="bold")
            for name in content[0]:
                table.add_column(name.replace("_", " "))
            for row in content:
                table.add_row(*("" if value is None else _text(value) for value in row.values()))
            console.print(table)
        elif isinstance(content, dict):
            console.print(section.replace("_", " "), style="bold")
            for name, value in content.items():
                console.print(f"  {name.replace('_', ' ')}: {_text(value)}", markup=False, highlight=False)
        else:
            console.print(f"{section.replace('_', ' ')}: {_text(content)}", markup=False, highlight=False)


def print_plan(plan: dict[str, Any]) -> None:
    """A plan's actions with risks, reduction and number needed to treat, then its verdict and warnings."""
    console = _console()
    title = f"{plan['pseudonym']}: {plan['cause']} within {duration(plan['horizon_days'])}"
    table = Table(title=f"{title} of {duration(plan['landmark_days'])}", title_justify="left", title_style="bold")
    for name in ("action", "without", "with", "reduction", "needed to treat"):
        table.add_column(name, justify="left" if name == "action" else "right")
    for action in plan["actions"]:
        if action["eligible"]:
            risks = [_estimate(action[name], 100, "%") for name in ("risk_without", "risk_with", "reduction")]
            table.add_row(action["name"], *risks, _estimate(action["nnt"], 1, ""))
        else:
            table.add_row(action["name"], f"not for this patient: {'; '.join(action['reasons'])}")
    console.print(table)
    for line in (plan["verdict"], *plan["warnings"], *(f"{a['name']}: {a['citation']}" for a in plan["actions"])):
        console.print(line, markup=False, highlight=False)


def _console() -> Console:
    console = Console()
    # A pipe or a log has no width of its own: tables are not cut there.
    return console if console.is_terminal else Console(width=160)


def _interval(row: pd.Series) -> str:
    if pd.isna(row["value"]):
        return "-"
    return f"{row['value']:.3f}\n{row['lower']:.3f}, {row['upper']:.3f}"


def _estimate(estimate: dict[str, float | None] | None, scale: float, unit: str) -> str:
    if estimate is None or estimate["value"] is None:
        return "-"
    numbers = [estimate[name] for name in ("value", "lower", "upper")]
    shown = ["no limit" if number is None else f"{number * scale:.3g}{unit}" for number in numbers]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value)
    return str(value)
