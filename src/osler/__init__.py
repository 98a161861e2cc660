"""Osler: multimodal patient-risk prediction over time.

The public names, reached lazily so that ``import osler`` and ``osler --help`` are quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "BeyondSupport": "osler.errors",
    "Cohort": "osler.cohort.cohort",
    "DataError": "osler.errors",
    "DiagnosisConfig": "osler.config",
    "DiagnosisStudy": "osler.diagnosis.study",
    "ModelError": "osler.errors",
    "OslerError": "osler.errors",
    "Patient": "osler.cohort.cohort",
    "Question": "osler.config",
    "RiskCurve": "osler.survival.curve",
    "Study": "osler.study",
    "StudyConfig": "osler.config",
    "UsageError": "osler.errors",
    "create": "osler.models",
    "create_classifier": "osler.diagnosis",
    "days": "osler.units",
    "concordance_index": "osler.evaluation",
    "evaluate": "osler.evaluation",
    "evaluate_classes": "osler.diagnosis.evaluation",
    "evaluate_external": "osler.external",
    "evaluate_predictions": "osler.external",
    "evaluate_table": "osler.evaluation",
    "load_classifier": "osler.diagnosis.store",
    "load_model": "osler.models.store",
    "plan": "osler.planning",
    "recalibrate": "osler.external",
    "read_cohort": "osler.cohort.tables",
    "save_classifier": "osler.diagnosis.store",
    "save_model": "osler.models.store",
    "simulate": "osler.cohort.simulate",
}

__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'osler' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
