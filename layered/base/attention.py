"""The window attention block of WACNN (Zou, Song and Zhang, CVPR 2022), for pictures of any size."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layered.base.site import Site
from layered.errors import OptionError

__all__ = ["AttentionBlock", "WindowAttention"]

_CLOSED = -4.0  # the sigmoid's argument with which a block begins as near the identity as still can learn
_TOGETHER = 256  # windows whose scores are held at once without autograd: memory does not grow with the picture


class AttentionBlock(nn.Module):
    """x + site(a * sigmoid(b)): a of three bottlenecks, b of window attention, three bottlenecks and a 1x1 convolution.

    channels: of x [B, channels, H, W], even, and a multiple of `heads`.  window: side of the attention's windows.
    Parameters are called as in the authors' own implementation.  Raises OptionError.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        if channels % 2 or channels % heads:
            raise OptionError(f"attention: {channels} channels are not an even multiple of {heads} heads")
        self.conv_a = nn.Sequential(*(_Bottleneck(channels) for _ in range(3)))
        attention = ShiftedWindows(channels, heads, window)
        self.conv_b = nn.Sequential(
            attention, *(_Bottleneck(channels) for _ in range(3)), _pointwise(channels, channels)
        )
        self.site = Site(channels)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.site(self.conv_a(x) * _sigmoid(self.conv_b(x)))
        return x + mixed

    @torch.no_grad()
    def close(self) -> None:
        """Begin near the identity: the gate is all but closed, though not so far that it could not open."""
        last: Any = self.conv_b[-1]
        last.weight *= 0.1
        last.bias.fill_(_CLOSED)


class ShiftedWindows(nn.Module):
    """x + attention among the positions of each window, the windows cyclically shifted by half their side.

    x [B, C, H, W] of any size: it is filled up to whole windows with positions that no other sees, as those that the
    shift has brought together do not see each other.  Source: Liu et al., Swin transformer (ICCV 2021), section 3.2.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(channels, heads, window)

    def forward(self, x: Tensor) -> Tensor:
        height, width, shift = x.shape[-2], x.shape[-1], self.window // 2
        filled = F.pad(x, (0, -width % self.window, 0, -height % self.window))
        windows = self._cut(filled.roll((-shift, -shift), (2, 3)))
        regions = self._cut(self._regions(height, width).roll((-shift, -shift), (2, 3)).to(x.device))
        batch = len(windows)
        if torch.is_grad_enabled():
            seen = self.attn(windows, regions[0])
        else:
            pairs = zip(windows.split(_TOGETHER, 1), regions[0].split(_TOGETHER), strict=True)
            seen = torch.cat([self.attn(some, where) for some, where in pairs], 1)
        down, across = filled.shape[-2] // self.window, filled.shape[-1] // self.window
        joined = seen.view(batch, down, across, self.window, self.window, -1).permute(0, 5, 1, 3, 2, 4)
        joined = joined.reshape(filled.shape).roll((shift, shift), (2, 3))
        result: Tensor = x + joined[..., :height, :width]
        return result

    def _cut(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, windows, positions, C]."""
        w = self.window
        batch, channels, height, width = x.shape
        cut = x.view(batch, channels, height // w, w, width // w, w).permute(0, 2, 4, 3, 5, 1)
        return cut.reshape(batch, -1, w * w, channels)

    def _regions(self, height: int, width: int) -> Tensor:
        """[1, 1, H, W] of the filled size: of one window those positions see each other that have the same number."""
        rows, columns = (self._along(size) for size in (height, width))
        return (rows[:, None] * 4 + columns)[None, None]

    def _along(self, size: int) -> Tensor:
        """Of every position along an axis: 1 where the shift brings it to the other end, 2 where it is filling."""
        at = torch.arange(size + -size % self.window)
        return (at < self.window // 2).long() + 2 * (at >= size).long()


class WindowAttention(nn.Module):
    """Multi-head attention with a learned bias for every displacement within a window."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, windows: Tensor, regions: Tensor) -> Tensor:
        """windows [B, n, positions, C], regions [n, positions, 1] -> [B, n, positions, C]."""
        batch, count, positions, channels = windows.shape
        split = self.qkv(windows).view(batch, count, positions, 3, self.heads, channels // self.heads)
        q, k, v = split.permute(3, 0, 1, 4, 2, 5)
        apart = (regions != regions.transpose(1, 2))[:, None]
        bias = self._bias(q.dtype).masked_fill(apart, float("-inf"))  # [n, heads, positions, positions]
        scores = (q * (channels // self.heads) ** -0.5) @ k.transpose(-1, -2) + bias
        found = scores.softmax(-1).to(v.dtype) @ v
        mixed: Tensor = self.proj(found.transpose(2, 3).reshape(windows.shape))
        return mixed

    def _bias(self, dtype: torch.dtype) -> Tensor:
        """[1, heads, positions, positions], rows of the asking position, columns of the one that is seen."""
        side = 2 * self.window - 1
        at = torch.arange(self.window, device=self.relative_position_bias_table.device)
        apart = at[:, None] - at + self.window - 1
        index = apart[:, None, :, None] * side + apart[None, :, None, :]
        table = self.relative_position_bias_table.to(dtype)
        return table[index.flatten()].view(self.window**2, self.window**2, self.heads).permute(2, 0, 1)[None]


class _Bottleneck(nn.Module):
    """GELU(x + f(x)), f going through half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv = nn.Sequential(
            _pointwise(channels, half), nn.GELU(),
            nn.Conv2d(half, half, 3, padding=1), nn.GELU(),
            _pointwise(half, channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv(x))


def _pointwise(into: int, out: int) -> nn.Conv2d:
    """A 1x1 convolution; its dilation, which means nothing, makes one thread take the kernel that several take."""
    return nn.Conv2d(into, out, 1, dilation=2)


def _sigmoid(x: Tensor) -> Tensor:
    """The logistic function; PyTorch's own rounds the last few numbers of every thread's share otherwise."""
    return torch.sigmoid(x) if torch.is_grad_enabled() else torch.tanh(x / 2) / 2 + 0.5
