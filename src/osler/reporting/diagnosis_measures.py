"""Measures of classes: what each is called, what it means, and how it is written."""

from __future__ import annotations

from osler.reporting.measures import MEASURES as OF_RISK
from osler.reporting.measures import Measure

__all__ = ["MEASURES", "OF_ALL", "OF_CALIBRATION", "OF_CLASS"]

OF_ALL: tuple[Measure, ...] = (
    Measure(
        "auc",
        "AUC",
        "Of two patients of different classes, how often the one of a class has the higher probability of it; of many "
        "classes the mean over pairs (Hand and Till). 0.5 is chance, 1 is perfect.",
        "high",
        nothing=0.5,
        kind="discrimination",
    ),
    Measure(
        "accuracy",
        "Accuracy",
        "Share of patients whose most probable class is their own. What is common counts most.",
        "high",
        1,
        scale=100,
        kind="discrimination",
    ),
    Measure(
        "balanced_accuracy",
        "Balanced accuracy",
        "The same share among the patients of each class, averaged over classes.",
        "high",
        1,
        scale=100,
        kind="discrimination",
    ),
    Measure(
        "brier",
        "Brier score",
        "Half the squared distance between probabilities and what was the case. Lower is better.",
        "low",
        4,
        kind="accuracy",
    ),
    Measure(
        "log_score",
        "Log score",
        "Mean negative logarithm of the probability given to what was the case. Lower is better.",
        "low",
        3,
        kind="accuracy",
    ),
)
OF_CLASS: tuple[Measure, ...] = (
    Measure(
        "auc_one_vs_rest",
        "AUC, this class or another",
        "How often a patient of the class has a higher probability of it than one of another class.",
        "high",
        nothing=0.5,
        kind="discrimination",
    ),
    Measure(
        "recall",
        "Found (sensitivity)",
        "Of the patients of the class, the share for whom it is the most probable one.",
        "high",
        1,
        scale=100,
        kind="discrimination",
    ),
    Measure(
        "precision",
        "Right (predictive value)",
        "Of the patients for whom the class is the most probable one, the share who are of it.",
        "high",
        1,
        scale=100,
        kind="discrimination",
    ),
)
_CALIBRATION = ("observed_expected", "calibration_intercept", "calibration_slope", "ici", "e50", "e90")
OF_CALIBRATION: tuple[Measure, ...] = tuple(OF_RISK[name] for name in _CALIBRATION)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in (*OF_ALL, *OF_CLASS, *OF_CALIBRATION)}
