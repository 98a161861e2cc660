"""Designs, against numbers worked out one patient at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohorts import QUESTION, YEAR, make_cohort
from osler.cohort.outcome import Outcome
from osler.config import Question
from osler.errors import ModelError
from osler.features.components import Components
from osler.features.design import Design
from osler.features.encoding import Encoding
from osler.features.grid import training_landmarks
from osler.features.history import running_sum
from osler.features.imaging import latest_image
from osler.features.scale import Scale, dot_rows

DAY = 400.0


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(120, seed=1)


def _column(design, X, name):
    return X[:, [c.name for c in design.columns_].index(name)]


def _history(cohort, patient, moment, variable):
    """Times in years and values of one patient's known measurements on or before ``moment``."""
    own = cohort.visits[(cohort.visits["patient"] == patient) & (cohort.visits["time"] <= moment)]
    own = own.dropna(subset=[variable])
    return own["time"].to_numpy() / YEAR, own[variable].to_numpy()


def test_last_mean_and_slope_by_hand(cohort):
    landmark = cohort.at(DAY)
    design = Design(landmark_terms=False).fit(landmark)
    X = design.transform(landmark)
    histories = [_history(cohort, p, DAY, "pressure") for p in landmark.patient]
    pooled = np.concatenate([y for _, y in histories])
    raw = Scale.fit(pooled, clip=4.0, logs=True)
    scaled = [raw(y) for _, y in histories]
    last = np.array([y[-1] for _, y in histories])
    mean = np.array([z.mean() for z in scaled])
    slope = []
    for (t, _), z in zip(histories, scaled, strict=True):
        centred = t - t.mean()
        slope.append((centred * z).sum() / ((centred**2).sum() + 0.5))
    for name, expected in (("last", last), ("mean", mean), ("slope", np.array(slope))):
        scale = Scale.fit(expected, clip=4.0, logs=name == "last")
        np.testing.assert_allclose(_column(design, X, f"pressure.{name}"), scale(expected), atol=1e-10)


def test_time_since_and_number_of_visits_by_hand(cohort):
    moments = [0.0, 150.0, DAY]
    landmark = cohort.at(moments)
    design = Design().fit(landmark)
    X = design.transform(landmark)
    time, owner = cohort.visits["time"].to_numpy(), cohort.visits["patient"].to_numpy()
    known = cohort.visits[["marker", "pressure", "stage"]].notna().any(axis=1).to_numpy()
    gap, count = [], []
    for patient, moment in zip(landmark.patient, landmark.time, strict=True):
        mine = time[(owner == patient) & (time <= moment) & known]
        gap.append(moment - mine.max())
        count.append(np.log1p(len(mine)))
    gap = np.array(gap)
    since = np.log1p(gap / np.median(gap[gap > 0]))
    np.testing.assert_allclose(_column(design, X, "visits.since"), Scale.fit(since, clip=4.0)(since), atol=1e-12)
    np.testing.assert_allclose(
        _column(design, X, "visits.count"), Scale.fit(np.array(count), clip=4.0)(np.array(count)), atol=1e-12
    )
    s = landmark.time
    np.testing.assert_allclose(_column(design, X, "landmark"), Scale.fit(s, clip=np.inf)(s))
    np.testing.assert_allclose(_column(design, X, "landmark^2"), Scale.fit(s**2, clip=np.inf)(s**2))


def test_last_category_is_carried_forward(cohort):
    landmark = cohort.at(DAY)
    design = Design().fit(landmark)
    last = [_history(cohort, p, DAY, "stage")[1] for p in landmark.patient]
    high = np.array([np.nan if not len(values) else float(values[-1] == "high") for values in last])
    expected = (high - np.nanmean(high)) / np.nanstd(high)
    got = _column(design, design.transform(landmark), "stage=high")
    np.testing.assert_allclose(got, np.where(np.isnan(high), 0.0, expected), atol=1e-12)


