"""Weights: the named tensors of a network trained elsewhere, from a file in which nothing can run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from osler.errors import DataError, Violation

__all__ = ["fit_weights", "parse_weights"]

_SHOWN = 3
_REMEDY = "Save the network's state_dict with safetensors.torch.save_file(network.state_dict(), path)."


def parse_weights(data: bytes, name: str) -> dict[str, Tensor]:
    """Tensors by name, from the content of a ``.safetensors`` file, which holds numbers and nothing else.

    Names may begin with "module.", as ``DataParallel`` writes them. What ``torch.save`` writes is a pickle, also where
    only tensors are read from it, and is refused: save the tensors anew, where their source is trusted.

    Args:
        data: content of the file.
        name: what messages call it.

    Raises:
        DataError: another kind of file, damaged, or without a tensor.
    """
    if data[:1] == b"\x80" or data[:2] == b"PK":
        expected, found = "a .safetensors file", "a file of torch.save (.pt, .pth), which is a pickle"
        raise _refuse(name, "weights hold numbers alone", expected, found)
    try:
        held = load_safetensors(data)
    except (SafetensorError, *_BROKEN):
        raise _refuse(name, "weights can be read", "a whole .safetensors file", "another kind, or damaged") from None
    if not held:
        raise _refuse(name, "weights are a state_dict", "tensors by name", "no tensor")
    return {key.removeprefix("module."): tensor for key, tensor in held.items()}


def fit_weights(network: torch.nn.Module, given: Mapping[str, Tensor], name: str, spare: tuple[str, ...] = ()) -> None:
    """Load ``given`` into ``network``, every tensor or none.

    Args:
        network: names and shapes wanted.
        given: tensors by name.
        name: what messages call the file.
        spare: beginnings of names that may be there without being wanted, such as ("fc.",) for a head.

    Raises:
        DataError: all tensors that are missing, not expected, of another shape or not finite, in one message.
    """
    wanted = network.state_dict()
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}  # of no use, and not in every file
    held = {k: v for k, v in given.items() if not k.startswith(spare) and not k.endswith("num_batches_tracked")}
    shared = [key for key in wanted if key in held]
    wrong = [
        f"{key} {tuple(held[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in shared
        if held[key].shape != wanted[key].shape
    ]
    problems = {
        "missing": [key for key in wanted if key not in held and key not in counters],
        "not expected": [key for key in held if key not in wanted],
        "of another shape": wrong,
        "not finite": [key for key in shared if not torch.isfinite(held[key]).all()],
    }
    found = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in problems.items() if keys]
    if found:
        count = sum(map(len, problems.values()))
        expected = f"the {len(wanted) - len(counters)} tensors of the network"
        told = f"{len(held)} tensors: " + "; ".join(found)
        remedy = "Name the network that the weights are of, or other weights."
        raise DataError([Violation(name, "weights fit the network", expected, told, remedy, count=count)])
    network.load_state_dict({**{key: wanted[key] for key in counters}, **{key: held[key] for key in shared}})


_BROKEN = (OSError, ValueError, EOFError, RuntimeError, KeyError, TypeError, IndexError, AttributeError, MemoryError)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _refuse(name: str, rule: str, expected: str, found: str) -> DataError:
    return DataError([Violation(name, rule, expected, found, _REMEDY)])
