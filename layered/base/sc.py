"""Selective generative compression (SC): a label map for the whole picture, and codes only where it is to be kept.

Source: Agustsson et al. (ICCV 2019, section 3.3).  The file formats of label map and heatmap are ours, see
`layered.entropy.contours`; so is the heatmap as a further input behind the codes, for zero is a code as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layered.base.blocks import block
from layered.base.finite import FiniteLayer
from layered.base.gc import Encoder, Generator, bounded, downsampling
from layered.base.transforms import ceil_div, pad_to_stride
from layered.entropy.alphabet import Centres
from layered.entropy.contours import decode_labels, encode_labels
from layered.entropy.models import build_symbol_model
from layered.entropy.payload import check_symbols, join_strings, split_strings
from layered.entropy.prior import Symbols
from layered.errors import CorruptStream, LimitExceeded, OptionError
from layered.guide import one_hot, required
from layered.layer import Coded, Context, Draw, Latents, for_synthesis, run_for
from layered.rounding import Rounding

__all__ = ["Sc"]

COARSE = 16  # pixels of the generator's input; codes have half of it
MOST_PIXELS = 2**20
"""Of a label map: boundaries are followed in Python, a second for 480x360, two minutes for this much of noise."""


class Sc(FiniteLayer):
    """Base layer of a label map and of codes [B, C, 2*ceil(H/16), 2*ceil(W/16)] that count where the heatmap is 1.

    The options are those of `layered.base.gc.Gc`.  classes: their names.  The encoder needs the context's guide.
    Latents: codes, heatmap [B, 1, ...] of zeros and ones, and labels [B, 1, H, W]; only codes are continuous, and the
    ideal bits are theirs alone.
    """

    stride = 8
    selective = True
    continuous = 1
    strings = ("label map", "heatmap", "codes")

    def __init__(
        self,
        width: int,
        channels: int,
        blocks: int,
        classes: Sequence[str],
        centres: Sequence[float] = (-2, -1, 0, 1, 2),
        entropy: str = "static",
        norm: str = "instance",
        shortcut: bool = False,
        lambdas: Sequence[float] = (0.0002,),
    ) -> None:
        super().__init__()
        if width % 16:
            raise OptionError(f"the width of sc is a multiple of 16, got {width}")
        self.classes, self.channels = len(classes), channels
        self.features = downsampling(width, norm, inputs=len(classes))
        self.encoder = Encoder(width, channels, norm, 3, shortcut)
        self.branch = nn.Sequential(
            block(channels + 1, width // 2, 3, norm), block(width // 2, width, 3, norm, stride=2)
        )
        self.generator = Generator(width, 2 * width, blocks, norm, channels if shortcut else 0)
        self.centres = Centres(centres)
        self.entropy_model = build_symbol_model(entropy, channels, len(centres))
        self.lambdas = tuple(lambdas)

    def analyse(self, image: Tensor, context: Context) -> Latents:
        guide = required(context.guide, image, self.classes)
        labels, kept = guide.labels, guide.preserved
        if labels.shape[-1] * labels.shape[-2] > MOST_PIXELS:
            raise LimitExceeded(f"label maps are coded up to {MOST_PIXELS} pixels; use a smaller scale")
        w = bounded(self.encoder(2 * pad_to_stride(image, COARSE) - 1).float(), self.centres)
        heatmap = F.max_pool2d(pad_to_stride(kept[:, None].float(), COARSE), self.stride).to(w.device)
        return Latents((w * heatmap, heatmap, labels[:, None].to(w.device, torch.float32)))

    def code(self, latents: Latents, context: Context, rounding: Rounding) -> Coded:
        w, heatmap, labels = latents.parts
        with torch.autocast(w.device.type, enabled=False):
            assignments = self.centres.assignments(w.float(), rounding)
            bits = [self._bits(one, mask[0] > 0) for one, mask in zip(assignments, heatmap, strict=True)]
            return Coded(Latents((self.centres.of(assignments) * heatmap, heatmap, labels)), torch.stack(bits))

    def synthesise(self, latents: Latents, context: Context) -> Tensor:
        w, heatmap = (for_synthesis(part, context) for part in latents.parts[:2])
        known = one_hot(pad_to_stride(latents.parts[2], COARSE)[:, 0], self.classes, w)
        kept = run_for(context, self.branch, torch.cat([w, heatmap], 1))
        features = torch.cat([run_for(context, self.features, known), kept], 1)
        picture = run_for(context, self.generator, features, w)
        return (picture[..., : context.height, : context.width] + 1) / 2

    def fidelity(self, latents: Latents, context: Context) -> Tensor:
        kept = F.interpolate(latents.parts[1], scale_factor=self.stride, mode="nearest")
        return kept[..., : context.height, : context.width]

    def write(self, latents: Latents, context: Context) -> bytes:
        w, heatmap, labels = (part[0] for part in latents.parts)
        maps = [part[0].to("cpu", torch.uint8).numpy() for part in (labels, heatmap)]
        symbols = self.centres.symbols(w).to("cpu", torch.int32).numpy()[:, maps[1] > 0]
        drawn = [Symbols(encode_labels(each), each.astype(np.int32).reshape(-1)) for each in maps]
        codes = self.entropy_model.write(symbols[:, None]) if symbols.size else Symbols(b"", symbols.reshape(-1))
        return join_strings((*drawn, codes), context)

    def read(self, data: bytes, context: Context) -> Latents:
        if context.height * context.width > MOST_PIXELS:
            raise CorruptStream(f"a label map of more than {MOST_PIXELS} pixels; no encoder writes such")
        stored, strings = split_strings(data, 3)
        labels = decode_labels(strings[0], context.height, context.width)
        height, width = (2 * ceil_div(side, COARSE) for side in (context.height, context.width))
        heatmap = decode_labels(strings[1], height, width)
        if int(labels.max()) >= self.classes or int(heatmap.max()) > 1:
            raise CorruptStream("a label map or heatmap holds classes that these weights do not know")
        count = int(np.count_nonzero(heatmap))
        if count:
            values, symbols = self.entropy_model.read(strings[2], 1, count)
        elif strings[2]:
            raise CorruptStream("the stream has codes, though nothing is kept")
        else:
            values = np.zeros((self.channels, 1, 0), np.int32)
            symbols = Symbols(b"", values.reshape(-1))
        maps = [Symbols(b"", each.astype(np.int32).reshape(-1)) for each in (labels, heatmap)]
        check_symbols(stored, (*maps, symbols), context)
        device = self.centres.values.device
        codes = torch.zeros(self.channels, height, width, device=device)
        codes[:, torch.from_numpy(heatmap > 0).to(device)] = self.values_of(torch.from_numpy(values[:, 0]))
        both = (torch.from_numpy(each.astype(np.float32))[None, None].to(device) for each in (heatmap, labels))
        return Latents((codes[None], *both))

    def draw(self, context: Context, generator: torch.Generator, symbols: Draw | None = None) -> Latents:
        raise OptionError("sc makes pictures of label maps, which cannot be drawn at random; encode with --labels")

    def part(self, kind: str) -> nn.Module:
        return self.generator if kind == "generator" else super().part(kind)

    def _bits(self, assignments: Tensor, kept: Tensor) -> Tensor:
        """Of one picture's assignments [C, L, h, w], where [h, w] are kept."""
        chosen = assignments[:, :, kept]
        return self.entropy_model.bits(chosen[None, :, :, None])[0] if chosen.numel() else assignments.new_zeros(())