def test_missing_is_flagged_imputed_or_kept(cohort):
    landmark = cohort.at(0.0)
    absent = cohort.record["age"].isna().to_numpy()
    assert absent.mean() > 0.05
    design = Design().fit(landmark)
    X = design.transform(landmark)
    assert np.isfinite(X).all()
    assert (_column(design, X, "age")[absent] == 0).all()
    assert set(np.sign(_column(design, X, "age.missing"))[absent]) == {1.0}
    assert set(np.sign(_column(design, X, "age.missing"))[~absent]) == {-1.0}
    keeping = Design(missing="keep").fit(landmark)
    kept = keeping.transform(landmark)
    np.testing.assert_array_equal(np.isnan(_column(keeping, kept, "age")), absent)
    assert not [c.name for c in keeping.columns_ if c.summary == "missing"]


def test_equal_patterns_of_missingness_are_flagged_once(cohort):
    visits = cohort.visits.copy()
    visits.loc[visits["marker"].isna(), "pressure"] = np.nan
    visits.loc[visits["marker"].notna() & visits["pressure"].isna(), "pressure"] = 120.0
    design = Design().fit(replace(cohort, visits=visits).at(0.0))
    flags = [c.variable for c in design.columns_ if c.summary == "missing" and c.modality == "visits"]
    assert "marker" in flags
    assert "pressure" not in flags


@pytest.mark.parametrize("settings", [{}, {"missing": "keep"}, {"splines": 3, "components": 4, "history": ("last",)}])
def test_rows_are_on_their_own_and_restored_designs_are_equal(cohort, settings):
    design = Design(**settings).fit(cohort.at([0.0, DAY]))
    together = design.transform(cohort.at(DAY, at_risk=False))
    alone = [design.transform(cohort.subset([i]).at(DAY, at_risk=False)) for i in range(len(cohort))]
    np.testing.assert_array_equal(np.concatenate(alone), together)
    restored = Design(**settings).restore(design.state())
    np.testing.assert_array_equal(restored.transform(cohort.at(DAY, at_risk=False)), together)
    assert restored.columns_ == design.columns_
    assert together.shape[1] == len(design.columns_) == len({c.name for c in design.columns_})


def test_other_patients_teach_nothing(cohort):
    """Scales come from the rows given, not from whoever else the landmark knows."""
    landmark = cohort.at(DAY)
    half = np.flatnonzero(landmark.patient < 60)
    subset = Design().fit(landmark.take(half))
    alone = Design().fit(cohort.subset(np.arange(60)).at(DAY))
    np.testing.assert_array_equal(subset.transform(landmark), alone.transform(landmark))


def test_groups_cover_every_column_once(cohort):
    design = Design().fit(cohort.at([0.0, DAY]))
    groups = design.penalty_groups()
    assert set(groups) == {"record", "visits", "rna", "slide", "landmark"}
    np.testing.assert_array_equal(np.sort(np.concatenate(list(groups.values()))), np.arange(len(design.columns_)))


def test_nobody_to_learn_from(cohort):
    with pytest.raises(ModelError, match="nobody is at risk"):
        Design().fit(cohort.at(1e6))


