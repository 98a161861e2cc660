"""Pictures of saliency in a study of classes: each image, what spoke for the positive class, and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from osler.models.image_saliency import SalientImage
from osler.reporting.saliency_figures import salient_pictures
from osler.reporting.words import percent, significant

__all__ = ["class_pictures"]


def class_pictures(pictures: Sequence[Any], positive: str) -> list[dict[str, Any]]:
    """Pictures and their maps as data URIs, on one scale of strength, and what they show in words.

    Args:
        pictures: with ``patient``, ``block``, ``observed``, ``probability``, ``pixels`` (channels, *sides), ``weight``
            (*sides) and ``difference``.
        positive: name of the class whose probability is told.
    """
    images = [SalientImage(p.block, p.block, 0.0, p.pixels, p.weight, p.difference, 0.0) for p in pictures]
    return [
        {**drawn, "patient": picture.patient, "finding": _finding(picture, drawn, positive)}
        for picture, drawn in zip(pictures, salient_pictures(images), strict=True)
    ]


def _finding(picture: Any, drawn: dict[str, Any], positive: str) -> str:
    observed = f"observed: {picture.observed}" if picture.observed else "class not known"
    place = f" ({drawn['slice']})" if drawn["slice"] else ""
    return (
        f"{picture.patient}, {picture.block}{place}: probability of {positive} {percent(picture.probability)}, "
        f"{observed}. As the image networks see it, its odds are {significant(drawn['factor'], 2)} times those of "
        "pictures alike from afar."
    )
