"""Training pictures in memory, and random crops of them that depend on nothing but a generator."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from layered.errors import ImageError

__all__ = ["CropSource", "digest_of_pictures", "downscale"]

def digest_of_pictures(pictures: Sequence[Tensor]) -> str:
    """SHA-256 of all pictures, in order."""
    total = hashlib.sha256()
    for picture in pictures:
        total.update(f"{tuple(picture.shape)}".encode())
        total.update(picture.numpy().tobytes())
    return total.hexdigest()


class CropSource:
    """Draws batches of random crops, half of them mirrored, from pictures held on one device.

    maps: label maps of the pictures, of the same sizes, for crops with their labels.
    """

    def __init__(
        self,
        pictures: Sequence[Tensor],
        device: torch.device | str = "cpu",
        maps: Sequence[Tensor] | None = None,
    ) -> None:
        if maps is not None:
            pictures = [torch.cat(pair) for pair in zip(pictures, maps, strict=True)]
        self.labelled = maps is not None
        self.pictures = [picture.to(device) for picture in pictures]

    def require(self, side: int, phase: str) -> None:
        """Raise ImageError, naming the phase, unless a picture has both sides of at least `side` pixels."""
        largest = max(min(picture.shape[-2:]) for picture in self.pictures)
        if largest < side:
            raise ImageError(
                f"phase {phase!r} cuts crops of {side}x{side}, but no training picture has more than {largest} a side"
            )

    def draw(self, generator: torch.Generator, count: int, side: int, share: tuple[int, int] = (0, 1)) -> Tensor:
        """`count` crops of side x side pixels: float [count, 3, side, side] in [0, 1].

        Only pictures that are large enough take part.  share: (rank, world) to get every world-th of these
        crops, beginning with the rank-th.  Raises ImageError if no picture is large enough.
        """
        return self.draw_labelled(generator, count, side, share)[0]

    def draw_labelled(
        self, generator: torch.Generator, count: int, side: int, share: tuple[int, int] = (0, 1)
    ) -> tuple[Tensor, Tensor | None]:
        """The same crops, and their labels, uint8 [count, side, side], where there are any."""
        large = [p for p in self.pictures if min(p.shape[-2:]) >= side]
        if not large:
            raise ImageError(f"no training picture has both sides of at least {side} pixels")
        draws = torch.rand(count, 4, generator=generator)[share[0] :: share[1]].tolist()
        crops = []
        for which, down, across, mirror in draws:
            picture = large[int(which * len(large))]
            top = int(down * (picture.shape[-2] - side + 1))
            left = int(across * (picture.shape[-1] - side + 1))
            crop = picture[:, top : top + side, left : left + side]
            crops.append(crop.flip(-1) if mirror < 0.5 else crop)
        drawn = torch.stack(crops)
        return drawn[:, :3].float() / 255, drawn[:, 3] if self.labelled else None


def downscale(crops: Tensor, height: int, width: int) -> Tensor:
    """[B, 3, H, W] -> [B, 3, height, width] by the antialiased bicubic filter, rounded to 8 bits.

    The filter is Pillow's (a = -0.5), so that training sees the lower layers' originals as coding does.
    """
    if crops.shape[-2:] == (height, width):
        return crops
    small = F.interpolate(crops, size=(height, width), mode="bicubic", align_corners=False, antialias=True)
    return (small.clamp(0, 1) * 255).round() / 255
