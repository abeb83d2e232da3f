"""Modules of one's own over shared tensors."""

from __future__ import annotations

from copy import deepcopy
from itertools import chain
from typing import TypeVar

from torch import nn

__all__ = ["private"]

Module = TypeVar("Module", bound=nn.Module)


def private(module: Module) -> Module:
    """A copy whose modules are its own and whose tensors are those of `module`.

    Adaptation exchanges tensors and methods of modules while it runs, which other threads would meet in shared ones.
    """
    shared = {id(tensor): tensor for tensor in chain(module.parameters(), module.buffers())}
    return deepcopy(module, shared)  # what the memo names is taken as it is
