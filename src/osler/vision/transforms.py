"""Transforms: a batch of images, each changed by a draw of its own within an ``Augmentation``."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor
from torch.nn import functional

from osler.vision.augmentation import Augmentation

__all__ = ["augmented"]


def augmented(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """(m, channels, *sides) changed images of (m, channels, *sides), 2-D or 3-D; nothing but ``generator`` is drawn."""
    m, dims = len(images), images.ndim - 2
    shift = _evenly(m, dims, generator) * how.shift
    if how.mirror:
        turn = torch.rand(m, generator=generator) < 0.5
        images = torch.where(turn.view(m, *[1] * (dims + 1)), images.flip(-1), images)
    if how.rotation:
        images = _rotated(images, _evenly(m, 1, generator)[:, 0] * (how.rotation * pi / 180), shift)
    elif how.shift:
        images = _shifted(images, shift)
    if how.contrast:
        factor = (1 + how.contrast * _evenly(m, 1, generator)[:, 0]).view(m, *[1] * (dims + 1))
        mean = images.mean(dim=tuple(range(1, images.ndim)), keepdim=True)
        images = mean + (images - mean) * factor
    if how.brightness:
        images = images + (how.brightness * _evenly(m, 1, generator)[:, 0]).view(m, *[1] * (dims + 1))
    return images


def _evenly(m: int, n: int, generator: torch.Generator) -> Tensor:
    """(m, n) draws from -1 to 1."""
    return torch.rand(m, n, generator=generator) * 2 - 1


def _shifted(images: Tensor, shift: Tensor) -> Tensor:
    """Moved by whole pixels along each axis: no interpolation, so that noise keeps its grain."""
    m, dims = len(images), images.ndim - 2
    index: list[Tensor] = [torch.arange(m).view(m, *[1] * (dims + 1)), torch.arange(images.shape[1])[:, None, None]]
    index[1] = index[1].view(1, -1, *[1] * dims)
    for axis, side in enumerate(images.shape[2:]):
        moved = torch.arange(side) - (shift[:, axis] * side).round().long()[:, None]
        index.append(moved.clamp_(0, side - 1).view(m, 1, *[side if a == axis else 1 for a in range(dims)]))
    return images[tuple(index)]


def _rotated(images: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Turned in the plane of the last two axes and moved, interpolated linearly; edges are repeated."""
    m, dims = len(images), images.ndim - 2
    height, width = images.shape[-2:]
    across = torch.zeros(m, dims, dims + 1)  # x (width), y (height), then depth, as ``affine_grid`` orders them
    cos, sin = angle.cos(), angle.sin()
    across[:, 0, 0], across[:, 0, 1] = cos, -sin * (height / width)
    across[:, 1, 0], across[:, 1, 1] = sin * (width / height), cos
    if dims == 3:
        across[:, 2, 2] = 1.0
    across[:, :, -1] = -2 * shift.flip(1)
    grid = functional.affine_grid(across, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
