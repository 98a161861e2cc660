from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from osler.errors import ModelError
from osler.models.pixel_training import say_of, train_pixels
from osler.vision.network import PixelNetwork


def _pictures(m: int, dims: int, seed: int = 0):
    """Noise, with a bright block on one of two sides; the side is the class."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(m, 1, *[12] * dims, generator=generator)
    side = torch.randint(0, 2, (m,), generator=generator)
    images[side == 0, ..., 1:4] += 1.5
    images[side == 1, ..., -4:-1] += 1.5
    return images, side


def _network(dims: int) -> PixelNetwork:
    return PixelNetwork(1, (12,) * dims, 2, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dims", [2, 3])
def test_classes_are_learned_by_cross_entropy(dims):
    images, side = _pictures(600, dims)
    images[side == 1] *= 2  # convolutions do not know where; they know how strong

    def loss(outputs, rows):
        return functional.cross_entropy(outputs, side[rows])

    network = _network(dims)
    assert train_pixels(network, images, loss, torch.Generator().manual_seed(2), epochs=12) == 12
    new, there = _pictures(100, dims, seed=9)
    new[there == 1] *= 2
    assert float((say_of(network, new).argmax(dim=1) == there).float().mean()) > 0.9


def test_the_best_epoch_of_held_out_images_is_kept_and_they_are_not_learned_from():
    images, _ = _pictures(80, 2)
    noise = torch.randn(80, generator=torch.Generator().manual_seed(3))  # nothing to be learned
    held_out = np.arange(60, 80)
    trained = []

    def loss(outputs, rows):
        if outputs.requires_grad:
            trained.append(rows)
        return ((outputs[:, 0] - 3 * noise[rows]) ** 2).mean()

    network = _network(2)
    train = {"generator": torch.Generator().manual_seed(4), "epochs": 14, "held_out": held_out}
    after = train_pixels(network, images, loss, patience=3, **train)
    assert after < 14
    assert not np.isin(held_out, torch.cat(trained).numpy()).any()
    kept = float(loss(say_of(network, images[60:]), torch.arange(60, 80)))
    again = _network(2)
    train_pixels(again, images, loss, torch.Generator().manual_seed(4), epochs=14)
    assert kept <= float(loss(say_of(again, images[60:]), torch.arange(60, 80)))


def test_further_parameters_of_the_loss_are_learned():
    images, _ = _pictures(600, 2)
    level = torch.zeros(1, requires_grad=True)
    train_pixels(
        _network(2),
        images,
        lambda o, _: ((0 * o[:, 0] + level - 0.3) ** 2).mean(),
        torch.Generator(),
        parameters=[level],
    )
    assert float(level.detach()) == pytest.approx(0.3, abs=0.05)


def test_a_loss_that_is_not_finite_is_an_error():
    images, _ = _pictures(10, 2)
    with pytest.raises(ModelError, match="not finite"):
        train_pixels(_network(2), images, lambda o, _: o.sum() / 0.0 * 0.0, torch.Generator())
