"""Tunable GAN compression: one set of weights for a range of rates, chosen when encoding.

Source: Wu, Huang and Shen, "A GAN-based Tunable Image Compression System" (WACV 2020), of which the abstract and the
supplement were at hand.  Theirs: an importance map that allocates bits, a generator that fills what is unimportant, an
encoder and a discriminator that see a pyramid of the picture.  Ours, as the paper's are not public: the number of
levels, ordered channels of which the map says how many are used, that a quality grants a share of all codes which the
map spreads over the picture, and that the generator is told that share.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layered.base.aedc import importance_mask
from layered.base.blocks import Conv
from layered.base.finite import FiniteLayer
from layered.base.gc import Generator, averages, bounded, downsampling
from layered.base.transforms import pad_to_stride
from layered.entropy.alphabet import Centres
from layered.entropy.models import build_symbol_model
from layered.errors import OptionError
from layered.layer import Context, Latents, for_synthesis, run_for

__all__ = ["PyramidEncoder", "TunableGc"]


class PyramidEncoder(nn.Module):
    """The picture [B, 3, H, W] in [-1, 1] at full, half and quarter size -> [B, outputs, H/16, W/16].

    shortcut: see `layered.base.gc.Gc`.
    """

    LEVELS = 3

    def __init__(self, width: int, outputs: int, norm: str, shortcut: bool = False) -> None:
        super().__init__()
        self.levels = nn.ModuleList(downsampling(width, norm, halvings=4 - k) for k in range(self.LEVELS))
        self.last = Conv(sum(width >> k for k in range(self.LEVELS)), outputs, 3)
        nn.init.kaiming_normal_(self.last.conv.weight)
        self.shortcut = averages(self.last, 4) if shortcut else None

    def forward(self, image: Tensor) -> Tensor:
        found = [level(F.avg_pool2d(image, 1 << k) if k else image) for k, level in enumerate(self.levels)]
        code: Tensor = self.last(torch.cat(found, 1))
        return code if self.shortcut is None else code + self.shortcut(image)


class TunableGc(FiniteLayer):
    """Base layer of C ordered channels at 1/16 of the picture, of which positions use as many as they are granted.

    The options are those of `layered.base.gc.Gc`.  lambdas: a quality for each; they need not differ much, for what
    changes the rate is the share of all codes that a quality grants: `least` at the lowest, each further one more by
    the same factor, all at the highest.  The map is not sent: codes that are not used are zero, which the entropy model
    foresees, best where it sees other channels (`autoregressive`).  What a position is granted is rounded up to whole
    codes and ends at C, so that what is used is not quite the share.
    """

    stride = 16

    def __init__(
        self,
        width: int,
        channels: int,
        blocks: int,
        centres: Sequence[float] = (-2, -1, 0, 1, 2),
        entropy: str = "autoregressive",
        norm: str = "instance",
        shortcut: bool = False,
        least: float = 1 / 6,
        lambdas: Sequence[float] = (0.0002,),
    ) -> None:
        super().__init__()
        if width % 16:
            raise OptionError(f"the width of tunable is a multiple of 16, got {width}")
        if 0 not in centres:
            raise OptionError(f"tunable needs 0 among its centres, got {list(centres)}")
        self.channels, self.least = channels, least
        self.encoder = PyramidEncoder(width, channels + 1, norm, shortcut)
        self.generator = Generator(width, channels + 1, blocks, norm, channels + 1 if shortcut else 0)
        self.centres = Centres(centres)
        self.entropy_model = build_symbol_model(entropy, channels, len(centres))
        self.lambdas = tuple(lambdas)

    def analyse(self, image: Tensor, context: Context) -> Latents:
        w, importance = self.encoder(2 * pad_to_stride(image, self.stride) - 1).float().split([self.channels, 1], 1)
        spread = importance.sigmoid()
        spread = self.share(context.quality) * spread / spread.mean((2, 3), keepdim=True)
        return Latents((bounded(w, self.centres) * importance_mask(spread, self.channels),))

    def synthesise(self, latents: Latents, context: Context) -> Tensor:
        code = for_synthesis(latents.parts[0], context)
        share = torch.full_like(code[:, :1], self.share(context.quality))
        told = torch.cat([code, share], 1)
        made = run_for(context, self.generator, told, told)
        return (made[..., : context.height, : context.width] + 1) / 2

    def share(self, quality: float) -> float:
        """The share of all codes that a quality grants, in (0, 1]; none of a codec of one quality is withheld."""
        low, high = self.quality_range
        return float(self.least ** ((high - quality) / (high - low))) if high > low else 1.0

    def part(self, kind: str) -> nn.Module:
        return self.generator if kind == "generator" else super().part(kind)
