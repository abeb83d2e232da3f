"""Per-image adaptation as the codec sees it: other latents, and weights for the decoder beside them.

How they are found and coded is the business of the package `adapters`, which is loaded when a file first needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import get_ident
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

from layered.errors import OptionError
from layered.layer import Context, Latents, Layer

if TYPE_CHECKING:
    from layered.codec import LayeredCodec
    from layered.guide import Guide

__all__ = ["Adaptation", "Adapted", "Choose", "adapted_layer", "alone"]


@dataclass(frozen=True)
class Adapted:
    """What is coded of one layer: latents before their rounding, and coded adapter weights; none by default."""

    latents: Latents
    weights: bytes = b""


Choose = Callable[[int, Context], Adapted]
"""Number of a layer, and what the decoder holds when it starts -> what to code; called once a layer, base first."""


class Adaptation(Protocol):
    """Finds, for one picture, latents and weights that are better than those that the encoder gives."""

    def start(
        self, codec: LayeredCodec, originals: Sequence[Tensor], qualities: Sequence[float], exact: bool,
        guide: Guide | None,
    ) -> Choose:  # fmt: skip
        """Look at all layers of a picture, [1, 3, H_k, W_k] in [0, 1], base first, and say how each is coded."""
        ...


def adapted_layer(layer: Layer, weights: bytes) -> Layer:
    """The layer as coded adapter weights change it; itself without any.  Raises CorruptStream, LimitExceeded."""
    if not weights:
        return layer
    changed: Layer = import_module("adapters.section").adapted_layer(layer, weights)
    return changed


@contextmanager
def alone(module: nn.Module) -> Iterator[None]:
    """Within, the calling thread adapts the module, which may enter again, and no other may.  Raises OptionError there.

    Adaptation replaces tensors and methods of modules while it runs.
    """
    claim = (get_ident(),)
    held = vars(module).setdefault("_adapted_by", claim)  # one step: no other thread comes between
    if held != claim:
        raise OptionError("another thread is adapting these weights to a picture; load them once for each thread")
    try:
        yield
    finally:
        if held is claim:
            del vars(module)["_adapted_by"]
