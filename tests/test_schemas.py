"""Schemas are written from the models, and every recipe fits them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from osler.schemas import PredictionRow, documents, write

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["cohort", "study", "prediction", "plan"])
def test_committed_schema_is_not_stale(name):
    committed = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
    assert committed == documents()[f"{name}.schema.json"], "run: make schemas"


def test_no_schema_lies_there_that_nobody_writes():
    assert {path.name for path in (ROOT / "schemas").glob("*.json")} == set(documents())


def test_same_models_same_bytes(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_every_schema_is_valid_json_schema():
    for document in documents().values():
        jsonschema.Draft202012Validator.check_schema(document)


@pytest.mark.parametrize("recipe", sorted((ROOT / "data").glob("*/cohort.toml")), ids=lambda p: p.parent.name)
def test_recipes_fit_the_schema(recipe):
    schema = documents()["cohort.schema.json"]
    jsonschema.validate(tomllib.loads(recipe.read_text()), schema, jsonschema.Draft202012Validator)


def test_the_schema_refuses_what_the_reader_refuses():
    manifest = tomllib.loads('[cohort]\nname = "x"\npatient_id = "id"\n[record]\ntable = "a.csv"\ntabel = "b.csv"\n')
    errors = list(jsonschema.Draft202012Validator(documents()["cohort.schema.json"]).iter_errors(manifest))
    assert errors


ROW = {"patient": "P0001", "model": "cox", "landmark_days": 0.0, "horizon_days": 365.25, "cause": "death", "risk": 0.2}


def test_prediction_row_with_and_without_band():
    assert PredictionRow(**ROW).lower is None
    assert PredictionRow(**ROW, lower=0.1, upper=0.3, repeat=0, fold=4).upper == 0.3


@pytest.mark.parametrize(
    "change",
    [
        {"risk": 1.01},
        {"risk": -0.01},
        {"risk": float("nan")},
        {"lower": 0.1},
        {"lower": 0.3, "upper": 0.4},
        {"horizon_days": 0},
        {"identifier": "x"},
    ],
    ids=str,
)
def test_prediction_row_refuses(change):
    with pytest.raises(ValidationError):
        PredictionRow(**{**ROW, **change})
