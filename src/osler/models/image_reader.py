"""Image reader: what small convolutional networks read from pixels, as scores that have not seen their own patient.

Three networks are trained on the follow-up of images, each leaving a third of the patients out. A training image is
scored by the network that never saw its patient, a new image by the mean of all three: a model that learns how far to
trust the scores learns it on scores as good as those it will be given. Scores that do not improve the likelihood of
patients left out are set to zero: images that tell nothing say nothing.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from osler.models.hazard import FollowUp, HazardLoss, event_rates, steps
from osler.models.pixel_training import mean_stretch, say_of, train_pixels
from osler.vision.augmentation import Augmentation
from osler.vision.network import PixelNetwork, plain_features
from osler.vision.saliency import Attribution, integrated_gradients

__all__ = ["ImageReader"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST_GAIN = 2.0  # in log-likelihood, that held-out scores of a cause must bring
_STEEPEST = 12.0


@dataclass
class ImageReader:
    """Scores (log hazard ratio of each cause) of the images of one block.

    Args:
        shape: channels, height, width, or channels, depth, height, width.
        outputs: K causes.
        augmentation: of training images.
    """

    shape: tuple[int, ...]
    outputs: int
    augmentation: Augmentation = field(default_factory=Augmentation)
    centre: float = 0.0
    spread: float = 1.0
    networks: tuple[PixelNetwork, ...] = ()
    means: tuple[Floats, ...] = ()
    stretch: Floats = field(default_factory=lambda: np.ones(0))
    useful: tuple[bool, ...] = ()

    def fit(self, pixels: NDArray[np.float32], seen: FollowUp, edges: Floats, group: Ints, seed: int) -> Floats:
        """Train, and return (m, K) scores of the training images, each by a network that never saw its patient.

        Args:
            pixels: (m, *shape) float32.
            seen: follow-up counted from each image.
            edges: of the bins of ``seen``.
            group: (m,) 0, 1, ...: the part of the patients that the image's patient belongs to.
            seed: of everything drawn.
        """
        self.centre, self.spread = float(pixels.mean()), max(float(pixels.std()), 1e-6)
        images = self._scaled(pixels)
        scores = np.zeros((len(pixels), self.outputs))
        others = np.zeros_like(scores)
        networks, means = [], []
        for part in np.unique(group):
            generator = torch.Generator().manual_seed(seed + int(part))
            inside, outside = np.flatnonzero(group != part), np.flatnonzero(group == part)
            if not len(inside):
                inside = outside
            network = PixelNetwork(self.shape[0], self.shape[1:], self.outputs, generator)
            loss = _HazardFit(seen.take(inside), edges, self.outputs)
            how = self.augmentation
            train_pixels(network, images[inside], loss, generator, augmentation=how, parameters=[loss.change])
            every = say_of(network, images).numpy()
            mean = every[inside].mean(axis=0)
            scores[outside] = every[outside] - mean
            others[inside] += every[inside] - mean
            networks.append(network)
            means.append(mean)
        self.networks, self.means = tuple(networks), tuple(means)
        self.stretch = mean_stretch(scores, others / max(len(networks) - 1, 1), len(networks))
        self.useful = tuple(_gain(scores[:, k], seen, k + 1) > _LEAST_GAIN for k in range(self.outputs))
        return scores * self.useful

    def scores(self, pixels: NDArray[np.float32]) -> Floats:
        """(m, K) mean score of new images."""
        if not len(pixels) or not any(self.useful):
            return np.zeros((len(pixels), self.outputs))
        different, back = _different(pixels)
        images = self._scaled(pixels[different])
        said = [say_of(network, images).numpy() for network in self.networks]
        each = [own - mean for own, mean in zip(said, self.means, strict=True)]
        return (np.mean(each, axis=0) * self.stretch * self.useful)[back]

    def attribute(self, pixels: NDArray[np.float32], cause: int = 1) -> Attribution:
        """Shares of the pixels of (m, *shape) images in their score of a cause (1..K), in log hazard ratio.

        All are zero where the score is, because images told nothing of that cause.
        """
        networks = [copy.deepcopy(network).double().eval() for network in self.networks]
        factor = float(self.stretch[cause - 1] * self.useful[cause - 1]) / len(networks)

        def say(images: Tensor) -> Tensor:
            plain = plain_features(images)
            return factor * torch.stack([network(images, plain)[:, cause - 1] for network in networks]).sum(dim=0)

        return integrated_gradients(say, self._scaled(pixels).double())

    def _scaled(self, pixels: NDArray[np.float32]) -> Tensor:
        return (torch.from_numpy(np.ascontiguousarray(pixels)) - self.centre) / self.spread

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        weights = [{name: t.detach().numpy() for name, t in n.state_dict().items()} for n in self.networks]
        return {
            "shape": list(self.shape),
            "outputs": self.outputs,
            "centre": self.centre,
            "spread": self.spread,
            "networks": weights,
            "means": list(self.means),
            "stretch": self.stretch,
            "useful": list(self.useful),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        shape = tuple(state["shape"])
        networks = []
        for weights in state["networks"]:
            network = PixelNetwork(shape[0], shape[1:], state["outputs"], torch.Generator())
            network.load_state_dict({name: torch.tensor(np.asarray(array)) for name, array in weights.items()})
            networks.append(network.eval())
        means = tuple(np.asarray(mean) for mean in state["means"])
        return cls(
            shape,
            state["outputs"],
            centre=state["centre"],
            spread=state["spread"],
            networks=tuple(networks),
            means=means,
            stretch=np.asarray(state["stretch"]),
            useful=tuple(bool(flag) for flag in state["useful"]),
        )


class _HazardFit:
    """The hazard likelihood of images' follow-up: the network gives the log hazard ratios, the rest is learned here."""

    def __init__(self, seen: FollowUp, edges: Floats, n_causes: int) -> None:
        rates = np.maximum(event_rates(seen, n_causes), -30.0)
        self.start, self.time = _tensor(rates)[None], _tensor(steps(edges))
        self.change = torch.zeros(1, *rates.shape, requires_grad=True)
        self.exposure, self.where = _tensor(seen.exposure), torch.from_numpy(seen.bin)
        self.events = _tensor(seen.cause[:, None] == np.arange(1, n_causes + 1))

    def __call__(self, outputs: Tensor, rows: Tensor) -> Tensor:
        level, weight = outputs[None], torch.ones(1, len(rows))
        base, seen = self.start + self.change, (self.exposure[rows], self.where[rows], self.events[rows])
        return HazardLoss.apply(level, torch.zeros_like(level), base, *seen, weight, self.time).sum()


def _different(pixels: NDArray[np.float32]) -> tuple[Ints, Ints]:
    """Positions of the images that differ from all before them, and for each image its own among these.

    Explanations ask about hundreds of copies of a patient: an image is read once.
    """
    contents = [blake2b(image.tobytes(), digest_size=16).digest() for image in pixels]
    _, first, back = np.unique(np.array(contents, dtype="S16"), return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[back.ravel()]


def _gain(score: Floats, seen: FollowUp, cause: int) -> float:
    """Log-likelihood that a held-out score brings over bins alone, with the best slope from 0 to 2."""
    event = seen.cause == cause
    if not event.any():
        return 0.0
    counts = np.bincount(seen.bin[event], minlength=seen.exposure.shape[1])

    def likelihood(slope: float) -> float:
        relative = np.exp(np.clip(slope * score, -_STEEPEST, _STEEPEST))
        at_risk = np.maximum(relative @ seen.exposure, 1e-300)  # the baseline of each bin is profiled out
        return float(slope * score[event].sum() - counts @ np.log(at_risk))

    return max(likelihood(slope) for slope in np.linspace(0.0, 2.0, 9)) - likelihood(0.0)


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)
