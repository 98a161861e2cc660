"""Pictures of saliency: the image, and over it what spoke for the positive class and against it, inside the page."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from osler.reporting.words import percent

__all__ = ["drawn"]

#: For the class, and against it: vermilion and blue, told apart in every common colour blindness.
_FOR, _AGAINST = np.array([200, 80, 30]), np.array([0, 103, 165])
_SIDE = 224


def drawn(picture: Any, positive: str) -> dict[str, str]:
    """One picture with its map, as data URIs, and in words; of a volume the slice with the largest weights.

    Args:
        picture: ``patient``, ``block``, ``observed``, ``probability``, ``pixels`` (channels, *sides) and ``weight``
            (*sides).
        positive: name of the class whose probability is told.
    """
    pixels, weight = picture.pixels, np.asarray(picture.weight, dtype=float)
    if weight.ndim == 3:
        slice_ = int(np.abs(weight).sum(axis=(1, 2)).argmax())
        pixels, weight = pixels[:, slice_], weight[slice_]
    plain = np.repeat(pixels, 3, axis=0) if len(pixels) == 1 else pixels
    shown = np.clip(255 * plain.transpose(1, 2, 0), 0, 255)
    depth = np.abs(weight) / max(float(np.quantile(np.abs(weight), 0.99)), 1e-12)
    depth = np.clip(depth, 0, 1)[:, :, None] ** 0.75
    colour = np.where(weight[:, :, None] > 0, _FOR, _AGAINST)
    faded = 110 + 0.35 * shown
    observed = f"observed: {picture.observed}" if picture.observed else "class not known"
    share = weight[weight > 0].sum() / max(float(np.abs(weight).sum()), 1e-12)
    said = (
        f"{picture.patient}, {picture.block}: probability of {positive} {percent(picture.probability)}, {observed}. "
        f"{percent(float(share))} of the weight speaks for {positive}."
    )
    return {
        "image": _uri(shown),
        "map": _uri(faded * (1 - depth) + colour * depth),
        "patient": picture.patient,
        "finding": said,
    }


def _uri(values: NDArray[np.float64]) -> str:
    """A PNG of (height, width, 3) values from 0 to 255, small ones enlarged without smoothing."""
    image = Image.fromarray(values.round().astype(np.uint8), "RGB")
    factor = max(1, _SIDE // max(image.size))
    buffer = io.BytesIO()
    image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
