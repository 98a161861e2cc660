"""Evaluation of classes: every measure of every model on the same patients, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from osler.diagnosis import measures
from osler.diagnosis.confusion import CONFUSION, confusion
from osler.errors import UsageError
from osler.evaluation.estimate import Measured
from osler.evaluation.evaluation import evaluate
from osler.evaluation.refitting import error_of

__all__ = ["CALIBRATION_MEASURES", "FRAMES", "ClassEvaluation", "evaluate_classes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_VALUES = ["value", "lower", "upper", "se"]
#: Measures of the calibration of one class against the rest.
CALIBRATION_MEASURES = ("observed_expected", "calibration_intercept", "calibration_slope", "ici", "e50", "e90")
#: The columns of every frame.
FRAMES: dict[str, list[str]] = {
    "metrics": ["model", "class", "measure", *_VALUES, "calibrated_lower", "calibrated_upper", "n", "note"],
    "differences": ["model", "versus", "class", "measure", *_VALUES],
    "calibration": ["model", "class", "group", "predicted", "observed", "lower", "upper", "n", "suppressed"],
    "smooth": ["model", "class", "predicted", "observed", "lower", "upper", "calibrated_lower", "calibrated_upper"],
    "confusion": CONFUSION,
}


@dataclass(frozen=True, eq=False)
class ClassEvaluation:
    """Measures of models that tell classes apart.

    Attributes:
        metrics: model, class (empty for all together), measure, value, lower, upper, se, calibrated_lower and
            calibrated_upper (the range that perfectly calibrated probabilities would show), n, note. Together: "auc",
            "accuracy", "balanced_accuracy", "brier", "log_score"; of each class: "auc_one_vs_rest", "recall",
            "precision" and ``CALIBRATION_MEASURES``.
        differences: model, versus, class, measure, value (that of ``model`` minus that of ``versus``), lower, upper,
            se; every ordered pair.
        calibration: observed share and mean probability in groups of predicted probability of each class.
        smooth: the smooth calibration curve of each class.
        confusion: model, observed, predicted, count, share (of the observed class); small cells have neither.
        classes: names of the classes judged in calibration, the positive one first; of two only the positive one.
        level: of every interval.
    """

    metrics: pd.DataFrame
    differences: pd.DataFrame
    calibration: pd.DataFrame
    smooth: pd.DataFrame
    confusion: pd.DataFrame
    classes: tuple[str, ...]
    level: float

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Every frame by its name."""
        return {name: getattr(self, name) for name in FRAMES}

    def value(self, model: str, measure: str, of: str = "") -> pd.Series:
        """The row of one measure. Raises UsageError when there is none."""
        m = self.metrics
        found = m[(m["model"] == model) & (m["measure"] == measure) & (m["class"] == of)]
        if len(found) != 1:
            raise UsageError(f"no {measure!r} of {model!r}" + (f" for class {of!r}" if of else ""))
        return found.iloc[0]


