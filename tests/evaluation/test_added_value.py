"""Added value: what is there is found, what is not is not, and the words say no more than the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from osler.errors import UsageError
from osler.evaluation import evaluate
from osler.evaluation.added_value import added_value
from osler.evaluation.censoring import StratifiedCensoring
from osler.evaluation.estimate import standard_error
from osler.evaluation.utility import net_benefit_differences

GRID = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
HORIZONS = [3.0, 5.0]


def curves(lp):
    return -np.expm1(-np.exp(lp)[:, None] * GRID / 8)


def cohort(n=1200, seed=0, second=0.8):
    """Risk depends on a first variable and, by ``second``, on another one."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(size=n)
    times = np.stack(
        [rng.uniform(1, 14, n), rng.exponential(8 * np.exp(-0.7 * x - second * z)), rng.exponential(20, n)]
    )
    return times.min(axis=0), times.argmin(axis=0), x, z


def steps(x, z, weight=0.8, then=None):
    chain = [("record", "", curves(0.7 * x + 0.2)), ("record + visits", "visits", curves(0.7 * x + weight * z))]
    return chain if then is None else [*chain, ("record + visits + images", "images", then)]


def row(frame, step, measure, horizon=5.0):
    found = frame[(frame["step"] == step) & (frame["measure"] == measure) & (frame["horizon"] == horizon)]
    assert len(found) == 1
    return found.iloc[0]


def test_values_and_paired_differences_are_those_of_an_evaluation():
    time, event, x, z = cohort(500)
    found = added_value(
        time, event, steps(x, z), times=GRID, horizons=HORIZONS, thresholds=[0.1, 0.25], model="cox", landmark=2.0
    )
    risks = {label: risk for label, _, risk in steps(x, z)}
    measures = ("auc", "brier", "integrated_brier", "ipa")
    whole = evaluate(time, event, risks, times=GRID, horizons=HORIZONS, measures=measures)
    metrics = whole.metrics.set_index(["model", "measure", "horizon"])
    pairs = whole.differences.set_index(["model", "versus", "measure", "horizon"])
    for horizon in HORIZONS:
        for name in measures:
            for label in risks:
                numbers = ["value", "lower", "upper", "se"]
                expected = metrics.loc[(label, name, horizon), numbers].astype(float)
                np.testing.assert_allclose(
                    row(found.added, label, name, horizon)[numbers].astype(float), expected, rtol=1e-9
                )
            if name != "ipa":
                mine = row(found.added_differences, "record + visits", name, horizon)
                expected = pairs.loc[("record + visits", "record", name, horizon)]
                assert mine["value"] == pytest.approx(expected["value"], rel=1e-9)
                assert mine["se"] == pytest.approx(expected["se"], rel=1e-9)
    acted = {label: risk[:, -1] for label, risk in risks.items()}
    utility = net_benefit_differences(time, event, acted, horizon=5.0, thresholds=[0.25])
    expected = utility[(utility["model"] == "record + visits") & (utility["versus"] == "record")].iloc[0]
    mine = row(found.added_differences, "record + visits", "net_benefit@0.25")
    assert mine[["value", "lower", "se"]].tolist() == pytest.approx(expected[["value", "lower", "se"]].tolist())
    assert set(found.added["measure"]) == {*measures, "net_benefit@0.10", "net_benefit@0.25"}
    assert (set(found.added["model"]), set(found.added["landmark"])) == ({"cox"}, {2.0})
    assert found.added["added"].unique().tolist() == ["", "visits"]


def test_refitting_and_covariates_of_censoring_are_allowed_for_as_in_an_evaluation():
    time, event, x, z = cohort(600)
    rng = np.random.default_rng(3)
    folds = rng.integers(0, 5, (2, 600))
    chain = [
        (label, added, np.stack([np.clip(risk + 0.05 * rng.normal(size=5)[fold, None], 0, 1) for fold in folds]))
        for label, added, risk in steps(x, z)
    ]
    for options in ({"folds": folds}, {"censoring": StratifiedCensoring(x > 0)}):
        found = added_value(time, event, chain, times=GRID, horizons=[5.0], **options).added_differences
        risks = {label: risk for label, _, risk in chain}
        whole = evaluate(time, event, risks, times=GRID, horizons=[5.0], **options)
        pairs = whole.differences[whole.differences["model"] == "record + visits"].set_index("measure")
        for name in ("auc", "brier", "integrated_brier"):
            mine = row(found, "record + visits", name)
            assert mine[["value", "se"]].tolist() == pytest.approx(pairs.loc[name, ["value", "se"]].tolist(), rel=1e-9)


