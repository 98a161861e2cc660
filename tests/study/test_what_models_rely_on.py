"""What models rely on, from the contributions that the fits of a study wrote."""

import numpy as np
import pytest

from cohorts import YEAR, make_cohort
from osler.cohort.schema import Schema
from osler.cohort.split import splits
from osler.config import StudyConfig
from osler.fitting import Variant, fit_fold, fold_key, read_fold
from osler.importance import importance
from osler.models.importance import parts_of

CONFIG = StudyConfig(
    landmarks=("0y", "1y", "2y"),
    horizons=("1y", "3y"),
    models=("reference", "cox"),
    folds=2,
    added_value=(),
    explain=20,
)


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(100, seed=6, genes=0, image_size=None, embedding=None)


def told(cohort, folds, differs):
    fitted = {(Variant("cox"), 0, k): {"contribution": x, "differs": differs} for k, x in enumerate(folds)}
    fitted[Variant("cox"), 1, 0] = {}
    return importance(cohort, CONFIG, fitted, {"reference": Variant("reference"), "cox": Variant("cox")})


def test_folds_are_averaged_before_sizes_are_taken_and_few_patients_are_withheld(cohort):
    parts = parts_of(Schema.of(cohort))
    rng = np.random.default_rng(0)
    one = rng.normal(size=(20, len(parts))) / 100
    differs = np.ones(one.shape, dtype=bool)
    differs[9:, 1] = False
    found = told(cohort, [one, 3 * one], differs)
    table = found["importance"]
    assert set(table["model"]) == {"cox"}
    assert (table["landmark"] == YEAR).all()
    assert (table["horizon"] == 3 * YEAR).all()
    of_variable = table[table["kind"] == "variable"].set_index("variable")
    assert of_variable.loc[parts[0].name, "value"] == pytest.approx(2 * np.abs(one[:, 0]).mean())
    hidden = of_variable.loc[parts[1].name]
    assert hidden["suppressed"]
    assert hidden[["value", "lower", "upper", "differ"]].isna().all()
    record = [j for j, part in enumerate(parts) if part.modality == "record"]
    of_modality = table[table["kind"] == "modality"].set_index("modality")
    assert of_modality.loc["record", "value"] == pytest.approx(2 * np.abs(one[:, record].sum(axis=1)).mean())
    agreement = found["agreement"].iloc[0]
    assert agreement[["by_patient", "lowest_tenth", "overall"]].tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert (agreement["patients"], agreement["folds"]) == (20, 2)


def test_fewer_than_ten_patients_are_not_told_of(cohort):
    parts = parts_of(Schema.of(cohort))
    assert told(cohort, [np.ones((9, len(parts)))] * 2, np.ones((9, len(parts)), dtype=bool)) == {}


def test_a_study_that_is_not_asked_explains_nothing(cohort, tmp_path):
    config = CONFIG.model_copy(update={"explain": 0})
    split = splits(cohort, config)[0]
    fit_fold(cohort, config, Variant("cox"), split, tmp_path / "fold.npz")
    assert "contribution" not in read_fold(tmp_path / "fold.npz")
    assert fold_key(cohort, config, Variant("cox"), split) != fold_key(cohort, CONFIG, Variant("cox"), split)
