"""SHVC's inter-layer resampling against its definition, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.shvc.resample import CHROMA_TAPS, LUMA_TAPS, phase_of, positions, resample
from baselines.yuv import to_planes
from layered.image import Image8, resize8
from tests.conftest import smooth_picture

RATIOS = (1.2, 1.5, 1.6, 2.0, 2.53, 4.0)


def defined(
    plane: Image8, low: tuple[int, int], high: tuple[int, int], size: tuple[int, int], taps: list[list[int]]
) -> Image8:
    """The definition with plain numbers: clause H.8.1.4.1.3 for luma, H.8.1.4.1.4 for chroma, 8 bits."""
    count = len(taps[0])

    def place(x: int, low: int, high: int) -> tuple[int, int]:
        scale = ((low << 16) + (high >> 1)) // high
        add = ((phase_of(low, high) * scale + 8) >> 4) - (1 << 11)
        sixteenths = (x * scale - add) >> 12
        return sixteenths >> 4, sixteenths & 15

    made = np.zeros(size[::-1], np.uint8)
    for y in range(size[1]):
        row, down = place(y, low[1], high[1])
        for x in range(size[0]):
            column, across = place(x, low[0], high[0])
            total = 0
            for j in range(count):
                line = plane[min(max(row + j - count // 2 + 1, 0), plane.shape[0] - 1)]
                part = 0
                for i in range(count):
                    part += taps[across][i] * int(line[min(max(column + i - count // 2 + 1, 0), plane.shape[1] - 1)])
                total += taps[down][j] * part
            made[y, x] = min(max((total + 2048) >> 12, 0), 255)
    return made


def noise(width: int, height: int, seed: int = 0) -> Image8:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def assert_resampled_as_defined(low: tuple[int, int], high: tuple[int, int], seed: int = 0) -> None:
    """In 4:4:4, where a picture's sides are those of its planes."""
    planes = noise(*low, seed), noise(*low, seed + 1), noise(*low, seed + 2)
    made = resample(planes, low, high)
    for plane, result, taps in zip(planes, made, (LUMA_TAPS, CHROMA_TAPS, CHROMA_TAPS), strict=True):
        assert np.array_equal(result, defined(plane, low, high, high, taps.tolist()))


@pytest.mark.parametrize("ratio", RATIOS)
@settings(max_examples=4)
@given(width=st.integers(1, 7), height=st.integers(1, 7), seed=st.integers(0, 99))
def test_every_sample_is_the_definitions(ratio: float, width: int, height: int, seed: int) -> None:
    assert_resampled_as_defined((width, height), (max(width, round(ratio * width)), round(ratio * height)), seed)


@pytest.mark.parametrize(
    ("low", "high"),
    [((1, 1), (1, 1)), ((1, 1), (1, 7)), ((1, 7), (7, 7)), ((7, 5), (14, 13)), ((33, 32), (65, 63)), ((1, 1), (40, 3))],
)
def test_odd_and_tiny_sizes_follow_the_definition_too(low: tuple[int, int], high: tuple[int, int]) -> None:
    assert_resampled_as_defined(low, high)


def test_subsampled_planes_of_even_pictures_are_resampled_by_their_own_sizes() -> None:
    planes = noise(8, 6), noise(4, 3), noise(4, 3, 1)
    made = resample(planes, (8, 6), (20, 10))
    assert np.array_equal(made[0], defined(planes[0], (8, 6), (20, 10), (20, 10), LUMA_TAPS.tolist()))
    for plane, result in zip(planes[1:], made[1:], strict=True):
        assert np.array_equal(result, defined(plane, (4, 3), (10, 5), (10, 5), CHROMA_TAPS.tolist()))


def test_planes_of_odd_pictures_keep_the_ratio_of_the_pictures() -> None:
    """7x5 over 3x3 pixels, in planes of 8x6 over 4x4."""
    planes = noise(4, 4), noise(2, 2), noise(2, 2, 1)
    made = resample(planes, (3, 3), (7, 5))
    assert np.array_equal(made[0], defined(planes[0], (3, 3), (7, 5), (8, 6), LUMA_TAPS.tolist()))
    for plane, result in zip(planes[1:], made[1:], strict=True):
        assert np.array_equal(result, defined(plane, (3, 3), (7, 5), (4, 3), CHROMA_TAPS.tolist()))


def test_filters_keep_flat_areas_and_mirror_each_other() -> None:
    for taps in (LUMA_TAPS, CHROMA_TAPS):
        assert taps.sum(axis=1).tolist() == [64] * 16
        assert np.array_equal(taps[1:], taps[:0:-1, ::-1])


def test_the_same_size_is_the_same_picture() -> None:
    planes = noise(9, 5), noise(9, 5, 1), noise(9, 5, 2)
    assert all(np.array_equal(a, b) for a, b in zip(resample(planes, (9, 5), (9, 5)), planes, strict=True))


@pytest.mark.parametrize(
    ("low", "high", "phase"), [(384, 768, 8), (192, 768, 24), (480, 768, 5), (640, 768, 2), (512, 768, 4), (5, 5, 0)]
)
def test_phases_centre_the_pictures(low: int, high: int, phase: int) -> None:
    assert phase_of(low, high) == phase
    at = positions(low, high, high) / 16
    exact = (np.arange(high) + 0.5) * low / high - 0.5
    # Besides the rounding to 1/16, the phase's own half sixteenth and the scale's rounding over the picture.
    assert np.abs(at - exact).max() <= 1 / 32 + 1 / 32 * low / high + high * low / high / 2**17 + 1e-9


@pytest.mark.parametrize("size", [(120, 96), (121, 95)])
@pytest.mark.parametrize("ratio", RATIOS)
def test_a_shrunk_picture_is_enlarged_in_place(ratio: float, size: tuple[int, int]) -> None:
    """Against the same picture moved by a sample either way, where phases of 0 would fail."""
    (width, height), low = size, (round(size[0] / ratio), round(size[1] / ratio))
    grey = np.repeat(smooth_picture(height, width)[..., :1], 3, axis=2)
    y = resample(to_planes(resize8(grey, *low), "420"), low, size)[0].astype(float)
    error = {
        shift: float(np.mean((y[8 : height - 8, 8 : width - 8] - grey[8:-8, 8 + shift : width - 8 + shift, 0]) ** 2))
        for shift in (-1, 0, 1)
    }
    assert error[0] < min(error[-1], error[1])
