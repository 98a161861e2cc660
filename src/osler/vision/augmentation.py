"""Augmentation: by how much a training image may be changed without changing what it means.

Numbers only, so that a manifest can hold them; ``osler.vision.transforms`` carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Augmentation"]


@dataclass(frozen=True)
class Augmentation:
    """The largest change of each kind; each image of a batch is changed by its own draw, evenly up to these.

    Attributes:
        mirror: left and right exchanged half of the time. Not medical in general: the heart lies on the left, organs
            have sides, and a mirrored chest film is another diagnosis (situs inversus, or a film hung wrong). Allow it
            where the picture has no side: histology, dermatoscopy, ultrasound of one breast.
        shift: share of each side, 0 to 0.5. Patients are never placed exactly alike. What is moved in repeats the edge.
        rotation: degrees, 0 to 180, within the plane of the last two axes. Patients lie and stand a little oblique: 5
            to 10 degrees are common; more is for pictures without an upright (histology, dermatoscopy).
        brightness: added to every pixel, as a share of the block's spread. Exposure of films, staining and gain differ
            by device. Not for calibrated units (Hounsfield units, uptake values), where brightness is the finding.
        contrast: relative change of the distance from the image's mean; medical where brightness is.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  (a manifest that misspells one is refused)

    mirror: bool = False
    shift: float = 0.06
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        limits = {"shift": 0.5, "rotation": 180.0, "brightness": 2.0, "contrast": 0.9}
        for name, most in limits.items():
            if not 0.0 <= getattr(self, name) <= most:
                raise ValueError(f"augment.{name} lies from 0 to {most:g}")
