"""Pixel training: a network of images fitted to whatever loss its user gives, by AdamW under one cycle of the rate."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from osler.errors import ModelError
from osler.models.optimiser import AdamW
from osler.vision.augmentation import Augmentation
from osler.vision.network import PixelNetwork, plain_features
from osler.vision.transforms import augmented

__all__ = ["Loss", "mean_stretch", "say_of", "train_pixels"]

Floats = NDArray[np.float64]
#: From (b, outputs) and the (b,) int64 positions, among all images, of those they were said of: one number to lower.
Loss = Callable[[Tensor, Tensor], Tensor]

_EPOCHS, _RATE, _DECAY = 14, 2e-2, 0.05
_BATCH, _SMALLEST_BATCH = 128, 32  # images in a batch
_STEPS = 8  # in an epoch: where there would be fewer, batches are smaller
_WORK = 14 * 2_000 * 32 * 32  # most pixels to see in training one network: more images or larger ones get fewer epochs
_WARM = 0.3
_CHUNK = 512
_MAP_BYTES = 256 * 1024**2  # of the first layer's maps of one batch: volumes come in smaller batches


def train_pixels(
    network: PixelNetwork,
    images: Tensor,
    loss: Loss,
    generator: torch.Generator,
    *,
    augmentation: Augmentation | None = None,
    held_out: NDArray[np.int64] | None = None,
    parameters: Sequence[Tensor] = (),
    epochs: int = _EPOCHS,
    patience: int | None = None,
    rate: float = _RATE,
    batch: int = _BATCH,
    work: float = _WORK,
) -> int:
    """Train in place; the network is left in evaluation mode.

    Args:
        network: as it is, not from new first weights.
        images: (m, channels, *sides) float32, scaled to a mean of about 0 and a spread of about 1.
        loss: to be lowered; a mean over the batch, so that batches of different sizes weigh alike.
        generator: of the order of batches and of what ``augmentation`` draws; no global stream is touched.
        augmentation: of training images, as they come in each batch; the defaults of ``Augmentation`` if not given.
        held_out: positions of images that are not learned from; after each epoch ``loss`` is taken on them, and the
            weights of the best epoch are kept.
        parameters: further tensors that ``loss`` depends on and that are to be learned with the network.
        epochs: most rounds over the images; many or large images get fewer.
        patience: with ``held_out``, epochs without a better one after which training ends; none if not given.
        rate: highest learning rate.
        batch: images in a batch, where they fit in memory.
        work: most pixels to see: what bounds the epochs over many or large images.

    Returns:
        The number of epochs after which the weights are those kept.

    Raises:
        ModelError: the loss is not finite.
    """
    how = Augmentation() if augmentation is None else augmentation
    inside = torch.from_numpy(np.setdiff1d(np.arange(len(images)), () if held_out is None else held_out))
    plain = plain_features(images)
    learned = [*network.parameters(), *parameters]
    optimiser = AdamW(learned, decay=_DECAY)
    epochs = max(2, min(epochs, int(work / max(images[inside][:, 0].numel(), 1))))
    most = min(batch, _batch_size(images))
    batch = int(np.clip(len(inside) // _STEPS, min(_SMALLEST_BATCH, most), most))
    steps = max(1, len(inside) // batch)
    best, kept, after = np.inf, [tensor.detach().clone() for tensor in learned], 0
    for epoch in range(epochs):
        network.train()
        order = inside[torch.randperm(len(inside), generator=generator)]
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            value = loss(network(augmented(images[rows], how, generator), plain[rows]), rows)
            _check(value)
            value.backward()
            nn.utils.clip_grad_norm_(learned, 1.0)
            optimiser.step(rate * _one_cycle((epoch * steps + step + 0.5) / (epochs * steps)))
        if held_out is None or not len(held_out):
            after = epoch + 1
            continue
        with torch.no_grad():
            rows = torch.from_numpy(np.asarray(held_out, dtype=np.int64))
            now = float(loss(say_of(network, images[rows]).float(), rows))
        if now < best:
            best, after = now, epoch + 1
            kept = [tensor.detach().clone() for tensor in learned]
        elif patience is not None and epoch + 1 - after >= patience:
            break
    network.eval()
    if after < epochs:
        _take_back(learned, kept)
    return after


@torch.no_grad()
def say_of(network: PixelNetwork, images: Tensor) -> Tensor:
    """(m, outputs) float64 of (m, channels, *sides) scaled images, as they are, in pieces that fit in memory.

    What is said of an image depends on that image alone, to the last bit. Convolutions and matrix products of single
    precision add up in an order that depends on how many images there are; those of double precision do not, nor do
    plain sums of products, but for a batch of one.
    """
    if not len(images):
        return torch.empty(0, network.outputs, dtype=torch.float64)
    exact = copy.deepcopy(network).double().eval()
    pieces = []
    for part in images.split(min(_CHUNK, 4 * _batch_size(images))):
        pixels = (part if len(part) > 1 else part.expand(2, *part.shape[1:])).double()
        features = exact.describe(pixels, plain_features(pixels))
        said = (features[:, None] * exact.output.weight).sum(dim=2) + exact.output.bias
        pieces.append(said[: len(part)])
    return torch.cat(pieces)


def mean_stretch(own: Floats, others: Floats, networks: int) -> Floats:
    """(K,) factor of the mean of several networks that makes it worth, unit by unit, what one network's score is.

    The mean varies less than one network's scores do, as errors cancel, so a slope learned on the latter is too flat
    for it, by the ratio of their variances. Networks agree on unseen images as ``own`` (by a network that did not see
    the image) agrees with ``others`` (the mean of those that did): what these remember is unknown to the first.
    """
    variance = own.var(axis=0)
    shared = ((own - own.mean(axis=0)) * (others - others.mean(axis=0))).mean(axis=0)
    mean_variance = (variance + (networks - 1) * np.clip(shared, 0.0, variance)) / networks
    return np.where(variance > 0, variance / np.maximum(mean_variance, 1e-12), 1.0)


def _batch_size(images: Tensor) -> int:
    """Most images in a batch; fewer of large volumes."""
    pixels = max(images[0, 0].numel(), 1) if len(images) else 1
    return int(np.clip(_MAP_BYTES // (4 * 8 * pixels), 4, _BATCH))


def _check(value: Tensor) -> None:
    if not torch.isfinite(value):
        raise ModelError(
            "training of the image network failed: the loss is not finite. Look for unusual pixel values with "
            "`osler describe`, or withhold the images"
        )


@torch.no_grad()
def _take_back(learned: Sequence[Tensor], kept: Sequence[Tensor]) -> None:
    for tensor, value in zip(learned, kept, strict=True):
        tensor.copy_(value)


def _one_cycle(share: float) -> float:
    """Share of the highest learning rate after a share of the training: up, then slowly down to nothing."""
    if share < _WARM:
        return 0.04 + 0.96 * (1 - np.cos(np.pi * share / _WARM)) / 2
    return float((1 + np.cos(np.pi * (share - _WARM) / (1 - _WARM))) / 2)
