"""Global generative compression (GC): a finite alphabet at 1/16 of the picture and a generator of many parameters.

Source: Agustsson et al., "Generative Adversarial Networks for Extreme Learned Image Compression" (ICCV 2019).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layered.base.blocks import Conv, ResidualBlock, Upsampling, block
from layered.base.finite import FiniteLayer
from layered.base.initialise import luma_chroma
from layered.base.transforms import pad_to_stride
from layered.entropy.alphabet import Centres
from layered.entropy.models import build_symbol_model
from layered.errors import OptionError
from layered.guide import one_hot, required
from layered.layer import Context, Latents, for_synthesis, run_for

__all__ = ["Encoder", "Gc", "Generator", "averages", "bounded", "downsampling"]


def downsampling(width: int, norm: str, inputs: int = 3, halvings: int = 4) -> nn.Sequential:
    """c7s1-w/16, d w/8, ..., each d halving the sides: 16 >> (4 - halvings) times smaller; `width` is that of four."""
    widths = [width >> (4 - k) for k in range(halvings + 1)]
    downs = [block(a, b, 3, norm, stride=2) for a, b in pairwise(widths)]
    return nn.Sequential(block(inputs, widths[0], 7, norm), *downs)


class Encoder(nn.Module):
    """Downsampling, then c3s1-C: picture in [-1, 1] -> code before its bound.

    shortcut: see `Gc`.  classes: channels of a one-hot label map beside the picture's three.
    """

    def __init__(
        self, width: int, channels: int, norm: str, halvings: int = 4, shortcut: bool = False, classes: int = 0
    ) -> None:
        super().__init__()
        last = Conv(width >> (4 - halvings), channels, 3)
        # Behind a ReLU this gives codes of variance 1, which reach all of the papers' centres -2 to 2.
        nn.init.kaiming_normal_(last.conv.weight)
        self.layers = nn.Sequential(*downsampling(width, norm, 3 + classes, halvings), last)
        self.shortcut = averages(last, halvings) if shortcut else None

    def forward(self, image: Tensor) -> Tensor:
        code: Tensor = self.layers(image)
        return code if self.shortcut is None else code + self.shortcut(image[:, :3])


class Generator(nn.Module):
    """c3s1-w, so many R w, u w/2, ... u w/16, c7s1-3, tanh: features -> picture in [-1, 1], 16 times as large.

    shortcut: channels of the code that a linear path enlarges beside the layers, see `Gc`; 0: no such path.
    """

    def __init__(self, width: int, channels: int, blocks: int, norm: str, shortcut: int = 0) -> None:
        super().__init__()
        widths = [width >> k for k in range(5)]
        middle = [ResidualBlock(width, norm) for _ in range(blocks)]
        ups = [Upsampling(a, b, norm) for a, b in pairwise(widths)]
        last = Conv(widths[-1], 3, 7)
        self.layers = nn.Sequential(block(channels, width, 3, norm), *middle, *ups, last)
        self.shortcut = nn.Conv2d(shortcut, 3, 1, bias=False) if shortcut else None
        if self.shortcut is not None:
            nn.init.zeros_(last.conv.weight)
            self.shortcut.weight.data.copy_(torch.linalg.pinv(_colours(shortcut))[..., None, None])

    def forward(self, features: Tensor, code: Tensor) -> Tensor:
        """code: what the shortcut enlarges, of the features' size or larger."""
        made: Tensor = self.layers(features)
        if self.shortcut is not None:
            size = [int(side) for side in made.shape[-2:]]
            made = made + F.interpolate(self.shortcut(code), size, mode="bilinear", align_corners=False)
        return torch.tanh(made)


def averages(last: Conv, halvings: int) -> nn.Conv2d:
    """A linear path beside the encoder that ends in `last`: colours of blocks as the first three codes."""
    path = nn.Conv2d(3, last.conv.out_channels, 1 << halvings, 1 << halvings, bias=False)
    nn.init.zeros_(last.conv.weight[:3])
    mix = _colours(path.out_channels)[..., None, None] / path.weight[0, 0].numel()
    path.weight.data.copy_(mix.expand_as(path.weight))
    return path


