import pytest
from pydantic import ValidationError

from osler.config import StudyConfig, Subgroup, Tuning


def asked(**changes):
    return StudyConfig(horizons=("2y",), **changes)


def test_what_costs_time_is_off_unless_asked_for():
    config = asked()
    assert config.bootstrap == config.tuning.trials == 0
    assert not any(config.tuning.covers(name) for name in config.models)
    assert config.split == "random"


def test_it_survives_being_written_and_read():
    config = asked(
        subgroups=("sex", {"variable": "age", "cuts": [70, 60]}),
        tuning={"trials": 5, "models": ["cox"]},
        split="sites",
        split_by="hospital",
        thresholds=(0.2, 0.1),
        settings={"cox": {"penalty": 1.0}},
    )
    assert config.subgroups == (Subgroup(variable="sex"), Subgroup(variable="age", cuts=(60.0, 70.0)))
    assert config.thresholds == (0.1, 0.2)
    for mode in ("python", "json"):
        assert StudyConfig.model_validate(config.model_dump(mode=mode)) == config


def test_tuning_covers_the_models_named_and_never_the_reference():
    assert Tuning(trials=1).covers("cox")
    assert not Tuning(trials=1).covers("reference")
    assert not Tuning(trials=1, models=("aft",)).covers("cox")
    assert not Tuning(trials=0, models=("cox",)).covers("cox")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "sites"}, "needs split_by"),
        ({"split": "time"}, "needs split_by"),
        ({"split": "hospital"}, "random"),
        ({"split_by": "site"}, "belongs to"),
        ({"split": "time", "split_by": "year", "repeats": 2}, "one division"),
        ({"thresholds": ()}, "at least 1"),
        ({"thresholds": (0.1, 0.1)}, "once"),
        ({"thresholds": (0.0, 0.1)}, "between 0 and 1"),
        ({"thresholds": (1.0,)}, "between 0 and 1"),
        ({"thresholds": (float("nan"),)}, "between 0 and 1"),
        ({"replicates": 49}, "50"),
        ({"bootstrap": -1}, "greater than or equal to 0"),
        ({"tuning": {"trials": 2, "models": ["reference"]}}, "leave it out"),
        ({"tuning": {"trials": 2, "seconds": 0}}, "greater than 0"),
        ({"tuning": {"trial": 2}}, "not permitted"),
        ({"added_value": ("reference",)}, "leave it out"),
        ({"added_value": ("cox", "cox")}, "once"),
        ({"subgroups": ("sex", {"variable": "sex"})}, "once"),
        ({"subgroups": ({"variable": "age", "cuts": (50, 50)},)}, "once"),
        ({"censoring": ("age", "age")}, "once"),
        ({"settings": {"coxx": {}}}, "stacked_cox"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        asked(**change)
