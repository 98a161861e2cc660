"""Encoders: what a small convolutional network reads from pixels, as scores that have not seen their own patient.

Three networks are trained on the follow-up of images, each leaving a third of the patients out. A training image is
scored by the network that never saw its patient, a new image by the mean of all three: a model that learns how far to
trust the scores learns it on scores as good as those it will be given. Scores that do not improve the likelihood of
patients left out are set to zero: images that tell nothing say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from monai.networks.blocks import Convolution
from numpy.typing import NDArray
from torch import Tensor, nn

from osler.errors import ModelError
from osler.models.hazard import FollowUp, HazardLoss, event_rates, steps
from osler.models.optimiser import AdamW

__all__ = ["ImageReader", "PixelNetwork", "plain_features"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WIDTHS = (8, 16, 32, 32)  # channels after each halving
_SMALLEST = 8  # halving stops at a map of about this many pixels across
_GROUPS = 4
_EPOCHS, _BATCH, _RATE, _DECAY = 14, 128, 2e-2, 0.05
_WORK = 14 * 2_000 * 32 * 32  # most pixels to see in training one network: more images or larger ones get fewer epochs
_LEAST_GAIN = 2.0  # in log-likelihood, that held-out scores of a cause must bring
_SHIFT = 2  # pixels by which training images are moved
_CHUNK = 512
_STEEPEST = 12.0
_WARM = 0.3


class PixelNetwork(nn.Module):
    """Halving convolutions (MONAI blocks, group-normalised), the mean and the maximum of their maps, one linear layer.

    Mean and spread of the picture itself go round the convolutions, whose normalisation would take them away. Nothing
    is normalised over a batch: the score of an image depends on that image alone.
    """

    def __init__(self, channels: int, size: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        width, across = channels, size
        with torch.random.fork_rng(devices=[]):  # library layers draw their first weights from the global stream
            for wider in _WIDTHS:
                blocks.append(
                    Convolution(2, width, wider, strides=2, norm=("group", {"num_groups": _GROUPS}), act="RELU")
                )
                width, across = wider, across // 2
                if across <= _SMALLEST:
                    break
            self.features = nn.Sequential(*blocks)
            self.output = nn.Linear(2 * width + 2 * channels, outputs)
        for module in self.features.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, pixels: Tensor, plain: Tensor) -> Tensor:
        """(m, outputs) scores of (m, channels, height, width), and of what ``plain_features`` says of them."""
        maps = self.features(pixels)
        return self.output(torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3)), plain], dim=1))


def plain_features(pixels: Tensor) -> Tensor:
    """(m, 2 channels) mean and spread of each picture."""
    return torch.cat([pixels.mean(dim=(2, 3)), pixels.std(dim=(2, 3))], dim=1)


@dataclass
class ImageReader:
    """Scores (log hazard ratio of each cause) of the images of one block.

    Args:
        shape: channels, height, width.
        outputs: K causes.
    """

    shape: tuple[int, int, int]
    outputs: int
    centre: float = 0.0
    spread: float = 1.0
    networks: tuple[PixelNetwork, ...] = ()
    means: tuple[Floats, ...] = ()
    stretch: Floats = field(default_factory=lambda: np.ones(0))
    useful: tuple[bool, ...] = ()

    def fit(self, pixels: NDArray[np.float32], seen: FollowUp, edges: Floats, group: Ints, seed: int) -> Floats:
        """Train, and return (m, K) scores of the training images, each by a network that never saw its patient.

        Args:
            pixels: (m, channels, height, width).
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
            network = PixelNetwork(self.shape[0], min(self.shape[1:]), self.outputs, generator)
            _train(network, images[inside], seen.take(inside), edges, generator)
            every = _scores(network, images)
            mean = every[inside].mean(axis=0)
            scores[outside] = every[outside] - mean
            others[inside] += every[inside] - mean
            networks.append(network)
            means.append(mean)
        self.networks, self.means = tuple(networks), tuple(means)
        self.stretch = _stretch(scores, others / max(len(networks) - 1, 1), len(networks))
        self.useful = tuple(_gain(scores[:, k], seen, k + 1) > _LEAST_GAIN for k in range(self.outputs))
        return scores * self.useful

    def scores(self, pixels: NDArray[np.float32]) -> Floats:
        """(m, K) mean score of new images."""
        if not len(pixels):
            return np.empty((0, self.outputs))
        images = self._scaled(pixels)
        each = [_scores(network, images) - mean for network, mean in zip(self.networks, self.means, strict=True)]
        return np.mean(each, axis=0) * self.stretch * self.useful

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
        channels, height, width = state["shape"]
        networks = []
        for weights in state["networks"]:
            network = PixelNetwork(channels, min(height, width), state["outputs"], torch.Generator())
            network.load_state_dict({name: torch.tensor(np.asarray(array)) for name, array in weights.items()})
            networks.append(network.eval())
        means = tuple(np.asarray(mean) for mean in state["means"])
        shape = (channels, height, width)
        useful = tuple(bool(flag) for flag in state["useful"])
        read = (state["outputs"], state["centre"], state["spread"], tuple(networks), means)
        return cls(shape, *read, np.asarray(state["stretch"]), useful)


