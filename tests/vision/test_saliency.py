"""Shares of pixels: exact where they can be known, complete where not, repeatable."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from osler.vision.network import PixelNetwork, plain_features
from osler.vision.saliency import integrated_gradients, saliency


def _draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _network(channels: int, *sides: int) -> PixelNetwork:
    network = PixelNetwork(channels, sides, 2, torch.Generator().manual_seed(1)).double().eval()
    torch.nn.init.normal_(network.output.weight, generator=torch.Generator().manual_seed(2))
    return network


@pytest.mark.parametrize("sides", [(12, 12), (8, 10, 10)])
def test_a_weighted_sum_is_shared_by_weight(sides):
    """Of a linear function the share of a pixel is its weight times its distance from the baselines' mean."""
    weight, images = _draw(1, *sides, seed=3), _draw(3, 1, *sides)
    few, many = (
        integrated_gradients(lambda x: (x * weight).flatten(1).sum(dim=1), images, baselines=n, steps=2)
        for n in (1, 400)
    )
    assert many.maps.shape == (3, *sides)
    assert max(few.error.max(), many.error.max()) < 1e-9
    coarse = images - torch.from_numpy(many.maps)[:, None] / weight
    assert coarse.abs().mean() < 0.5  # the mean of many baselines has no grain
    assert (images - torch.from_numpy(few.maps)[:, None] / weight).std() == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize(("channels", "sides"), [(1, (16, 16)), (3, (16, 24)), (1, (8, 16, 16))])
def test_shares_add_up_to_what_is_said(channels, sides):
    network, images = _network(channels, *sides), _draw(2, channels, *sides)
    found = integrated_gradients(lambda x: network(x, plain_features(x))[:, 1], images, steps=64)
    shares = found.maps.reshape(2, -1)
    np.testing.assert_allclose(np.abs(shares.sum(axis=1) - found.difference), found.error, atol=1e-12)
    assert (found.error < 0.01 * np.abs(shares).sum(axis=1)).all()  # a network of drawn weights bends at every step


def test_more_steps_err_less_and_each_image_is_for_itself():
    network, images = _network(1, 16, 16), _draw(3, 1, 16, 16)
    few, many = (integrated_gradients(lambda x: network(x, plain_features(x))[:, 0], images, steps=n) for n in (2, 64))
    assert many.error.mean() < 0.2 * few.error.mean()
    before = torch.get_rng_state()
    maps = saliency(network, images, 0)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(saliency(network, images, 0), maps)
    np.testing.assert_array_equal(saliency(network, images[1:2], 0)[0], maps[1])
    assert not np.array_equal(saliency(network, images, 0, seed=1), maps)
    assert saliency(network, images[:0], 0).shape == (0, 16, 16)


def test_what_is_looked_at_is_marked():
    """The network's output is the brightness of one corner: the shares lie there."""
    image = _draw(1, 1, 16, 16) * 0.1
    image[..., 9:13, 9:13] += 2.0
    found = integrated_gradients(lambda x: x[:, 0, 8:, 8:].flatten(1).relu().sum(dim=1), image).maps[0]
    assert np.abs(found[8:, 8:]).sum() == pytest.approx(np.abs(found).sum())
    assert found[9:13, 9:13].sum() > 0.5 * np.abs(found).sum()
