"""The choice of a model, and its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from osler.errors import UsageError
from osler.evaluation import Evaluation, choose, combine, evaluate

ORDER = ("reference", "cox", "recurrent")
LABELS = {"reference": "Reference", "cox": "Cox regression", "recurrent": "Recurrent network"}


def evaluation(values, se=0.01, landmarks=(0.0,), horizons=(5.0, 10.0), missing=()):
    """An Evaluation with these integrated Brier scores at the longest horizon, and other ones at the shorter."""
    metrics, differences = [], []
    for landmark in landmarks:
        for horizon in horizons:
            turned = dict(zip(values, reversed(values.values()), strict=True))
            here = values if horizon == max(horizons) else turned
            for model, value in here.items():
                value = np.nan if (landmark, horizon) in missing else value
                metrics.append((model, landmark, horizon, "integrated_brier", value))
                for versus in (other for other in here if other != model):
                    gap = value - here[versus]
                    differences.append((model, versus, landmark, horizon, "integrated_brier", gap, se))
    return Evaluation(
        pd.DataFrame(metrics, columns=["model", "landmark", "horizon", "measure", "value"]),
        pd.DataFrame(differences, columns=["model", "versus", "landmark", "horizon", "measure", "value", "se"]),
        pd.DataFrame(),
        null="reference",
    )


def test_the_simplest_within_one_standard_error_is_chosen():
    made = evaluation({"reference": 0.20, "cox": 0.155, "recurrent": 0.15})
    choice = choose(made, order=ORDER, labels=LABELS)
    assert (choice.model, choice.best, choice.simpler_is_as_good) == ("cox", "recurrent", True)
    assert choice.sentence.startswith("The simpler model is as good: Recurrent network has the lowest")
    assert "Cox regression is within one standard error" in choice.sentence


def test_the_best_is_chosen_when_no_simpler_one_is_near():
    choice = choose(evaluation({"reference": 0.20, "cox": 0.17, "recurrent": 0.15}), order=ORDER, labels=LABELS)
    assert (choice.model, choice.best, choice.simpler_is_as_good) == ("recurrent", "recurrent", False)
    assert "no simpler model comes within one standard error" in choice.sentence
    assert "Cox regression, 0.1700" in choice.sentence


@pytest.mark.parametrize("values", [(0.150, 0.155, 0.148), (0.15, 0.2, 0.2)])
def test_when_nothing_helps_it_says_so(values):
    choice = choose(evaluation(dict(zip(ORDER, values, strict=True))), order=ORDER, labels=LABELS)
    assert choice.model == "reference"
    assert choice.sentence.startswith("No model is better than knowing nothing")


def test_richer_models_behind_the_best_do_not_matter():
    choice = choose(evaluation({"reference": 0.2, "cox": 0.15, "recurrent": 0.152}), order=ORDER)
    assert (choice.model, choice.best) == ("cox", "cox")
    assert "cox has the lowest" in choice.sentence


def test_the_longest_horizon_that_could_be_judged_counts_at_each_landmark():
    values = {"reference": 0.20, "cox": 0.17, "recurrent": 0.15}
    missing = [(0.0, 10.0), (2.0, 10.0)]
    choice = choose(evaluation(values, landmarks=(0.0, 2.0), missing=missing), order=ORDER)
    assert choice.best == "reference"  # at 5 days the scores are the other way round
    assert "up to 5 d, averaged over 2 landmarks" in choice.sentence
    nowhere = choose(evaluation(values, missing=[(0.0, 5.0), (0.0, 10.0)]), order=ORDER)
    assert nowhere.model == "reference"
    assert "No horizon could be evaluated" in nowhere.sentence


def test_a_model_that_was_not_evaluated_cannot_be_chosen():
    with pytest.raises(UsageError, match="aft"):
        choose(evaluation({"cox": 0.1}), order=("cox", "aft"))
    with pytest.raises(UsageError):
        choose(evaluation({"cox": 0.1}), order=())


def test_one_model_alone():
    choice = choose(evaluation({"cox": 0.1}), order=("cox",))
    assert choice.sentence.startswith("cox is the only model evaluated")


def test_from_outcomes_to_a_choice():
    rng = np.random.default_rng(1)
    grid = np.linspace(0, 10, 11)
    x = rng.normal(size=600)
    time, event = np.minimum(rng.exponential(8 * np.exp(-x)), 12), None
    event = (time < 12).astype(int)

    def risk(lp):
        return -np.expm1(-np.exp(lp)[:, None] / 8 * grid)

    risks = {"reference": np.tile(risk(x).mean(axis=0), (600, 1)), "cox": risk(x), "recurrent": risk(x + 0.001)}
    parts = [evaluate(time, event, risks, times=grid, horizons=[5.0], landmark=s) for s in (0.0, 1.0)]
    choice = choose(combine(parts), order=ORDER)
    assert choice.model == "cox"
