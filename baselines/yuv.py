"""8-bit RGB and full-range YCbCr, 4:4:4 or 4:2:0, by one rule: exact fractions, rounded half up, once each way.

Everything is integer arithmetic, so that all machines agree.  Chroma of 4:2:0 lies in the centre of its four
pixels: down by the antialiased bicubic filter (a = -0.5), up by the bicubic one, edges replicated.
Source of the matrices: ITU-R BT.601-7 and BT.709-6; of full range: ITU-T T.871, and H.273 for more bits.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from layered.errors import OptionError
from layered.image import Image8, check_image

__all__ = ["CHROMAS", "Chroma", "Matrix", "Planes", "chroma_of", "crop", "pad", "padded_to", "to_picture", "to_planes"]

Planes: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Y, Cb and Cr, [H, W] each, uint8 or (10 bits) uint16; in 4:2:0 luma is even and chroma has half of its size."""

Chroma: TypeAlias = Literal["420", "444"]
Matrix: TypeAlias = Literal["bt601", "bt709"]
CHROMAS: tuple[Chroma, ...] = ("420", "444")

_UNIT = 10_000
_WEIGHTS: dict[str, tuple[int, int]] = {"bt601": (2990, 1140), "bt709": (2126, 722)}
"""Luma weights of red and blue, in units of 1 / _UNIT."""
_DOWN = (-3, -9, 29, 111, 111, 29, -9, -3)  # over 256: the cubic at +-1/4, 3/4, 5/4 and 7/4, halved
_UP = (-3, 29, 111, -9)  # over 128: the cubic at 7/4, 3/4, 1/4 and 5/4


def to_planes(image: Image8, chroma: Chroma, matrix: Matrix = "bt709", bits: int = 8) -> Planes:
    """The planes of `image` [H, W, 3]; in 4:2:0 an odd side grows by one, its edge repeated.

    bits: 8 or 10.  Raises OptionError for what is no picture.
    """
    check_image(image)
    red_weight, blue_weight = _WEIGHTS[matrix]
    if chroma == "420":
        image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge")
    red, green, blue = (image[..., k].astype(np.int64) for k in range(3))
    luma = red_weight * red + (_UNIT - red_weight - blue_weight) * green + blue_weight * blue
    planes = [_rounded(luma * _peak(bits), 255 * _UNIT)]
    for colour, weight in ((blue, blue_weight), (red, red_weight)):
        difference, unit = _UNIT * colour - luma, 2 * 255 * (_UNIT - weight)
        if chroma == "420":
            difference, unit = _down(_down(difference, 0), 1), unit * 256**2
        planes.append(_rounded(difference * _peak(bits), unit) + _zero(bits))
    y, cb, cr = (np.clip(plane, 0, _peak(bits)).astype(_type(bits)) for plane in planes)
    return y, cb, cr


def to_picture(planes: Planes, width: int, height: int, matrix: Matrix = "bt709") -> Image8:
    """RGB [height, width, 3] from the top left of `planes`, which are at least as large."""
    red_weight, blue_weight = _WEIGHTS[matrix]
    green_weight = _UNIT - red_weight - blue_weight
    bits = 8 if planes[0].dtype == np.uint8 else 10
    luma, blue, red = (plane.astype(np.int64) for plane in planes)
    differences, unit = (blue - _zero(bits), red - _zero(bits)), 1
    if chroma_of(planes) == "420":
        differences, unit = (_up(_up(differences[0], 0), 1), _up(_up(differences[1], 0), 1)), 128**2
    # Colours as fractions over _UNIT * unit * peak; green's over green_weight times that.
    blue, red = (2 * (_UNIT - w) * d for w, d in zip((blue_weight, red_weight), differences, strict=True))
    luma = _UNIT * unit * luma
    green = green_weight * luma - blue_weight * blue - red_weight * red
    over = _UNIT * unit * _peak(bits)
    parts = ((luma + red, over), (green, green_weight * over), (luma + blue, over))
    levels = [np.clip(_rounded(255 * part, whole), 0, 255).astype(np.uint8) for part, whole in parts]
    return np.ascontiguousarray(np.stack(levels, axis=-1)[:height, :width])


def chroma_of(planes: Planes) -> Chroma:
    """Whether planes are 4:2:0 or 4:4:4."""
    return "444" if planes[1].shape == planes[0].shape else "420"


def pad(planes: Planes, width: int, height: int) -> Planes:
    """Planes grown to the right and below to a size that is even; new samples repeat the edge."""
    y, cb, cr = (
        np.pad(p, ((0, h - p.shape[0]), (0, w - p.shape[1])), mode="edge")
        for p, (h, w) in zip(planes, _shapes(width, height, chroma_of(planes)), strict=True)
    )
    return y, cb, cr


def padded_to(width: int, height: int, multiple: int, least: int = 0) -> tuple[int, int]:
    """Width and height, each raised to the next multiple, and to no less than `least`."""
    wide, high = (max(least, -(-side // multiple) * multiple) for side in (width, height))
    return wide, high


def crop(planes: Planes, width: int, height: int) -> Planes:
    """The top left of planes: `width` x `height` pixels, and in 4:2:0 one more where a side is odd."""
    chroma = chroma_of(planes)
    if chroma == "420":
        width, height = width + width % 2, height + height % 2
    y, cb, cr = (p[:h, :w] for p, (h, w) in zip(planes, _shapes(width, height, chroma), strict=True))
    return y, cb, cr


def _shapes(width: int, height: int, chroma: Chroma) -> tuple[tuple[int, int], ...]:
    half = (height // 2, width // 2) if chroma == "420" else (height, width)
    return (height, width), half, half


def _peak(bits: int) -> int:
    if bits not in (8, 10):
        raise OptionError(f"samples have 8 or 10 bits, got {bits}")
    return int(2**bits - 1)


def _zero(bits: int) -> int:
    return int(2 ** (bits - 1))


def _type(bits: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if bits == 8 else np.uint16


def _rounded(value: NDArray[np.int64], over: int) -> NDArray[np.int64]:
    """`value / over` rounded half up."""
    result: NDArray[np.int64] = (2 * value + over) // (2 * over)
    return result


def _down(values: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Half as many samples along `axis`, 256 times as large."""
    rows = np.moveaxis(values, axis, 0)
    padded = np.pad(rows, ((3, 3), (0, 0)), mode="edge")
    return np.moveaxis(_sum(tap * padded[k : k + len(rows) : 2] for k, tap in enumerate(_DOWN)), 0, axis)


def _up(values: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Twice as many samples along `axis`, 128 times as large."""
    rows = np.moveaxis(values, axis, 0)
    padded, count = np.pad(rows, ((2, 2), (0, 0)), mode="edge"), len(rows)
    made = np.empty((2 * count, rows.shape[1]), np.int64)
    made[0::2] = _sum(tap * padded[k : k + count] for k, tap in enumerate(_UP))
    made[1::2] = _sum(tap * padded[k + 1 : k + 1 + count] for k, tap in enumerate(reversed(_UP)))
    return np.moveaxis(made, 0, axis)


def _sum(terms: Any) -> NDArray[np.int64]:
    total: NDArray[np.int64] = sum(terms)
    return total
