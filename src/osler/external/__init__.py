"""External validation: a model, or a table of predictions, judged on another cohort, before and after updating."""

from osler.external.recalibration import Recalibration, recalibrate
from osler.external.result import ExternalResult
from osler.external.validation import evaluate_external, evaluate_predictions

__all__ = ["ExternalResult", "Recalibration", "evaluate_external", "evaluate_predictions", "recalibrate"]
