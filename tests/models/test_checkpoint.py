from __future__ import annotations

import numpy as np
import pytest
import torch

from cohorts import QUESTION, make_cohort
from osler.models import checkpoint as module
from osler.models.checkpoint import Checkpoint, Saved
from osler.models.recurrent import Recurrent

SETTINGS = {"members": 2, "epochs": 40, "patience": 8, "check_every": 2}


class _Killed(Exception):
    pass


def _cohort():
    return make_cohort(90, seed=6, image_size=None, embedding=None, genes=0)


def _model(folder, **changes) -> Recurrent:
    model = Recurrent(QUESTION, **{**SETTINGS, **changes})
    model.checkpoint = folder
    return model


def _kill(folder, at: int, **changes) -> None:
    model = _model(folder, **changes)

    def progress(epoch: int, epochs: int) -> None:
        if epoch == at:
            raise _Killed

    model.progress = progress
    with pytest.raises(_Killed):
        model.fit(_cohort())


def _assert_same(one: Recurrent, other: Recurrent) -> None:
    assert one.history_ == other.history_
    mine, theirs = one.network_.committee.tensors, other.network_.committee.tensors
    assert list(mine) == list(theirs)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture
def always(monkeypatch):
    """Every check is written, however quick."""
    monkeypatch.setattr(module.Checkpoint.__init__, "__defaults__", (0.0, *Checkpoint.__init__.__defaults__[1:]))


@pytest.fixture(scope="module")
def unbroken() -> Recurrent:
    return _model(None).fit(_cohort())


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("at", [2, 14])
def test_a_killed_training_goes_on_and_ends_with_the_same_bits(tmp_path, unbroken, at):
    _kill(tmp_path, at)
    assert len(list(tmp_path.iterdir())) == 1
    again = _model(tmp_path)
    epochs = []
    again.progress = lambda epoch, _: epochs.append(epoch)
    _assert_same(again.fit(_cohort()), unbroken)
    assert epochs[0] == at + 2
    assert not list(tmp_path.iterdir())
    assert again.notes_ == unbroken.notes_


@pytest.mark.usefixtures("always")
def test_members_that_had_ended_stay_ended(tmp_path, unbroken):
    first, last = min(unbroken.history_.epoch), max(unbroken.history_.epoch)
    assert first < last
    _kill(tmp_path, first + SETTINGS["patience"])
    _assert_same(_model(tmp_path).fit(_cohort()), unbroken)


@pytest.mark.usefixtures("always")
def test_another_setting_does_not_find_it(tmp_path):
    _kill(tmp_path, 4)
    other = _model(tmp_path, dropout=0.2, epochs=6)
    epochs = []
    other.progress = lambda epoch, _: epochs.append(epoch)
    other.fit(_cohort())
    assert epochs[0] == 2
    assert len(list(tmp_path.iterdir())) == 1  # that of the one who was killed


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_one_is_not_used_and_said(tmp_path, unbroken, damage):
    _kill(tmp_path, 14)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes({"cut": bytes(data[:900]), "flipped": bytes(data), "emptied": b""}[damage])
    again = _model(tmp_path).fit(_cohort())
    _assert_same(again, unbroken)
    assert any("damaged" in note for note in again.notes_)
    assert not list(tmp_path.iterdir())


def test_short_trainings_write_nothing(tmp_path):
    _kill(tmp_path / "never", 8)
    assert not (tmp_path / "never").exists()


def test_writing_waits_its_time(tmp_path):
    now = [0.0]
    kept = Checkpoint(tmp_path, seconds=20.0, clock=lambda: now[0])
    assert kept.read(lambda: "a" * 64) is None
    written = []

    def state() -> Saved:
        written.append(now[0])
        return Saved({"x": np.arange(3.0)}, {"epoch": len(written)})

    for now[0] in range(0, 61, 7):
        kept.offer(state)
    assert written == [21, 42]
    found = Checkpoint(tmp_path).read(lambda: "a" * 64)
    assert found is not None
    assert found.numbers == {"epoch": 2}
    np.testing.assert_array_equal(found.arrays["x"], np.arange(3.0))
    assert Checkpoint(tmp_path).read(lambda: "b" * 64) is None
