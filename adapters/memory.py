"""What does not change from step to step is computed once: modules ahead of, and beside, the first adapted one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from layered.layer import Layer

__all__ = ["remembered"]

_UNCALLED = (Layer, nn.ModuleList, nn.ModuleDict)
"""Nobody calls these, but what is in them."""


@contextmanager
def remembered(layer: nn.Module, changing: Iterable[str]) -> Iterator[None]:
    """Within, modules of `layer` give the same output for the same inputs without computing it again.

    changing: names of modules whose parameters change meanwhile; they, and those that they are part of, are left
    alone, and so is what gets inputs that take gradients.  Holds for calls under autograd only.
    """
    names = set(changing)
    moving = {module for name, module in layer.named_modules(remove_duplicate=False) if name in names}
    with ExitStack() as patches:
        _visit(layer, moving, patches)
        yield


def _visit(module: nn.Module, moving: set[nn.Module], patches: ExitStack) -> None:
    for child in module.children():
        if isinstance(child, _UNCALLED) or not moving.isdisjoint(child.modules()):
            _visit(child, moving, patches)
        elif "forward" not in vars(child):
            vars(child)["forward"] = _Memory(child)
            patches.callback(vars(child).pop, "forward")


class _Memory:
    """The forward of a module, with the last inputs and what came of them."""

    def __init__(self, module: nn.Module) -> None:
        self._forward = type(module).forward.__get__(module)
        self._inputs: tuple[Any, ...] | None = None
        self._output: Any = None
        self._versions: list[int] = []

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        moving = any(isinstance(value, Tensor) and value.requires_grad for value in inputs)
        if named or moving or not torch.is_grad_enabled():  # without autograd outputs may be overwritten
            return self._forward(*inputs, **named)
        if self._inputs is None or self._versions != self._now() or not _same(self._inputs, inputs):
            output = self._forward(*inputs)
            if getattr(output, "requires_grad", True):
                return output
            self._inputs, self._output = inputs, output
            self._versions = self._now()
        return self._output

    def _now(self) -> list[int]:
        """How often each tensor that is held was written to."""
        return [each._version for each in (*(self._inputs or ()), self._output) if isinstance(each, Tensor)]


def _same(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    return len(before) == len(now) and all(map(_alike, before, now))


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a is b or (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))
    return isinstance(a, (int, float)) and type(a) is type(b) and a == b
