"""The recipes under data/ read the real cohorts, and agree with what is known of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from osler.cohort.cohort import Cohort
from osler.cohort.manifest import read_manifest
from osler.cohort.tables import read_cohort
from osler.errors import UsageError

RECIPES = Path(__file__).resolve().parents[2] / "data"
NAMES = (
    *("breastmnist", "covid_chestxray", "framingham", "gbsg", "hancock", "ispy1", "ispy2", "metabric"),
    *("pbc2", "pbc2_composite", "pneumoniamnist", "rotterdam", "tcga_luad"),
)
ROOTS = {"pbc2_composite": "pbc2", "breastmnist": "medmnist", "pneumoniamnist": "medmnist"}


def _excluded(cohort: Cohort, unit: str) -> list[int]:
    return [step.excluded for step in cohort.flow if step.unit == unit and step.excluded]


# Without data


def test_every_recipe_is_here_and_explained():
    found = sorted(path.parent.name for path in RECIPES.glob("*/cohort.toml") if path.parent.name != "demo")
    assert tuple(found) == NAMES
    index = (RECIPES / "README.md").read_text()
    for name in NAMES:
        readme = (RECIPES / name / "README.md").read_text()
        assert all(word in readme for word in ("**Study.**", "**Licence.**", "**Question.**", "| trap in the data |"))
        assert f"({name}/README.md)" in index


@pytest.mark.parametrize("name", NAMES)
def test_manifests_follow_the_contract(name):
    manifest = read_manifest(RECIPES / name)
    assert manifest.cohort.root == ROOTS.get(name, name)
    assert manifest.outcome is not None
    assert (manifest.diagnosis if manifest.outcome.kind == "class" else manifest.study) is not None
    outcome = {manifest.outcome.time, manifest.outcome.event}
    outcome |= {column for c in manifest.outcome.competing for column in (c.time, c.event)}
    predictors = {v.source for block in (*manifest.record, *manifest.visits) for v in block.variables}
    assert not predictors & (outcome - {None})


def test_evidence_is_cited():
    actions = read_manifest(RECIPES / "framingham").actions
    assert {action.modifies for action in actions} == {"SYSBP", "CURSMOKE", "TOTCHOL"}
    for action in actions:
        assert any(year in action.citation for year in ("2012", "2016", "2019"))
        assert action.effect.lower < action.effect.value < action.effect.upper < 1


def test_a_recipe_without_its_files_says_where_they_are_looked_for(tmp_path):
    with pytest.raises(UsageError, match="--root"):
        read_cohort(RECIPES / "pbc2", root=tmp_path)


# With data


@pytest.fixture(scope="module")
def framingham(real_data) -> Cohort:
    return read_cohort(RECIPES / "framingham", root=real_data)


@pytest.fixture(scope="module")
def pbc2(real_data) -> Cohort:
    return read_cohort(RECIPES / "pbc2", root=real_data)


@pytest.fixture(scope="module")
def ispy1(real_data) -> Cohort:
    return read_cohort(RECIPES / "ispy1", root=real_data)


@pytest.fixture(scope="module")
def metabric(real_data) -> Cohort:
    return read_cohort(RECIPES / "metabric", root=real_data)


@pytest.fixture(scope="module")
def hancock(real_data) -> Cohort:
    return read_cohort(RECIPES / "hancock", root=real_data)


@pytest.fixture(scope="module")
def covid(real_data) -> Cohort:
    return read_cohort(RECIPES / "covid_chestxray", root=real_data)


@pytest.mark.real
def test_framingham_counts(framingham):
    assert framingham.flow[0].remaining == 4434
    assert _excluded(framingham, "patients") == [219]
    assert len(framingham) == 4215
    assert framingham.outcome.events() == {"cardiovascular disease": 996, "death": 753}
    assert framingham.record["SEX"].isin(["male", "female"]).all()
    first = framingham.visits[framingham.visits["time"] == 0]
    assert len(first) == 4215
    assert first["HDLC"].isna().all()
    assert framingham.visits["HDLC"].notna().sum() > 2500


@pytest.mark.real
def test_framingham_knows_no_examination_after_the_event(framingham):
    end = framingham.outcome.time[framingham.visits["patient"]]
    assert (framingham.visits["time"] <= end).all()
    assert _excluded(framingham, "rows") == [371]


@pytest.mark.real
def test_framingham_landmarks_follow_the_examinations(framingham, real_data):
    table = pd.read_csv(real_data / "framingham" / "framingham.csv")
    for period, landmark in ((2, "6.5y"), (3, "12.5y")):
        at = framingham.at(landmark)
        examined = table.loc[table["PERIOD"] == period, "RANDID"].astype(str)
        attended = np.isin(framingham.patients[at.patient], examined)
        latest = at.known.visits["time"].to_numpy()[at.stop - 1]
        recent = latest > at.time[0] - 3 * 365.25
        assert recent[attended].mean() > 0.97


@pytest.mark.real
def test_pbc2_counts(pbc2, real_data):
    assert len(pbc2) == 312
    assert len(pbc2.visits) == 1945
    assert pbc2.outcome.events() == {"death": 140, "transplantation": 29}
    assert pbc2.record["drug"].value_counts().to_dict() == {"D-penicillamine": 158, "placebo": 154}
    missing = pbc2.visits[["ascites", "hepatomegaly", "spiders", "serChol", "alkaline", "platelets"]].isna().sum()
    assert missing.tolist() == [60, 61, 58, 821, 60, 73]
    assert pbc2.visits["edema"].notna().all()
    assert len(pbc2.at("5y")) == 202
    table = pd.read_csv(real_data / "pbc2" / "pbc2.csv").groupby("id").first()
    np.testing.assert_allclose(pbc2.outcome.time, table["years"] * 365.25)


@pytest.mark.real
def test_ispy1_counts(ispy1):
    assert len(ispy1) == 221
    assert ispy1.outcome.events() == {"recurrence or death": 63}
    seen = ispy1.visits.dropna(subset="diameter").groupby("patient").size().value_counts()
    assert (seen[4], seen[3]) == (186, 30)
    assert sorted(ispy1.visits["time"].unique()) == [0, 28, 84, 140]
    assert ispy1.visits["volume"].notna().sum() == 172
    assert ispy1.visits.loc[ispy1.visits["volume"].notna(), "time"].eq(0).all()
    assert ispy1.visits["volume"].max() == pytest.approx(346.79, abs=0.01)
    assert len(ispy1.at("24wk")) == 221


@pytest.mark.real
def test_metabric_counts(metabric, real_data):
    assert metabric.flow[0].remaining == 1904
    assert _excluded(metabric, "patients") == [1, 1]
    assert metabric.outcome.events() == {"death from breast cancer": 622, "death from other causes": 480}
    assert metabric.genomics["expression"].values.shape[1] == 489
    assert metabric.genomics["expression"].available.all()
    mutations = metabric.genomics["mutations"]
    assert mutations.values.shape[1] == 173
    assert set(np.unique(mutations.values)) == {0.0, 1.0}
    assert metabric.record["tumor_stage"].isna().sum() in (500, 501)
    assert metabric.record["er_status_measured_by_ihc"].mean() == pytest.approx(0.77, abs=0.01)
    table = pd.read_csv(real_data / "metabric" / "METABRIC_RNA_Mutation.csv.gz", dtype=str)
    table = table.set_index("patient_id").loc[metabric.patients]
    # The inverted column agrees: 0 is dead.
    assert ((table["overall_survival"] == "0").to_numpy() == (metabric.outcome.event > 0)).all()
    assert (mutations.values[:, 0] == (table["pik3ca_mut"] != "0").to_numpy()).all()


@pytest.mark.real
def test_hancock_counts(hancock, real_data):
    assert len(hancock) == 763
    assert hancock.patients[0] == "001"
    assert all(len(patient) == 3 for patient in hancock.patients)
    assert hancock.outcome.events() == {"death from the tumour": 115, "death from other or unknown cause": 98}
    assert hancock.record["hemoglobin"].notna().sum() == 692
    assert hancock.record["primarily_metastasis"].isna().sum() == 24
    assert hancock.record["perinodal_invasion"].isna().sum() == 365
    stains = ("HE", "CD3", "CD8", "CD56", "CD68", "CD163", "MHC1", "PDL1")
    assert hancock.modalities == ("record", "pathology", "blood", *stains)
    for stain in stains:
        block = hancock.images[stain]
        assert 746 <= len(block.visit) <= 760
        assert block.values.shape[1] == 512
    with np.load(real_data / "hancock" / "tma_tile_dtr_256_CD3.npz", allow_pickle=False) as archive:
        block = hancock.images["CD3"]
        owner = hancock.patients[hancock.visits["patient"].to_numpy()[block.visit]]
        assert len(archive.files) == len(owner)
        for at in (0, 100, len(owner) - 1):
            np.testing.assert_array_equal(block.values[at], archive[owner[at]])
    assert len(hancock.at("3mo")) == 728


@pytest.mark.real
def test_hancock_codes_are_categories(hancock):
    coded = [v for v in hancock.record_variables if "code" in v.label or "?" in "".join(v.levels)]
    assert len(coded) >= 8
    assert all(v.type == "category" for v in coded)


@pytest.mark.real
def test_covid_counts(covid):
    assert covid.flow[0].remaining == 152
    assert _excluded(covid, "patients") == [2, 10, 110]
    assert covid.outcome.events() == {"intubation": 11}
    assert not {"339", "340"} & set(covid.patients)
    assert covid.record["finding"].cat.categories.tolist() == ["COVID-19", "other or none"]
    at = covid.at("3d")
    assert len(at) == 30
    assert at.outcome.events() == {"intubation": 11}
    seen = at.known.images["xray"]
    assert len(np.unique(at.known.visits["patient"].to_numpy()[seen.visit])) == 18
    assert seen.values.shape[1:] == (1, 64, 64)
    assert 0 <= seen.values.min() < 0.1 < seen.values.max() <= 1


@pytest.mark.real
def test_covid_pictures_do_not_give_the_answer_away(covid, real_data):
    table = pd.read_csv(real_data / "covid_chestxray" / "metadata.csv", dtype=str)
    tube = table[(table["intubation_present"] == "Y") & table["patientid"].isin(covid.patients)]
    shown = covid.visits.iloc[covid.images["xray"].visit]
    shown = set(zip(covid.patients[shown["patient"]], shown["time"], strict=True))
    with_tube = set(zip(tube["patientid"], tube["offset"].astype(float), strict=True))
    assert len(with_tube) > 3
    assert not shown & with_tube


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("breastmnist", {"train": (147, 399), "val": (21, 57), "test": (42, 114)}),
        ("pneumoniamnist", {"train": (388, 3494), "val": (135, 389), "test": (234, 390)}),
    ],
)
def test_archives_of_images_have_the_counts_of_their_release(real_data, name, sizes):
    cohort = read_cohort(RECIPES / name, root=real_data)
    (block,) = cohort.images.values()
    assert block.values.shape[1:] == (1, 28, 28)
    first = "malignant" if name == "breastmnist" else "normal"
    code = cohort.diagnosis.classes.index(first)
    for part, (few, many) in sizes.items():
        label = cohort.diagnosis.label[(cohort.record["split"] == part).to_numpy()]
        assert ((label == code).sum(), (label != code).sum()) == (few, many)
    assert block.augment.mirror == (name == "breastmnist")


@pytest.mark.real
def test_ispy2_knows_no_answer_beforehand(real_data):
    cohort = read_cohort(RECIPES / "ispy2", root=real_data)
    assert cohort.diagnosis.counts() == {"residual disease": 667, "complete response": 315}
    assert cohort.record["arm"].value_counts()["control"] == 208
    assert cohort.record["volume"].notna().sum() == 979
    features = cohort.genomics["signatures"].features
    assert len(features) == 25
    assert not any(word in name for name in features for word in ("pCR", "esponse", "RPS", "BP.", "VCpred", "plus"))
    response = cohort.diagnosis.label
    values = cohort.genomics["signatures"].values
    for j in range(len(features)):
        known = np.isfinite(values[:, j])
        assert abs(np.corrcoef(values[known, j], response[known])[0, 1]) < 0.5
