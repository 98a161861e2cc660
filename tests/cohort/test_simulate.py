import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from osler.cohort.latent import ACTIONS, CAUSES, Latent, draw_latent, log_hazards
from osler.cohort.lesion import draw_lesions
from osler.cohort.simulate import Simulated, Simulation, draw, simulate
from osler.cohort.tables import read_cohort
from osler.cohort.truth import draw_events, incidence, read_true_risk, true_risk
from osler.errors import UsageError

YEAR = 365.25


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return draw(Simulation(patients=2000, seed=7))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return simulate(tmp_path_factory.mktemp("cohort") / "small", patients=120, seed=3)


@pytest.fixture(scope="module")
def many() -> tuple[Latent, Simulation]:
    simulation = Simulation(patients=20_000, seed=5)
    return draw_latent(simulation, np.random.default_rng(5))[0], simulation


def _digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _one(latent: Latent, position: int, times: int) -> Latent:
    return latent.take(np.full(times, position))


# Files


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(folder, tmp_path):
    again = _digest(simulate(tmp_path / "again", patients=120, seed=3))
    assert again == _digest(folder)
    other = _digest(simulate(tmp_path / "other", patients=120, seed=4))
    shared = {name for name in again.keys() & other.keys() if again[name] == other[name]}
    assert shared == set()


def test_the_reader_takes_it_and_the_manifest_does_not_name_the_truth(folder):
    cohort = read_cohort(folder)
    assert cohort.modalities == ("record", "visits", "expression", "scan")
    assert len(cohort) == 120
    assert (cohort.visits["time"] < 0).any()
    assert cohort.outcome.causes == CAUSES
    assert cohort.images["scan"].values.shape[1:] == (1, 32, 32)
    assert "truth" not in json.dumps(tomllib.loads((folder / "cohort.toml").read_text()))  # comments aside
    assert json.loads((folder / "truth" / "simulation.json").read_text())["seed"] == 3
    risk = pd.read_csv(folder / "truth" / "true_risk.csv", dtype={"patient": str})
    assert set(risk["patient"]) <= set(cohort.patients)
    for landmark, rows in risk.groupby("landmark_days"):
        at_risk = cohort.patients[cohort.outcome.time > landmark]
        assert set(rows["patient"]) == set(at_risk)


def test_what_is_read_is_what_was_drawn(folder):
    cohort, drawn = read_cohort(folder), draw(Simulation(patients=120, seed=3))
    np.testing.assert_array_equal(cohort.patients, drawn.patients)
    np.testing.assert_allclose(cohort.record["age"], drawn.record["age"])
    np.testing.assert_allclose(cohort.visits["marker"], drawn.visits["marker"])
    np.testing.assert_array_equal(cohort.outcome.time, drawn.outcome["days"])
    block = cohort.images["scan"]
    assert len(block.visit) == len(drawn.pixels)
    np.testing.assert_allclose(block.values[:, 0], drawn.pixels / 255.0, atol=1e-6)
    assert cohort.genomics["expression"].available.sum() == len(drawn.expression)


def test_a_folder_that_holds_a_cohort_is_left_alone(folder):
    before = _digest(folder)
    with pytest.raises(UsageError, match="holds a cohort already"):
        simulate(folder, patients=50)
    assert _digest(folder) == before


