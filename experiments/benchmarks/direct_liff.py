"""LIFF in the paper's order of work: the reference of its tests, and what its speed and memory are compared with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from layered.enhancement.liff import LIFF

__all__ = ["direct"]


def direct(model: LIFF, image: Tensor, height: int, width: int, at_once: int | None = None) -> Tensor:
    """What `model(image, height, width)` answers: unfold, pick the nearest cell, form every pixel's filter, apply it.

    at_once: pixels whose filters are held at the same time; all by default, 7 kB each at the paper's widths.
    """
    features = model.encoder(image)
    batch, channels, h, w = features.shape
    row, dy = _nearest(h, height, image)
    column, dx = _nearest(w, width, image)
    cell = (row[:, None] * w + column).flatten()
    unfolded = F.unfold(features, 3, padding=1).transpose(1, 2)
    offsets = torch.stack(torch.meshgrid(dy, dx, indexing="ij"), -1).flatten(0, 1)
    pitch = image.new_tensor([2 * h / height, 2 * w / width]).expand(height * width, 2)
    extra = torch.cat((offsets, pitch), 1)
    answers = []
    for part, seen in zip(cell.split(at_once or len(cell)), extra.split(at_once or len(cell)), strict=True):
        neighbourhood = unfolded[:, part]
        hidden = F.relu(model.first(torch.cat((neighbourhood, seen.expand(batch, -1, -1)), 2)))
        for layer in model.middle:
            hidden = F.relu(layer(hidden))
        filters = model.last(hidden).view(batch, len(part), 9 * channels, 3)
        answers.append(neighbourhood[:, :, None] @ filters)
    return torch.cat(answers, 1).view(batch, height, width, 3).permute(0, 3, 1, 2)


def _nearest(source: int, target: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """The cell that each of `target` samples falls in, and its offset from that cell's centre in half cells."""
    centre = (2 * torch.arange(target, device=like.device) + 1) * source
    index = torch.div(centre, 2 * target, rounding_mode="floor")
    return index, (centre - (2 * index + 1) * target).to(like.dtype) / target
