"""Inputs of the classifiers: a landmark as columns, with pixels as plain numbers for those that read no pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from osler.cohort.images import Images
from osler.cohort.landmark import Landmark

__all__ = ["coarse_pixels", "latest_images", "pixel_blocks", "with_plain_pixels", "without_pixels"]

#: Sides longer than this are averaged over squares (cubes) before components are taken of the pixels.
_LONGEST_SIDE = 32


def pixel_blocks(landmark: Landmark) -> list[str]:
    """Names of the image blocks that hold pixels."""
    return [name for name, block in landmark.known.images.items() if block.form == "pixels"]


def with_plain_pixels(landmark: Landmark) -> Landmark:
    """The same rows with every image as a vector, of which a design takes components in training.

    The vector is of its pixels, or what a network trained elsewhere made of them.
    """
    images = dict(landmark.known.images)
    for name in pixel_blocks(landmark):
        block = images[name]
        if block.vectors is not None:
            images[name] = block.vectors
            continue
        images[name] = Images(name, "embedding", block.visit, coarse_pixels(block.values), label=block.label)
    return replace(landmark, known=replace(landmark.known, images=images))


def without_pixels(landmark: Landmark) -> Landmark:
    """The same rows without pixels; vectors that a network trained elsewhere made of them stay."""
    images = {name: block.vectors for name, block in landmark.known.images.items() if block.vectors is not None}
    return replace(landmark, known=replace(landmark.known, images=images))


def latest_images(visit: NDArray[np.int64], landmark: Landmark) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(k,) rows, and (k,) positions in a block's images at the visits ``visit``: all images of a row's latest visit."""
    if not len(visit):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    last = np.searchsorted(visit, landmark.stop, "left") - 1
    at = visit[np.maximum(last, 0)]
    has = (last >= 0) & (at >= landmark.start)
    first = np.searchsorted(visit, at, "left")
    count = np.where(has, last - first + 1, 0)
    rows = np.repeat(np.arange(len(landmark)), count)
    before = np.repeat(np.cumsum(count) - count, count)
    return rows, np.repeat(first, count) + np.arange(count.sum()) - before


def coarse_pixels(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(m, p) of pixels (m, channels, *sides), averaged over blocks until no side is longer than ``_LONGEST_SIDE``."""
    for axis in range(2, values.ndim):
        side = values.shape[axis]
        step = -(-side // _LONGEST_SIDE)
        if step > 1:
            edges = np.arange(0, side, step)
            width = np.diff(np.append(edges, side)).astype(np.float32)
            shape = [1] * values.ndim
            shape[axis] = len(edges)
            values = np.asarray(np.add.reduceat(values, edges, axis=axis) / width.reshape(shape), dtype=np.float32)
    return values.reshape(len(values), int(np.prod(values.shape[1:])))
