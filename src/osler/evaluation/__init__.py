"""Evaluation: outcomes and risks in, measures with intervals out; never a model."""

from osler.evaluation.added_value import added_value
from osler.evaluation.combining import combine
from osler.evaluation.comparison import Choice, choose
from osler.evaluation.concordance import concordance_index
from osler.evaluation.estimate import Estimate
from osler.evaluation.evaluation import Evaluation, evaluate
from osler.evaluation.subgroups import evaluate_subgroups
from osler.evaluation.table import evaluate_table
from osler.evaluation.utility import decision_curve

__all__ = [
    "Choice",
    "Estimate",
    "Evaluation",
    "added_value",
    "choose",
    "combine",
    "concordance_index",
    "decision_curve",
    "evaluate",
    "evaluate_subgroups",
    "evaluate_table",
]
