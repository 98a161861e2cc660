from __future__ import annotations

import numpy as np
import pytest

from cohorts import make_cohort
from osler.cohort.split import splits
from osler.config import StudyConfig
from osler.fitting import Variant, fit_everyone, fit_fold, read_fold
from osler.models import checkpoint, training
from osler.models.checkpoint import Checkpoint

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
