"""Device: where networks are trained, and how exact products are there.

Random numbers are always drawn on the processor and predictions always made there: a device changes how long training
takes, not what is drawn, nor where a stored model can be used.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from osler.errors import UsageError

__all__ = ["DEVICES", "DeviceName", "gathered_back", "product", "training_device"]

DeviceName = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[str, ...] = get_args(DeviceName)

#: Kinds of device whose products are taken of numbers cut to fewer bits; all else is float32 there too.
_CUT = {"cuda": torch.bfloat16}


def training_device(name: str) -> torch.device:
    """The device called ``name``; "auto" is a CUDA device where there is one.

    Raises:
        UsageError: no such name, or "cuda" on a machine without one.
    """
    if name not in DEVICES:
        raise UsageError(f"no device is called {name!r}; there are {', '.join(DEVICES)}")
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise UsageError('device = "cuda" was asked for and this machine has none: leave it at "auto", or say "cpu"')
    return torch.device("cuda" if found and name != "cpu" else "cpu")


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """(E, n, m) ``a @ b + bias`` of (E, n, k) and (E, k, m), in the type of ``a``."""
    cut = _CUT.get(a.device.type)
    if cut is not None:
        result = (a.to(cut) @ b.to(cut)).to(a.dtype)
        return result if bias is None else result + bias
    return a @ b if bias is None else torch.baddbmm(bias, a, b)


def gathered_back(values: Tensor, which: Tensor, size: int) -> Tensor:
    """(E, size, M): sums of ``values`` (E, R, M) by ``which`` (R,), the gradient of gathering; the same bits always."""
    E, _, M = values.shape
    if values.device.type == "cuda":  # index_add_ adds in any order there; index_put_ sorts first
        sums = values.new_zeros(size, E, M)
        return sums.index_put_((which,), values.transpose(0, 1), accumulate=True).transpose(0, 1)
    return values.new_zeros(E, size, M).index_add_(1, which, values)
