"""What an encoder may be told of a picture besides its pixels: what is where, and what is to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from layered.errors import ImageError, OptionError
from layered.image import open_image, stored_as

__all__ = ["Guide", "Labels", "guide_of", "kept_boxes", "kept_classes", "load_labels", "one_hot", "required"]

Labels = NDArray[np.uint8]
"""[H, W], one class a pixel."""

_STEPS = {"L;2": 85, "L;4": 17}  # of the numbers that Pillow makes of grey with 2 or 4 bits


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


def guide_of(labels: Labels, preserved: NDArray[np.bool_] | None = None) -> Guide:
    """The guide of one picture from arrays [H, W]; nothing is preserved by default.  Raises OptionError."""
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise OptionError(f"a label map is [H, W] of 8-bit classes, got {labels.dtype} {list(labels.shape)}")
    kept = np.zeros(labels.shape, bool) if preserved is None else preserved
    if kept.shape != labels.shape or kept.dtype != np.bool_:
        raise OptionError(f"what is preserved is bool {list(labels.shape)}, got {kept.dtype} {list(kept.shape)}")
    return Guide(torch.from_numpy(labels.copy())[None], torch.from_numpy(kept.copy())[None])


def required(guide: Guide | None, image: Tensor, classes: int) -> Guide:
    """The guide at the size of a picture [B, 3, H, W], for a layer that knows so many classes.

    Raises OptionError where there is none, or it has classes beyond these.
    """
    if guide is None:
        raise OptionError("these weights need a label map to encode: give one with the picture, --labels FILE")
    if (highest := int(guide.labels.max())) >= classes:
        raise OptionError(f"the label map has class {highest}, these weights know 0 to {classes - 1}")
    return guide.at(*image.shape[-2:])


def one_hot(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """Labels [B, H, W] -> one for a pixel's class, zero for the others: [B, classes, H, W], of the type of `like`."""
    numbers = torch.arange(classes, device=like.device)[None, :, None, None]
    return (labels[:, None].to(like.device) == numbers).to(like.dtype)


def load_labels(path: str | Path) -> Labels:
    """A label map or mask from a file of one channel of up to 8 bits: grey, palette or black and white.

    Numbers count as they are in the file, of palettes too, and of grey with fewer bits, which Pillow spreads to 255;
    what is inverted (TIFF) or has another largest number (PGM) is refused.

    Raises ImageError for anything else.
    """
    with open_image(path) as (opened, _):
        if opened.mode not in ("L", "P", "1"):
            raise ImageError(f"{path}: a label map has one channel of 8 bits, this is {opened.mode}")
        parts = stored_as(opened)
        largest = [part for part in parts if isinstance(part, int)] if opened.format == "PPM" else []
        if any(str(part).endswith("I") for part in parts) or any(1 < number < 255 for number in largest):
            raise ImageError(f"{path}: its numbers are stored inverted or stretched; save it as an 8-bit PNG")
        step = next((_STEPS[part] for part in parts if part in _STEPS), 1)
        return np.array(opened).astype(np.uint8) // np.uint8(step)


def kept_classes(labels: Labels, wanted: Sequence[str], names: Sequence[str]) -> NDArray[np.bool_]:
    """Where the map has one of the wanted classes, given by name or number.  Raises OptionError for unknown ones."""
    numbers = []
    for word in wanted:
        if word in names:
            numbers.append(names.index(word))
        elif word.isdecimal() and int(word) < len(names):
            numbers.append(int(word))
        else:
            raise OptionError(f"there is no class {word!r}; there are {', '.join(names)}")
    return np.isin(labels, numbers)


def kept_boxes(height: int, width: int, boxes: Sequence[tuple[int, int, int, int]]) -> NDArray[np.bool_]:
    """What lies in one of the boxes (x, y, width, height), in pixels; parts outside of the picture do not count.

    Raises OptionError for a box that is empty or wholly outside.
    """
    kept = np.zeros((height, width), bool)
    for x, y, wide, high in boxes:
        if wide < 1 or high < 1:
            raise OptionError(f"a box is at least one pixel wide and high, got {wide}x{high}")
        inside = kept[max(y, 0) : max(y + high, 0), max(x, 0) : max(x + wide, 0)]
        if not inside.size:
            raise OptionError(f"the box {x},{y},{wide},{high} lies outside of the picture of {width}x{height}")
        inside[:] = True
    return kept
