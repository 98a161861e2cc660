"""Every classifier faces one contract; the network finds what moves about in pictures; nobody's class leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from simulated import columns_cohort, mixed_cohort, picture_cohort
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from osler.cohort.diagnosis import UNKNOWN, Diagnosis
from osler.diagnosis import CLASSIFIERS, create_classifier
from osler.diagnosis.multinomial import MultinomialRidge
from osler.diagnosis.store import load_classifier, save_classifier
from osler.errors import ModelError, UsageError

QUICK = {"network": {"members": 2, "epochs": 2}, "boosted": {"rounds": 15}}


@pytest.fixture(scope="module")
def mixed():
    return mixed_cohort(150, 1)


@pytest.fixture(scope="module")
def fitted(mixed):
    return {name: create_classifier(name, **QUICK.get(name, {})).fit(mixed) for name in CLASSIFIERS}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_rows_sum_to_one_and_depend_on_nobody_else(fitted, mixed, name):
    model = fitted[name]
    everybody = model.predict(mixed)
    assert everybody.classes == ("class 0", "class 1")
    some = np.array([17, 3, 99])
    assert np.array_equal(model.predict(mixed.subset(some)).probability, everybody.probability[some])
    alone = model.predict(mixed.patient("id42"))
    assert np.array_equal(alone.probability[0], everybody.probability[42])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classes_of_those_who_are_predicted_move_nothing(fitted, mixed, name):
    told = mixed.diagnosis
    turned = Diagnosis(told.name, told.classes, 1 - told.label, told.positive)
    before = fitted[name].predict(mixed).probability
    for other in (replace(mixed, diagnosis=turned), replace(mixed, diagnosis=None)):
        assert np.array_equal(fitted[name].predict(other).probability, before)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_patients_of_unknown_class_are_not_learned_from(fitted, mixed, name):
    told = mixed.diagnosis
    label = np.concatenate([told.label, np.full(20, UNKNOWN)])
    longer = mixed.subset(np.concatenate([np.arange(len(mixed)), np.arange(20)]))
    longer = replace(longer, diagnosis=Diagnosis(told.name, told.classes, label, told.positive))
    again = create_classifier(name, **QUICK.get(name, {})).fit(longer)
    assert np.array_equal(again.predict(mixed).probability, fitted[name].predict(mixed).probability)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_stored_classifier_is_the_same(fitted, mixed, name, tmp_path):
    first = save_classifier(fitted[name], tmp_path / "a.osler", {"made": "here"})
    read = load_classifier(first)
    assert np.array_equal(read.predict(mixed).probability, fitted[name].predict(mixed).probability)
    assert save_classifier(read, tmp_path / "b.osler", {"made": "here"}).read_bytes() == first.read_bytes()
    assert (read.positive_, read.diagnosis_, read.settings()) == (1, "kind", fitted[name].settings())
    np.testing.assert_allclose(read.shares_, np.bincount(mixed.diagnosis.label) / len(mixed))


def test_the_same_seed_gives_the_same_network_and_the_global_stream_is_not_touched(mixed, fitted):
    torch.manual_seed(3)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 (the stream not to touch)
    again = create_classifier("network", **QUICK["network"]).fit(mixed)
    assert np.array_equal(again.predict(mixed).probability, fitted["network"].predict(mixed).probability)
    other = create_classifier("network", random_state=1, **QUICK["network"]).fit(mixed)
    assert not np.array_equal(other.predict(mixed).probability, fitted["network"].predict(mixed).probability)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_what_is_measured_later_is_not_known(mixed, fitted):
    visits = mixed.visits.assign(time=1.0)
    late = replace(mixed, visits=visits)
    without = mixed.without("scan")
    for name in ("logistic", "network"):
        assert np.array_equal(fitted[name].predict(late).probability, fitted[name].predict(without).probability)


def test_the_network_finds_what_moves_about_in_pictures():
    train, test = picture_cohort(240, 5), picture_cohort(160, 6)
    label = test.diagnosis.label
    network = create_classifier("network", members=2, epochs=20).fit(train)
    logistic = create_classifier("logistic").fit(train)
    found, simple = (roc_auc_score(label, model.predict(test).of("lesion")) for model in (network, logistic))
    assert found > 0.83  # 0.9 is all that can be had
    assert found > simple + 0.1
    assert np.abs(np.log(network.predict(test).probability)).max() < 12  # sure, and not out of its mind


@pytest.mark.parametrize(("name", "classes"), [("logistic", 2), ("logistic", 3), ("network", 3), ("boosted", 3)])
def test_probabilities_come_near_the_true_ones(name, classes):
    train, _ = columns_cohort(800, 2, classes)
    test, truth = columns_cohort(400, 3, classes)
    found = create_classifier(name).fit(train).predict(test).probability
    assert np.abs(found - truth).mean() < (0.09 if name == "boosted" else 0.05)
    average = np.abs(truth.mean(axis=0) - truth).mean()
    assert np.abs(found - truth).mean() < 0.5 * average


def test_a_class_that_never_occurred_has_no_probability_and_says_so():
    cohort, _ = columns_cohort(120, 4, 2)
    told = cohort.diagnosis
    wider = Diagnosis(told.name, ("class 0", "never", "class 1"), told.label * 2, 2)
    for name in CLASSIFIERS:
        model = create_classifier(name, **QUICK.get(name, {})).fit(replace(cohort, diagnosis=wider))
        assert model.predict(cohort).of("never").max() == 0
        assert any("'never'" in note for note in model.notes_)


def test_the_ridge_path_is_scikit_learns_at_its_penalty_and_sees_no_row_it_predicts():
    cohort, _ = columns_cohort(200, 6, 3)
    X, label = cohort.record[["a", "b"]].to_numpy(), cohort.diagnosis.label
    fold = np.arange(200) % 4
    ridge = MultinomialRidge.fit(X, label, fold, [np.array([0]), np.array([1])])
    scaled = X / np.sqrt(ridge.penalty)
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(scaled, label)
    np.testing.assert_allclose(np.exp(ridge.log_probability(X)), model.predict_proba(scaled), atol=1e-4)
    inside = fold != 2
    part = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(scaled[inside], label[inside])
    expected = softmax(part.decision_function(scaled[~inside]), axis=1)
    np.testing.assert_allclose(np.exp(ridge.held_out[~inside]), expected, atol=1e-4)


def test_errors_name_what_is_wrong(mixed, tmp_path):
    with pytest.raises(UsageError, match="no classifier"):
        create_classifier("svm")
    with pytest.raises(UsageError, match="settings"):
        create_classifier("logistic", depth=3)
    with pytest.raises(ModelError, match="not been fitted"):
        create_classifier("logistic").predict(mixed)
    with pytest.raises(ModelError, match="no classes"):
        create_classifier("logistic").fit(replace(mixed, diagnosis=None))
    alone = replace(mixed, diagnosis=replace_label(mixed.diagnosis, np.zeros(len(mixed), dtype=np.int64)))
    with pytest.raises(ModelError, match="fewer than two classes"):
        create_classifier("shares").fit(alone)
    (tmp_path / "x.osler").write_bytes(b"PK no")
    with pytest.raises(ModelError):
        load_classifier(tmp_path / "x.osler")


def replace_label(told, label):
    return Diagnosis(told.name, told.classes, label, told.positive)
