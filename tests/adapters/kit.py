"""An adaptation that adds small random weights, and codecs small enough to try it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adapters.kinds import kind_of
from adapters.section import pack
from adapters.sites import sites
from layered.adaptation import Adapted, Choose
from layered.base.site import Site
from layered.codec import LayeredCodec
from layered.guide import Guide
from layered.layer import Context, Layer
from layered.spec import CodecSpec
from tests.conftest import make_codec, tiny_spec, untrained

__all__ = ["Scattered", "drawn", "latents_of", "tiny_gc", "with_site"]


@dataclass(frozen=True)
class Scattered:
    """Weights of a normal distribution at every site but those of the encoder, and the layer's plain latents.

    deviation: relative to the coding's own step where the coding has one.  layers: those that are adapted.
    """

    kind: str = "low-rank"
    coding: str = "logistic"
    deviation: float = 0.06
    layers: tuple[int, ...] = (0, 1, 2)

    def start(
        self, codec: LayeredCodec, originals: Sequence[Tensor], qualities: Sequence[float], exact: bool,
        guide: Guide | None,
    ) -> Choose:  # fmt: skip
        def choose(k: int, context: Context) -> Adapted:
            layer = codec.layer(k)
            section = b""
            if k in self.layers:
                section, _ = pack(layer, self.kind, self.coding, 2, drawn(layer, self.kind, self.deviation, seed=k))
            return Adapted(layer.analyse(originals[k], context), section)

        return choose


def drawn(layer: nn.Module, kind: str, deviation: float, seed: int = 0) -> Mapping[str, tuple[Tensor, ...]]:
    """Random tensors at every site that the kind suits, but those of the encoder."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, module in sites(layer).items():
        if kind_of(kind).suits(module) and not {"g_a", "h_a", "encoder"} & set(name.split(".")):
            start = kind_of(kind).start(module, 2, generator)
            found[name] = tuple(deviation * torch.randn(value.shape, generator=generator) for value in start)
    return found


def with_site(seed: int = 0) -> LayeredCodec:
    """The tests' small codec with a Site in its base layer's synthesis."""
    codec = make_codec(tiny_spec(), seed)
    synthesis = codec.base.get_submodule("g_s")
    assert isinstance(synthesis, nn.Sequential)
    synthesis.insert(3, Site(12))
    return codec


def tiny_gc(entropy: str = "checkerboard") -> LayeredCodec:
    """A small generative codec of one layer."""
    base = {"name": "gc", "width": 32, "channels": 4, "blocks": 1, "norm": "channel", "entropy": entropy}
    return untrained(CodecSpec.model_validate({"base": base, "lambdas": (0.0002,)}), 5)


def latents_of(layer: Layer, image: Tensor, context: Context) -> Tensor:
    """What the layer makes of an image without any coding."""
    return layer.synthesise(layer.analyse(image, context), context)
