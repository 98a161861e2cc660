"""Inputs of the classifiers: a landmark as columns, with pixels as plain numbers for those that read no pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Images
from osler.cohort.landmark import Landmark

__all__ = ["pixel_blocks", "with_plain_pixels", "without_pixels"]

#: Sides longer than this are averaged over squares (cubes) before components are taken of the pixels.
_LONGEST_SIDE = 32


def pixel_blocks(landmark: Landmark) -> list[str]:
    """Names of the image blocks that hold pixels."""
    return [name for name, block in landmark.known.images.items() if block.form == "pixels"]


def with_plain_pixels(landmark: Landmark) -> Landmark:
    """The same rows with every image as a vector of its pixels, of which a design takes components in training."""
    images = dict(landmark.known.images)
    for name in pixel_blocks(landmark):
        block = images[name]
        values = _coarse(block.values).reshape(len(block.visit), -1)
        images[name] = Images(name, "embedding", block.visit, values, label=block.label)
    return replace(landmark, known=replace(landmark.known, images=images))


def without_pixels(landmark: Landmark) -> Landmark:
    """The same rows without the image blocks that hold pixels."""
    gone = set(pixel_blocks(landmark))
    images = {name: block for name, block in landmark.known.images.items() if name not in gone}
    return replace(landmark, known=replace(landmark.known, images=images))


def _coarse(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels (m, channels, *sides) averaged over blocks, until no side is longer than ``_LONGEST_SIDE``."""
    for axis in range(2, values.ndim):
        side = values.shape[axis]
        step = -(-side // _LONGEST_SIDE)
        if step > 1:
            edges = np.arange(0, side, step)
            width = np.diff(np.append(edges, side)).astype(np.float32)
            shape = [1] * values.ndim
            shape[axis] = len(edges)
            values = np.add.reduceat(values, edges, axis=axis) / width.reshape(shape)
    return values
