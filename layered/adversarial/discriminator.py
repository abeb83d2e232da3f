"""The multi-scale patch discriminator of pix2pixHD (Wang et al., CVPR 2018, section 3.2), as GC uses it."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from layered.base.blocks import InstanceNorm

__all__ = ["Discriminator", "PatchDiscriminator"]


class PatchDiscriminator(nn.Module):
    """One scale: 4x4 convolutions of width w, 2w, 4w (stride 2), 8w and 1; a verdict for each patch of 70 pixels."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        widths = [inputs, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.ModuleList()
        for k, (before, after) in enumerate(pairwise(widths)):
            conv = nn.Conv2d(before, after, 4, stride=1 if k == 3 else 2, padding=2)
            norm = nn.Identity() if k == 0 else InstanceNorm(after)
            self.stages.append(nn.Sequential(conv, norm, nn.LeakyReLU(0.2)))
        self.last = nn.Conv2d(widths[-1], 1, 4, padding=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Pictures [B, inputs, H, W] -> features of the four stages, and the verdicts [B, 1, h, w]."""
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return [*found, self.last(x)]


class Discriminator(nn.Module):
    """The same at several scales, each half as large as the one before."""

    def __init__(self, inputs: int, width: int, scales: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(inputs, width) for _ in range(scales))
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Pictures in [-1, 1] -> for each scale what `PatchDiscriminator` finds."""
        found = []
        for k, scale in enumerate(self.scales):
            if k:
                x = self.halve(x)
            found.append(scale(x))
        return found
