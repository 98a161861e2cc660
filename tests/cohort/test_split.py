from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohorts import YEAR, make_cohort
from osler.cohort.cohort import Variable
from osler.cohort.outcome import Outcome
from osler.cohort.split import assign_folds, splits, told_split
from osler.config import StudyConfig
from osler.errors import UsageError

N = 120


def with_column(cohort, name, values, kind="number"):
    levels = tuple(values.categories) if kind == "category" else ()
    variables = {**cohort.variables, name: Variable(name, name, kind, "record", levels=levels)}
    return replace(cohort, record=cohort.record.assign(**{name: values}), variables=variables)


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(2)
    base = make_cohort(N, seed=1, genes=0, image_size=None, embedding=None)
    letters = rng.choice(list("ABCDEFG"), N, p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.1, 0.05])
    base = with_column(base, "site", pd.Categorical(letters, categories=[*list("GFEDCBA"), "unused"]), "category")
    base = with_column(base, "area", pd.Categorical(np.where(rng.random(N) < 0.4, "east", "west")), "category")
    return with_column(base, "year", rng.integers(1990, 2010, N).astype(float))


def asked(**changes):
    return StudyConfig(horizons=("2y",), **changes)


def test_random_folds_hold_everyone_once_per_repeat(cohort):
    found = splits(cohort, asked(folds=4, repeats=3))
    assert [(split.repeat, split.fold) for split in found] == [(r, k) for r in range(3) for k in range(4)]
    for repeat in range(3):
        tested = np.concatenate([split.test for split in found if split.repeat == repeat])
        assert sorted(tested) == list(range(N))
    for split in found:
        assert not set(split.train) & set(split.test)
        assert len(split.train) + len(split.test) == N


def test_few_sites_are_left_out_one_by_one(cohort):
    found = splits(cohort, asked(split="sites", split_by="area", folds=5))
    assert len(found) == 2
    area = cohort.record["area"].to_numpy()
    for split in found:
        assert len(set(area[split.test])) == 1
        assert not set(area[split.test]) & set(area[split.train])
    assert sorted(np.concatenate([split.test for split in found])) == list(range(N))


@pytest.mark.parametrize("folds", [2, 3, 6])
def test_many_sites_are_dealt_whole_into_balanced_folds(cohort, folds):
    site = cohort.record["site"].astype(str).to_numpy()
    found = splits(cohort, asked(split="sites", split_by="site", folds=folds))
    assert [split.fold for split in found] == list(range(folds))
    for split in found:
        assert not set(site[split.test]) & set(site[split.train])
    sizes = [len(split.test) for split in found]
    assert sum(sizes) == N
    largest_site = max(np.unique(site, return_counts=True)[1])
    assert max(sizes) - min(sizes) <= largest_site


def test_sites_may_be_numbers_and_do_not_depend_on_the_seed(cohort):
    numbered = with_column(cohort, "centre", cohort.record["site"].cat.codes.astype(float))
    by_name = splits(cohort, asked(split="sites", split_by="site", folds=3))
    by_number = splits(numbered, asked(split="sites", split_by="centre", folds=3, seed=5))
    for one, other in zip(by_name, by_number, strict=True):
        np.testing.assert_array_equal(one.test, other.test)


def test_in_time_every_block_is_predicted_from_all_earlier_ones(cohort):
    year = cohort.record["year"].to_numpy()
    found = splits(cohort, asked(split="time", split_by="year", folds=4))
    assert [split.fold for split in found] == [0, 1, 2, 3]
    for split, following in zip(found, [*found[1:], None], strict=True):
        assert year[split.train].max() < year[split.test].min()
        if following is not None:
            assert set(following.train) == set(split.train) | set(split.test)
    assert set(found[-1].train) | set(found[-1].test) == set(range(N))
    sizes = [len(found[0].train), *(len(split.test) for split in found)]
    assert min(sizes) > N / 5 - 12
    assert max(sizes) < N / 5 + 12
    assert "first block was never predicted" in told_split(asked(split="time", split_by="year", folds=4), 4)


def test_blocks_exist_even_where_most_share_one_time(cohort):
    year = np.full(N, 2000.0)
    year[[3, 7, 11]] = [1999.0, 2001.0, 2002.0]
    found = splits(with_column(cohort, "year", year), asked(split="time", split_by="year", folds=3))
    assert [len(split.test) for split in found] == [N - 3, 1, 1]


def _with_gap(cohort, name):
    record = cohort.record.copy()
    record.loc[[4, 9], name] = np.nan
    return replace(cohort, record=record)


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (lambda c: c, asked(split="sites", split_by="hospital"), "no record variable"),
        (lambda c: c, asked(split="time", split_by="sex"), "needs a number"),
        (lambda c: c, asked(split="sites", split_by="marker"), "no record variable"),
        (lambda c: _with_gap(c, "site"), asked(split="sites", split_by="site"), "2 of 120"),
        (lambda c: _with_gap(c, "year"), asked(split="time", split_by="year"), "2 of 120"),
        (lambda c: c.subset(c.record["area"] == "east"), asked(split="sites", split_by="area"), "of one site"),
        (
            lambda c: with_column(c, "year", np.full(N, 2.0)),
            asked(split="time", split_by="year", folds=2),
            "1 distinct",
        ),
        (lambda c: replace(c, outcome=None), asked(), "no outcome"),
        (lambda c: c.subset([1, 2, 3]), asked(), "at most 3 folds"),
    ],
)
def test_what_cannot_be_divided_is_refused_with_a_remedy(cohort, change, config, message):
    with pytest.raises(UsageError, match=message):
        splits(change(cohort), config)


def test_a_training_part_without_anybody_at_risk_is_refused(cohort):
    time = np.where(cohort.record["area"] == "east", 0.5 * YEAR, 3 * YEAR)
    short = replace(cohort, outcome=Outcome(time, cohort.outcome.event, cohort.outcome.causes))
    with pytest.raises(UsageError, match="none is at risk"):
        splits(short, asked(landmarks=("1y",), split="sites", split_by="area"))


def test_copies_of_a_patient_share_a_fold_and_change_nobody_elses(cohort):
    fold = assign_folds(cohort.outcome, 4, 7)
    np.testing.assert_array_equal(assign_folds(cohort.outcome, 4, 7, cohort.patients), fold)
    rng = np.random.default_rng(0)
    positions = np.concatenate([np.arange(N), rng.integers(0, N, 60)])
    copied = assign_folds(cohort.outcome.take(positions), 4, 7, cohort.patients[positions])
    np.testing.assert_array_equal(copied, fold[positions])