def test_what_is_read_together_has_wider_intervals_than_what_is_read_alone():
    time, event, x, z = cohort()
    chain = steps(x, z, then=curves(0.7 * x + 0.8 * z + 0.1 * np.sin(50 * x)))
    found = added_value(time, event, chain, times=GRID, horizons=HORIZONS).added_differences
    assert (found["simultaneous_lower"] < found["lower"]).all()
    assert (found["simultaneous_upper"] > found["upper"]).all()
    reach = (found["simultaneous_upper"] - found["value"]) / found["se"]
    family = found["measure"].str.split("@").str[0]
    assert (reach.groupby(family).std() < 1e-9).all()
    assert reach.groupby(family).first()["net_benefit"] > reach.groupby(family).first()["brier"]
    alone = added_value(time, event, steps(x, z), times=GRID, horizons=[5.0]).added_differences
    brier = alone[alone["measure"] == "brier"].iloc[0]
    assert (brier["lower"], brier["upper"]) == pytest.approx((brier["simultaneous_lower"], brier["simultaneous_upper"]))


def test_what_helps_is_said_to_help():
    time, event, x, z = cohort()
    found = added_value(time, event, steps(x, z), times=GRID, horizons=[5.0], labels={"visits": "clinic visits"})
    (told,) = found.verdict
    assert (told["verdict"], told["added"], told["horizon"], told["step"]) == (
        "helps",
        "visits",
        5.0,
        "record + visits",
    )
    brier, auc = (row(found.added_differences, "record + visits", name) for name in ("integrated_brier", "auc"))
    assert told["sentence"] == (
        f"Adding clinic visits to the record lowered the integrated Brier score up to 5 d by {-brier['value']:.4f} "
        f"({-brier['upper']:.4f} to {-brier['lower']:.4f}) and raised the AUC by {auc['value']:.3f} "
        f"({auc['lower']:.3f} to {auc['upper']:.3f}): it helps."
    )


def test_what_misleads_is_said_to_harm():
    time, event, x, z = cohort(second=0.0)
    (told,) = added_value(time, event, steps(x, z), times=GRID, horizons=[5.0]).verdict
    assert told["verdict"] == "harms"
    assert "raised the integrated Brier score" in told["sentence"]
    assert told["sentence"].endswith(": it harms.")


def test_a_better_order_alone_does_not_help():
    """Risks in a better order that are far too high: AUC rises, the Brier score tells the truth."""
    time, event, x, z = cohort()
    chain = [("record", "", curves(0.7 * x + 0.2)), ("record + visits", "visits", curves(0.7 * x + 0.8 * z + 1.5))]
    found = added_value(time, event, chain, times=GRID, horizons=[5.0])
    assert row(found.added_differences, "record + visits", "auc")["lower"] > 0
    assert found.verdict[0]["verdict"] == "harms"


def test_what_adds_nothing_is_not_shown_to_help():
    rng = np.random.default_rng(7)
    time, event, x, _ = cohort(second=0.0)
    chain = steps(x, 0.02 * rng.normal(size=len(x)), 1.0)
    chain[0] = ("record", "", curves(0.7 * x))
    (told,) = added_value(time, event, chain, times=GRID, horizons=[5.0]).verdict
    assert told["verdict"] == "not shown"
    assert told["sentence"].endswith(": it was not shown to help.")


def test_identical_predictions_differ_by_exactly_nothing():
    time, event, x, z = cohort(300)
    chain = steps(x, z, then=curves(0.7 * x + 0.8 * z))
    found = added_value(time, event, chain, times=GRID, horizons=HORIZONS)
    same = found.added_differences[found.added_differences["added"] == "images"]
    numbers = ["value", "lower", "upper", "se", "simultaneous_lower", "simultaneous_upper"]
    assert (same[numbers] == 0).all(axis=None)
    told = [verdict for verdict in found.verdict if verdict["added"] == "images"]
    assert {verdict["verdict"] for verdict in told} == {"not shown"}
    assert told[0]["sentence"] == (
        "Adding images to the record and visits left predictions up to 3 d as they were: it was not shown to help."
    )


@pytest.mark.slow
def test_chance_is_said_to_help_no_more_often_than_promised():
    """Twelve useless steps and horizons read together: rarely a claim among them, however many are read."""
    claims = alone = 0
    for seed in range(120):
        rng = np.random.default_rng(1000 + seed)
        time, event, x, _ = cohort(300, seed=seed, second=0.0)
        risk, chain = 0.7 * x, []
        for k in range(5):
            # Each step is off as much as the one before, in another direction.
            lp = risk + 0.4 * rng.normal(size=len(x))
            chain.append((" + ".join("abcde"[: k + 1]), "abcde"[k] if k else "", curves(lp)))
        found = added_value(time, event, chain, times=GRID, horizons=[2.0, 3.0, 5.0], thresholds=())
        claims += any(verdict["verdict"] != "not shown" for verdict in found.verdict)
        score = found.added_differences[found.added_differences["measure"] == "integrated_brier"]
        alone += bool(((score["lower"] > 0) | (score["upper"] < 0)).any())
    assert claims / 120 < 0.11
    assert alone / 120 > 0.15


