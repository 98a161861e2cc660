"""Genomic features: scales by kind, components where features outnumber patients, gene sets."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from osler.cohort.cohort import Cohort, Genomics, Variable
from osler.cohort.outcome import Outcome
from osler.config import Question
from osler.evaluation.concordance import concordance_index
from osler.features.block_scale import BlockScale
from osler.features.components import Components, most_components
from osler.features.design import Design
from osler.features.genomics import GenomicFeatures
from osler.features.leading import _score_statistics, leading_features
from osler.models import create

QUESTION = Question(landmarks=(0.0,), horizons=(2.0,), grid_size=16)


def _scaled(values, kind, clip=4.0):
    scale = BlockScale(kind=kind, clip=clip).fit(values)
    return scale, np.concatenate([z for _, z in scale.chunks(values)], axis=1)


class TestBlockScale:
    def test_dosage_is_scaled_by_allele_frequency(self):
        rng = np.random.default_rng(0)
        x = rng.binomial(2, [0.3, 0.5, 0.002], size=(2000, 3)).astype(np.float32)
        x[5, 0] = np.nan
        _, z = _scaled(x, "dosage", clip=100.0)
        p = np.nanmean(x[:, 0]) / 2
        expected = (x[:, 0] - 2 * p) / np.sqrt(2 * p * (1 - p))
        np.testing.assert_allclose(z[:, 0], np.where(np.isnan(expected), 0, expected), rtol=1e-5)
        rare = np.sqrt(2 * 0.01 * 0.99)  # one in 500 is scaled as if it were one in 100
        np.testing.assert_allclose(z[:, 2], (x[:, 2] - x[:, 2].mean()) / rare, rtol=1e-5)

    def test_copy_numbers_keep_their_proportions(self):
        rng = np.random.default_rng(1)
        x = np.column_stack([rng.integers(-2, 3, 500), (rng.random(500) < 0.05).astype(int)]).astype(float)
        _, z = _scaled(x, "copy_number")
        common = np.sqrt((x.var(axis=0)).mean())
        np.testing.assert_allclose(z, (x - x.mean(axis=0)) / common)

    def test_mutations_count_and_rare_ones_stay_small(self):
        x = np.zeros((1000, 2))
        x[:300, 0], x[:20, 0] = 1, 2
        x[0, 1] = 1
        _, z = _scaled(x, "mutation", clip=100.0)
        np.testing.assert_allclose(z[:, 0], (x[:, 0] - x[:, 0].mean()) / x[:, 0].std())
        assert z[:, 1].max() == pytest.approx(0.999 / 0.1)

    def test_raw_counts_are_logged_and_z_scores_are_not(self):
        rng = np.random.default_rng(2)
        level = rng.normal(4, 2, size=30)
        counts = rng.poisson(np.exp(level + rng.normal(size=(200, 30)))).astype(float)
        scale, z = _scaled(counts, "expression", clip=np.inf)
        assert scale.log
        logged = np.log1p(counts)
        np.testing.assert_allclose(z, np.clip((logged - logged.mean(axis=0)) / logged.std(axis=0), -2.5, 2.5))
        assert not _scaled(logged - logged.mean(axis=0), "expression")[0].log
        assert not _scaled(rng.normal(8, 1, size=(200, 30)), "expression")[0].log
        assert not _scaled(counts, "other")[0].log

    def test_constants_and_empty_columns_are_dropped(self):
        x = np.random.default_rng(3).normal(size=(40, 4))
        x[:, 1], x[:, 2] = 7.0, np.nan
        for kind in ("expression", "mutation", "copy_number", "dosage", "other"):
            assert BlockScale(kind=kind, clip=4.0).fit(np.abs(x)).kept.tolist() == [0, 3]

    def test_kinds_are_known(self):
        with pytest.raises(ValueError, match="expected one of expression"):
            BlockScale(kind="methylation", clip=4.0)


class TestComponents:
    @pytest.mark.parametrize(("n", "p"), [(40, 2300), (300, 90)])
    def test_a_ridge_on_all_components_is_the_ridge_on_the_features(self, n, p):
        rng = np.random.default_rng(4)
        x = rng.normal(size=(n, p)) @ np.diag(rng.uniform(0.5, 2, p)) + 3
        y, new = rng.normal(size=n), rng.normal(size=(7, p)) + 3
        components = Components(limit=min(n, p) - 1, clip=np.inf).fit(x)
        z, z_new = components.transform(x), components.transform(new)
        w, w_new = (x - x.mean(axis=0)) / x.std(axis=0), (new - x.mean(axis=0)) / x.std(axis=0)
        if n <= p:  # all of the rank, and so exactly equal
            factor = (w**2).sum() / (z**2).sum()
            found = z_new @ np.linalg.solve(z.T @ z + 5.0 * np.eye(z.shape[1]), z.T @ (y - y.mean()))
            dual = w_new @ w.T @ np.linalg.solve(w @ w.T + 5.0 * factor * np.eye(n), y - y.mean())
            np.testing.assert_allclose(found, dual, atol=1e-8)
        s = np.linalg.svd(w, compute_uv=False)[: z.shape[1]]
        np.testing.assert_allclose(np.sqrt((z**2).sum(axis=0) / (z[:, 0] ** 2).sum()), s / s[0], rtol=1e-8)

    def test_twenty_thousand_columns_in_seconds(self):
        x = _noisy(200, 20_000, seed=5)
        x[:, 10:500], x[3, 700:900], x[7] = 1.0, np.nan, np.nan
        x[:, 12_000:13_000] = x[:, :1] * np.float32(2)  # one feature a thousand times over
        began = time.perf_counter()
        components = Components(limit=400, clip=4.0, kind="expression").fit(x)
        z = components.transform(x)
        assert time.perf_counter() - began < 15
        assert components.size == 198  # 199 rows with anything, about their mean
        assert np.isnan(z[7]).all()
        assert np.isfinite(np.delete(z, 7, axis=0)).all()
        np.testing.assert_array_equal(components.transform(x[11:12])[0], z[11])

    def test_equal_rows_leave_fewer_components(self):
        x = np.repeat(np.random.default_rng(6).normal(size=(10, 50)), 3, axis=0)
        assert Components(limit=40, clip=4.0).fit(x).size == 9
        assert Components(limit=40, clip=4.0).fit(x[:1]).size == 0

    def test_random_projection_finds_the_leading_components(self, monkeypatch):
        rng = np.random.default_rng(7)
        x = rng.normal(size=(150, 3)) @ rng.normal(size=(3, 120)) * 3 + rng.normal(size=(150, 120))
        exact = Components(limit=3, clip=4.0).fit(x).transform(x)
        monkeypatch.setattr("osler.features.components._EXACT", 100)
        np.testing.assert_allclose(Components(limit=3, clip=4.0).fit(x).transform(x), exact, atol=0.02)

    def test_the_default_limit(self):
        assert [most_components(n) for n in (0, 100, 362, 1000, 2000, 10**6)] == [100_000, 1000, 276, 100, 50, 50]


def _noisy(n, p, seed):
    return np.random.default_rng(seed).normal(size=(n, p)).astype(np.float32)


def _cohort(values, log_hazard, seed, *, sets=None, kind="expression"):
    """Patients whose age tells nothing, with an event rate that the log hazard shifts, and random censoring."""
    rng = np.random.default_rng(seed)
    n = len(values)
    event_time, censoring = rng.exponential(np.exp(-log_hazard)), rng.exponential(2.0, n)
    outcome = Outcome(np.minimum(event_time, censoring) + 1e-6, (event_time <= censoring).astype(np.int64), ("death",))
    features = tuple(f"G{i}" for i in range(values.shape[1]))
    return Cohort(
        name="wide",
        patients=np.array([f"p{i}" for i in range(n)], dtype=object),
        record=pd.DataFrame({"age": rng.normal(60, 8, n)}),
        visits=pd.DataFrame({"patient": np.empty(0, dtype=np.int64), "time": np.empty(0)}),
        variables={"age": Variable("age", "Age", "number", "record", "a")},
        genomics={"rna": Genomics("rna", kind, features, values, sets or {})},
        outcome=outcome,
    )


def _judged(cohort, learn, **settings):
    """C of new patients, and the spread of their predicted risks, from a Cox model of the first ``learn``."""
    new = cohort.subset(np.arange(learn, len(cohort)))
    model = create("cox", QUESTION, **settings).fit(cohort.subset(np.arange(learn)))
    risk = model.predict(new, at=0.0).risk(2.0)
    return concordance_index(new.outcome.time, new.outcome.event, risk, horizon=2.0), float(risk.std())


@pytest.mark.parametrize(("signal", "least", "most"), [("none", 0.42, 0.58), ("factor", 0.70, 1.0)])
def test_more_columns_than_patients(signal, least, most):
    """Noise is left alone (no leak, no spread), a factor behind many genes is found."""
    rng = np.random.default_rng(8)
    values, factor = _noisy(520, 8000, seed=9), rng.normal(size=520)
    if signal == "factor":
        values[:, ::8] += 0.5 * factor[:, None].astype(np.float32)
    c, spread = _judged(_cohort(values, factor if signal == "factor" else np.zeros(520), 10), learn=200)
    assert least < c < most
    assert (spread < 0.06) == (signal == "none")


def test_gene_sets_find_what_the_whole_block_drowns():
    """No member is strong enough to lead by itself."""
    rng = np.random.default_rng(11)
    values, activity = _noisy(650, 3000, seed=12), rng.normal(size=650)
    values[:, :25] += 0.4 * activity[:, None].astype(np.float32)
    sets = {f"S{k}": tuple(f"G{i}" for i in range(25 * k, 25 * k + 25)) for k in range(20)}
    without, _ = _judged(_cohort(values, activity, 13), learn=200)
    with_sets, _ = _judged(_cohort(values, activity, 13, sets=sets), learn=200)
    assert with_sets > without + 0.03


def test_columns_and_groups_of_sets():
    sets = {"FIRST": tuple(f"G{i}" for i in range(8)), "FLAT": tuple(f"G{i}" for i in range(20, 26))}
    values = _noisy(60, 30, seed=14)
    values[:, 21:26] = 1.0  # of its members one varies: the set leaves no column
    values[:4] = np.nan
    cohort = _cohort(values, np.zeros(60), 15, sets=sets)
    landmark = cohort.at(0.0)
    design = Design(components=6).fit(landmark)
    groups = design.penalty_groups()
    assert [design.columns_[i].name for i in groups["rna sets"]] == ["rna.FIRST.component1", "rna.FIRST.component2"]
    assert {design.columns_[i].variable for i in groups["rna sets"]} == {"FIRST"}
    assert {design.columns_[i].modality for i in groups["rna sets"]} == {"rna"}
    assert len(groups["rna"]) == 7  # six components and the flag
    X = design.transform(landmark)
    assert (X[:4][:, groups["rna sets"]] == 0).all()
    restored = Design(components=6).restore(design.state())
    np.testing.assert_array_equal(restored.transform(landmark), X)
    block = cohort.genomics["rna"]
    alone = GenomicFeatures("rna", components=6, keep_missing=False, clip=4.0).fit(
        replace(cohort, genomics={"rna": replace(block, sets={})}).at(0.0)
    )
    assert not alone.sets.columns


def test_a_recurrent_model_takes_sets_in():
    """Sets are another group of the ridge path and another input of the head, withheld with their block."""
    values, activity = _noisy(160, 120, seed=16), np.random.default_rng(17).normal(size=160)
    values[:, :10] += activity[:, None].astype(np.float32)
    sets = {"ACTIVE": tuple(f"G{i}" for i in range(10))}
    cohort = _cohort(values, activity, 18, sets=sets)
    model = create("recurrent", QUESTION, members=2, epochs=4).fit(cohort)
    assert "rna sets.level" in model.ridge_[0].penalties
    assert model.head_.modality.count("rna") == 2
    assert np.isfinite(model.predict(cohort.without("rna"), at=0.0).incidence).all()


class TestLeadingFeatures:
    def _leading(self, values, log_hazard, seed=20):
        landmark = _cohort(values, log_hazard, seed).at(0.0)
        scale = BlockScale(kind="expression", clip=4.0).fit(values)
        return leading_features(landmark, values, scale).tolist()

    def test_a_few_strong_genes_lead(self):
        values = _noisy(200, 5000, seed=21)
        assert self._leading(values, 1.2 * values[:, 7] - 1.2 * values[:, 4000]) == [7, 4000]

    def test_noise_does_not_and_neither_does_what_many_share(self):
        values = _noisy(200, 5000, seed=22)
        assert self._leading(values, np.zeros(200)) == []
        factor = np.random.default_rng(23).normal(size=200)
        values[:, :100] += factor[:, None].astype(np.float32)
        assert self._leading(values, factor) == []

    def test_copies_of_a_patient_count_once(self):
        values = _noisy(60, 3000, seed=24)
        cohort = _cohort(values, values[:, 1].astype(float), 25)
        scale = BlockScale(kind="expression", clip=4.0).fit(values)
        alone = leading_features(cohort.at(0.0), values, scale)
        copied = cohort.subset(np.tile(np.arange(60), 4))
        again = leading_features(copied.at(0.0), copied.genomics["rna"].values, scale)
        np.testing.assert_array_equal(again, alone)

    def test_the_score_is_that_of_a_cox_model(self):
        values = _noisy(80, 3, seed=26)
        scale = BlockScale(kind="other", clip=np.inf).fit(values)
        rng = np.random.default_rng(27)
        time_, event = np.ceil(rng.exponential(5.0, 80)), rng.random(80) < 0.7
        z = np.concatenate([part for _, part in scale.chunks(values)], axis=1)
        expected = np.zeros(3)
        for j in range(3):
            score, information = 0.0, 0.0
            for i in np.flatnonzero(event):
                at_risk = z[time_ >= time_[i], j]
                score += z[i, j] - at_risk.mean()
                information += at_risk.var()
            expected[j] = score / np.sqrt(information)
        np.testing.assert_allclose(_score_statistics(values, scale, time_, event), expected, rtol=1e-9)

    def test_they_are_columns_of_a_group_of_their_own_and_predict(self):
        values = _noisy(600, 3000, seed=28)
        values[5] = np.nan
        log_hazard = np.nan_to_num(values[:, 3] - values[:, 9]).astype(float)
        cohort = _cohort(values, log_hazard, 29)
        design = Design(leading=True).fit(cohort.subset(np.arange(200)).at(0.0))
        assert "rna leading" not in Design().fit(cohort.subset(np.arange(200)).at(0.0)).penalty_groups()
        group = design.penalty_groups()["rna leading"]
        assert [design.columns_[i].variable for i in group] == ["G3", "G9"]
        assert "rna leading" in design.wide_groups()
        X = design.transform(cohort.at(0.0))
        assert (X[5, group] == 0).all()
        np.testing.assert_array_equal(Design().restore(design.state()).transform(cohort.at(0.0)), X)
        assert _judged(cohort, learn=200, leading=True)[0] > 0.75


def test_blocks_that_are_narrow_enough_may_enter_as_they_are():
    values, activity = _noisy(60, 90, seed=21), np.random.default_rng(22).normal(size=60)
    landmark = _cohort(values, activity, 23).at(0.0)
    own = Design(components=5, whole=90).fit(landmark)
    assert [c.summary for c in own.columns_ if c.modality == "rna"] == ["value"] * 90
    few = Design(components=5, whole=89).fit(landmark)
    assert [c.summary for c in few.columns_ if c.modality == "rna"] == ["component"] * 5