class TestScale:
    def test_a_wild_value_moves_little(self):
        x = np.random.default_rng(0).normal(10, 2, 400)
        clean, dirty = Scale.fit(x, clip=4.0), Scale.fit(np.append(x, 1e9), clip=4.0)
        assert abs(dirty.centre - clean.centre) < 0.02
        assert abs(dirty.spread - clean.spread) < 0.02
        assert dirty(np.array([1e9, -1e9])).tolist() == [4.0, -4.0]

    def test_logs_of_skewed_values_only(self):
        rng = np.random.default_rng(1)
        normal, skewed = rng.normal(50, 5, 300), np.exp(rng.normal(0, 1, 300))
        assert not Scale.fit(normal, clip=4.0, logs=True).log
        assert not Scale.fit(skewed, clip=4.0, logs=False).log
        scale = Scale.fit(skewed, clip=np.inf, logs=True)
        low, high = np.quantile(np.log(skewed), (0.025, 0.975))
        core = np.clip(np.log(skewed), low, high)
        np.testing.assert_allclose(scale(skewed), (np.log(skewed) - core.mean()) / core.std())

    def test_zeros_and_negatives_under_the_log(self):
        counts = np.concatenate([np.zeros(50), np.exp(np.random.default_rng(2).normal(2, 1, 250))])
        scale = Scale.fit(counts, clip=4.0, logs=True)
        assert scale.log
        assert scale.shift == counts[counts > 0].min() / 2
        z = scale(np.array([-3.0, 0.0, np.inf, np.nan]))
        assert z[0] == z[1]
        assert np.isnan(z[2:]).all()

    def test_constants_have_no_scale(self):
        assert Scale.fit(np.full(10, 3.0), clip=4.0) is None
        assert Scale.fit(np.full(10, np.nan), clip=4.0) is None
        assert Scale.of_indicator(np.zeros(4)) is None

    def test_rare_levels_are_not_blown_up(self):
        x = np.zeros(1000)
        x[0] = 1.0
        assert Scale.of_indicator(x)(x).max() == pytest.approx(0.999 / 0.1)

    def test_survives_json(self):
        for scale in (Scale(1.0, 2.0, 4.0, True, 0.5, 0.0), Scale(0.0, 1.0, np.inf)):
            assert Scale.from_json(scale.to_json()) == scale


def test_a_level_never_seen_counts_as_missing(cohort):
    stage = cohort.variables["stage"]
    encoding = Encoding(replace(stage, levels=("a", "b", "c")), "last", keep_missing=False)
    encoding.fit(np.array([0.0, 0.0, 1.0, np.nan]), clip=4.0)
    z = encoding.transform(np.array([0.0, 1.0, 2.0, np.nan]))
    assert z.shape == (4, 1)
    assert z[2] == z[3] == 0
    assert z[0] < 0 < z[1]


def test_components_are_those_of_the_standardised_features():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 15)) + rng.normal(size=(60, 15)) + 100
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    u, s, _ = np.linalg.svd(z, full_matrices=False)
    scores = Components(limit=5, clip=np.inf).fit(x).transform(x)
    expected = u[:, :5] * s[:5]
    expected /= np.sqrt((s[:5] ** 2).mean() / 59)
    np.testing.assert_allclose(np.abs(scores), np.abs(expected), atol=1e-8)
    assert scores.var(axis=0, ddof=1).mean() == pytest.approx(1.0)


def test_components_of_missing_and_constant_features():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(30, 8))
    x[:, 2], x[4], x[7, 1] = 3.0, np.nan, np.nan
    narrow = Components(limit=20, clip=4.0).fit(x)
    assert narrow.kept.tolist() == [0, 1, 3, 4, 5, 6, 7]
    z = narrow.transform(x)
    assert np.isnan(z[4]).all()
    assert z[7, 1] == 0
    assert Components(limit=3, clip=4.0).fit(np.full((5, 8), np.nan)).transform(x).shape == (30, 0)
    assert Components(limit=5, clip=4.0).fit(x[:3]).size == 2


def test_mutations_are_counted_and_rare_ones_kept_small():
    cohort = make_cohort(100, seed=2, genes=6, image_size=None, embedding=None)
    values = (np.random.default_rng(0).random((100, 6)) < 0.3).astype(np.float32)
    values[:, 5] = 0
    values[0, 5] = 1
    rna = replace(cohort.genomics["rna"], kind="mutation", values=values)
    landmark = replace(cohort, genomics={"rna": rna}).at(0.0)
    design = Design().fit(landmark)
    X = design.transform(landmark)
    assert _column(design, X, "rna.G5").max() == 4.0  # one carrier in a hundred, bounded
    common = values[:, 0]
    np.testing.assert_allclose(_column(design, X, "rna.G0"), (common - common.mean()) / common.std(), rtol=1e-6)
    burden = np.log1p(values.sum(axis=1).astype(float))
    np.testing.assert_allclose(_column(design, X, "rna.count"), Scale.fit(burden, clip=4.0)(burden))


