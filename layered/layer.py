"""A layer is five verbs; training, coding, refinement and adaptation are written once, on top of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from layered.errors import OptionError
from layered.guide import Guide
from layered.rounding import Rounding

__all__ = [
    "Coded", "Context", "Draw", "Enhancement", "Latents", "Layer", "for_synthesis", "in_double", "in_order", "run_for",
]  # fmt: skip


@dataclass(frozen=True)
class Context:
    """What the decoder already holds when a layer starts.

    height, width: the layer's size in pixels.  quality: real, in the layer's `quality_range`.
    lower: the reconstruction of the layer below, [B, 3, h, w] in [0, 1]; None for a base layer.
    carried: what the layer below hands on besides it, see `Layer.carry`.
    guide: what the encoder, and it alone, was told of the picture, at any size.
    exact: synthesis and prediction run in float64, so that pictures are the same on every machine.
    seal: CRC32 over the payloads of the layers below and adapter weights up to this layer's, which its own checksum
    takes in.
    """

    height: int
    width: int
    quality: float = 1.0
    lower: Tensor | None = None
    exact: bool = False
    seal: int = 0
    carried: Tensor | None = None
    guide: Guide | None = None
    _made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` returns, computed at the first call with `key` and kept for the later verbs."""
        if key not in self._made:
            self._made[key] = make()
        value: Tensor = self._made[key]
        return value

    def sealed(self, seal: int) -> Context:
        """The same with another seal, and nothing computed yet."""
        return replace(self, seal=seal, _made={})


Draw = Callable[[Sequence[int], torch.Generator], Tensor]
"""Draws int64 symbols of a shape [B, C, h, w]."""


@dataclass(frozen=True)
class Latents:
    """The latent tensors of one layer, each [B, C, h, w], in the order in which they are coded."""

    parts: tuple[Tensor, ...]

    def leaf(self) -> Latents:
        """Detached copies that take gradients, to be optimised."""
        return Latents(tuple(part.detach().clone().requires_grad_(True) for part in self.parts))


@dataclass(frozen=True)
class Coded:
    """Quantised latents and their ideal code length: latents, bits [B]."""

    latents: Latents
    bits: Tensor


class Layer(nn.Module, ABC):
    """One layer of a codec: `analyse`, `code`, `synthesise`, `write`, `read`.

    lambdas: the trade-offs (lambda * 255^2 * MSE + bpp, MSE on [0, 1]) that the layer was trained at, in
    increasing order; quality 1 is the first, quality len(lambdas) the last, real numbers between.
    selective: whether it codes only what a guide says is to be kept.  continuous: how many of its latents' parts are
    rounded, and so may be optimised; all by default.  strings: what is in each of the strings of
    `layered.entropy.payload` that `write` joins, in their order, for people; of a payload of its own kind nothing.
    """

    lambdas: tuple[float, ...]
    selective = False
    continuous: int | None = None
    strings: tuple[str, ...] = ()

    @property
    def quality_range(self) -> tuple[float, float]:
        """Lowest and highest quality, both usable."""
        return 1.0, float(len(self.lambdas))

    @abstractmethod
    def analyse(self, image: Tensor, context: Context) -> Latents:
        """Image [B, 3, H, W] in [0, 1] -> continuous latents."""

    @abstractmethod
    def code(self, latents: Latents, context: Context, rounding: Rounding) -> Coded:
        """Continuous latents -> quantised latents and their ideal bits [B], in one pass."""

    @abstractmethod
    def synthesise(self, latents: Latents, context: Context) -> Tensor:
        """Quantised latents -> image [B, 3, H, W], not clamped."""

    @abstractmethod
    def write(self, latents: Latents, context: Context) -> bytes:
        """Entropy-code quantised latents of one image (B = 1)."""

    @abstractmethod
    def read(self, data: bytes, context: Context) -> Latents:
        """The inverse of `write`: the same quantised latents, or CorruptStream."""

    def carry(self, latents: Latents, context: Context) -> Tensor | None:
        """What a layer above may start from besides the picture; of most layers nothing."""
        return None

    def fidelity(self, latents: Latents, context: Context) -> Tensor | None:
        """Where the picture is meant to be like the original, [B, 1, H, W] in [0, 1]; None: everywhere."""
        return None

    def draw(self, context: Context, generator: torch.Generator, symbols: Draw | None = None) -> Latents:
        """Latents of one picture, drawn at random.  Raises OptionError where that makes no picture.

        symbols: what draws the number of each code's value, given their shape; uniformly by default.
        """
        raise OptionError("these weights have no finite alphabet to draw from; those of a gc base layer do")

    def part(self, kind: str) -> nn.Module:
        """The piece of that name that a training phase trains alone.  Raises OptionError where there is none."""
        raise OptionError(f"this model has no {kind} of its own; use joint or all")


class Enhancement(Layer):
    """A layer that starts from what the decoder holds of the layer below."""

    @abstractmethod
    def predict(self, context: Context) -> Tensor:
        """The picture [B, 3, H, W], not clamped, that is expected without any bits."""

    @abstractmethod
    def start_from(self, base: Layer) -> None:
        """Take over, before training, what a trained base layer knows.  Raises OptionError where none of it fits."""


def for_synthesis(latents: Tensor, context: Context) -> Tensor:
    """The latents, in float64 where the context asks for exact pictures: even an exponential differs in float32."""
    return latents.double() if context.exact else latents


def in_order(tensor: Tensor) -> Tensor:
    """The same values in PyTorch's usual order of memory.

    Kernels choose how they add up by the order they find, and the encoder's tensors come in another than the
    decoder's.
    """
    return tensor.clone(memory_format=torch.contiguous_format)


def in_double(module: nn.Module, *inputs: Any) -> Tensor:
    """`module(*inputs)` computed in float64: parameters, and float tensors among the inputs, are widened."""
    state = {name: _widen(value) for name, value in (*module.named_parameters(), *module.named_buffers())}
    result: Tensor = torch.func.functional_call(module, state, tuple(_widen(value) for value in inputs))
    return result


def run_for(context: Context, module: nn.Module, *inputs: Tensor) -> Tensor:
    """`module(*inputs)` in float64 where the context asks for exact pictures, else a float32 result."""
    if context.exact:
        return in_double(module, *inputs)
    made: Tensor = module(*map(in_order, inputs))
    return made.float()


def _widen(value: Any) -> Any:
    return in_order(value.double()) if isinstance(value, Tensor) and value.is_floating_point() else value
