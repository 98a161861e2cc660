"""Measures of an evaluation: what each is called, what it means, which way is better, and how it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from osler.reporting.words import known, number, percent, points

__all__ = ["MEASURES", "Kind", "Measure", "measure_of", "measures_of_kind", "ordered"]

Kind = Literal["discrimination", "accuracy", "calibration", "explained", "usefulness", "other"]


@dataclass(frozen=True)
class Measure:
    """How a measure is told.

    Attributes:
        name: its key in the evaluation.
        label: column heading.
        meaning: one line for readers who do not meet it every day.
        best: "high", "low", or the number that is ideal.
        digits: decimals.
        scale: 100 when values are shown as percentages.
        nothing: the value of a model that knows nothing, where there is one.
        kind: what it is a measure of; differences of calibration are not called better or worse.
    """

    name: str
    label: str
    meaning: str
    best: str | float
    digits: int = 3
    scale: float = 1.0
    nothing: float | None = None
    kind: Kind = "other"

    def show(self, value: Any) -> str:
        """A value as text."""
        if self.scale == 100:
            return f"{number(100 * value, self.digits)}%" if known(value) else number(None)
        return number(value, self.digits)

    def show_difference(self, value: Any) -> str:
        """A difference of two values, with its sign."""
        if self.scale == 100:
            return points(value) if known(value) else number(None)
        return number(value, self.digits, plus=True)

    @property
    def direction(self) -> str:
        """Which way is better, in words; empty where a number is ideal or calibration is measured."""
        if self.kind == "calibration" or self.best not in ("high", "low"):
            return ""
        return f"{'higher' if self.best == 'high' else 'lower'} is better"


def _discrimination() -> tuple[Measure, ...]:
    return (
        Measure(
            "auc",
            "AUC",
            "Of two patients, one with the event by the horizon and one without, how often the first has the higher "
            "risk. 0.5 is chance, 1 is perfect.",
            "high",
            nothing=0.5,
            kind="discrimination",
        ),
        Measure(
            "c_index",
            "Uno’s C",
            "How often, of two patients, the one with the earlier event has the higher risk; pairs are weighted so "
            "that it does not depend on who was censored when.",
            "high",
            nothing=0.5,
            kind="discrimination",
        ),
        Measure(
            "harrell_c",
            "Harrell’s C",
            "The same without weights, over pairs whose order was seen: often reported, but it moves with censoring.",
            "high",
            nothing=0.5,
            kind="discrimination",
        ),
        Measure(
            "antolini_c",
            "Antolini’s C‑td",
            "The same with whole risk curves: at the moment of the earlier event, how often that patient has the "
            "higher risk by then.",
            "high",
            nothing=0.5,
            kind="discrimination",
        ),
    )


def _accuracy() -> tuple[Measure, ...]:
    return (
        Measure(
            "brier",
            "Brier score",
            "Mean squared distance between predicted risk and what happened. Lower is better.",
            "low",
            4,
            kind="accuracy",
        ),
        Measure(
            "integrated_brier",
            "Integrated Brier score",
            "The Brier score averaged over time up to the horizon. Lower is better.",
            "low",
            4,
            kind="accuracy",
        ),
        Measure(
            "ipa",
            "IPA",
            "Index of prediction accuracy: how much of the Brier score of the average risk is removed. 0% is nothing, "
            "below 0% is harm.",
            "high",
            1,
            100.0,
            nothing=0.0,
            kind="accuracy",
        ),
    )


def _calibration() -> tuple[Measure, ...]:
    distance = "distance between predicted and observed risk along the smooth curve; 0 is ideal."
    return (
        Measure(
            "observed_expected",
            "Observed / expected",
            "Events that happened for each event predicted. Above 1: risks were too low; below 1: too high.",
            1.0,
            2,
            nothing=1.0,
            kind="calibration",
        ),
        Measure(
            "calibration_intercept",
            "Calibration intercept",
            "0 is ideal; above 0, risks are too low.",
            0.0,
            2,
            nothing=0.0,
            kind="calibration",
        ),
        Measure(
            "calibration_slope",
            "Calibration slope",
            "1 is ideal; below 1, risks are too extreme.",
            1.0,
            2,
            nothing=1.0,
            kind="calibration",
        ),
        Measure("ici", "ICI", f"Integrated calibration index: mean {distance}", "low", 3, kind="calibration"),
        Measure("e50", "E50", f"Median {distance}", "low", 3, kind="calibration"),
        Measure("e90", "E90", f"90th percentile of the {distance}", "low", 3, kind="calibration"),
        Measure(
            "d_calibration",
            "D-calibration",
            "How unevenly what happened is spread over the predicted probabilities, in tenths (chi-square). Higher is "
            "worse; how high chance alone would put it, its range under perfect calibration tells.",
            "low",
            1,
            kind="calibration",
        ),
    )


def _further() -> tuple[Measure, ...]:
    return (
        Measure(
            "royston_d",
            "Royston’s D",
            "How far apart the prognoses lie: about the log hazard ratio between two halves of the patients, split at "
            "the median risk. 0 is nothing.",
            "high",
            2,
            nothing=0.0,
            kind="explained",
        ),
        Measure(
            "royston_r2",
            "Royston’s R²",
            "The same as a share: how much of the variation in prognosis the risks explain.",
            "high",
            1,
            100.0,
            nothing=0.0,
            kind="explained",
        ),
        Measure(
            "net_benefit",
            "Net benefit",
            "Patients rightly treated, less those treated in vain, each weighed by the odds of the threshold: per "
            "patient. 0 is treating nobody.",
            "high",
            4,
            nothing=0.0,
            kind="usefulness",
        ),
    )


def _forecasts() -> tuple[Measure, ...]:
    return (
        Measure(
            "coverage",
            "Coverage",
            "Share of the measurements that lay within their 90% band; it should be 90%.",
            0.9,
            0,
            100.0,
        ),
        Measure(
            "interval_score",
            "Interval score",
            "Width of the 90% band, and twenty times the distance of measurements outside it: narrow bands that hold. "
            "Lower is better (Gneiting and Raftery, J Am Stat Assoc 2007;102:359-378).",
            "low",
            2,
        ),
        Measure("rmse", "RMSE", "Root mean squared error of the expected value. Lower is better.", "low", 2),
    )


MEASURES: dict[str, Measure] = {
    measure.name: measure for measure in (*_discrimination(), *_accuracy(), *_calibration(), *_further(), *_forecasts())
}


def measure_of(name: str) -> Measure:
    """How to tell a measure, known here or not; ``"net_benefit@0.10"`` is net benefit at a threshold of 10%."""
    if name in MEASURES:
        return MEASURES[name]
    base, _, threshold = name.partition("@")
    if base == "net_benefit" and threshold.replace(".", "", 1).isdecimal():
        found = MEASURES[base]
        at = f"{found.label} at {percent(float(threshold))}"
        return Measure(name, at, found.meaning, found.best, found.digits, nothing=0.0, kind=found.kind)
    return Measure(name, name.replace("_", " "), "", "high")


def ordered(names: Iterable[str]) -> list[str]:
    """Measures in the order in which they are told; unknown ones last, as they come."""
    present = list(dict.fromkeys(names))
    return [name for name in MEASURES if name in present] + [name for name in present if name not in MEASURES]


def measures_of_kind(names: Iterable[str], *kinds: Kind) -> list[str]:
    """Those of ``names`` that measure one of ``kinds``, in their order."""
    return [name for name in names if measure_of(name).kind in kinds]
