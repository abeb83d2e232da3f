"""Equal tensors, such as the coding tables of every Gaussian model, are stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["restored", "shared"]


def shared(state: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of `state` that must be stored, and for each other one the name of its equal.

    held: tensors that the reader has already; those of the same name and value appear in neither result.
    """
    names = {_content(tensor): name for name, tensor in held.items()}
    kept: dict[str, Tensor] = {}
    same: dict[str, str] = {}
    for name in sorted(state):
        tensor = state[name]
        if name in held and _content(held[name]) == _content(tensor):
            continue
        source = names.setdefault(_content(tensor), name)
        if source == name:
            kept[name] = tensor
        else:
            same[name] = source
    return kept, same


def restored(kept: Mapping[str, Tensor], same: Mapping[str, str], held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `shared`, but for what `held` has under the same name.  KeyError: there is no such source."""
    return dict(kept) | {name: kept[source] if source in kept else held[source] for name, source in same.items()}


def _content(tensor: Tensor) -> bytes:
    """Digest of type, shape and values; float16 counts as the float32 that it is read as."""
    wide = (tensor.float() if tensor.dtype == torch.float16 else tensor).detach().cpu().contiguous()
    return hashlib.sha256(f"{wide.dtype}{tuple(wide.shape)}".encode() + wide.numpy().tobytes()).digest()
