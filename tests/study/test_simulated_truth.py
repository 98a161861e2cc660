"""On a cohort whose truth is known: what the whole model is worth, and whether its risks are true."""

import numpy as np
import pytest

from osler.cohort.simulate import simulate
from osler.cohort.tables import read_cohort
from osler.cohort.truth import read_true_risk
from osler.models import create

HORIZON = 5 * 365.25


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    root = tmp_path_factory.mktemp("truth")
    folders = [simulate(root / name, patients=n, seed=seed) for name, n, seed in (("old", 700, 11), ("new", 800, 12))]
    old, new = (read_cohort(folder) for folder in folders)
    at_risk = {at: new.patients[new.outcome.time > at] for at in (0.0, 730.5)}
    return old, new, {at: read_true_risk(folders[1], who, at, HORIZON) for at, who in at_risk.items()}


def predicted(name, old, new, at):
    model = create(name, old.study.question, random_state=3).fit(old)
    return model.predict(new, at).risk(HORIZON), model


def accuracy(risk, truth):
    """Index of prediction accuracy when the true risk is known: no noise of events or censoring."""
    return 1 - np.mean(truth * (1 - truth) + (truth - risk) ** 2) / np.mean(
        truth * (1 - truth) + (truth - truth.mean()) ** 2
    )


@pytest.fixture(scope="module")
def recurrent(cohorts):
    old, _, _ = cohorts
    return create("recurrent", old.study.question, random_state=3).fit(old)


@pytest.mark.slow
@pytest.mark.parametrize("at", [0.0, 730.5])
def test_all_modalities_beat_every_record_only_model_and_stay_below_the_oracle(cohorts, recurrent, at):
    old, new, truths = cohorts
    others = [m for m in old.modalities if m != "record"]
    truth = truths[at]
    whole = accuracy(recurrent.predict(new, at).risk(HORIZON), truth)
    assert whole < accuracy(truth, truth)
    for name in ("stacked_cox", "aft", "boosted_cox", "boosted_hazard"):
        record_only = predicted(name, old.without(*others), new.without(*others), at)[0]
        assert whole > accuracy(record_only, truth) + 0.05, name


@pytest.mark.slow
@pytest.mark.parametrize("at", [0.0, 730.5])
def test_predicted_risks_are_true_in_every_fifth_of_the_patients(cohorts, recurrent, at):
    _, new, truths = cohorts
    truth = truths[at]
    risk = recurrent.predict(new, at).risk(HORIZON)
    assert abs(risk.mean() - truth.mean()) < 0.04
    fifths = np.array_split(np.argsort(risk), 5)
    gaps = [risk[fifth].mean() - truth[fifth].mean() for fifth in fifths]
    assert np.abs(gaps).max() < 0.1
    assert np.corrcoef(risk, truth)[0, 1] > 0.65


@pytest.mark.slow
def test_a_withheld_modality_costs_accuracy_and_breaks_nothing(cohorts, recurrent):
    _, new, truths = cohorts
    whole = accuracy(recurrent.predict(new, 0.0).risk(HORIZON), truths[0.0])
    for modality in ("scan", "expression", "visits"):
        less = accuracy(recurrent.predict(new.without(modality), 0.0).risk(HORIZON), truths[0.0])
        assert 0 < less < whole
