from __future__ import annotations

import numpy as np
import pytest
import torch

from osler.vision.augmentation import Augmentation
from osler.vision.transforms import augmented

STILL = Augmentation(shift=0.0)


def _draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _one_sided(m: int, dims: int) -> torch.Tensor:
    """Pictures that are bright on the left."""
    images = torch.zeros(m, 1, *[16] * dims)
    images[..., :4] = 1.0
    return images


@pytest.mark.parametrize("dims", [2, 3])
def test_nothing_is_mirrored_unless_allowed(dims):
    images = _one_sided(64, dims)
    every = Augmentation(shift=0.1, rotation=10, brightness=0.2, contrast=0.2)
    changed = augmented(images, every, _draw())
    assert (changed[..., :8].flatten(1).mean(1) > changed[..., 8:].flatten(1).mean(1) + 0.2).all()
    mirrored = augmented(images, Augmentation(mirror=True, shift=0.0), _draw())
    on_the_right = (mirrored[..., -1].flatten(1).mean(1) == 1).float().mean()
    assert 0.3 < float(on_the_right) < 0.7


@pytest.mark.parametrize("dims", [2, 3])
def test_each_image_is_moved_by_its_own_draw_and_edges_repeat(dims):
    images = _one_sided(64, dims)
    moved = augmented(images, Augmentation(shift=0.25), _draw())
    width = moved[(slice(None), 0, *[8] * (dims - 1))].sum(dim=1)
    assert width.min() == 0
    assert width.max() == 8
    assert len(width.unique()) == 9
    edge = moved[(slice(None), 0, *[8] * (dims - 1), 0)]
    assert ((edge == 1) == (width > 0)).all()


def test_rotation_turns_about_the_centre_and_keeps_the_aspect():
    images = torch.zeros(40, 1, 15, 31)
    images[:, :, 7, 8:23] = 1.0  # a level line
    turned = augmented(images, Augmentation(shift=0.0, rotation=90), _draw(1))
    assert torch.allclose(turned[:, 0, 7, 15], torch.ones(40), atol=0.35)
    at = torch.nonzero(turned[:, 0] > 0.3).numpy()
    for i in range(40):
        y, x = at[at[:, 0] == i, 1] - 7, at[at[:, 0] == i, 2] - 15
        assert np.hypot(y, x).max() < 8.5


@pytest.mark.parametrize("dims", [2, 3])
def test_a_rotation_of_nothing_moves_as_a_shift_does(dims):
    images = torch.rand(8, 2, *[12] * dims, generator=_draw(2))
    turned = augmented(images, Augmentation(shift=0.0, rotation=1e-7), _draw(3))
    assert torch.allclose(turned, images, atol=1e-4)
    assert torch.equal(augmented(images, STILL, _draw(3)), images)


def test_brightness_and_contrast():
    images = torch.rand(200, 1, 8, 8, generator=_draw(4))
    brighter = augmented(images, Augmentation(shift=0.0, brightness=0.5), _draw(5)) - images
    assert float(brighter.std(dim=(1, 2, 3)).max()) < 1e-6
    assert 0.45 < float(brighter.abs().max()) <= 0.5 + 1e-6
    sharper = augmented(images, Augmentation(shift=0.0, contrast=0.5), _draw(6))
    ratio = sharper.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    assert (0.5 - 1e-5 < float(ratio.min()) < 0.55) & (1.45 < float(ratio.max()) < 1.5 + 1e-5)
    assert torch.allclose(sharper.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)), atol=1e-5)


def test_drawn_from_the_generator_alone():
    images = torch.rand(4, 1, 8, 8)
    before = torch.get_rng_state()
    every = Augmentation(True, 0.2, 10, 0.2, 0.2)
    assert torch.equal(augmented(images, every, _draw(7)), augmented(images, every, _draw(7)))
    assert torch.equal(torch.get_rng_state(), before)


def test_changes_beyond_sense_are_refused():
    with pytest.raises(ValueError, match="shift lies from 0"):
        Augmentation(shift=0.7)
