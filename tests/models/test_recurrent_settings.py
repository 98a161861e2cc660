from __future__ import annotations

import pytest

from cohorts import QUESTION
from osler.errors import UsageError
from osler.models import create
from osler.models.recurrent_settings import RecurrentSettings

WRONG = {
    "members": 1,
    "units": 0,
    "bins": 2.5,
    "patients": 10,
    "rows": True,
    "batch_rows": "many",
    "learning_rate": -0.1,
    "weight_decay": float("nan"),
    "correction": -1.0,
    "dropout": 1.0,
    "input_dropout": -0.1,
    "modality_dropout": 1.5,
    "forecast_weight": -1,
    "epochs": 0,
    "patience": 0,
    "check_every": 0,
    "components": 0,
    "splines": -1,
    "trees": -1,
    "beyond": -0.5,
    "device": "tpu",
}


def test_defaults_can_be_and_every_setting_is_looked_at():
    assert RecurrentSettings().device == "auto"
    assert set(WRONG) == set(RecurrentSettings.__dataclass_fields__)


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused_by_name(name):
    with pytest.raises(UsageError, match=rf"1\. {name} is .*not"):
        RecurrentSettings(**{name: WRONG[name]})


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(UsageError, match=f"{len(WRONG)} settings") as found:
        create("recurrent", QUESTION, **WRONG)
    assert all(f"{name} is " in str(found.value) for name in WRONG)


def test_a_training_without_a_check_is_refused():
    with pytest.raises(UsageError, match="check_every is at most epochs"):
        RecurrentSettings(epochs=3)
    assert RecurrentSettings(epochs=3, check_every=3).recipe.epochs == 3


def test_whole_numbers_may_stand_for_any_number():
    assert RecurrentSettings(learning_rate=1, dropout=0).dropout == 0
