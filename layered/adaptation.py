"""Per-image adaptation as the codec sees it: other latents, and weights for the decoder beside them.

How they are found and coded is the business of the package `adapters`, which is loaded when a file first needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from layered.layer import Context, Latents, Layer

if TYPE_CHECKING:
    from layered.codec import LayeredCodec
    from layered.guide import Guide

__all__ = ["Adaptation", "Adapted", "Choose", "adapted_layer"]


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
