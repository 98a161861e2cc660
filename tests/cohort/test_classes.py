"""Classes in the data contract: declared codes, the one class looked for, and no mixing with times to an event."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from osler.cohort.describe import describe
from osler.cohort.diagnosis import UNKNOWN, Diagnosis
from osler.cohort.tables import read_cohort, validate
from osler.errors import ModelError, UsageError
from osler.models import create
from osler.study import Study

MANIFEST = """\
[cohort]
name = "Classes"
patient_id = "id"
missing = ["NA"]
[record]
table = "record.csv"
variables = [{{ name = "age", type = "number", unit = "a" }}]
[outcome]
kind = "class"
name = "tumour"
event = "kind"
{outcome}
{more}
"""
THREE = 'levels = { 0 = "benign", 1 = "low", 2 = "high", 3 = "high" }'


@pytest.fixture
def folder(tmp_path):
    def write(outcome=THREE, more="", kind=("0", "1", "2", "3", "1")):
        table = pd.DataFrame({"id": [f"p{i}" for i in range(len(kind))], "age": 50, "kind": kind})
        table.to_csv(tmp_path / "record.csv", index=False)
        (tmp_path / "cohort.toml").write_text(MANIFEST.format(outcome=outcome, more=more))
        return tmp_path

    return write


def test_codes_become_classes_in_their_order_and_several_may_share_one(folder):
    told = read_cohort(folder()).diagnosis
    assert told.classes == ("benign", "low", "high")
    assert list(told.label) == [0, 1, 2, 2, 1]
    assert told.positive == 2
    assert told.counts() == {"benign": 1, "low": 2, "high": 2}
    again = read_cohort(folder(THREE + '\npositive = "benign"')).diagnosis
    assert again.positive == 0


def test_classes_follow_their_patients_and_are_in_the_digest(folder):
    cohort = read_cohort(folder())
    assert list(cohort.subset(np.array([4, 0])).diagnosis.label) == [1, 0]
    assert cohort.outcome is None
    assert cohort.at("0d").known.diagnosis is None
    other = read_cohort(folder(kind=("0", "1", "2", "3", "0")))
    assert other.digest != cohort.digest
    assert read_cohort(folder(), outcome=False).diagnosis is None
    assert [row["class"] for row in describe(cohort)["classes"]] == ["benign", "low", "high"]


@pytest.mark.parametrize(("policy", "left"), [("exclude", 4), ("keep", 5)])
def test_unknown_classes_are_excluded_or_kept(folder, policy, left):
    cohort = read_cohort(folder(f'{THREE}\nunknown = "{policy}"', kind=("0", "NA", "2", "3", "1")))
    assert len(cohort) == left
    assert (cohort.diagnosis.label == UNKNOWN).sum() == left - 4


@pytest.mark.parametrize(
    ("outcome", "more", "kind", "rule"),
    [
        (THREE, "", ("0", "1", "2", "3", "7"), "class codes are declared"),
        (THREE, "", ("0", "1", "2", "3", "NA"), "every patient has a class"),
        ('levels = { 0 = "one" }', "", ("0",) * 5, "two classes or more"),
        ("", "", ("0",) * 5, "needs levels"),
        (THREE + '\npositive = "worst"', "", ("0",) * 5, "one of the levels"),
        (THREE + '\ntime = "age"', "", ("0",) * 5, "no events and no time"),
        (THREE + "\ncodes = [1]", "", ("0",) * 5, "leave out codes"),
        (THREE, '[study]\nhorizons = ["1y"]', ("0", "1", "2", "3", "1"), "outcome with a time"),
    ],
)
def test_what_is_no_class_outcome_is_told(folder, outcome, more, kind, rule):
    found = validate(folder(outcome, more, kind))
    assert any(rule in str(violation) for violation in found)
    assert not any("p4" in str(violation) for violation in found)


def test_a_class_is_no_predictor_and_a_diagnosis_needs_classes(folder):
    path = folder()
    text = (path / "cohort.toml").read_text().replace('name = "age"', 'name = "kind"')
    (path / "cohort.toml").write_text(text)
    assert any("no predictor" in str(v) for v in validate(path))
    timed = text.replace('name = "kind"', 'name = "age"').replace('kind = "class"', 'time = "age"').replace(THREE, "")
    (path / "cohort.toml").write_text(timed + "\n[diagnosis]\nfolds = 3\n")
    assert any("[diagnosis] is of classes" in str(v) for v in validate(path))


def test_a_study_of_times_refuses_classes_by_name(folder):
    cohort = read_cohort(folder())
    with pytest.raises(UsageError, match="osler diagnose"):
        Study(cohort).run()
    from osler.config import Question

    with pytest.raises(ModelError, match="a class, which has no time"):
        create("reference", Question((0.0,), (365.0,))).fit(cohort)


def test_identifiers_may_carry_one_of_several_prefixes(folder):
    path = folder(more='[[images]]\nname = "x"\nform = "embedding"\narchive = "x.npz"\nid_prefix = ["A-", "A-B-"]')
    np.savez(path / "x.npz", **{"A-p0": np.ones(3), "A-B-p1": np.zeros(3)})
    cohort = read_cohort(path)
    assert list(cohort.visits["patient"]) == [0, 1]
    text = (path / "cohort.toml").read_text().replace("[record]\ntable", '[record]\nid_prefix = ["p", "q"]\ntable')
    (path / "cohort.toml").write_text(text.split("[[images]]")[0])
    assert list(read_cohort(path).patients) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("classes", "label", "positive"),
    [(("a",), [0], 0), (("a", "a"), [0], 0), (("a", "b"), [2], 0), (("a", "b"), [0], 2), (("a", "b"), [-2], 0)],
)
def test_a_diagnosis_checks_itself(classes, label, positive):
    with pytest.raises(UsageError):
        Diagnosis("d", classes, np.array(label), positive)
