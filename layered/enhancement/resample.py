"""Where the pixels of one grid fall on another, in integers, and the bicubic predictor built on it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Bicubic", "Block", "Cells", "cells", "row_blocks"]


@dataclass(frozen=True)
class Cells:
    """For n samples of an axis: `index` [n] of a source cell each, `offset` [n] of each from its centre.

    An offset is in half cells, so a sample within its own cell has one in [-1, 1); `pitch` is the size of a
    target sample in the same unit, 2 * source / target.
    """

    index: Tensor
    offset: Tensor
    pitch: float

    def part(self, start: int, stop: int, origin: int) -> "Cells":
        """Samples start to stop, their cells counted from cell `origin`."""
        return Cells(self.index[start:stop] - origin, self.offset[start:stop], self.pitch)


def cells(source: int, target: int, like: Tensor, shift: int = 0) -> Cells:
    """The cell that holds the centre, moved by shift/2 cells, of each target sample on `source` cells.

    Centres that fall on a border belong to the cell after it. Integers decide, so every machine chooses the
    same cell; `like` gives device and type of the offsets. Indices outside the axis are clamped to it.
    """
    centre = (2 * torch.arange(target, device=like.device) + 1) * source  # in units of 1 / (2 * target) cells
    index = torch.div(centre + shift * target, 2 * target, rounding_mode="floor").clamp(0, source - 1)
    offset = (centre - (2 * index + 1) * target).to(like.dtype) / target
    return Cells(index, offset, 2 * source / target)


@dataclass(frozen=True)
class Block:
    """Source rows start to stop, and the target rows (top, bottom) in them, in parts to compute at once."""

    start: int
    stop: int
    parts: tuple[tuple[int, int], ...]


def row_blocks(index: list[int], limit: int) -> list[Block]:
    """Splits target rows, whose source rows `index` never decrease, into blocks that share no source row.

    A block has at most `limit` target rows, or is one source row with its target rows in parts of `limit`.
    """
    limit = max(1, limit)
    blocks, top = [], 0
    while top < len(index):
        end = min(top + limit, len(index))
        while end < len(index) and end > top and index[end] == index[end - 1]:
            end -= 1
        if end == top:  # a single source row has more than `limit` target rows
            end = next((i for i in range(top, len(index)) if index[i] != index[top]), len(index))
        parts = tuple((i, min(i + limit, end)) for i in range(top, end, limit))
        blocks.append(Block(index[top], index[end - 1] + 1, parts))
        top = end
    return blocks


class Bicubic(nn.Module):
    """Parameter-free predictor [B,3,h,w] to [B,3,height,width]: separable bicubic interpolation, unclamped.

    As in Pillow: Keys' cubic with a = -0.5, renormalised at the picture's ends; the identity at equal sizes.
    Below the source's size the kernel widens by the ratio, so that shrinking is antialiased.
    """

    def forward(self, image: Tensor, height: int, width: int) -> Tensor:
        return resample_axis(resample_axis(image, 3, width), 2, height)


def resample_axis(image: Tensor, axis: int, target: int) -> Tensor:
    """One pass of bicubic resampling of `image` along `axis` to `target` samples."""
    source = image.shape[axis]
    wide = max(source, target)  # the kernel's unit is wide / target source samples
    reach = -(-2 * wide // target)
    centre = (2 * torch.arange(target, device=image.device) + 1) * source
    nearest = torch.div(centre, 2 * target, rounding_mode="floor")
    taps = [nearest + tap for tap in range(-reach, reach + 1)]
    weights = [keys((centre - (2 * tap + 1) * target).abs().double() / (2 * wide)) for tap in taps]
    weights = [weight * ((tap >= 0) & (tap < source)) for weight, tap in zip(weights, taps, strict=True)]
    total = torch.stack(weights).sum(0)
    shape = [-1 if i == axis else 1 for i in range(image.ndim)]
    result = image.new_zeros((*image.shape[:axis], target, *image.shape[axis + 1 :]))
    for tap, weight in zip(taps, weights, strict=True):
        picked = image.index_select(axis, tap.clamp(0, source - 1))
        result = result + picked * (weight / total).to(image.dtype).view(shape)
    return result


def keys(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5 at distances x >= 0 (IEEE Trans. ASSP 1981)."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = -0.5 * (((x - 5) * x + 8) * x - 4)
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