def test_a_claim_that_does_not_survive_reading_many_is_said_to_be_none():
    time, event, x, z = cohort()
    chain = steps(x, z, then=curves(0.7 * x + 0.8 * z + 0.1 * np.sin(50 * x)))
    plain = added_value(time, event, chain, times=GRID, horizons=HORIZONS)
    brier = row(plain.added_differences, "record + visits", "integrated_brier")
    reach = (brier["simultaneous_upper"] - brier["value"]) / brier["se"]
    # An error such that the interval of one comparison leaves out 0, and that of all together does not.
    wanted = -brier["value"] / (0.5 * (1.959964 + reach))

    def error(influence):
        return standard_error(influence) * wanted / brier["se"]

    found = added_value(time, event, chain, times=GRID, horizons=HORIZONS, error=error)
    told = next(v for v in found.verdict if v["added"] == "visits" and v["horizon"] == 5.0)
    assert told["verdict"] == "not shown"
    assert told["sentence"].endswith(
        "it was not shown to help. The 95% intervals hold for the 4 comparisons read here together. Read alone, it "
        "would have been said to help."
    )


def test_without_an_integral_the_brier_score_decides():
    time, event, x, z = cohort()
    chain = [(label, added, risk[:, -1:]) for label, added, risk in steps(x, z)]
    found = added_value(time, event, chain, times=[5.0], horizons=[5.0])
    assert "fewer than 2 times" in row(found.added, "record", "integrated_brier")["note"]
    assert found.verdict[0]["verdict"] == "helps"
    assert "lowered the Brier score up to 5 d" in found.verdict[0]["sentence"]


def test_what_cannot_be_said_is_said_so():
    time, event, x, z = cohort(300)
    found = added_value(time, event, steps(x, z), times=GRID, horizons=[5.0, 40.0])
    late = next(told for told in found.verdict if told["horizon"] == 40.0)
    assert late["verdict"] == "not shown"
    assert late["sentence"] == (
        "What adding visits to the record does up to 40 d cannot be said: predictions end at 5 d."
    )
    assert row(found.added, "record", "auc", 40.0)["note"] == "predictions end at 5 d"
    assert np.isnan(row(found.added_differences, "record + visits", "auc", 40.0)["se"])
    one = added_value(time, event, steps(x, z)[:1], times=GRID, horizons=[5.0])
    assert (len(one.added_differences), one.verdict) == (0, [])


def test_repeats_are_averaged_with_their_folds():
    time, event, x, z = cohort(400)
    rng = np.random.default_rng(1)
    folds = rng.integers(0, 3, (2, 400))
    chain = [
        (label, added, np.stack([risk, np.clip(risk + 0.02 * rng.normal(size=risk.shape), 0, 1)]))
        for label, added, risk in steps(x, z)
    ]
    both = added_value(time, event, chain, times=GRID, horizons=[5.0], strata=folds).added
    each = [
        added_value(
            time, event, [(a, b, risk[r]) for a, b, risk in chain], times=GRID, horizons=[5.0], strata=folds[r]
        ).added
        for r in range(2)
    ]
    np.testing.assert_allclose(both["value"], (each[0]["value"] + each[1]["value"]) / 2, rtol=1e-12)


def test_order_of_patients_and_copies_in_clusters_do_not_matter():
    time, event, x, z = cohort(300)
    plain = added_value(time, event, steps(x, z), times=GRID, horizons=[5.0])
    for rows, clusters in ((np.random.default_rng(0).permutation(300), None), (np.repeat(np.arange(300), 2),) * 2):
        again = added_value(
            time[rows], event[rows], steps(x[rows], z[rows]), times=GRID, horizons=[5.0], clusters=clusters
        )
        pd.testing.assert_frame_equal(again.added, plain.added, rtol=1e-7)
        pd.testing.assert_frame_equal(again.added_differences, plain.added_differences, rtol=1e-4, atol=1e-9)
        assert again.verdict == plain.verdict


def test_bad_arguments_are_named():
    time, event, x, z = cohort(50)
    with pytest.raises(UsageError, match="1 of 2 steps have the label"):
        added_value(time, event, [steps(x, z)[0]] * 2, times=GRID, horizons=[5.0])
    with pytest.raises(UsageError, match="no model"):
        added_value(time, event, [], times=GRID, horizons=[5.0])
    with pytest.raises(UsageError, match="thresholds"):
        added_value(time, event, steps(x, z), times=GRID, horizons=[5.0], thresholds=[10])