def test_wrong_parameters_are_all_named(tmp_path):
    with pytest.raises(UsageError) as caught:
        simulate(tmp_path, patients=3, assignment="chosen", colour="red")
    assert all(word in str(caught.value) for word in ("patients", "assignment", "colour"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="accrual < years"):
        simulate(tmp_path, years=5, accrual=6)


def test_declared_effects_are_the_true_ones(folder):
    actions = tomllib.loads((folder / "cohort.toml").read_text())["actions"]
    for action, log_hr in zip(actions, ACTIONS.values(), strict=True):
        effect = action["effect"]
        assert effect["value"] == pytest.approx(np.exp(log_hr), abs=1e-6)
        assert effect["lower"] < effect["value"] < effect["upper"] < 1


# Truth


def test_incidence_agrees_with_an_ordinary_differential_equation(many):
    latent, simulation = many[0].take(np.arange(5)), many[1]

    def slope(years: float, state: np.ndarray) -> np.ndarray:
        rate = np.exp(log_hazards(latent, simulation, np.array([years])))[:, :, 0]
        free = 1 - state.reshape(5, 2).sum(axis=1, keepdims=True)
        return (rate * free).ravel()

    solved = solve_ivp(slope, (2.0, 7.0), np.zeros(10), rtol=1e-12, atol=1e-13, method="DOP853")
    expected = solved.y[:, -1].reshape(5, 2)
    np.testing.assert_allclose(true_risk(latent, simulation, 2.0)[:, :, -1], expected, atol=1e-9)


def test_incidence_of_constant_hazards_is_the_textbook_formula():
    rates = np.array([[0.1, 0.3], [2.0, 0.01]])
    edges = np.array([1.0, 1.5, 4.0])
    risk, free = incidence(lambda years: np.repeat(rates[:, :, None], len(years), axis=2), edges)
    total = rates.sum(axis=1, keepdims=True)
    expected = rates[:, :, None] / total[:, :, None] * (1 - np.exp(-total[:, :, None] * (edges - 1)))
    np.testing.assert_allclose(risk, expected, atol=1e-6)
    np.testing.assert_allclose(risk.sum(axis=1) + free, 1, atol=1e-6)


@pytest.mark.parametrize("position", [0, 11])
def test_true_risk_is_the_frequency_of_events(many, position):
    latent, simulation = _one(many[0], position, 40_000), many[1]
    years, event = draw_events(latent, simulation, np.random.default_rng(position))
    for landmark in (0.0, 2.0):
        risk = true_risk(latent.take(np.array([0])), simulation, landmark)[0]
        here = years > landmark
        for code in (1, 2):
            for h, horizon in enumerate(simulation.horizons):
                seen = ((event == code) & (years <= landmark + horizon))[here].mean()
                error = np.sqrt(risk[code - 1, h] * (1 - risk[code - 1, h]) / here.sum())
                assert abs(seen - risk[code - 1, h]) < 4 * error


def test_mean_true_risk_is_what_happens(many):
    latent, simulation = many
    years, event = draw_events(latent, simulation, np.random.default_rng(1))
    for landmark in simulation.landmarks:
        here = np.flatnonzero(years > landmark)
        risk = true_risk(latent.take(here), simulation, landmark)
        for code in (1, 2):
            for h, horizon in enumerate(simulation.horizons):
                seen = (event[here] == code) & (years[here] <= landmark + horizon)
                error = seen.std() / np.sqrt(len(here))
                assert abs(seen.mean() - risk[:, code - 1, h].mean()) < 4 * error


def test_censoring_does_not_bend_the_incidence(simulated):
    """Aalen-Johansen on the censored follow-up meets the mean true risk at the time origin."""
    days, event = simulated.outcome["days"].to_numpy(), simulated.outcome["event"].to_numpy()
    free, risk, at_risk = 1.0, np.zeros(2), len(days)
    for day in np.unique(days[days <= 5 * YEAR]):
        now = days == day
        events = np.array([(event[now] == cause).sum() for cause in CAUSES])
        risk += free * events / at_risk
        free *= 1 - events.sum() / at_risk
        at_risk -= now.sum()
    truth = true_risk(simulated.latent, simulated.simulation, 0.0)[:, :, -1].mean(axis=0)
    np.testing.assert_allclose(risk, truth, atol=4 * 0.5 / np.sqrt(len(days)))
    assert 0.1 < (event == "censored").mean() < 0.6


def test_risk_under_actions(simulated):
    table = simulated.true_risk
    progression = table[table["cause"] == "progression"]
    smoker = progression["patient"].isin(simulated.record.loc[simulated.record["smoker"] == 1, "patient"])
    saved = progression["risk"] - progression["risk_stop_smoking"]
    assert (saved[smoker] > 0).all()
    np.testing.assert_allclose(saved[~smoker], 0, atol=1e-12)
    assert (progression["risk_lower_pressure"] < progression["risk"]).all()
    treated = progression["patient"].isin(simulated.record.loc[simulated.record["treated"] == 1, "patient"])
    given = np.where(treated, progression["risk_treated"], progression["risk_untreated"])
    np.testing.assert_allclose(given, progression["risk"], atol=1e-12)
    death = table[table["cause"] == "death"]
    assert (death.loc[:, "risk_lower_pressure"] >= death["risk"]).all()  # who does not progress may die first


def test_truth_is_read_in_the_order_asked(folder):
    cohort, drawn = read_cohort(folder), draw(Simulation(patients=120, seed=3))
    at = cohort.at("2y").patient[::-1]
    expected = true_risk(drawn.latent.take(at), drawn.simulation, 2.0)
    for code, cause in enumerate(CAUSES):
        found = read_true_risk(folder, cohort.patients[at], "2y", "5y", cause=cause)
        np.testing.assert_allclose(found, expected[:, code, 1], rtol=1e-8)
    with pytest.raises(UsageError, match="not at risk"):
        read_true_risk(folder, cohort.patients, "2y", "5y")
    with pytest.raises(UsageError, match="does not hold"):
        read_true_risk(folder, cohort.patients[at], "3y", "5y")
    with pytest.raises(UsageError, match="no truth here"):
        read_true_risk(folder / "images", cohort.patients, "2y", "5y")


# Treatment


def test_effect_is_heterogeneous_and_harms_a_few(simulated):
    effect = simulated.true_effect
    ratio = effect["hazard_ratio"]
    assert np.log(ratio).mean() == pytest.approx(-0.45, abs=0.04)
    assert np.log(ratio).std() == pytest.approx(0.35, abs=0.03)
    assert 0.05 < (ratio > 1).mean() < 0.2
    assert ((effect["risk_difference"] > 0) == (ratio > 1)).all()


def test_a_coin_balances_the_arms_and_confounding_does_not():
    def gap(assignment: str) -> tuple[float, float]:
        s = draw(Simulation(patients=4000, seed=2, assignment=assignment, genes=80, later_images=0.0))
        treated = s.latent.treated == 1
        sd = s.latent.stage.std()
        return (s.latent.stage[treated].mean() - s.latent.stage[~treated].mean()) / sd, _arm_gap(s)

    even, effect = gap("randomised")
    uneven, biased = gap("confounded")
    assert abs(even) < 0.1
    assert uneven > 0.4
    assert effect < -0.04  # treated patients progress less
    assert biased > effect + 0.04  # and the naive comparison hides it when sicker patients are treated


def _arm_gap(s: Simulated) -> float:
    """Share progressing within 5 years, treated minus untreated, by true risks under the treatment given."""
    risk = true_risk(s.latent, s.simulation, 0.0)[:, 0, -1]
    return risk[s.latent.treated == 1].mean() - risk[s.latent.treated == 0].mean()


def test_confounding_goes_by_recorded_variables_alone():
    s = draw(Simulation(patients=4000, seed=2, assignment="confounded", genes=80, later_images=0.0))
    logit = np.log(s.latent.propensity / (1 - s.latent.propensity))
    stage = s.record["stage"].map({"I": 0, "II": 1, "III": 2})
    design = np.column_stack([np.ones(len(logit)), stage, s.record["age"], s.record["diabetes"]])
    _, residual, *_ = np.linalg.lstsq(design, logit, rcond=None)
    assert residual[0] < 1e-12


# What each modality shows


def _explained(predictors: np.ndarray, trait: np.ndarray) -> float:
    """Share of the variance of ``trait`` that a straight line explains, adjusted for the number of predictors."""
    design = np.column_stack([np.ones(len(trait)), predictors])
    residual = trait - design @ np.linalg.lstsq(design, trait, rcond=None)[0]
    return 1 - residual.var() / trait.var() * (len(trait) - 1) / (len(trait) - design.shape[1])


def test_each_hidden_trait_shows_in_one_modality_only(simulated):
    s, latent = simulated, simulated.latent
    record = pd.get_dummies(s.record.drop(columns="patient")).astype(float)
    record = record.fillna(record.mean()).to_numpy()
    first = s.visits[s.visits["day"] == 0].drop(columns=["patient", "day"])
    visit = first.fillna(first.mean()).to_numpy()
    with_genes = s.expression["patient"].astype(int).to_numpy() - 1
    genes = s.expression.drop(columns="patient").to_numpy(dtype=float)
    for trait in (latent.lesion, latent.genome, latent.slope):
        assert _explained(record, trait) < 0.02
        assert _explained(visit, trait) < 0.02
    assert _explained(genes, latent.genome[with_genes]) > 0.99
    assert _explained(genes, latent.module[with_genes]) > 0.99
    assert _explained(genes, latent.lesion[with_genes]) < 0.03
    assert _explained(genes, latent.slope[with_genes]) < 0.03


def test_the_course_shows_the_slope(simulated):
    visits = simulated.visits.dropna(subset="marker")
    visits = visits[visits["day"] <= 2 * YEAR]
    spread = visits.groupby("patient")["day"].agg(["count", "min", "max"])
    enough = spread.index[(spread["count"] >= 4) & (spread["max"] - spread["min"] > 2 * YEAR)]
    visits = visits[visits["patient"].isin(enough)]
    slopes = visits.groupby("patient")[["day", "marker"]].apply(
        lambda v: np.polyfit(v["day"] / YEAR, np.log(v["marker"]), 1)[0]
    )
    truth = simulated.latent.slope[slopes.index.astype(int).to_numpy() - 1]
    assert np.corrcoef(slopes, truth)[0, 1] > 0.9


def test_pictures_show_the_lesion_but_not_by_their_brightness():
    rng = np.random.default_rng(0)
    trait = rng.standard_normal(3000)
    pictures = draw_lesions(trait, 32, 1.0, rng) / 255.0
    assert abs(np.corrcoef(pictures.mean(axis=(1, 2)), trait)[0, 1]) < 0.06
    assert abs(np.corrcoef(pictures.max(axis=(1, 2)), trait)[0, 1]) < 0.1
    # Pixels far above the middle belong to the lesion: their number is its area.
    middle, top = np.median(pictures, axis=(1, 2)), np.quantile(pictures, 0.995, axis=(1, 2))
    area = (pictures > ((middle + top) / 2)[:, None, None]).sum(axis=(1, 2))
    assert np.corrcoef(np.log(area + 1), trait)[0, 1] > 0.8


def test_pictures_are_of_the_size_asked_and_noise_can_be_left_out():
    rng = np.random.default_rng(0)
    assert draw_lesions(np.zeros(3), 20, 0.0, rng).shape == (3, 20, 20)
    assert draw_lesions(np.zeros(0), 20, 0.0, rng).shape == (0, 20, 20)


def test_moments_of_the_record(simulated):
    record = simulated.record
    assert record["age"].mean() == pytest.approx(62, abs=0.8)
    assert record["smoker"].mean() == pytest.approx(0.3, abs=0.035)
    assert record["entry_sbp"].std() == pytest.approx(np.hypot(np.hypot(14, 4), 5), rel=0.08)
    assert record["bmi"].isna().mean() == pytest.approx(0.06, abs=0.02)
    assert len(simulated.expression) / len(record) == pytest.approx(0.945, abs=0.02)
    assert np.corrcoef(simulated.expression.iloc[:, 1:22].to_numpy().T)[0, 1] == pytest.approx(0.6, abs=0.06)


# Visits


def test_visits_are_irregular_before_and_after_the_origin_and_end_with_follow_up(simulated):
    visits = simulated.visits.merge(simulated.outcome, on="patient")
    assert (visits["day"] < visits["days"]).all()
    assert not visits.duplicated(["patient", "day"]).any()
    assert visits.groupby("patient")["day"].agg(lambda day: (day == 0).sum()).eq(1).all()
    assert visits.groupby("patient")["day"].min().lt(0).mean() > 0.8
    gaps = visits[visits["day"] >= 0].groupby("patient")["day"].diff().dropna()
    assert gaps.min() >= 13
    assert gaps.std() / gaps.mean() > 0.3


def test_sicker_patients_come_more_often_and_miss_fewer_labs(simulated):
    visits = simulated.visits
    at = visits["patient"].astype(int).to_numpy() - 1
    truth = simulated.latent.take(at).marker((visits["day"].to_numpy() / YEAR)[:, None])[:, 0]
    missing = visits["marker"].isna().to_numpy()
    assert missing[truth > 1].mean() < 0.7 * missing[truth < -1].mean()
    after = visits[visits["day"] >= 0]
    rate = after.groupby("patient").size().to_numpy() / (simulated.outcome["days"].to_numpy() / YEAR + 0.3)
    long = simulated.outcome["days"].to_numpy() > 2 * YEAR
    assert np.corrcoef(rate[long], simulated.latent.level[long])[0, 1] > 0.3


def test_missingness_can_be_made_uninformative_or_absent():
    s = draw(Simulation(patients=1500, seed=1, informative=0.0, genes=80, later_images=0.0))
    at = s.visits["patient"].astype(int).to_numpy() - 1
    missing = s.visits["marker"].isna().to_numpy()
    assert abs(np.corrcoef(missing, s.latent.level[at])[0, 1]) < 0.04
    none = draw(Simulation(patients=100, seed=1, missingness=0.0, genes=80))
    assert not none.visits.isna().any().any()
    assert not none.record.isna().any().any()


# Streams of chance


def test_one_component_can_be_changed_alone():
    base = Simulation(patients=200, seed=9, genes=100)
    one, other = draw(base), draw(base.model_copy(update={"image_size": 24, "noise": 0.5, "later_images": 0.5}))
    pd.testing.assert_frame_equal(one.outcome, other.outcome)
    pd.testing.assert_frame_equal(one.true_risk, other.true_risk)
    assert other.pixels.shape[1:] == (24, 24)


def test_effects_can_be_switched_off(many):
    latent, simulation = many[0].take(np.arange(50)), many[1]
    off = simulation.model_copy(update={"genome_effect": 0.0, "lesion_effect": 0.0, "course_effect": 0.0})
    plain = replace(latent, genome=np.zeros(50), lesion=np.ones(50))
    years = np.array([0.0])
    np.testing.assert_array_equal(log_hazards(latent, off, years), log_hazards(plain, off, years))
    assert (log_hazards(latent, simulation, years) != log_hazards(plain, simulation, years))[:, 0].all()
