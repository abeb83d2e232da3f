"""A layer whose decoder is adapted: some of its tensors are replaced by others while a verb runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from layered.errors import CorruptStream, LayeredError, LimitExceeded, OptionError
from layered.layer import Coded, Context, Draw, Enhancement, Latents, Layer
from layered.rounding import Rounding

__all__ = ["AdaptedLayer"]


class AdaptedLayer(Enhancement):
    """`layer`, every verb of which finds `tensors` instead of its own of those names; differentiable in them.

    layer: not copied, and not a submodule of this one, which therefore has no parameters.  tensors: by name relative to
    the layer, as of `named_parameters` and `named_buffers`, and `weight` of a Site, of which there is none else.
    What the layer computes once a context is computed once more here, so that it never is that of other tensors.
    Only an enhancement layer can `predict`.
    """

    def __init__(self, layer: Layer, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.tensors = dict(tensors)
        self._held = (_Call(layer),)  # in a tuple, so that it is not registered
        self._contexts: tuple[Context, Context] | None = None

    @property
    def layer(self) -> Layer:
        """The layer itself, as it is without an adapter."""
        return self._held[0].layer

    @property
    def lambdas(self) -> tuple[float, ...]:  # type: ignore[override]
        return self.layer.lambdas

    @property
    def selective(self) -> bool:  # type: ignore[override]
        return self.layer.selective

    @property
    def continuous(self) -> int | None:  # type: ignore[override]
        return self.layer.continuous

    @property
    def strings(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.layer.strings

    @property
    def quality_range(self) -> tuple[float, float]:
        return self.layer.quality_range

    def analyse(self, image: Tensor, context: Context) -> Latents:
        made: Latents = self._run("analyse", image, self._own(context))
        return made

    def code(self, latents: Latents, context: Context, rounding: Rounding) -> Coded:
        made: Coded = self._run("code", latents, self._own(context), rounding)
        return made

    def synthesise(self, latents: Latents, context: Context) -> Tensor:
        made: Tensor = self._run("synthesise", latents, self._own(context))
        return made

    def write(self, latents: Latents, context: Context) -> bytes:
        made: bytes = self._run("write", latents, self._own(context))
        return made

    def read(self, data: bytes, context: Context) -> Latents:
        """As the layer's own; adapter weights under which nothing can be coded raise CorruptStream as well."""
        try:
            made: Latents = self._run("read", data, self._own(context))
        except (CorruptStream, LimitExceeded):
            raise
        except LayeredError as error:
            raise CorruptStream(f"the adapter weights leave a layer that decodes nothing: {error}") from None
        return made

    def carry(self, latents: Latents, context: Context) -> Tensor | None:
        made: Tensor | None = self._run("carry", latents, self._own(context))
        return made

    def fidelity(self, latents: Latents, context: Context) -> Tensor | None:
        made: Tensor | None = self._run("fidelity", latents, self._own(context))
        return made

    def draw(self, context: Context, generator: torch.Generator, symbols: Draw | None = None) -> Latents:
        made: Latents = self._run("draw", self._own(context), generator, symbols)
        return made

    def predict(self, context: Context) -> Tensor:
        made: Tensor = self._run("predict", self._own(context))
        return made

    def part(self, kind: str) -> nn.Module:
        return self.layer.part(kind)

    def start_from(self, base: Layer) -> None:
        """Raises OptionError: it is the layer that is trained, not what a picture makes of it."""
        raise OptionError("an adapted layer is not trained; start the layer itself")

    def _run(self, verb: str, *given: Any) -> Any:
        named = {f"layer.{name}": tensor for name, tensor in self.tensors.items()}
        return torch.func.functional_call(self._held[0], named, (verb, *given))

    def _own(self, context: Context) -> Context:
        """The context with nothing computed yet, the same one for every verb that is given `context`."""
        if self._contexts is None or self._contexts[0] is not context:
            self._contexts = (context, context.sealed(context.seal))
        return self._contexts[1]


class _Call(nn.Module):
    """The layer's verbs as the `forward` that `functional_call` needs."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, verb: str, *given: Any) -> Any:
        return getattr(self.layer, verb)(*given)
