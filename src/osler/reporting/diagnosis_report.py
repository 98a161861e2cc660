"""The report of a study of classes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.errors import UsageError
from osler.evaluation.comparison import Choice
from osler.reporting.diagnosis_figures import diagnosis_charts
from osler.reporting.diagnosis_measures import OF_ALL, OF_CALIBRATION, OF_CLASS
from osler.reporting.diagnosis_summary import diagnosis_summary
from osler.reporting.render import render, write_page

__all__ = ["write_diagnosis_report"]

_CONTENTS = (
    ("answer", "The answer in brief"),
    ("flow", "The patients"),
    ("models", "How well classes are told apart"),
    ("differences", "Differences on the same patients"),
    ("classes", "Class by class"),
    ("confusion", "What is taken for what"),
    ("calibration", "Calibration"),
    ("shift", "Class shares"),
    ("saliency", "Where the network looks"),
    ("limits", "Limits"),
    ("methods", "How it was done"),
    ("provenance", "Provenance"),
)


def write_diagnosis_report(
    path: str | os.PathLike[str],
    *,
    cohort: Cohort,
    tested: NDArray[np.int64],
    frames: Mapping[str, pd.DataFrame],
    probabilities: Mapping[str, NDArray[np.float64]],
    classes: Sequence[str],
    labels: Mapping[str, str],
    choice: Choice,
    run: Mapping[str, Any],
    confidence: float = 0.95,
    shift: Mapping[str, Any] | None = None,
    pictures: Sequence[Any] = (),
    twins: int | None = None,
    apart: pd.DataFrame | None = None,
    as_of: str | None = None,
) -> Path:
    """Write the report of a study of classes as one HTML file; the same arguments give the same bytes.

    Args:
        path: the file to write; its folder is made if need be.
        cohort: the patients, with classes. No identifier of theirs is written.
        tested: (n,) positions of those who were judged.
        frames: "metrics", "differences", "smooth", "confusion" of the evaluation.
        probabilities: by model (R, n, C) of the tested, in R repeats.
        classes: names of those judged class against rest.
        labels: model -> what to call it, from the simplest to the richest; a name with ":" is a corrected model.
        choice: the classifier to use, and why.
        run: provenance: digests, versions, seed, "division", "verdict", "notes".
        confidence: level of intervals.
        shift: "estimates", "observed", "used", "source": class shares in training and test. None has no section.
        twins: how many of the tested have a picture that all but lies in the training part too.
        apart: "metrics" of the evaluation without them.
        pictures: images of tested patients with the weights of their pixels.
        as_of: a date to print, as text; none is read from the clock.

    Returns:
        The path written.

    Raises:
        UsageError: the cohort has no classes.
    """
    if cohort.diagnosis is None:
        raise UsageError(f"the cohort {cohort.name!r} has no classes to report on")
    summary = diagnosis_summary(
        cohort=cohort,
        tested=tested,
        frames=frames,
        probabilities=probabilities,
        classes=classes,
        labels=labels,
        choice=choice,
        run=run,
        confidence=confidence,
        shift=shift,
        pictures=pictures,
        twins=twins,
        apart=apart,
        as_of=as_of,
    )
    parts = {"differences": "comparisons", "shift": "shift", "saliency": "pictures"}
    absent = {anchor for anchor, part in parts.items() if not summary[part]}
    page = render(
        "diagnosis.html.j2",
        diagnosis_charts(summary),
        [(anchor, words) for anchor, words in _CONTENTS if anchor not in absent],
        s=summary,
        of_all=OF_ALL,
        of_class=OF_CLASS,
        of_calibration=OF_CALIBRATION,
    )
    return write_page(path, page)
