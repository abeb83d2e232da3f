"""What an encoder may be told of a picture besides its pixels: what is where, and what is to be kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from layered.errors import OptionError

__all__ = ["Guide", "guide_of"]


@dataclass(frozen=True)
class Guide:
    """labels: classes [B, H, W], uint8.  preserved: [B, H, W], bool, what is to look like the original."""

    labels: Tensor
    preserved: Tensor

    def at(self, height: int, width: int) -> Guide:
        """For the picture at another size: the nearest class, and kept wherever some of a pixel was kept."""
        if self.labels.shape[-2:] == (height, width):
            return self
        labels = F.interpolate(self.labels[:, None].float(), (height, width), mode="nearest-exact")[:, 0]
        kept = F.adaptive_max_pool2d(self.preserved[:, None].float(), (height, width))[:, 0]
        return Guide(labels.to(torch.uint8), kept > 0)


def guide_of(labels: NDArray[np.uint8], preserved: NDArray[np.bool_] | None = None) -> Guide:
    """The guide of one picture from arrays [H, W]; nothing is preserved by default.  Raises OptionError."""
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise OptionError(f"a label map is [H, W] of 8-bit classes, got {labels.dtype} {list(labels.shape)}")
    kept = np.zeros(labels.shape, bool) if preserved is None else preserved
    if kept.shape != labels.shape or kept.dtype != np.bool_:
        raise OptionError(f"what is preserved is bool {list(labels.shape)}, got {kept.dtype} {list(kept.shape)}")
    return Guide(torch.from_numpy(labels.copy())[None], torch.from_numpy(kept.copy())[None])
