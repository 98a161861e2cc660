"""Image blocks from files: several images of a visit, volumes, series, weights that read them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.nets.resnet import resnet10
from safetensors.torch import save

from osler.cohort.tables import read_cohort
from osler.errors import DataError

MANIFEST = """\
[cohort]
name = "Pictures"
patient_id = "id"

[record]
table = "record.csv"
variables = [{ name = "age", type = "number", unit = "a" }]

[images]
name = "ct"
index = "images.csv"
file = "file"
folder = "files"
time = "day"
"""


@pytest.fixture(scope="module")
def weights():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = resnet10(spatial_dims=3, n_input_channels=1, feed_forward=False, bias_downsample=False)
    return save(network.state_dict())


def _folder(tmp_path, settings: str, index: str):
    (tmp_path / "cohort.toml").write_text(MANIFEST + settings)
    (tmp_path / "record.csv").write_text("id,age\na,50\nb,60\nc,70\n")
    (tmp_path / "images.csv").write_text("id,day,file\n" + index)
    (tmp_path / "files").mkdir(exist_ok=True)
    return tmp_path


def _volume(path, value: float, shape=(8, 16, 16)) -> None:
    noise = np.random.default_rng(int(100 * value)).random(shape)
    np.save(path, (0.5 * value + 0.5 * noise).astype(np.float32), allow_pickle=False)


def test_several_images_of_a_visit_are_kept_where_it_is_said(tmp_path):
    index = "b,5,1.npy\na,0,2.npy\nb,5,3.npy\nb,9,1.npy\n"
    folder = _folder(tmp_path, 'size = [8, 8]\nduplicates = "keep"\n', index)
    for i in (1, 2, 3):
        np.save(folder / "files" / f"{i}.npy", np.full((8, 8), 50 * i, np.uint8), allow_pickle=False)
    cohort = read_cohort(folder, outcome=False)
    block = cohort.images["ct"]
    assert block.visit.tolist() == [0, 1, 1, 2]
    np.testing.assert_allclose(block.values.mean(axis=(1, 2, 3)) * 255, [100, 50, 150, 50], rtol=1e-5)
    assert len(cohort.visits) == 3
    assert cohort.subset([1, 1]).images["ct"].visit.tolist() == [0, 0, 1, 2, 2, 3]
    (folder / "cohort.toml").write_text(MANIFEST + "size = [8, 8]\n")
    with pytest.raises(DataError, match='or "keep": several images of a visit'):
        read_cohort(folder, outcome=False)


def test_volumes_and_folders_of_slices(tmp_path):
    pytest.importorskip("pydicom")
    folder = _folder(tmp_path, "size = [8, 16, 16]\nwindow = [0.0, 1.0]\n", "a,0,one.npy\nb,0,one.npy\n")
    _volume(folder / "files" / "one.npy", 0.5)
    block = read_cohort(folder, outcome=False).images["ct"]
    assert block.values.shape == (2, 1, 8, 16, 16)
    np.testing.assert_array_equal(block.values[0], block.values[1])
    (folder / "files" / "SENTINEL").mkdir()
    (folder / "images.csv").write_text("id,day,file\na,0,one.npy\nb,0,SENTINEL\nc,0,missing.npy\n")
    with pytest.raises(DataError) as refused:
        read_cohort(folder, outcome=False)
    assert "a folder of slices holds files" in str(refused.value)
    assert "row 2" in str(refused.value)
    assert "row 3" in str(refused.value)
    assert "SENTINEL" not in str(refused.value)


def test_memory_of_volumes_is_limited(tmp_path):
    folder = _folder(tmp_path, "size = [1024, 1024, 1024]\n", "a,0,one.npy\nb,0,one.npy\nc,0,one.npy\n")
    _volume(folder / "files" / "one.npy", 0.5)
    with pytest.raises(DataError, match="bytes of pixels in memory"):
        read_cohort(folder, outcome=False)


def test_weights_read_the_images_and_vectors_are_kept(tmp_path, weights, monkeypatch):
    settings = 'size = [8, 16, 16]\nnetwork = "resnet10"\nweights = "w.safetensors"\n'
    folder = _folder(tmp_path, settings, "a,0,one.npy\nb,3,two.npy\n")
    for name, value in (("one", 0.2), ("two", 0.8)):
        _volume(folder / "files" / f"{name}.npy", value)
    (folder / "w.safetensors").write_bytes(weights)
    kept = tmp_path / "kept"
    first = read_cohort(folder, outcome=False, vectors=kept)
    block = first.images["ct"]
    assert block.form == "pixels"
    assert block.embedding.shape == (2, 512)
    assert block.vectors.values is block.embedding
    assert len([file for file in kept.rglob("*") if file.is_file()]) == 2
    assert "w.safetensors" in first.sources
    again = read_cohort(folder, outcome=False, vectors=kept)
    assert again.digest == first.digest
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "w.safetensors").rename(elsewhere / "w.safetensors")
    monkeypatch.setenv("OSLER_WEIGHTS", str(elsewhere))
    assert read_cohort(folder, outcome=False).digest == first.digest
    (elsewhere / "w.safetensors").write_bytes(weights[:1000])
    with pytest.raises(DataError, match="weights can be read"):
        read_cohort(folder, outcome=False)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ('network = "resnet18"\n', "belong together"),
        ('size = [8, 8]\nnormalise = "imagenet"\nnetwork = "vgg"\nweights = "w"\n', "network"),
        ("size = [4, 8, 8]\n", "8 to 1024"),
        ("window = [3.0, 1.0]\n", "a higher one of white"),
        ("augment = { mirrored = true }\n", "augment"),
        ("augment = { rotation = 200 }\n", "rotation lies from 0 to 180"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, settings, told):
    with pytest.raises(DataError, match=told):
        read_cohort(_folder(tmp_path, settings, ""), outcome=False)


def test_augmentation_is_the_blocks_own(tmp_path):
    folder = _folder(tmp_path, "size = [8, 8]\naugment = { mirror = true, rotation = 10 }\n", "")
    augment = read_cohort(folder, outcome=False).images["ct"].augment
    assert (augment.mirror, augment.rotation, augment.shift) == (True, 10.0, 0.06)
