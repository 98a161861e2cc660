"""The benchmarks of training stay in step with what they measure."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

import osler
from osler.models.recurrent import Recurrent

FOLDER = Path(osler.__file__).resolve().parents[2] / "benchmarks"


def _load(name: str):
    path = FOLDER / f"{name}.py"
    if not path.exists():
        pytest.skip("benchmarks are not part of an installed package")
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_step_and_the_bare_passes_beside_it_run():
    committee = _load("committee")
    assert committee.lengths(committee.np.random.default_rng(1)).sum() == committee.VISITS
    norms = committee.training(2, 4)()
    assert norms.shape == (2,)
    assert torch.isfinite(norms).all()
    assert (norms > 0).all()
    committee.bare(2, 4)()


def test_drawn_cohorts_can_be_fitted():
    scale = _load("scale")
    cohort = scale.draw(60)
    assert len(cohort) == 60
    assert min(cohort.outcome.events().values()) > 0
    curve = Recurrent(scale.QUESTION, members=2, epochs=4).fit(cohort).predict(cohort, at=0.0)
    assert len(curve.patients) == 60
