"""What all layers with a finite alphabet share: the soft-to-hard quantiser, ideal bits, and the strings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from layered.base.transforms import ceil_div
from layered.entropy.alphabet import Centres
from layered.entropy.payload import check_symbols, join_strings, split_strings
from layered.entropy.symbols import SymbolModel
from layered.layer import Coded, Context, Draw, Latents, Layer
from layered.rounding import Rounding

__all__ = ["FiniteLayer"]


class FiniteLayer(Layer):
    """A layer of one latent tensor [B, C, ceil(H/stride), ceil(W/stride)] whose values are `centres`."""

    strings: tuple[str, ...] = ("codes",)
    stride: int
    centres: Centres
    entropy_model: SymbolModel

    def code(self, latents: Latents, context: Context, rounding: Rounding) -> Coded:
        with torch.autocast(latents.parts[0].device.type, enabled=False):
            assignments = self.centres.assignments(latents.parts[0].float(), rounding)
            return Coded(Latents((self.centres.of(assignments),)), self.entropy_model.bits(assignments))

    def write(self, latents: Latents, context: Context) -> bytes:
        symbols = self.centres.symbols(latents.parts[0])[0].to("cpu", torch.int32).numpy()
        return join_strings((self.entropy_model.write(symbols),), context)

    def read(self, data: bytes, context: Context) -> Latents:
        stored, (string,) = split_strings(data, 1)
        height, width = ceil_div(context.height, self.stride), ceil_div(context.width, self.stride)
        values, symbols = self.entropy_model.read(string, height, width)
        check_symbols(stored, (symbols,), context)
        return Latents((self.values_of(torch.from_numpy(values)[None]),))

    def draw(self, context: Context, generator: torch.Generator, symbols: Draw | None = None) -> Latents:
        height, width = ceil_div(context.height, self.stride), ceil_div(context.width, self.stride)
        shape = (1, self.entropy_model.channels, height, width)
        drawn = symbols(shape, generator) if symbols else torch.randint(len(self.centres), shape, generator=generator)
        return Latents((self.values_of(drawn),))

    def part(self, kind: str) -> nn.Module:
        return self.entropy_model if kind == "entropy" else super().part(kind)

    def values_of(self, symbols: Tensor) -> Tensor:
        """Symbols [B, C, h, w] -> latents."""
        return self.centres.at(symbols.long().to(self.centres.values.device))
