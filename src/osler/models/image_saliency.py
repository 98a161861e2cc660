"""Image saliency: what a model saw in a patient's latest images, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Patient
from osler.errors import UsageError
from osler.models.base import RiskModel

if TYPE_CHECKING:
    from osler.models.image_reader import ImageReader  # torch: models without pixels do not wait for it

__all__ = ["SalientImage", "salient_images"]

_MOST = 4  # images of one visit that are explained


@dataclass(frozen=True, eq=False)
class SalientImage:
    """One image and the shares of its pixels in its score.

    Attributes:
        block: name of the image block.
        label: the words that reports use.
        time: days from the time origin at which it was taken.
        pixels: (channels, *sides) float32 in [0, 1], as the network was given them.
        map: (*sides) log hazard ratio that each pixel adds; positive raises the hazard.
        score: log hazard ratio of the image against pictures like it from afar: about the sum of ``map``.
        error: how far the sum of the map is from it.
    """

    block: str
    label: str
    time: float
    pixels: NDArray[np.float32]
    map: NDArray[np.float64]
    score: float
    error: float


def salient_images(model: RiskModel, patient: Patient, at: float | str, *, cause: int = 1) -> list[SalientImage]:
    """Saliency of the images of the patient's latest visit with one, block by block, on or before a landmark.

    Args:
        model: fitted; only networks trained here on pixels can be asked (the recurrent model's).
        patient: at risk at ``at``.
        at: landmark, days or "6y".
        cause: 1-based position among the model's causes.

    Returns:
        At most four images of each block; none of blocks whose images told the model nothing of that cause, none when
        the model reads no pixels.

    Raises:
        UsageError: the patient's follow-up ended before the landmark, or there is no such cause.
    """
    if not 1 <= cause <= len(model.causes_):
        raise UsageError(f"cause {cause} of {len(model.causes_)}")
    landmark = model.schema_.conform(patient.cohort).at(at)
    if not len(landmark):
        raise UsageError(f"the follow-up of patient {patient.pseudonym} ended before the landmark")
    first, stop = int(landmark.start[0]), int(landmark.stop[0])
    times = landmark.known.visits["time"].to_numpy(dtype=float)
    found = []
    for name, reader in _readers(model).items():
        block = landmark.known.images[name]
        visit = block.visit[(block.visit >= first) & (block.visit < stop)]
        if not len(visit) or not reader.useful[cause - 1]:
            continue
        latest = block.take(np.flatnonzero(block.visit == visit[-1])[:_MOST])
        told = reader.attribute(latest.values, cause)
        label = patient.cohort.images[name].label or name
        found += [
            SalientImage(name, label, float(times[visit[-1]]), *parts)
            for parts in zip(latest.values, told.maps, told.difference.tolist(), told.error.tolist(), strict=True)
        ]
    return found


def _readers(model: RiskModel) -> dict[str, ImageReader]:
    inputs: Any = next((part.inputs_ for part in model.parts if hasattr(part, "inputs_")), None)
    return {} if inputs is None else inputs.readers
