from __future__ import annotations

import pytest
import torch

from osler.vision.network import PixelNetwork, plain_features


@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 32, 48), (1, 64, 64), (1, 16, 16, 16), (2, 8, 40, 40)])
def test_any_shape_of_pictures_and_volumes(shape):
    network = PixelNetwork(shape[0], shape[1:], 2, torch.Generator().manual_seed(0))
    pixels = torch.rand(2, *shape)
    assert network(pixels, plain_features(pixels)).shape == (2, 2)
    assert plain_features(pixels).shape == (2, 2 * shape[0])


def test_first_weights_come_from_the_generator_alone():
    before = torch.get_rng_state()
    one, two = (PixelNetwork(1, (16, 16), 1, torch.Generator().manual_seed(3)) for _ in range(2))
    other = PixelNetwork(1, (16, 16), 1, torch.Generator().manual_seed(4))
    assert torch.equal(torch.get_rng_state(), before)
    first = [next(network.parameters()) for network in (one, two, other)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