def _train(network: PixelNetwork, images: Tensor, seen: FollowUp, edges: Floats, generator: torch.Generator) -> None:
    """AdamW under one cycle of the learning rate; images mirrored and shifted."""
    m, K = len(images), network.output.out_features
    rates = np.maximum(event_rates(seen, K), -30.0)
    base = torch.zeros(1, *rates.shape, requires_grad=True)
    start, time = _tensor(rates)[None], _tensor(steps(edges))
    exposure, events = _tensor(seen.exposure), _tensor(seen.cause[:, None] == np.arange(1, K + 1))
    where, plain = torch.from_numpy(seen.bin), plain_features(images)
    epochs = max(2, min(_EPOCHS, int(_WORK / images[:, 0].numel())))
    rounds = epochs * max(1, m // _BATCH)
    parameters = [*network.parameters(), base]
    optimiser = AdamW(parameters, decay=_DECAY)
    network.train()
    for number in range(rounds):
        if number % max(1, m // _BATCH) == 0:
            order = torch.randperm(m, generator=generator)
        first = (number % max(1, m // _BATCH)) * _BATCH
        chosen = order[first : first + _BATCH]
        level = network(_moved(images[chosen], generator), plain[chosen])[None]
        weight = torch.ones(1, len(chosen))
        loss = HazardLoss.apply(
            level, torch.zeros_like(level), base + start, exposure[chosen], where[chosen], events[chosen], weight, time
        ).sum()
        if not torch.isfinite(loss):
            raise ModelError(
                "training of the image network failed: the loss is not finite. Look for unusual pixel values with "
                "`osler describe`, or withhold the images"
            )
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step(_RATE * _one_cycle((number + 0.5) / rounds))
    network.eval()


def _one_cycle(share: float) -> float:
    """Share of the highest learning rate after a share of the training: up, then slowly down to nothing."""
    if share < _WARM:
        return 0.04 + 0.96 * (1 - np.cos(np.pi * share / _WARM)) / 2
    return float((1 + np.cos(np.pi * (share - _WARM) / (1 - _WARM))) / 2)


def _stretch(own: Floats, others: Floats, networks: int) -> Floats:
    """(K,) factor of the mean of several networks that makes it worth, unit by unit, what one network's score is.

    The mean varies less than one network's scores do, as errors cancel, so a slope learned on the latter is too flat
    for it, by the ratio of their variances. Networks agree on unseen images as ``own`` (by a network that did not see
    the image) agrees with ``others`` (the mean of those that did): what these remember is unknown to the first.
    """
    variance = own.var(axis=0)
    shared = ((own - own.mean(axis=0)) * (others - others.mean(axis=0))).mean(axis=0)
    mean_variance = (variance + (networks - 1) * np.clip(shared, 0.0, variance)) / networks
    return np.where(variance > 0, variance / np.maximum(mean_variance, 1e-12), 1.0)


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


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrored half of the time, and shifted by up to two pixels."""
    mirror, *shift = torch.randint(-_SHIFT, _SHIFT + 1, (3,), generator=generator).tolist()
    turned = images.flip(3) if mirror > 0 else images
    return torch.roll(turned, shift, (2, 3))


@torch.no_grad()
def _scores(network: PixelNetwork, images: Tensor) -> Floats:
    if not len(images):
        return np.empty((0, network.output.out_features))
    return np.concatenate([network(part, plain_features(part)).double().numpy() for part in images.split(_CHUNK)])


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)