def evaluate_classes(
    label: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    classes: Sequence[str],
    *,
    positive: int | None = None,
    folds: ArrayLike | None = None,
    calibration: bool = True,
    level: float = 0.95,
    replicates: int = 200,
    random_state: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> ClassEvaluation:
    """Judge probabilities of classes against the classes that were the case, by whatever model they were made.

    Args:
        label: (n,) codes 0 to C - 1.
        probabilities: for each model (n, C), rows sum to one; or (R, n, C) from R repeats of a cross-validation, whose
            measures are averaged.
        classes: C names.
        positive: code of the class that is looked for; the last if not given.
        folds: (n,) or (R, n) labels of the fold in which each patient was held out: AUC then compares within a fold,
            and intervals hold the variation from fitting the models anew.
        calibration: whether calibration is judged too, which takes longest.
        level: of the intervals, which come from influence functions, and of ICI, E50 and E90 from the bootstrap.
        replicates: of the bootstrap.
        random_state: its seed.
        progress: told (what, done, total).

    Raises:
        UsageError: arrays do not fit together, or hold what cannot be a class code or a probability.
    """
    codes, arrays = _checked(label, probabilities, len(classes))
    repeats = len(next(iter(arrays.values())))
    held_out = None if folds is None else np.broadcast_to(np.asarray(folds), (repeats, len(codes)))
    if held_out is not None:
        held_out = np.stack([np.unique(fold, return_inverse=True)[1] for fold in held_out])
    looked_for = len(classes) - 1 if positive is None else positive
    if not 0 <= looked_for < len(classes):
        raise UsageError(f"the positive class must be one of the codes 0 to {len(classes) - 1}")
    told = _Telling(tuple(arrays), held_out, level)
    stacked = np.stack(list(arrays.values()), axis=3)  # (R, n, C, M)
    for name in measures.MEASURES:
        told.add("", name, [_of_all(name, codes, p, _row(held_out, r)) for r, p in enumerate(stacked)])
    order = [looked_for, *(c for c in range(len(classes)) if c != looked_for)]
    for code in (c for c in order if (codes == c).any()):
        told.add(classes[code], "auc_one_vs_rest", _ranked(codes, stacked, code, held_out))
        for name, measure in (("recall", measures.recall), ("precision", measures.precision)):
            told.add(classes[code], name, [measure(codes, p, code) for p in stacked])
    matrix = confusion(codes, {name: p.mean(axis=0) for name, p in arrays.items()}, classes)
    told.withhold(matrix)
    judged = [c for c in (order[:1] if len(classes) == 2 else order) if calibration and (codes == c).any()]
    options = {"level": level, "replicates": replicates, "random_state": random_state}
    parts = []
    for done, c in enumerate(judged):
        if progress is not None:
            progress("calibration of classes", done, len(judged))
        parts.append(_calibrated(codes == c, classes[c], arrays, c, held_out, options))
    if progress is not None:
        progress("calibration of classes", len(judged), len(judged))
    frames = {name: _joined(name, [part[name] for part in parts]) for name in ("calibration", "smooth")}
    metrics = pd.concat([_framed("metrics", told.metrics), *(part["metrics"] for part in parts)], ignore_index=True)
    differences = [_framed("differences", told.differences), *(part["differences"] for part in parts)]
    return ClassEvaluation(
        metrics=metrics.assign(n=len(codes)),
        differences=pd.concat(differences, ignore_index=True),
        **frames,
        confusion=matrix,
        classes=tuple(classes[c] for c in judged),
        level=level,
    )


def _of_all(name: str, label: Ints, probability: Floats, strata: Ints | None) -> Measured | str:
    if name == "auc":
        return measures.auc(label, probability, strata)
    return getattr(measures, name)(label, probability)  # type: ignore[no-any-return]


def _ranked(label: Ints, stacked: Floats, code: int, folds: Ints | None) -> list[Measured | str]:
    return [measures.one_vs_rest(label, p[:, code], code, _row(folds, r)) for r, p in enumerate(stacked)]


def _row(folds: Ints | None, repeat: int) -> Ints | None:
    return None if folds is None else folds[repeat]


class _Telling:
    """Rows of metrics and differences, as measures come in."""

    def __init__(self, models: tuple[str, ...], folds: Ints | None, level: float) -> None:
        self.models, self.folds, self.quantile = models, folds, float(ndtri(0.5 + level / 2))
        self.metrics: list[dict[str, Any]] = []
        self.differences: list[dict[str, Any]] = []

    def add(self, of: str, name: str, found: Sequence[Measured | str]) -> None:
        """One measure of all models in every repeat."""
        usable = [one for one in found if isinstance(one, Measured)]
        where = {"class": of, "measure": name}
        if not usable:
            note = next(one for one in found if isinstance(one, str))
            self.metrics += [{**where, "model": model, "note": note} for model in self.models]
            return
        value = np.mean([one.value for one in usable], axis=0)
        influences = np.stack([one.influence for one in usable])
        low, high = measures.RANGES[name]
        errors = error_of(influences, self.folds)
        for m, model in enumerate(self.models):
            ends = self._ends(value[m], errors[m])
            bounds = {"lower": float(np.clip(ends[0], low, high)), "upper": float(np.clip(ends[1], low, high))}
            row = {**where, "model": model, "value": value[m], **bounds, "se": errors[m], "note": ""}
            self.metrics.append(row)
        pairs = list(permutations(range(len(self.models)), 2))
        if not pairs:
            return
        first, second = (list(side) for side in zip(*pairs, strict=True))
        errors = error_of(influences[:, :, first] - influences[:, :, second], self.folds)
        for (a, b), error in zip(pairs, errors, strict=True):
            lower, upper = self._ends(value[a] - value[b], error)
            told = {"model": self.models[a], "versus": self.models[b], "value": value[a] - value[b]}
            self.differences.append({**where, **told, "lower": lower, "upper": upper, "se": error})

    def _ends(self, value: float, error: float) -> tuple[float, float]:
        return float(value - self.quantile * error), float(value + self.quantile * error)

    def withhold(self, matrix: pd.DataFrame) -> None:
        """Take back shares from which a small cell of the confusion matrix could be found."""
        gone = matrix[matrix["count"].isna()]
        hidden = {("recall", m, c) for m, c in zip(gone["model"], gone["observed"], strict=True)}
        hidden |= {("precision", m, c) for m, c in zip(gone["model"], gone["predicted"], strict=True)}
        for row in self.metrics:
            if (row["measure"], row["model"], row["class"]) in hidden:
                row |= dict.fromkeys(_VALUES, np.nan) | {"note": "withheld: it would tell a count below ten"}
        touched = {(name, c) for name, _, c in hidden}
        self.differences = [row for row in self.differences if (row["measure"], row["class"]) not in touched]


def _calibrated(
    case: NDArray[np.bool_],
    name: str,
    arrays: Mapping[str, Floats],
    code: int,
    folds: Ints | None,
    options: Mapping[str, Any],
) -> dict[str, pd.DataFrame]:
    """Calibration of one class against the rest: an outcome whose status is known of everybody, so no weights."""
    found = evaluate(
        np.where(case, 1.0, 2.0),
        case.astype(np.int64),
        {model: p[:, :, code, None] for model, p in arrays.items()},
        times=[1.0],
        horizons=[1.0],
        folds=folds,
        measures=CALIBRATION_MEASURES,
        **options,
    )
    frames = {key: found.frames[key].assign(**{"class": name}) for key in FRAMES if key != "confusion"}
    frames["metrics"] = frames["metrics"].assign(n=len(case))
    return {key: frame[FRAMES[key]] for key, frame in frames.items()}


def _joined(name: str, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else _framed(name, [])


def _framed(name: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=FRAMES[name])
    words = {"model", "versus", "class", "measure", "note"}
    types: dict[str, Any] = {column: object if column in words else np.float64 for column in FRAMES[name]}
    return frame.astype(types)


def _checked(label: ArrayLike, probabilities: Mapping[str, ArrayLike], C: int) -> tuple[Ints, dict[str, Floats]]:
    codes = np.asarray(label)
    if codes.ndim != 1 or not len(codes) or codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= C:
        raise UsageError(f"labels must be whole numbers from 0 to {C - 1}, one for each patient")
    if not probabilities:
        raise UsageError("there is nothing to judge: no model is given")
    arrays = {}
    for name, values in probabilities.items():
        p = np.asarray(values, dtype=float)
        p = p[None] if p.ndim == 2 else p
        if p.ndim != 3 or p.shape[1:] != (len(codes), C):
            raise UsageError(f"{name}: probabilities of shape {p.shape}; expected (..., {len(codes)}, {C})")
        if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(axis=2), 1, rtol=0, atol=1e-6)):
            raise UsageError(f"{name}: probabilities lie between 0 and 1 and sum to one in every row")
        arrays[str(name)] = p
    if len({len(p) for p in arrays.values()}) > 1:
        raise UsageError("all models must have the same number of repeats")
    return codes.astype(np.int64), arrays
