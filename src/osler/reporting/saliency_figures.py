"""Saliency figures: pictures with what raised and what lowered the risk laid over them, as PNG inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from osler.models.image_saliency import SalientImage
from osler.reporting.words import since

__all__ = ["overlay", "salient_pictures"]

_SIDE = 320  # pixels of the longer side of a picture in the page
_BLUR = 0.015  # of that side: single pixels are noise, what is a few wide is not
_STRONG = 99.5  # percentile of the map that is laid over at full strength
_RAISES, _LOWERS = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)  # vermilion and blue: told apart by the colour-blind too
_COVER = 0.75


def salient_pictures(images: Sequence[SalientImage]) -> list[dict[str, Any]]:
    """For each image: words, and the picture alone and with its map, as data URIs; volumes by their most telling slice.

    Maps of all images share one scale of strength, so that a faint map is a faint finding.
    """
    shown = [(image, *_slice(image)) for image in images]
    smooth = [_smooth(_enlarged(values)) for _, _, values, _ in shown]
    strongest = max((float(np.percentile(np.abs(values), _STRONG)) for values in smooth), default=0.0)
    return [
        {
            "label": image.label,
            "when": since(image.time),
            "slice": place,
            "factor": float(np.exp(image.score)),
            "picture": overlay(picture, None, 1.0),
            "overlaid": overlay(picture, values, strongest),
        }
        for (image, picture, _, place), values in zip(shown, smooth, strict=True)
    ]


def overlay(picture: NDArray[np.float32], values: NDArray[np.float64] | None, strongest: float) -> str:
    """A PNG as data URI: a (channels, height, width) picture in [0, 1], and over it (height, width) ``values``.

    Args:
        picture: grey or colour.
        values: of the size of the picture once enlarged; positive in vermilion, negative in blue; None for none.
        strongest: the value that covers most.
    """
    planes = [_enlarged(plane.astype(np.float64)) for plane in picture]
    pixels = 255 * np.stack(planes if len(planes) == 3 else planes[:1] * 3, axis=-1).clip(0, 1)
    if values is not None and strongest > 0:
        cover = (_COVER * np.clip(np.abs(values) / strongest, 0, 1))[..., None]
        pixels = pixels * (1 - cover) + cover * np.where(values[..., None] > 0, _RAISES, _LOWERS)
    stream = io.BytesIO()
    Image.fromarray(np.round(pixels).astype(np.uint8)).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _slice(image: SalientImage) -> tuple[NDArray[np.float32], NDArray[np.float64], str]:
    """The picture and its map; of a volume, the slice with the largest shares."""
    if image.map.ndim == 2:
        return image.pixels, image.map, ""
    at = int(np.abs(image.map).sum(axis=(1, 2)).argmax())
    return image.pixels[:, at], image.map[at], f"slice {at + 1} of {len(image.map)}"


def _enlarged(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = plane.shape
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BILINEAR), dtype=float)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return gaussian_filter(values, _BLUR * max(values.shape))
