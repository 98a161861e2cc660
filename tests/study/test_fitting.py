from __future__ import annotations

import numpy as np
import pytest

from cohorts import make_cohort
from osler.cohort.split import splits
from osler.config import StudyConfig
from osler.cross_validation import cross_validate
from osler.fitting import Variant, fit_everyone, fit_fold, read_fold
from osler.models import checkpoint, training
from osler.models.checkpoint import Checkpoint
from osler.models.cox import Cox

SETTINGS = {"members": 2, "epochs": 12, "check_every": 2}
CONFIG = StudyConfig(
    landmarks=("0y",), horizons=("2y",), models=("recurrent",), folds=3, settings={"recurrent": SETTINGS}
)
RECURRENT = Variant("recurrent")


class _Killed(BaseException):
    pass


@pytest.fixture
def killed_at_the_fourth_step(monkeypatch):
    """Every check is written; the fourth step of the first training is its last."""
    monkeypatch.setattr(checkpoint.Checkpoint.__init__, "__defaults__", (0.0, *Checkpoint.__init__.__defaults__[1:]))
    counted, whole = [], training.step

    def step(*given):
        counted.append(1)
        if len(counted) == 4:
            raise _Killed
        return whole(*given)

    monkeypatch.setattr(training, "step", step)
    return counted


def test_a_killed_fit_goes_on_from_the_cache(tmp_path, killed_at_the_fourth_step):
    cohort = make_cohort(90, seed=6, image_size=None, embedding=None, genes=0)
    split = next(iter(splits(cohort, CONFIG)))
    cache, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    cache.mkdir()
    elsewhere.mkdir()
    with pytest.raises(_Killed):
        fit_fold(cohort, CONFIG, RECURRENT, split, cache / "one.npz")
    assert [path.suffix for path in cache.iterdir()] == [".training"]
    fit_fold(cohort, CONFIG, RECURRENT, split, cache / "one.npz")
    assert len(killed_at_the_fourth_step) - 4 == SETTINGS["epochs"] - 2  # the first two are not done again
    assert [path.name for path in cache.iterdir()] == ["one.npz"]
    fit_fold(cohort, CONFIG, RECURRENT, split, elsewhere / "one.npz")
    one, other = (read_fold(folder / "one.npz") for folder in (cache, elsewhere))
    np.testing.assert_array_equal(one["incidence0"], other["incidence0"])


def test_so_does_the_fit_on_everyone(tmp_path, killed_at_the_fourth_step):
    cohort = make_cohort(60, seed=6, image_size=None, embedding=None, genes=0)
    with pytest.raises(_Killed):
        fit_everyone(cohort, CONFIG, RECURRENT, tmp_path / "model.osler")
    assert [path.suffix for path in tmp_path.iterdir()] == [".training"]
    fit_everyone(cohort, CONFIG, RECURRENT, tmp_path / "model.osler")
    assert [path.name for path in tmp_path.iterdir()] == ["model.osler"]
    assert len(killed_at_the_fourth_step) - 4 <= SETTINGS["epochs"] - 2


def test_an_ensemble_is_fitted_together_with_the_members_that_a_study_judges_too(tmp_path):
    cohort = make_cohort(120, seed=6, image_size=None, embedding=None, genes=0)
    given = {"boosted_hazard": {"depth": 1}, "ensemble": {"members": ("cox", "boosted_hazard")}}
    config = StudyConfig(
        landmarks=("0y",), horizons=("2y",), models=("boosted_hazard", "ensemble"), folds=3, settings=given
    )
    split = next(iter(splits(cohort, config)))
    alone, along = tmp_path / "alone.npz", tmp_path / "along.npz"
    fit_fold(cohort, config, Variant("boosted_hazard"), split, alone)
    fit_fold(cohort, config, Variant("ensemble"), split, tmp_path / "mean.npz", {"boosted_hazard": along})
    fit_fold(cohort, config, Variant("cox"), split, tmp_path / "cox.npz")
    one, same, mean, cox = (read_fold(tmp_path / f"{name}.npz") for name in ("alone", "along", "mean", "cox"))
    np.testing.assert_array_equal(one["incidence0"], same["incidence0"])
    np.testing.assert_allclose(mean["incidence0"], (one["incidence0"] + cox["incidence0"]) / 2, atol=1e-12)
    assert one["settings"] == same["settings"] == mean["settings"]["member_settings"]["boosted_hazard"]
    assert mean["seconds"] > same["seconds"]


def test_a_member_is_fitted_once_where_the_study_has_its_ensemble(tmp_path, monkeypatch):
    fitted = []
    monkeypatch.setattr(Cox, "_fit", lambda self, cohort, own=Cox._fit: (fitted.append(len(cohort)), own(self, cohort)))
    cohort = make_cohort(120, seed=6, image_size=None, embedding=None, genes=0)
    config = StudyConfig(
        landmarks=("0y",),
        horizons=("2y",),
        models=("cox", "ensemble"),
        folds=3,
        settings={"ensemble": {"members": ("cox", "stacked_cox")}},
    )
    told = []
    found = cross_validate(
        cohort,
        config,
        [Variant("cox"), Variant("ensemble")],
        cache=tmp_path,
        workers=1,
        tell=lambda *now: told.append(now),
    )
    assert len(fitted) == 3
    assert set(found) == {(Variant(name), 0, fold) for name in config.models for fold in range(3)}
    assert told[0][1:] == (0, 6)
    assert told[-1][1:] == (6, 6)
    for path in sorted(tmp_path.glob("*.npz"))[:2]:
        path.unlink()
    again = cross_validate(cohort, config, [Variant("cox"), Variant("ensemble")], cache=tmp_path, workers=1)
    for key, fit in found.items():
        np.testing.assert_array_equal(fit["incidence0"], again[key]["incidence0"])
