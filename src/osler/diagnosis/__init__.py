"""Diagnosis: telling classes apart, by the same encoders with a class head, beside honest baselines."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from osler.config import CLASSIFIER_NAMES
from osler.diagnosis.base import Classifier
from osler.diagnosis.risk import ClassRisk
from osler.errors import UsageError

__all__ = ["CLASSIFIERS", "ClassRisk", "Classifier", "create_classifier"]

#: Names, with what reports call them; from the simplest to the richest.
CLASSIFIERS: dict[str, str] = {
    "shares": "Class shares",
    "logistic": "Logistic regression",
    "boosted": "Boosted trees (XGBoost)",
    "network": "Network (Osler)",
}
assert tuple(CLASSIFIERS) == CLASSIFIER_NAMES


def create_classifier(name: str, *, at: float = 0.0, random_state: int = 0, **settings: Any) -> Classifier:
    """The classifier of that name, its libraries imported when it is first asked for.

    Raises:
        UsageError: there is none of that name, or it has no such setting.
    """
    if name not in CLASSIFIERS:
        raise UsageError(f"no classifier is called {name!r}: there are {', '.join(CLASSIFIERS)}")
    kind: type[Classifier] = getattr(import_module(f"osler.diagnosis.{name}"), name.capitalize())
    try:
        return kind(at=at, random_state=random_state, **settings)
    except TypeError:
        raise UsageError(f"{name}: one of the settings {', '.join(settings)} is not known") from None