def test_the_latest_image_is_used(cohort):
    visit = np.arange(0, len(cohort.visits), 2)
    landmark = cohort.at([0.0, DAY, 900.0])
    time = cohort.visits["time"].to_numpy()
    block = replace(cohort.images["slide"], visit=visit, values=time[visit, None].astype(np.float32))
    landmark = replace(cohort, images={"slide": block}).at([0.0, DAY, 900.0])
    known = landmark.known.images["slide"]
    image = latest_image(known.visit, landmark)
    owner = cohort.visits["patient"].to_numpy()
    for row, patient, moment in zip(image, landmark.patient, landmark.time, strict=True):
        mine = visit[(owner[visit] == patient) & (time[visit] <= moment)]
        assert (row == -1) == (len(mine) == 0)
        if len(mine):
            assert known.values[row, 0] == np.float32(time[mine[-1]])
    assert latest_image(np.empty(0, dtype=np.int64), landmark).tolist() == [-1] * len(landmark)


def test_running_sum_is_that_of_each_patient():
    rng = np.random.default_rng(6)
    lengths = [3, 1, 5, 0, 2]
    owner = np.repeat(np.arange(5), lengths)
    ordinal = np.concatenate([np.arange(n) for n in lengths])
    values = rng.normal(size=(len(owner), 2))
    expected = np.vstack([np.cumsum(values[owner == p], axis=0) for p in range(5)])
    np.testing.assert_allclose(running_sum(values, ordinal), expected, rtol=1e-12)
    assert running_sum(np.empty((0, 2)), np.empty(0, dtype=np.int64)).shape == (0, 2)


def test_dot_rows_is_a_matrix_product():
    rng = np.random.default_rng(7)
    X, W = rng.normal(size=(40, 33)), rng.normal(size=(33, 4))
    np.testing.assert_allclose(dot_rows(X, W), X @ W, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(dot_rows(X[5:6], W)[0], dot_rows(np.asfortranarray(X), W)[5])


class TestTrainingLandmarks:
    def test_steps_between_the_landmarks_asked(self, cohort):
        moments = training_landmarks(cohort, Question((2 * YEAR, 4 * YEAR), (2 * YEAR,)))
        assert moments[0] == 0.0
        assert {2 * YEAR, 4 * YEAR} <= set(moments)
        assert len(moments) == 13
        np.testing.assert_allclose(np.diff(moments), YEAR / 3)

    def test_steps_no_shorter_than_a_twelfth_of_the_horizon(self, cohort):
        np.testing.assert_allclose(training_landmarks(cohort, QUESTION), np.arange(4) * YEAR / 3)

    def test_without_visits_or_rows_to_spare_only_those_asked(self, cohort):
        assert training_landmarks(_without_visits(cohort), QUESTION) == (0.0, YEAR)
        assert training_landmarks(cohort, QUESTION, rows=100) == (0.0, YEAR)

    def test_past_the_last_landmark_half_a_horizon_or_half_as_far_again(self, cohort):
        far = training_landmarks(cohort, Question((4 * YEAR,), (2 * YEAR,)), beyond=0.5)
        assert max(far) == pytest.approx(5 * YEAR)
        near = training_landmarks(cohort, Question((YEAR,), (4 * YEAR,)), beyond=0.5)
        assert max(near) == pytest.approx(1.4 * YEAR)

    def test_moments_without_patients_or_events_are_left_out(self, cohort):
        assert max(training_landmarks(cohort, Question((0.0, 50 * YEAR), (2 * YEAR,)))) < 11 * YEAR
        nothing = replace(cohort, outcome=_without_events(cohort.outcome))
        assert training_landmarks(nothing, QUESTION)[0] == 0.0

    def test_nobody_at_risk(self, cohort):
        with pytest.raises(ModelError, match="at risk"):
            training_landmarks(_without_visits(cohort), Question((50 * YEAR,), (YEAR,)))


def _without_visits(cohort):
    return cohort.keep_visits(np.zeros(len(cohort.visits), dtype=bool))


def _without_events(outcome):
    return Outcome(outcome.time, np.zeros(len(outcome), dtype=np.int64), outcome.causes)