def _colours(channels: int) -> Tensor:
    """[C, 3]: grey and two differences of colours, each scaled so that averages of pictures have a variance near 1."""
    mix = torch.zeros(channels, 3)
    mix[:3] = (luma_chroma() * torch.tensor([[1.3], [4.0], [8.0]]))[:channels]
    return mix


def bounded(code: Tensor, centres: Centres) -> Tensor:
    """Codes, by tanh, no more than half a step beyond the outermost centres."""
    low, high, steps = float(centres.values[0]), float(centres.values[-1]), len(centres) - 1
    middle, bound = (low + high) / 2, (high - low) / 2 * (steps + 1) / steps
    return middle + bound * torch.tanh((code - middle) / bound)


class Gc(FiniteLayer):
    """Base layer whose latents take a few values, w [B, C, ceil(H/16), ceil(W/16)].

    width: of the widest layers, a multiple of 16; 960 in the paper.  channels: C.  blocks: residual ones; 9 in the
    paper.  centres: the alphabet; -2 to 2 in the paper.  entropy: how symbols are coded, a name of
    `layered.entropy.models`; the paper has `histogram`.  norm: `instance` in the paper.  noise: channels of Gaussian
    noise beside the code at the generator, drawn anew for every code but alike at both ends.  The encoder's output is
    bounded by tanh at half a step beyond the outermost centres, where the soft quantiser's gradient still lives.
    shortcut (ours): a linear path beside each network, which starts as the averages of 16x16 pixels in the first three
    codes and their bilinear enlargement, so that training starts from a picture instead of from grey; the networks then
    learn what it leaves.  classes: names of what label maps number; with any the encoder sees the map of the context's
    guide beside the picture, which is not sent (version 1 of the paper).  The rate does not depend on the quality,
    which is there for layers above.
    """

    stride = 16

    def __init__(
        self,
        width: int,
        channels: int,
        blocks: int,
        centres: Sequence[float] = (-2, -1, 0, 1, 2),
        entropy: str = "checkerboard",
        norm: str = "instance",
        noise: int = 0,
        shortcut: bool = False,
        classes: Sequence[str] = (),
        lambdas: Sequence[float] = (0.0002,),
    ) -> None:
        super().__init__()
        if width % 16:
            raise OptionError(f"the width of gc is a multiple of 16, got {width}")
        self.encoder = Encoder(width, channels, norm, shortcut=shortcut, classes=len(classes))
        self.generator = Generator(width, channels + noise, blocks, norm, channels + noise if shortcut else 0)
        self.centres = Centres(centres)
        self.entropy_model = build_symbol_model(entropy, channels, len(centres))
        self.noise, self.classes = noise, len(classes)
        self.lambdas = tuple(lambdas)

    def analyse(self, image: Tensor, context: Context) -> Latents:
        seen = 2 * image - 1
        if self.classes:
            labels = required(context.guide, image, self.classes).labels
            seen = torch.cat([seen, one_hot(labels, self.classes, seen)], 1)
        return Latents((bounded(self.encoder(pad_to_stride(seen, self.stride)).float(), self.centres),))

    def synthesise(self, latents: Latents, context: Context) -> Tensor:
        code = for_synthesis(self._with_noise(latents.parts[0]), context)
        made = run_for(context, self.generator, code, code)
        return (made[..., : context.height, : context.width] + 1) / 2

    def part(self, kind: str) -> nn.Module:
        return self.generator if kind == "generator" else super().part(kind)

    def _with_noise(self, code: Tensor) -> Tensor:
        """The code and, beside it, noise that the code itself is the seed of."""
        if not self.noise:
            return code
        drawn = []
        for symbols in self.centres.symbols(code.detach()).to("cpu", torch.uint8).numpy():
            rng = np.random.RandomState(zlib.crc32(symbols.tobytes()))  # the one whose numbers NumPy never changes
            drawn.append(rng.standard_normal((self.noise, *symbols.shape[1:])).astype(np.float32))
        return torch.cat([code, torch.from_numpy(np.stack(drawn)).to(code.device, code.dtype)], 1)
