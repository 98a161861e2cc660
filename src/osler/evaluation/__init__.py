"""Evaluation: outcomes and risks in, measures with intervals out; never a model."""

from osler.evaluation.combining import combine
from osler.evaluation.comparison import Choice, choose
from osler.evaluation.estimate import Estimate
from osler.evaluation.evaluation import Evaluation, evaluate
from osler.evaluation.table import evaluate_table
from osler.evaluation.utility import decision_curve

__all__ = ["Choice", "Estimate", "Evaluation", "choose", "combine", "decision_curve", "evaluate", "evaluate_table"]
