"""The whole of evaluate, combine and evaluate_table: what is promised, and what happens where nothing can be said."""

from __future__ import annotations

import time as clock

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from osler.errors import UsageError
from osler.evaluation import Estimate, Evaluation, combine, evaluate, evaluate_table
from osler.evaluation.evaluation import FRAMES
from osler.evaluation.measuring import MEASURES

GRID = np.linspace(0.0, 10.0, 21)


def cohort(n=300, seed=0, ends=(4, 14)):
    """Time, event, risks on GRID of the truth, of a noisy sight of it, and of the mean."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    times = np.stack([rng.uniform(*ends, n), rng.exponential(9 * np.exp(-x)), rng.exponential(25, n)])

    def risk(lp):
        hazard = np.exp(lp)[:, None] / 9
        total = hazard + 1 / 25
        return hazard / total * -np.expm1(-total * GRID)

    known = risk(x)
    mean = np.tile(known.mean(axis=0), (n, 1))
    return (
        times.min(axis=0),
        times.argmin(axis=0),
        {"reference": mean, "noisy": risk(x + rng.normal(size=n)), "known": known},
    )


def judged(**options):
    time, event, risks = cohort()
    return evaluate(time, event, risks, **{"times": GRID, "horizons": [4.0, 8.0], **options})


def value(evaluation, model, measure, horizon=4.0):
    return evaluation.estimate(model, measure, horizon=horizon).value


def test_frames_hold_every_cell():
    found = judged(landmark=2.0)
    assert list(found.metrics) == [
        "model", "landmark", "horizon", "measure", "value", "lower", "upper", "se", "calibrated_lower",
        "calibrated_upper", "at_risk", "events", "effective", "note",
    ]  # fmt: skip
    assert {name: list(frame) for name, frame in found.frames.items()} == FRAMES
    assert found.metrics["effective"].between(50, 300).all()
    assert len(found.metrics) == 3 * 2 * len(MEASURES)
    assert set(found.metrics["landmark"]) == {2.0}
    assert found.metrics[["value", "lower", "upper", "se"]].notna().all(axis=None)
    assert (found.metrics["note"] == "").all()
    assert len(found.differences) == 3 * 2 * 2 * 4
    assert set(found.differences["measure"]) == {"auc", "brier", "integrated_brier", "ipa"}
    assert list(found.calibration)[:4] == ["model", "landmark", "horizon", "group"]
    assert found.calibration.groupby(["model", "horizon"])["n"].sum().eq(300).all()


def test_further_measures_on_request():
    asked = ("c_index", "calibration_slope", "calibration_intercept", "auc")
    found = judged(measures=asked)
    assert tuple(dict.fromkeys(found.metrics["measure"])) == asked
    assert set(found.differences["measure"]) == {"c_index", "auc"}
    assert value(found, "known", "c_index") > value(found, "noisy", "c_index")
    assert value(found, "noisy", "calibration_slope") < 0.8 < value(found, "known", "calibration_slope")
    assert np.isnan(value(found, "reference", "calibration_slope"))
    with pytest.raises(UsageError, match="unknown measures: r2"):
        judged(measures=("auc", "r2"))


def test_the_truth_is_better_than_a_noisy_sight_of_it():
    found = judged()
    assert value(found, "known", "auc") > value(found, "noisy", "auc") > value(found, "reference", "auc")
    for measure in ("brier", "integrated_brier"):
        assert value(found, "known", measure) < value(found, "noisy", measure)
    expected = found.estimate("known", "observed_expected", horizon=8.0)
    assert expected.lower < 1 < expected.upper


def test_differences_are_differences_and_antisymmetric():
    found = judged()
    table = found.differences.set_index(["measure", "horizon", "model", "versus"]).sort_index()
    for measure in ("auc", "brier", "integrated_brier"):
        there, back = table.loc[(measure, 4.0, "known", "noisy")], table.loc[(measure, 4.0, "noisy", "known")]
        gap = value(found, "known", measure) - value(found, "noisy", measure)
        assert there["value"] == pytest.approx(gap)
        assert [there["value"], there["lower"], there["se"]] == pytest.approx(
            [-back["value"], -back["upper"], back["se"]]
        )
    same = {"one": cohort()[2]["noisy"], "two": cohort()[2]["noisy"]}
    twins = evaluate(*cohort()[:2], same, times=GRID, horizons=[4.0]).differences
    assert not twins[["value", "se"]].to_numpy().any()


def test_the_null_is_the_reference_or_the_incidence_of_these_patients():
    assert value(judged(), "reference", "ipa") == 0.0
    own = judged(null=None)
    assert own.null is None
    assert value(own, "reference", "ipa") == pytest.approx(0.0, abs=0.02)
    assert value(own, "reference", "ipa") != 0.0
    assert value(judged(null="noisy"), "noisy", "ipa") == 0.0
    time, event, risks = cohort()
    without = evaluate(time, event, {"known": risks["known"]}, times=GRID, horizons=[4.0])
    assert value(without, "known", "ipa") == pytest.approx(value(own, "known", "ipa"))
    with pytest.raises(UsageError, match="null model"):
        judged(null="nobody")


def test_between_two_times_risks_are_interpolated():
    time, event, risks = cohort()
    between = evaluate(time, event, {"known": risks["known"]}, times=GRID, horizons=[4.2])
    middle = 0.6 * risks["known"][:, 8] + 0.4 * risks["known"][:, 9]
    exact = evaluate(time, event, {"known": middle[:, None]}, times=[4.2], horizons=[4.2])
    for measure in ("auc", "brier", "observed_expected"):
        assert value(between, "known", measure, 4.2) == pytest.approx(value(exact, "known", measure, 4.2))
    assert "nothing to integrate" in exact.estimate("known", "integrated_brier", horizon=4.2).note


def test_a_horizon_past_follow_up_is_refused_by_name_and_the_others_stand():
    time, event, risks = cohort(ends=(4, 6))
    found = evaluate(time, event, risks, times=GRID, horizons=[4.0, 8.0])
    late = found.metrics[found.metrics["horizon"] == 8.0]
    assert late["value"].isna().all()
    assert late["note"].str.contains("follow-up ends before 8 d: 0 patients at risk").all()
    assert (late["at_risk"] == 0).all()
    early = judged_part(evaluate(time, event, risks, times=GRID, horizons=[4.0]))
    pd.testing.assert_frame_equal(judged_part(found, 4.0), early)
    beyond = evaluate(
        time, event, {name: risk[:, :9] for name, risk in risks.items()}, times=GRID[:9], horizons=[4.0, 5.0]
    )
    assert beyond.metrics.query("horizon == 5")["note"].str.contains("predictions end at 4 d").all()


def judged_part(found, horizon=4.0):
    return found.metrics[found.metrics["horizon"] == horizon].reset_index(drop=True)


def test_follow_up_that_ends_with_everybody_dead_is_support_enough():
    time, event = np.array([1.0, 2.0, 3.0, 2.5]), np.array([1, 1, 1, 0])
    found = evaluate(time, event, {"m": np.full((4, 1), 0.9)}, times=[5.0], horizons=[5.0])
    assert value(found, "m", "brier", 5.0) == pytest.approx(0.01)
    assert "nobody to compare with" in found.estimate("m", "auc", horizon=5.0).note


@pytest.mark.parametrize(
    ("event", "measure", "note"),
    [
        ([0, 0, 0, 0], "auc", "no event of interest"),
        ([2, 2, 0, 0], "auc", "no event of interest"),
        ([0, 0, 0, 0], "observed_expected", "no event of interest"),
        ([0, 0, 0, 0], "ipa", "without error"),
        ([1, 1, 1, 1], "auc", "nobody to compare with"),
    ],
)
def test_one_class_only(event, measure, note):
    time = np.where(np.array(event) > 0, 1.0, 9.0)
    found = evaluate(time, event, {"m": np.full((4, 21), 0.3)}, times=GRID, horizons=[4.0])
    cell = found.estimate("m", measure, horizon=4.0)
    assert np.isnan([cell.value, cell.lower, cell.upper, cell.se]).all()
    assert note in cell.note
    share = np.mean(np.array(event) == 1)
    assert value(found, "m", "brier") == pytest.approx(share * 0.49 + (1 - share) * 0.09)


def test_one_patient_and_none():
    one = evaluate([9.0], [0], {"m": np.full((1, 21), 0.3)}, times=GRID, horizons=[4.0])
    cell = one.estimate("m", "brier", horizon=4.0)
    assert cell == Estimate(cell.value, cell.lower, cell.upper, cell.se, 1, 0, cell.note)
    assert cell.value == pytest.approx(0.09)
    assert np.isnan(cell.se)
    assert "one patient" in cell.note
    nobody = evaluate([], [], {"m": np.empty((0, 21))}, times=GRID, horizons=[4.0])
    assert nobody.metrics["value"].isna().all()
    assert nobody.metrics["note"].str.contains("no patient is at risk").all()
    assert not len(nobody.calibration)


def test_a_model_without_any_risk_spoils_only_its_own_ratio():
    time, event, risks = cohort()
    found = evaluate(time, event, {"zero": 0 * risks["known"], "known": risks["known"]}, times=GRID, horizons=[4.0])
    assert np.isnan(value(found, "zero", "observed_expected"))
    assert found.estimate("zero", "observed_expected", horizon=4.0).note
    assert value(found, "known", "observed_expected") > 0


def test_constant_predictions_have_an_auc_of_one_half_without_error():
    cell = judged().estimate("reference", "auc", horizon=8.0)
    assert cell.value == pytest.approx(0.5, abs=1e-12)
    assert cell.se == 0.0


def test_few_patients_in_perfect_order_are_no_certainty():
    time, event = np.array([1.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0]), np.array([1, 1, 1, 0, 0, 0, 0])
    risk = np.where(event == 1, 0.7, 0.2)[:, None]
    for name, one in (("right", risk), ("wrong", 1 - risk)):
        found = evaluate(time, event, {name: one}, times=[8.0], horizons=[8.0]).estimate(name, "auc", horizon=8.0)
        bound = 0.025 ** (1 / 3)  # three pairs that share nobody
        expected = (1.0, bound, 1.0) if name == "right" else (0.0, 0.0, 1 - bound)
        np.testing.assert_allclose([found.value, found.lower, found.upper], expected, atol=1e-12)


def test_fixed_outcomes_give_the_plain_measures():
    rng = np.random.default_rng(2)
    n, h = 200, 365.25
    happened = rng.random(n) < 0.3
    risk = np.clip(0.2 + 0.3 * happened + 0.2 * rng.normal(size=n), 0, 1)
    for late in (h + 1, h):  # those without the event are followed a day longer, or to the very horizon
        found = evaluate(
            np.where(happened, h, late), happened.astype(int), {"m": risk[:, None]}, times=[h], horizons=[h]
        )
        assert value(found, "m", "brier", h) == pytest.approx(((happened - risk) ** 2).mean())
        pairs = np.sign(risk[happened][:, None] - risk[~happened]).mean() / 2 + 0.5
        assert value(found, "m", "auc", h) == pytest.approx(pairs)
        assert value(found, "m", "observed_expected", h) == pytest.approx(happened.mean() / risk.mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_order_of_patients_and_the_unit_of_time_do_not_matter(seed):
    order = np.random.default_rng(seed).permutation(60)
    time, event, risks = cohort(60, seed=3)
    strata = np.arange(60) % 3
    plain = evaluate(time, event, risks, times=GRID, horizons=[4.0], strata=strata).metrics
    moved = evaluate(
        365.25 * time[order],
        event[order],
        {name: risk[order] for name, risk in risks.items()},
        times=365.25 * GRID,
        horizons=[365.25 * 4.0],
        strata=[f"fold {s}" for s in strata[order]],
    ).metrics
    columns = ["value", "lower", "upper", "se"]
    np.testing.assert_allclose(moved[columns].to_numpy(), plain[columns].to_numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": [0.0, 1.0]}, "above 0.* 1 of 2"),
        ({"time": [-1.0, 1.0]}, "above 0"),
        ({"time": [np.nan, 1.0]}, "above 0"),
        ({"event": [0.5, 1.0]}, "whole numbers"),
        ({"event": [-1, 1]}, "positive"),
        ({"event": [1]}, "one length"),
        ({"risks": {}}, "no model"),
        ({"risks": {"m": [[0.1, 0.2]]}}, r"\(1, 2\)"),
        ({"risks": {"m": [[0.1, 1.2], [0.1, 0.2]]}}, "1 of 2"),
        ({"risks": {"m": [[0.1, np.nan], [0.1, 0.2]]}}, "1 of 2"),
        ({"times": [2.0, 1.0]}, "increasing"),
        ({"times": [0.0, np.inf]}, "finite"),
        ({"horizons": []}, "at least one"),
        ({"horizons": [0.0]}, "above 0"),
        ({"strata": [1]}, "one label"),
        ({"clusters": [1]}, "one label"),
        ({"level": 1.0}, "level"),
        ({"cause": 0}, "cause"),
    ],
)
def test_what_is_no_outcome_or_risk_is_refused(change, message):
    sound = {"time": [1.0, 2.0], "event": [0, 1], "risks": {"m": [[0.1, 0.2], [0.1, 0.2]]}}
    given = {**sound, "times": [1.0, 2.0], "horizons": [2.0], **change}
    with pytest.raises(UsageError, match=message):
        evaluate(given.pop("time"), given.pop("event"), given.pop("risks"), **given)


def test_combine_puts_landmarks_below_each_other():
    parts = [judged(landmark=0.0), judged(landmark=1.0)]
    both = combine(parts)
    assert len(both.metrics) == sum(len(part.metrics) for part in parts)
    pd.testing.assert_frame_equal(both.metrics.query("landmark == 1").reset_index(drop=True), parts[1].metrics)
    assert set(both.calibration["landmark"]) == {0.0, 1.0}


def test_repeats_of_a_cross_validation_are_averaged():
    time, event, risks = cohort()
    other = {name: np.clip(risk * 0.9, 0, 1) for name, risk in risks.items()}
    parts = [evaluate(time, event, r, times=GRID, horizons=[4.0]) for r in (risks, other)]
    stacked = {name: np.stack([risks[name], other[name]]) for name in risks}
    both = evaluate(time, event, stacked, times=GRID, horizons=[4.0])
    for model, measure in (("known", "brier"), ("noisy", "auc"), ("known", "observed_expected")):
        cells = [part.estimate(model, measure, horizon=4.0) for part in parts]
        mean = both.estimate(model, measure, horizon=4.0)
        assert mean.value == pytest.approx(np.mean([cell.value for cell in cells]))
        # The same patients were judged twice: the mean varies no less than what the repeats share.
        assert min(cell.se for cell in cells) * 0.95 <= mean.se <= np.mean([cell.se for cell in cells]) + 1e-12
        assert mean.lower < mean.value < mean.upper
        assert (mean.at_risk, mean.events) == (cells[0].at_risk, cells[0].events)
    pd.testing.assert_frame_equal(both.calibration, parts[0].calibration)
    assert len(both.differences) == len(parts[0].differences)
    ratio = both.estimate("known", "observed_expected", horizon=4.0)
    assert ratio.lower * ratio.upper == pytest.approx(ratio.value**2)


def test_folds_compare_within_and_widen():
    time, event, risks = cohort()
    fold = np.arange(300) % 5
    # The models of the folds differ: in some the risks are drawn together, in others apart.
    spread = np.array([0.3, 0.6, 1.0, 1.5, 2.2])[fold][:, None]
    skewed = {name: np.clip(risk * spread, 0, 1) for name, risk in risks.items()}
    plain = evaluate(time, event, skewed, times=GRID, horizons=[4.0], strata=fold)
    found = evaluate(time, event, skewed, times=GRID, horizons=[4.0], folds=fold)
    np.testing.assert_array_equal(found.metrics["value"], plain.metrics["value"])
    ratio = (found.metrics["se"] / plain.metrics["se"]).set_axis(found.metrics["measure"])
    assert (ratio.dropna() >= 1 - 1e-12).all()
    assert ratio["brier"].max() > 1.1
    assert (found.differences["se"] >= plain.differences["se"] - 1e-15).all()


def test_simultaneous_bounds_hold_the_others_and_more():
    found = judged().differences
    assert (found["simultaneous_lower"] <= found["lower"] + 1e-12).all()
    assert (found["simultaneous_upper"] >= found["upper"] - 1e-12).all()
    reach = ((found["simultaneous_upper"] - found["value"]) / found["se"]).groupby(found["measure"])
    assert reach.max().sub(reach.min()).max() < 1e-9
    assert reach.mean().between(ndtri(0.975), ndtri(1 - 0.025 / 6)).all()


def test_smooth_calibration_and_decision_curves_on_request():
    found = judged(measures=("ici", "observed_expected", "d_calibration"), thresholds=[0.2, 0.1], replicates=50)
    cells = found.metrics.set_index(["model", "measure", "horizon"])
    assert cells.loc[("noisy", "ici", 4.0), "value"] > cells.loc[("noisy", "ici", 4.0), "calibrated_upper"]
    known = cells.loc["known"]
    assert (known["calibrated_lower"] <= known["calibrated_upper"]).all()
    assert set(found.smooth["model"]) == {"reference", "known", "noisy"}
    assert found.smooth.query("model == 'known'")["calibrated_upper"].notna().all()
    assert set(found.decision["model"]) == {"reference", "known", "noisy", "treat all", "treat none"}
    assert list(found.decision["threshold"].unique()) == [0.1, 0.2]
    nobody = found.decision.query("model == 'treat none'")
    assert (nobody[["value", "se"]] == 0).all(axis=None)
    told = []
    again = judged(
        measures=("ici", "observed_expected", "d_calibration"),
        thresholds=[0.2, 0.1],
        replicates=50,
        progress=lambda what, done, total: told.append((done, total)),
    )
    assert told[0] == (0, 3)
    assert told[-1] == (3, 3)
    pd.testing.assert_frame_equal(found.metrics, again.metrics)


def test_means_over_landmarks_count_every_patient_once():
    time, event, risks = cohort()
    later = time > 1.0
    who = np.array([f"p{i}" for i in range(300)])
    grid = GRID[GRID <= 8]
    parts = [
        evaluate(time, event, risks, times=GRID, horizons=[4.0], patients=who),
        evaluate(
            time[later] - 1.0,
            event[later],
            {name: risk[later][:, : len(grid)] for name, risk in risks.items()},
            times=grid,
            horizons=[4.0],
            patients=who[later],
            landmark=1.0,
        ),
    ]
    both = combine(parts)
    mean = both.overall.set_index(["model", "measure"]).loc[("known", "brier")]
    each = [part.estimate("known", "brier", landmark=s, horizon=4.0) for part, s in zip(parts, (0.0, 1.0), strict=True)]
    assert mean["value"] == pytest.approx(np.mean([cell.value for cell in each]))
    assert mean["landmarks"] == 2
    independent = np.sqrt(sum(cell.se**2 for cell in each)) / 2
    assert independent < mean["se"] <= np.mean([cell.se for cell in each])
    pair = both.overall_differences.set_index(["model", "versus", "measure"])
    ahead, back = pair.loc[("known", "noisy", "auc")], pair.loc[("noisy", "known", "auc")]
    assert ahead["value"] == pytest.approx(-back["value"])
    assert ahead["se"] == pytest.approx(back["se"])
    alone = combine(parts[:1]).overall.set_index(["model", "measure"])
    assert alone.loc[("known", "brier"), "se"] == pytest.approx(each[0].se)
    assert not len(combine([judged(landmark=0.0), judged(landmark=1.0)]).overall)


def test_combine_takes_one_model_and_landmarks_without_patients():
    time, event, risks = cohort()
    one = evaluate(time, event, {"known": risks["known"]}, times=GRID, horizons=[4.0])
    nobody = evaluate([], [], {"known": np.empty((0, 21))}, times=GRID, horizons=[4.0], landmark=9.0)
    both = combine([one, nobody])
    assert both.estimate("known", "auc", horizon=4.0) == one.estimate("known", "auc", horizon=4.0)
    assert np.isnan(both.estimate("known", "auc", landmark=9.0, horizon=4.0).value)
    assert not len(both.differences)


def test_combine_refuses_what_does_not_belong_together():
    with pytest.raises(UsageError):
        combine([])
    with pytest.raises(UsageError):
        combine([judged(), judged(level=0.9, landmark=1.0)])
    with pytest.raises(UsageError, match="each landmark can be given once"):
        combine([judged(), judged()])
    time, event, risks = cohort()
    fewer = {name: risks[name] for name in ("reference", "known")}
    with pytest.raises(UsageError, match="same models"):
        combine([judged(), evaluate(time, event, fewer, times=GRID, horizons=[4.0], landmark=1.0)])


def tables(landmark=1.0, fold=None):
    time, event, risks = cohort(80)
    patient = [f"p{i}" for i in range(80)]
    frames = [
        pd.DataFrame(
            {
                "patient": patient,
                "landmark": landmark,
                "horizon": h,
                "model": name,
                "risk": risk[:, int(2 * h)],
                "row": range(80),
            }
        )
        for name, risk in risks.items()
        for h in (4.0, 8.0)
    ]
    predictions = pd.concat(frames, ignore_index=True)
    if fold is not None:
        predictions["fold"] = fold[predictions["row"]]
    outcomes = pd.DataFrame({"patient": patient, "time": time + landmark, "event": event})
    return predictions.drop(columns="row").sample(frac=1, random_state=1), outcomes


@pytest.mark.parametrize("folds", [False, True])
def test_a_table_is_judged_as_its_arrays_are(folds):
    time, event, risks = cohort(80)
    fold = np.arange(80) % 4 if folds else None
    predictions, outcomes = tables(fold=fold)
    found = evaluate_table(predictions, outcomes)
    arrays = {name: risk[:, [8, 16]] for name, risk in risks.items()}
    expected = evaluate(time, event, arrays, times=[4.0, 8.0], horizons=[4.0, 8.0], folds=fold, landmark=1.0)
    keys = ["model", "horizon", "measure"]
    pd.testing.assert_frame_equal(
        found.metrics.sort_values(keys).reset_index(drop=True),
        expected.metrics.sort_values(keys).reset_index(drop=True),
        rtol=1e-9,
    )


def test_a_table_may_speak_of_years_and_of_patients_already_gone():
    predictions, outcomes = tables(landmark=0.0)
    outcomes["time"] *= 365.25
    text = predictions.assign(landmark="0y", horizon=predictions["horizon"].map(lambda h: f"{h:g}y"))
    later = predictions.assign(landmark="2y", horizon=predictions["horizon"].map(lambda h: f"{h - 2:g}y"))
    found = evaluate_table(pd.concat([text, later]), outcomes)
    assert set(found.metrics["landmark"]) == {0.0, 730.5}
    gone = found.estimate("known", "brier", landmark=730.5, horizon=730.5)
    start = found.estimate("known", "brier", landmark=0.0, horizon=1461.0)
    assert gone.at_risk == start.at_risk
    assert gone.events < start.events


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p, o: (p.drop(columns="risk"), o), "missing columns risk"),
        (lambda p, o: (p, o.drop(columns="event")), "missing columns event"),
        (lambda p, o: (p.iloc[1:], o), "1 of 80 patients lack"),
        (lambda p, o: (pd.concat([p, p.iloc[:2]]), o), "2 rows repeat"),
        (lambda p, o: (p, o.iloc[3:]), "3 patients have no outcome"),
        (lambda p, o: (p, pd.concat([o, o.iloc[:1]])), "1 patients occur"),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused(spoil, message):
    with pytest.raises(UsageError, match=message):
        evaluate_table(*spoil(*tables()))


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """120 cohorts, 40% censored; the mean over cohorts stands for the truth: 95% intervals hold it in 90% to 99%."""
    runs = []
    for seed in range(120):
        time, event, risks = cohort(150, seed=seed + 10, ends=(1, 12))
        few = {name: risks[name][:, ::4] for name in ("known", "noisy")}
        found = evaluate(time, event, few, times=GRID[::4], horizons=[6.0])
        part = found.metrics.assign(versus="")
        runs.append(pd.concat([part, found.differences.query("model == 'known'")]))
    cells = pd.concat(runs).groupby(["measure", "model", "versus"])
    for key, cell in cells:
        held = (cell["lower"] <= cell["value"].mean()) & (cell["value"].mean() <= cell["upper"])
        assert 0.90 <= held.mean() <= 0.99, (key, held.mean())


def test_a_study_of_four_thousand_is_judged_in_seconds():
    grid = np.linspace(0.0, 10.0, 41)
    time, event, risks = cohort(4000)
    many = {f"m{i}": np.repeat(risks["known"], 2, axis=1)[:, :41] for i in range(7)}
    began = clock.process_time()
    parts = [evaluate(time, event, many, times=grid, horizons=[5.0, 10.0], landmark=float(s)) for s in range(3)]
    assert isinstance(combine(parts), Evaluation)
    assert clock.process_time() - began < 10
