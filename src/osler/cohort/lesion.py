"""Pictures of a lesion whose size and spiculation show a hidden trait, among nuisances that show nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_lesions"]

_CHUNK = 2000


def draw_lesions(trait: NDArray[np.float64], size: int, noise: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(m, size, size) grey pictures, one for each of ``trait`` (m,), standard normal.

    A higher trait gives a larger lesion with longer spicules. Position, orientation, number of spicules, contrast,
    background and exposure vary on their own, and the mean intensity is drawn after all else: it knows nothing of the
    trait, and a straight line through the pixels only part of it.

    Args:
        trait: (m,) what is to be seen.
        size: height and width in pixels.
        noise: scale of the pixel noise and of the error with which a picture shows the trait.
        rng: where chance comes from.
    """
    parts = [_draw(trait[first : first + _CHUNK], size, noise, rng) for first in range(0, max(len(trait), 1), _CHUNK)]
    return np.concatenate(parts)


def _draw(trait: NDArray[np.float64], size: int, noise: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    m = len(trait)

    def each(low: float, high: float) -> NDArray[np.float64]:
        return rng.uniform(low, high, m)[:, None, None]

    axis = (np.arange(size) + 0.5) / size - 0.5  # the picture is one unit wide, its centre at 0
    x, y = axis[None, None, :], axis[None, :, None]
    dx, dy = x - each(-0.2, 0.2), y - each(-0.2, 0.2)
    distance, angle = np.hypot(dx, dy), np.arctan2(dy, dx)

    shown = (trait + 0.15 * noise * rng.standard_normal(m))[:, None, None]
    radius = 0.17 * np.exp(0.24 * np.clip(shown, -3, 3))
    spicules = rng.integers(5, 9, m)[:, None, None]
    amplitude = 0.10 * np.exp(0.45 * np.clip(shown, -3, 2.5))
    ellipse = 1 + each(0.0, 0.2) * np.cos(2 * (angle - each(0, np.pi)))
    border = radius * ellipse * (1 + amplitude * np.cos(spicules * angle + each(0, 2 * np.pi)))
    lesion = 1 / (1 + np.exp(-(border - distance) / 0.02))

    picture = each(0.22, 0.42) * lesion + _background(x, y, m, rng)
    picture += each(0.38, 0.55) - picture.mean(axis=(1, 2), keepdims=True)
    picture += 0.04 * noise * rng.standard_normal(picture.shape)
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def _background(
    x: NDArray[np.float64], y: NDArray[np.float64], m: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Slow waves of tissue: (m, size, size), amplitude about a tenth of the grey scale."""
    waves = np.zeros((m, y.shape[1], x.shape[2]))
    for _ in range(3):
        turn, phase = rng.uniform(0, 2 * np.pi, (2, m))
        rate = rng.uniform(3, 12, m)
        along = np.cos(turn)[:, None, None] * x + np.sin(turn)[:, None, None] * y
        waves += rng.uniform(0.01, 0.05, m)[:, None, None] * np.cos(rate[:, None, None] * along + phase[:, None, None])
    return waves
