"""The store: same model, same bytes; nothing damaged, altered, foreign or oversized is read."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile

import numpy as np
import pytest

from cohorts import QUESTION, make_cohort
from osler.errors import ModelError, UsageError
from osler.models import archive, create
from osler.models.boosted import BoostedHazard
from osler.models.store import load_model, save_model


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(90, seed=2)


@pytest.fixture(scope="module")
def model(cohort):
    return BoostedHazard(QUESTION, random_state=3, rounds=20).fit(cohort)


@pytest.fixture
def path(model, tmp_path):
    return save_model(model, tmp_path / "model.osler", provenance={"data": "abc"})


def _members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(path, members, *, renew=False):
    if renew:
        manifest = json.loads(members["manifest.json"])
        manifest["members"] = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in members.items()
            if name != "manifest.json"
        }
        members = {**members, "manifest.json": json.dumps(manifest).encode()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_everything_comes_back(model, path, cohort):
    loaded = load_model(path)
    assert type(loaded) is BoostedHazard
    assert loaded.settings() == model.settings()
    assert loaded.random_state == 3
    assert loaded.question == model.question
    assert loaded.provenance_["data"] == "abc"
    assert loaded.provenance_["osler"]
    np.testing.assert_array_equal(loaded.predict(cohort, 0.0).incidence, model.predict(cohort, 0.0).incidence)


def test_same_model_same_bytes(cohort, model, tmp_path):
    again = BoostedHazard(QUESTION, random_state=3, rounds=20).fit(cohort)
    one, other = save_model(model, tmp_path / "a"), save_model(again, tmp_path / "b")
    assert one.read_bytes() == other.read_bytes()


def test_members_are_plain_formats(path):
    members = _members(path)
    assert set(members) == {"manifest.json", "model.json", "arrays.safetensors", "blobs/0000.ubj"}
    json.loads(members["model.json"])
    assert not any(data.startswith(b"\x80\x04") for data in members.values())


def test_no_patient_is_inside(path, cohort):
    content = b"".join(_members(path).values())
    assert not any(str(identifier).encode() in content for identifier in cohort.patients)


@pytest.mark.parametrize("member", ["model.json", "arrays.safetensors", "blobs/0000.ubj"])
def test_an_altered_member_is_noticed(path, member):
    members = _members(path)
    data = bytearray(members[member])
    data[len(data) // 2] ^= 1
    _write(path, {**members, member: bytes(data)})
    with pytest.raises(ModelError, match=rf"model\.osler: the hash of its member {member}"):
        load_model(path)


def test_members_must_be_those_of_the_manifest(path):
    members = _members(path)
    for altered in (
        {k: v for k, v in members.items() if not k.startswith("blobs")},
        {**members, "code.py": b"print()"},
        {**members, "../outside": b""},
        {**members, "blobs/0001.ubj": b""},
    ):
        _write(path, altered)
        with pytest.raises(ModelError, match="members are not those"):
            load_model(path)
    _write(path, {**members, "code.py": b"print()"}, renew=True)
    with pytest.raises(ModelError, match="members are not those"):
        load_model(path)


def test_an_unknown_version_or_format_is_refused(path):
    members = _members(path)
    for change in ({"format_version": 99}, {"format": "other"}):
        manifest = {**json.loads(members["manifest.json"]), **change}
        _write(path, {**members, "manifest.json": json.dumps(manifest).encode()})
        with pytest.raises(ModelError, match="expected format 'osler-model', version 1"):
            load_model(path)


def test_an_unknown_model_is_refused(path):
    members = _members(path)
    content = {**json.loads(members["model.json"]), "name": "os.system"}
    _write(path, {**members, "model.json": json.dumps(content).encode()}, renew=True)
    with pytest.raises(ModelError, match="unknown kind"):
        load_model(path)


def test_a_bomb_is_not_unpacked(path):
    members = _members(path)
    manifest = json.loads(members["manifest.json"])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data if name != "model.json" else b" " * 50_000_000)
    with pytest.raises(ModelError, match=r"larger than it may be"):
        load_model(path)
    manifest["members"]["model.json"]["bytes"] = 2**40
    _write(path, {**members, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(ModelError, match="which no model is"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", pickle.dumps({"a": 1}), b"{}"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model.osler"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a readable model file"):
        load_model(path)


@pytest.mark.parametrize("change", [{"state": {}}, {"settings": {"depht": 1}}, {"question": None}, {"schema": []}])
def test_nonsense_inside_is_refused(path, change):
    members = _members(path)
    content = {**json.loads(members["model.json"]), **change}
    _write(path, {**members, "model.json": json.dumps(content).encode()}, renew=True)
    with pytest.raises(ModelError, match=r"^model\.osler"):
        load_model(path)


@pytest.mark.parametrize("manifest", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_broken_manifest_is_refused(path, manifest):
    _write(path, {**_members(path), "manifest.json": manifest})
    with pytest.raises(ModelError, match=r"^model\.osler"):
        load_model(path)


def test_a_missing_file_and_an_unfitted_model(tmp_path):
    with pytest.raises(UsageError, match="no model file"):
        load_model(tmp_path / "none.osler")
    with pytest.raises(ModelError, match="has not been fitted"):
        save_model(create("cox", QUESTION), tmp_path / "x.osler")


def test_keys_that_would_be_taken_for_references_are_refused():
    with pytest.raises(ModelError, match="plain text"):
        archive._flatten({"$array": 1}, {}, {})
