"""ResNet: residual networks trained elsewhere, by their weights. He et al., CVPR 2016.

torchvision, MONAI and MedicalNet (Chen, Ma and Zheng, arXiv:1904.00625) name their tensors alike (conv1, bn1,
layer1.0.conv1, ...) and differ in shortcuts, biases and first strides, which the tensors mostly tell.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from monai.networks.nets.resnet import ResNet
from torch import Tensor

from osler.errors import DataError, Violation
from osler.vision.weights import fit_weights

__all__ = ["RESNETS", "make_resnet", "vector_length"]

#: Blocks of each stage, and their kind.
RESNETS: dict[str, tuple[str, list[int]]] = {
    "resnet10": ("basic", [1, 1, 1, 1]),
    "resnet18": ("basic", [2, 2, 2, 2]),
    "resnet34": ("basic", [3, 4, 6, 3]),
    "resnet50": ("bottleneck", [3, 4, 6, 3]),
    "resnet101": ("bottleneck", [3, 4, 23, 3]),
    "resnet152": ("bottleneck", [3, 8, 36, 3]),
}
_WIDTHS = [64, 128, 256, 512]
_HEADS = ("fc.", "conv_seg.")  # what the network was trained to say elsewhere; vectors are taken before it


def make_resnet(kind: str, weights: Mapping[str, Tensor], dims: int, name: str, *, first_stride: int = 2) -> ResNet:
    """The network without its head, in evaluation mode: (m, channels, *sides) to (m, 512 or 2048).

    Args:
        kind: one of ``RESNETS``.
        weights: tensors by name; a head (``fc.*``, MedicalNet's ``conv_seg.*``) may be there or not.
        dims: 2 for pictures, 3 for volumes.
        name: what messages call the file.
        first_stride: of the first convolution: 2 in torchvision and MedicalNet, 1 by default in MONAI.

    Raises:
        DataError: the weights are of pictures where volumes are asked for (or the other way round), or do not fit.
    """
    first = weights.get("conv1.weight")
    if first is not None and first.ndim != dims + 2:
        found = {4: "pictures", 5: "volumes"}.get(first.ndim, "something else")
        raise DataError(
            [
                Violation(
                    name,
                    "weights are of images of as many axes",
                    "pictures" if dims == 2 else "volumes",
                    f"weights of {found}",
                    "Name other weights, or say size = [height, width] or [depth, height, width] accordingly.",
                )
            ]
        )
    block, layers = RESNETS[kind]
    with torch.random.fork_rng(devices=[]):  # library layers draw their first weights from the global stream
        network = ResNet(
            block=block,
            layers=layers,
            block_inplanes=_WIDTHS,
            spatial_dims=dims,
            n_input_channels=3 if first is None else int(first.shape[1]),
            conv1_t_size=7 if first is None else tuple(first.shape[2:]),  # type: ignore[arg-type]
            conv1_t_stride=first_stride,
            shortcut_type="B" if any(".downsample." in key for key in weights) else "A",
            bias_downsample="layer2.0.downsample.0.bias" in weights,
            feed_forward=False,
        )
    fit_weights(network, weights, name, spare=_HEADS)
    return network.eval()


def vector_length(kind: str) -> int:
    """Numbers in a vector of one of ``RESNETS``."""
    return _WIDTHS[-1] * (4 if RESNETS[kind][0] == "bottleneck" else 1)
