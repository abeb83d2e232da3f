"""SHVC's picture for inter-layer prediction: the lower layer's, resampled in integers as ITU-T H.265 (H.8.1.4) does.

Positions are in 1/16 of a lower sample.  The phase moves the grids so that the pictures' centres agree, which is how
antialiased downscaling makes lower layers, and not their top left samples, which is the syntax's default.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from baselines.yuv import Planes, chroma_of
from layered.image import Image8

__all__ = ["CHROMA_TAPS", "LUMA_TAPS", "phase_of", "positions", "resample", "resample_plane"]

_LUMA = (
    (0, 0, 0, 64, 0, 0, 0, 0),
    (0, 1, -3, 63, 4, -2, 1, 0),
    (-1, 2, -5, 62, 8, -3, 1, 0),
    (-1, 3, -8, 60, 13, -4, 1, 0),
    (-1, 4, -10, 58, 17, -5, 1, 0),
    (-1, 4, -11, 52, 26, -8, 3, -1),
    (-1, 3, -9, 47, 31, -10, 4, -1),
    (-1, 4, -11, 45, 34, -10, 4, -1),
    (-1, 4, -11, 40, 40, -11, 4, -1),
)
_CHROMA = (
    (0, 64, 0, 0),
    (-2, 62, 4, 0),
    (-2, 58, 10, -2),
    (-4, 56, 14, -2),
    (-4, 54, 16, -2),
    (-6, 52, 20, -2),
    (-6, 46, 28, -4),
    (-4, 42, 30, -4),
    (-4, 36, 36, -4),
)


def _mirrored(half: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    return np.array([*half, *(row[::-1] for row in half[-2:0:-1])], np.int64)


LUMA_TAPS = _mirrored(_LUMA)
CHROMA_TAPS = _mirrored(_CHROMA)
"""Filters [16, taps] over 64, by the fraction of a position; a filter's middle is between its two central taps."""


def phase_of(low: int, high: int) -> int:
    """The phase, in 1/16 of an upper sample, that centres `low` samples on `high`: 8 * ratio - 8, rounded."""
    return round(Fraction(8 * (high - low), low))


def positions(low: int, high: int, count: int) -> NDArray[np.int64]:
    """Where the first `count` samples of a side lie on the lower one, in 1/16; `low` and `high` give their ratio."""
    scale = ((low << 16) + (high >> 1)) // high
    add = ((phase_of(low, high) * scale + 8) >> 4) - 2048
    return (np.arange(count, dtype=np.int64) * scale - add) >> 12


def resample_plane(
    plane: Image8, across: NDArray[np.int64], down: NDArray[np.int64], taps: NDArray[np.int64]
) -> Image8:
    """An 8-bit plane [H, W] at other `positions`: horizontal, then vertical ones."""
    sums = _filtered(_filtered(plane.astype(np.int64).T, across, taps).T, down, taps)
    return np.clip((sums + 2048) >> 12, 0, 255).astype(np.uint8)


def resample(planes: Planes, low: tuple[int, int], high: tuple[int, int]) -> Planes:
    """8-bit planes of a picture of width and height `low` at the size `high`; see `baselines.yuv` for odd sizes.

    An odd side, which SHVC does not have in 4:2:0, keeps the ratio of the pictures, not that of its larger planes.
    """
    step = 2 if chroma_of(planes) == "420" else 1
    made = []
    for plane, taps, divisor in zip(planes, (LUMA_TAPS, CHROMA_TAPS, CHROMA_TAPS), (1, step, step), strict=True):
        across, down = (
            positions(*_ratio(below, above, divisor), -(-above // step) * step // divisor)
            for below, above in zip(low, high, strict=True)
        )
        made.append(resample_plane(plane, across, down, taps))
    return made[0], made[1], made[2]


def _ratio(low: int, high: int, divisor: int) -> tuple[int, int]:
    """The sides of subsampled planes where they are whole, for the rounding of the scale depends on them."""
    return (low, high) if low % divisor or high % divisor else (low // divisor, high // divisor)


def _filtered(rows: NDArray[np.int64], at: NDArray[np.int64], taps: NDArray[np.int64]) -> NDArray[np.int64]:
    """`rows` [n, m] filtered along the first axis at positions `at` [k]: [k, m], 64 times as large."""
    count = taps.shape[1]
    # Edges repeat, however far beyond them a position lies.
    nearest = (at >> 4)[:, None] + np.arange(1 - count // 2, 1 + count // 2)
    nearest = np.clip(nearest, 0, len(rows) - 1)
    total = np.zeros((len(at), rows.shape[1]), np.int64)
    for k in range(count):
        total += taps[at & 15, k][:, None] * rows[nearest[:, k]]
    return total
