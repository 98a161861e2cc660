"""Vectors of a network trained elsewhere: of the image alone, to the bit, kept on disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.nets.resnet import resnet10
from safetensors.torch import save

from osler.vision.frozen import FrozenEncoder


def _weights(dims: int, channels: int, seed: int = 0) -> bytes:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = resnet10(spatial_dims=dims, n_input_channels=channels, feed_forward=False, bias_downsample=False)
    return save(network.state_dict())


WEIGHTS = _weights(2, 3)


def _images(m: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(m).random((m, *shape)).astype(np.float32)


def _load(data: bytes = WEIGHTS, dims: int = 2, **more) -> FrozenEncoder:
    return FrozenEncoder.load("resnet10", data, "w", dims, **more)


def test_a_vector_is_of_its_image_alone_to_the_bit():
    encoder, images = _load(), _images(5, 1, 32, 32)
    together = encoder.encode(images)
    assert together.shape == (5, 512)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(encoder.encode(images[::-1])[::-1], together)
    np.testing.assert_array_equal(_load().encode(images[3:4])[0], together[3])
    assert encoder.encode(images[:0]).shape == (0, 512)


def test_grey_is_repeated_and_colour_of_imagenet_is_expected():
    encoder, grey = _load(), _images(1, 1, 32, 32)
    np.testing.assert_allclose(encoder.encode(grey), encoder.encode(np.repeat(grey, 3, axis=1)), atol=1e-6)
    mean = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
    spread = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
    with torch.no_grad():
        expected = encoder.network(torch.from_numpy((grey - mean) / spread)).numpy()
    np.testing.assert_allclose(encoder.encode(grey), expected, rtol=1e-4, atol=1e-5)


def test_volumes_are_scaled_each_by_itself():
    encoder, voxels = _load(_weights(3, 1), 3), _images(2, 1, 8, 16, 16)
    np.testing.assert_allclose(encoder.encode(0.3 * voxels + 0.2), encoder.encode(voxels), rtol=1e-3, atol=1e-4)


def test_vectors_are_kept_and_damaged_ones_made_again(tmp_path, monkeypatch):
    encoder, images = _load(folder=tmp_path), _images(3, 1, 32, 32)
    first = encoder.encode(images)
    files = sorted(tmp_path.rglob("*"))
    kept = [file for file in files if file.is_file()]
    assert len(kept) == 3
    asked = []
    monkeypatch.setattr(encoder.network, "forward", lambda x: asked.append(1) or torch.zeros(1, 512))
    np.testing.assert_array_equal(encoder.encode(images), first)
    assert not asked
    monkeypatch.undo()
    data = bytearray(kept[0].read_bytes())
    data[50] ^= 1
    kept[0].write_bytes(data)
    kept[1].write_bytes(b"")
    kept[2].write_bytes(kept[2].read_bytes()[:100])
    np.testing.assert_array_equal(encoder.encode(images), first)
    np.testing.assert_array_equal(_load(folder=tmp_path).encode(images), first)
    assert [file for file in sorted(tmp_path.rglob("*")) if file.is_file()] == kept


@pytest.mark.parametrize(
    "change",
    [{"normalise": "image"}, {"first_stride": 1}, {"data": _weights(2, 3, seed=1)}],
    ids=["normalise", "stride", "weights"],
)
def test_other_weights_or_ways_have_another_origin_and_other_vectors(tmp_path, change):
    images = _images(1, 1, 32, 32)
    mine, other = _load(folder=tmp_path), _load(folder=tmp_path, **change)
    assert mine.origin != other.origin
    assert not np.array_equal(mine.encode(images), other.encode(images))
    assert _load().origin == mine.origin
