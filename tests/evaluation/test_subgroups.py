"""Subgroups: the same numbers as on the subgroup alone, differences that are there, and nobody counted out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.cells import hidden, reveal
from osler.errors import UsageError
from osler.evaluation import evaluate
from osler.evaluation.censoring import StratifiedCensoring
from osler.evaluation.estimate import standard_error
from osler.evaluation.levels import NOT_KNOWN, cut, levels
from osler.evaluation.multiplicity import holm
from osler.evaluation.subgroups import evaluate_subgroups
from osler.survival.nonparametric import censoring_survival

GRID = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
MEASURES = ("auc", "brier", "integrated_brier", "ipa", "observed_expected", "calibration_slope", "c_index")


def curves(lp):
    return -np.expm1(-np.exp(lp)[:, None] * GRID / 8)


def cohort(n=600, seed=0, shift=0.0, censored_early=True):
    """Half the patients in group b, whose risks are higher than x tells by ``shift`` on the log hazard."""
    rng = np.random.default_rng(seed)
    x, b = rng.normal(size=n), rng.random(n) < 0.5
    ends = rng.uniform(1, np.where(b & censored_early, 8, 14), n)
    times = np.stack([ends, rng.exponential(8 * np.exp(-x - shift * b)), rng.exponential(16, n)])
    noisy = 0.5 * x + 0.5 * rng.normal(size=n)
    risks = {"known": curves(x), "noisy": curves(noisy)}
    return times.min(axis=0), times.argmin(axis=0), risks, np.where(b, "b", "a")


def cells(frame, **where):
    for key, value in where.items():
        frame = frame[frame[key] == value]
    return frame.set_index(["model", "horizon", "measure"])


def test_a_level_is_evaluated_as_if_it_were_alone():
    time, event, risks, group = cohort()
    labels = np.where(np.arange(len(group)) % 3 == 0, "c", group)
    options = {"times": GRID, "horizons": [3.0, 5.0], "measures": MEASURES}
    found = evaluate_subgroups(time, event, risks, {"group": labels}, **options).metrics
    for level in "abc":
        who = labels == level
        alone = evaluate(time[who], event[who], {m: risk[who] for m, risk in risks.items()}, **options, null=None)
        alone = alone.metrics.set_index(["model", "horizon", "measure"])
        here = cells(found, level=level)
        assert len(here) == len(alone)
        for name in ("value", "lower", "upper", "se"):
            np.testing.assert_allclose(here[name], alone.loc[here.index, name], rtol=1e-9, atol=1e-12)
        assert set(here["n"]) == {who.sum()}
        assert cells(found, level=level, horizon=5.0)["events"].iloc[0] == ((event == 1) & (time <= 5) & who).sum()


def test_smooth_calibration_in_subgroups():
    time, event, risks, group = cohort(400)
    options = {"times": GRID, "horizons": [3.0], "measures": ("ici", "e90"), "replicates": 50}
    found = evaluate_subgroups(time, event, risks, {"group": group}, **options)
    for level in "ab":
        who = group == level
        alone = evaluate(time[who], event[who], {m: risk[who] for m, risk in risks.items()}, **options, null=None)
        alone, here = alone.metrics.set_index(["model", "horizon", "measure"]), cells(found.metrics, level=level)
        np.testing.assert_allclose(here["value"], alone.loc[here.index, "value"], rtol=1e-9)
        np.testing.assert_allclose(here["se"], alone.loc[here.index, "se"], rtol=1e-9)
    gap = cells(found.differences, level="a")
    both = np.hypot(*(cells(found.metrics, level=level)["se"].loc[gap.index] for level in "ab"))
    np.testing.assert_allclose(gap["se"], both, rtol=1e-9)
    assert gap["p_adjusted"].between(0, 1).all()


def test_a_difference_is_of_people_who_share_nothing():
    time, event, risks, group = cohort()
    labels = np.where(np.arange(len(group)) % 3 == 0, "c", group)
    found = evaluate_subgroups(time, event, risks, {"g": labels}, times=GRID, horizons=5.0, measures=MEASURES)
    for level in "abc":
        rest = np.where(labels == level, level, "others")
        both = evaluate_subgroups(time, event, risks, {"g": rest}, times=GRID, horizons=5.0, measures=MEASURES)
        mine, others = cells(both.metrics, level=level), cells(both.metrics, level="others")
        apart = cells(found.differences, level=level)
        for key in apart.index:
            a, b = mine.loc[key], others.loc[key]
            value, se = a["value"] - b["value"], np.hypot(a["se"], b["se"])
            if key[2] == "observed_expected":
                value, se = np.log(a["value"] / b["value"]), np.hypot(a["se"] / a["value"], b["se"] / b["value"])
            assert apart.loc[key, ["value", "se"]].tolist() == pytest.approx([value, se], rel=1e-9)
            assert apart.loc[key, "lower"] == pytest.approx(value - 1.959964 * se, rel=1e-6)


def test_two_levels_are_one_test_and_others_are_adjusted():
    time, event, risks, group = cohort()
    third = np.arange(len(group)) % 3
    found = evaluate_subgroups(
        time, event, risks, {"two": group, "three": third}, times=GRID, horizons=[3.0, 5.0], measures=("auc", "brier")
    ).differences
    part = found[(found["model"] == "known") & (found["horizon"] == 5.0) & (found["measure"] == "auc")]
    two, three = part[part["variable"] == "two"], part[part["variable"] == "three"]
    assert two["value"].iloc[0] == pytest.approx(-two["value"].iloc[1], rel=1e-12)
    assert two["p"].nunique() == two["p_adjusted"].nunique() == 1
    expected = holm([two["p"].iloc[0], *three["p"]])
    np.testing.assert_allclose([two["p_adjusted"].iloc[0], *three["p_adjusted"]], expected, rtol=1e-12)


def test_risks_too_low_in_one_group_are_found_there():
    time, event, risks, group = cohort(4000, seed=2, shift=0.7)
    other = np.arange(len(group)) % 2 == 0
    options = {"times": GRID, "horizons": [5.0], "measures": ("observed_expected", "auc", "calibration_slope")}
    found = evaluate_subgroups(time, event, risks, {"group": group, "other": other}, **options)
    # By how much, from the hazards that the patients were drawn from.
    rng = np.random.default_rng(2)
    x = rng.normal(size=4000)
    late = np.linspace(0, 5, 201)[1:] - 0.0125

    def incidence(lp):
        total = np.exp(lp)[:, None] / 8 + 1 / 16
        return (np.exp(lp)[:, None] / 8 * np.exp(-total * late)).sum(axis=1) * 0.025

    expected = {level: incidence(x + shift).mean() / curves(x)[:, -1].mean() for level, shift in (("a", 0), ("b", 0.7))}
    for level, ratio in expected.items():
        row = cells(found.metrics, level=level).loc[("known", 5.0, "observed_expected")]
        assert row["lower"] < ratio < row["upper"]
    apart = cells(found.differences, level="b").loc[("known", 5.0, "observed_expected")]
    assert apart["lower"] < np.log(expected["b"] / expected["a"]) < apart["upper"]
    assert apart["p_adjusted"] < 1e-4
    assert cells(found.differences, level="yes").loc[("known", 5.0, "observed_expected"), "p_adjusted"] > 0.01


@pytest.mark.slow
def test_chance_alone_is_called_a_difference_as_often_as_promised():
    p = []
    for seed in range(200):
        time, event, risks, _ = cohort(200, seed=seed, censored_early=False)
        group = np.random.default_rng(seed).random(200) < 0.4
        found = evaluate_subgroups(
            time, event, {"m": risks["noisy"]}, {"g": group}, times=GRID, horizons=[5.0], measures=("brier", "auc")
        )
        p.append(found.differences.drop_duplicates("measure")["p"])
    assert (np.array(p) < 0.05).mean(axis=0) == pytest.approx([0.05, 0.05], abs=0.035)


def captured(time, event, risks, groups, **options):
    """Frames and, for every level, the influences (n, M) behind each measure."""
    influences = []

    def error(influence):
        influences.append(influence)
        return standard_error(influence)

    return evaluate_subgroups(time, event, risks, groups, error=error, **options), influences


@pytest.mark.parametrize("measure", [m for m in MEASURES if m != "observed_expected"])
@pytest.mark.parametrize("weights", ["subgroup", "cohort"])
def test_influence_is_what_leaving_a_patient_out_does(measure, weights):
    time, event, risks, group = cohort(300, seed=4)
    options = {"times": GRID, "horizons": [5.0], "measures": (measure,), "weights": weights, "null": "noisy"}
    found, influences = captured(time, event, risks, {"group": group}, **options)
    full = cells(found.metrics, level="b")["value"].to_numpy()
    assert len(influences) == 4
    mine = influences[2]  # after level a and its difference
    for who in range(0, len(time), 29):
        rest = np.arange(len(time)) != who
        part = {m: risk[rest] for m, risk in risks.items()}
        without = evaluate_subgroups(time[rest], event[rest], part, {"group": group[rest]}, **options)
        left = cells(without.metrics, level="b")["value"].to_numpy()
        np.testing.assert_allclose((full - left) * (len(time) - 1), mine[who], rtol=0.06, atol=0.12)
    np.testing.assert_allclose(standard_error(mine), cells(found.metrics, level="b")["se"], rtol=1e-12)
    np.testing.assert_allclose(mine.sum(axis=0), 0, atol=1e-8)


def test_weights_of_the_cohort_are_those_of_everybody():
    time, event, risks, group = cohort(400, seed=5)
    options = {"times": GRID, "horizons": [5.0], "measures": ("brier", "auc"), "weights": "cohort"}
    found = cells(evaluate_subgroups(time, event, risks, {"group": group}, **options).metrics, level="b")
    who, case = group == "b", (event == 1) & (time <= 5)
    own = 1 / censoring_survival(time, event, np.minimum(time, 5), left_limit=True)
    w = np.where((time > 5) | (event > 0), own, 0.0)
    for model, risk in risks.items():
        loss = w * (case - risk[:, -1]) ** 2
        assert found.loc[(model, 5.0, "brier"), "value"] == pytest.approx(loss[who].mean(), rel=1e-12)
        up, down = np.flatnonzero(who & case), np.flatnonzero(who & ~case)
        pairs = np.outer(w[up], w[down])
        won = (risk[up, -1, None] > risk[None, down, -1]) + 0.5 * (risk[up, -1, None] == risk[None, down, -1])
        expected = (pairs * won).sum() / pairs.sum()
        assert found.loc[(model, 5.0, "auc"), "value"] == pytest.approx(expected, rel=1e-12)


def test_censoring_by_the_groups_themselves_is_censoring_within_them():
    time, event, risks, group = cohort(400, seed=6)
    options = {"times": GRID, "horizons": [5.0], "measures": ("brier", "auc", "integrated_brier", "calibration_slope")}
    plain = evaluate_subgroups(time, event, risks, {"group": group}, **options)
    model = StratifiedCensoring(group)
    whole = evaluate_subgroups(time, event, risks, {"group": group}, censoring=model, weights="cohort", **options)
    pd.testing.assert_frame_equal(plain.metrics, whole.metrics, rtol=1e-9)
    pd.testing.assert_frame_equal(plain.differences, whole.differences, rtol=1e-6)


def test_repeats_are_averaged_and_folds_are_kept_apart():
    time, event, risks, group = cohort(300)
    repeats = np.stack([risks["known"], risks["noisy"]])
    folds = np.stack([np.arange(300) % 3, np.arange(300) // 100])
    options = {"times": GRID, "horizons": [5.0], "measures": ("auc", "brier")}
    both = evaluate_subgroups(time, event, {"m": repeats}, {"g": group}, strata=folds, **options).metrics
    each = [
        evaluate_subgroups(time, event, {"m": repeats[r]}, {"g": group}, strata=folds[r], **options).metrics
        for r in range(2)
    ]
    np.testing.assert_allclose(both["value"], (each[0]["value"] + each[1]["value"]) / 2, rtol=1e-12)
    assert (both["se"] < np.maximum(each[0]["se"], each[1]["se"])).all()


def test_a_level_of_everybody_is_the_evaluation_itself_refitting_included():
    time, event, risks, _ = cohort(400)
    rng = np.random.default_rng(3)
    folds = rng.integers(0, 5, (2, 400))
    drawn = {
        m: np.stack([np.clip(r + 0.05 * rng.normal(size=5)[fold, None], 0, 1) for fold in folds])
        for m, r in risks.items()
    }
    options = {"times": GRID, "horizons": [5.0], "measures": MEASURES, "folds": folds}
    whole = evaluate(time, event, drawn, **options).metrics.set_index(["model", "measure"])
    part = evaluate_subgroups(time, event, drawn, {"g": np.ones(400)}, **options).metrics.set_index(
        ["model", "measure"]
    )
    numbers = ["value", "lower", "upper", "se"]
    np.testing.assert_allclose(part.loc[whole.index, numbers], whole[numbers], rtol=1e-9)


def test_order_of_patients_and_copies_in_clusters_do_not_matter():
    time, event, risks, group = cohort(300)
    options = {"times": GRID, "horizons": [5.0], "measures": MEASURES}
    plain = evaluate_subgroups(time, event, risks, {"g": group}, **options)
    for rows, clusters in ((np.random.default_rng(0).permutation(300), None), (np.repeat(np.arange(300), 2),) * 2):
        again = evaluate_subgroups(
            time[rows],
            event[rows],
            {model: risk[rows] for model, risk in risks.items()},
            {"g": group[rows]},
            clusters=clusters,
            **options,
        )
        kept = ["value", "lower", "upper", "se"]
        np.testing.assert_allclose(again.metrics[kept], plain.metrics[kept], rtol=1e-7)
        kept = ["value", "se", "p", "p_adjusted"]
        np.testing.assert_allclose(again.differences[kept], plain.differences[kept], rtol=1e-5)


def test_risks_at_one_horizon_need_no_times():
    time, event, risks, group = cohort(200)
    options = {"horizons": [5.0], "measures": ("auc", "brier")}
    whole = evaluate_subgroups(time, event, risks, {"g": group}, times=GRID, **options)
    last = {model: risk[:, -1] for model, risk in risks.items()}
    flat = evaluate_subgroups(time, event, last, {"g": group}, times=(), **options)
    pd.testing.assert_frame_equal(whole.metrics, flat.metrics)
    with pytest.raises(UsageError, match="single horizon"):
        evaluate_subgroups(time, event, last, {"g": group}, times=(), horizons=[3.0, 5.0])


def test_small_levels_and_what_would_give_them_away_are_withheld():
    time, event, risks, _ = cohort(300)
    labels = np.array(["big"] * 200 + ["middle"] * 60 + ["next"] * 36 + ["few"] * 4, dtype=object)
    found = evaluate_subgroups(time, event, risks, {"g": labels}, times=GRID, horizons=[5.0], measures=("auc",))
    metrics, apart = found.metrics, found.differences
    assert set(metrics.loc[metrics["suppressed"], "level"]) == {"few", "next"}
    gone = metrics[metrics["suppressed"]]
    assert gone[["value", "lower", "upper", "se", "n", "events"]].isna().all(axis=None)
    assert gone["note"].str.contains("fewer than 10").all()
    assert apart.loc[apart["level"].isin(["few", "next"]), ["value", "p", "p_adjusted"]].isna().all(axis=None)
    assert apart.loc[apart["level"].isin(["big", "middle"]), "value"].notna().all()


def test_few_events_are_not_counted_out():
    time, event, risks, _ = cohort(300)
    case = np.flatnonzero((event == 1) & (time <= 5))
    labels = np.full(300, "most", dtype=object)
    labels[case[:3]] = "rare"
    labels[np.flatnonzero(event == 0)[:40]] = "rare"
    labels[case[3:15]] = "twelve"
    labels[np.flatnonzero(event == 2)[:20]] = "twelve"
    found = evaluate_subgroups(time, event, risks, {"g": labels}, times=GRID, horizons=[5.0], measures=("brier",))
    events = (
        cells(found.metrics, model="known").assign(level=found.metrics["level"].unique()).set_index("level")["events"]
    )
    assert events.isna().to_dict() == {"most": False, "rare": True, "twelve": True}
    assert found.metrics["value"].notna().all()


def test_what_cannot_be_had_has_a_reason():
    time, event, risks, _ = cohort(300)
    quiet = np.flatnonzero(event == 0)[:30]
    labels = np.full(300, "most", dtype=object)
    labels[quiet] = "quiet"
    options = {"times": GRID, "measures": ("auc", "brier", "calibration_slope", "royston_d")}
    found = evaluate_subgroups(time, event, risks, {"g": labels}, horizons=[2.0], **options)
    here = cells(found.metrics, level="quiet", model="known")
    assert "no event" in here.loc[("known", 2.0, "auc"), "note"]
    assert here.loc[("known", 2.0, "brier"), "value"] > 0
    assert cells(found.differences, level="quiet").loc[("known", 2.0, "auc"), ["value", "p"]].isna().all()
    late = evaluate_subgroups(time, event, risks, {"g": labels}, horizons=[5.0, 50.0], **options).metrics
    assert late.loc[late["horizon"] == 50, "note"].str.contains("predictions end").all()


def test_missing_labels_are_a_level_and_empty_levels_are_said():
    time, event, risks, group = cohort(300)
    labels = pd.Categorical(np.where(np.arange(300) < 60, None, group), categories=["z", "b", "a"])
    found = evaluate_subgroups(time, event, risks, {"g": labels}, times=GRID, horizons=[5.0], measures=("auc",))
    rows = found.metrics[found.metrics["model"] == "known"].set_index("level")
    assert list(rows.index) == ["z", "b", "a", NOT_KNOWN]
    assert rows["n"].tolist()[0::3] == [0.0, 60.0]
    assert rows.loc["z", "note"] == "no patient of this level"
    assert not rows["suppressed"].any()
    assert "z" not in set(found.differences["level"])
    one = evaluate_subgroups(time, event, risks, {"g": np.ones(300)}, times=GRID, horizons=[5.0], measures=("auc",))
    assert (list(one.metrics["level"].unique()), len(one.differences)) == (["1"], 0)


def test_perfect_order_in_a_level_has_an_interval():
    rng = np.random.default_rng(0)
    event = np.tile([1, 0, 0, 0], 30)
    time = np.where(event == 1, rng.uniform(1, 4, 120), 9.0)
    risk = np.where(np.arange(120) < 60, 0.1 + 0.5 * event, rng.random(120))
    labels = np.where(np.arange(120) < 60, "sure", "unsure")
    found = evaluate_subgroups(time, event, {"m": risk}, {"g": labels}, times=(), horizons=[5.0], measures=("auc",))
    row = found.metrics.iloc[0]
    assert (row["value"], row["upper"]) == (1.0, 1.0)
    assert row["lower"] == pytest.approx(0.025 ** (1 / 15))
    assert found.differences["se"].iloc[0] > row["se"]


def test_bad_arguments_are_named():
    time, event, risks, group = cohort(60)
    options = {"times": GRID, "horizons": [5.0]}
    with pytest.raises(UsageError, match="unknown measures: gini"):
        evaluate_subgroups(time, event, risks, {"g": group}, measures=("gini",), **options)
    with pytest.raises(UsageError, match="labels of 'g'"):
        evaluate_subgroups(time, event, risks, {"g": group[1:]}, **options)
    with pytest.raises(UsageError, match="60 levels"):
        evaluate_subgroups(time, event, risks, {"g": np.arange(60)}, **options)
    with pytest.raises(UsageError, match="null model"):
        evaluate_subgroups(time, event, risks, {"g": group}, null="cox", **options)


def test_numbers_are_cut_where_asked():
    age = np.array([49.0, 50.0, 64.0, 65.0, np.nan, 90.0])
    found = cut(age, (50, 65))
    assert list(found.categories) == ["< 50", "50 to 64", ">= 65"]
    assert levels(found, 6, "age")[1].tolist() == [0, 1, 1, 2, 3, 2]
    assert levels(found, 6, "age")[0][-1] == NOT_KNOWN
    assert list(cut(age + 0.5, (50, 65)).categories) == ["< 50", "50 to < 65", ">= 65"]
    assert list(cut([1.0, 2.0], (2,)).categories) == ["< 2", ">= 2"]
    assert list(cut(np.arange(5), (2, 3)).categories) == ["< 2", "2", ">= 3"]
    with pytest.raises(UsageError, match="each above the one before"):
        cut(age, (65, 50))
    with pytest.raises(UsageError, match="expected numbers"):
        cut(["old"], (50,), "age")


def test_without_cuts_numbers_fall_into_thirds_with_round_bounds():
    rng = np.random.default_rng(0)
    age = rng.normal(62, 11, 3000)
    found = cut(age)
    assert [name.split(" (")[1] for name in found.categories] == ["lowest third)", "middle third)", "highest third)"]
    assert list(found.categories)[1] == "57 to < 66 (middle third)"
    assert pd.Series(found).value_counts(normalize=True).between(0.3, 0.37).all()
    assert list(cut(np.round(age)).categories)[1] == "57 to 65 (middle third)"
    assert list(cut(age / 1000).categories)[1] == "0.057 to < 0.066 (middle third)"
    assert list(cut(np.append(np.zeros(80), np.arange(1, 21))).categories) == ["< 1", ">= 1"]
    assert list(cut(np.full(50, 3.7)).categories) == ["known"]
    assert list(cut(age[:20]).categories) == ["known"]


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=80))
def test_every_number_has_a_level(values):
    numbers = np.array([np.nan if value is None else value for value in values])
    names, codes = levels(cut(numbers), len(numbers), "x")
    assert len(set(names)) == len(names)
    assert codes.min() >= 0
    assert [names[code] == NOT_KNOWN for code in codes] == np.isnan(numbers).tolist()


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.sets(st.integers(0, 5)))
def test_counts_hidden_for_another_reason_stay_hidden_and_protect(counts, also):
    also = [i for i in also if i < len(counts)]
    gone = hidden(counts, also=also)
    assert all(gone[i] for i in also)
    assert all(gone[i] for i, count in enumerate(counts) if 0 < count < 10)
    lost = [count for count, is_gone in zip(counts, gone, strict=True) if is_gone and count]
    if lost and any(not is_gone and count >= 10 for count, is_gone in zip(counts, gone, strict=True)):
        assert len(lost) > 1
        assert sum(lost) >= 10
    assert reveal(counts) == [None if is_gone else c for c, is_gone in zip(counts, hidden(counts), strict=True)]
