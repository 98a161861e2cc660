"""Saliency: which pixels made the network say what it says of a patient, for a few patients it has not learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from osler.cohort.cohort import Cohort
from osler.diagnosis.base import Classifier
from osler.diagnosis.image_committee import ImageCommittee
from osler.diagnosis.inputs import latest_images
from osler.diagnosis.network import Network
from osler.errors import UsageError
from osler.vision.network import plain_features
from osler.vision.saliency import integrated_gradients

__all__ = ["Picture", "explain_images"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Picture:
    """One image and what in it spoke for the positive class, and against it.

    Attributes:
        patient: pseudonym.
        block: name of the image block.
        observed: the class that was the case; empty where it is not known.
        probability: of the positive class, by the whole network.
        pixels: (channels, *sides) in [0, 1].
        weight: (*sides) shares of the pixels in the log odds of the positive class, as the image networks see them,
            over those of pictures alike from afar (``osler.vision.saliency``).
        difference: how much higher these log odds are.
    """

    patient: str
    block: str
    observed: str
    probability: float
    pixels: NDArray[np.float32]
    weight: Floats
    difference: float


def explain_images(model: Classifier, cohort: Cohort, positions: NDArray[np.int64], count: int) -> tuple[Picture, ...]:
    """Maps of ``count`` of the patients at ``positions``, from the least to the most probable positive class.

    Args:
        model: a fitted ``Network`` that reads pixels.
        cohort: the patients.
        positions: those who may be shown: none of whom the model has learned from.
        count: how many to show.

    Raises:
        UsageError: the model reads no pixels.
    """
    if not isinstance(model, Network) or not model.readers:
        raise UsageError("saliency is of pixels, and this classifier reads none")
    told = cohort.diagnosis
    assert told is not None
    part = cohort.subset(positions)
    landmark = model.schema_.conform(part).at(model.at, at_risk=False)
    probability = model.predict(part).probability[:, model.positive_]
    pictures = []
    for name, committee in model.readers.items():
        block = landmark.known.images[name]
        row, image = latest_images(block.visit, landmark)
        row, first = np.unique(row, return_index=True)
        order = np.argsort(probability[row], kind="stable")
        chosen = order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))]
        for k in chosen:
            label = told.label[positions[row[k]]]
            pixels = block.values[image[first[k]]]
            at = int(np.searchsorted(model.present_, model.positive_))
            weight, difference = _contributions(committee, pixels, at)
            pictures.append(
                Picture(
                    patient=str(part.pseudonyms[row[k]]),
                    block=block.label or name,
                    observed=told.classes[label] if label >= 0 else "",
                    probability=float(probability[row[k]]),
                    pixels=pixels,
                    weight=weight,
                    difference=difference,
                )
            )
    return tuple(pictures)


def _contributions(committee: ImageCommittee, pixels: NDArray[np.float32], positive: int) -> tuple[Floats, float]:
    """(*sides) shares of the pixels in the log odds of one class, mean over the committee; and what they explain."""

    def log_odds(images: Tensor) -> Tensor:
        total = torch.zeros(len(images))
        for network in committee.networks:
            logits = network(images, plain_features(images))
            others = [code for code in range(logits.shape[1]) if code != positive]
            total = total + logits[:, positive] - torch.logsumexp(logits[:, others], dim=1)
        return total / len(committee.networks)

    found = integrated_gradients(log_odds, committee.scaled(pixels[None]))
    return found.maps[0], float(found.difference[0])
