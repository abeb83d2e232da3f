"""RGB and YCbCr."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from baselines.yuv import Chroma, Matrix, chroma_of, crop, pad, to_picture, to_planes
from experiments.metrics import psnr
from layered.errors import OptionError
from layered.image import Image8
from tests.conftest import smooth_picture

SIZES = [(1, 1), (1, 7), (7, 5), (63, 65), (32, 48)]
WEIGHTS = {"bt601": (Fraction("0.299"), Fraction("0.114")), "bt709": (Fraction("0.2126"), Fraction("0.0722"))}


def round_half_up(value: Fraction) -> int:
    return int((value + Fraction(1, 2)) // 1)


def one_pixel(levels: tuple[int, int, int]) -> Image8:
    return np.array([[levels]], np.uint8)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("bits", [8, 10])
@settings(max_examples=50)
@given(levels=st.tuples(*[st.integers(0, 255)] * 3))
def test_a_pixel_becomes_the_standards_fractions_rounded_half_up(
    matrix: Matrix, bits: int, levels: tuple[int, int, int]
) -> None:
    (kr, kb), peak = WEIGHTS[matrix], 2**bits - 1
    red, green, blue = (Fraction(level, 255) for level in levels)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = [(blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))]
    expected = [round_half_up(luma * peak), *(min(peak, round_half_up(c * peak) + 2 ** (bits - 1)) for c in chroma)]
    assert [int(plane[0, 0]) for plane in to_planes(one_pixel(levels), "444", matrix, bits)] == expected


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@settings(max_examples=50)
@given(levels=st.tuples(*[st.integers(0, 255)] * 3))
def test_samples_become_the_inverse_fractions_rounded_half_up(matrix: Matrix, levels: tuple[int, int, int]) -> None:
    (kr, kb), (y, cb, cr) = WEIGHTS[matrix], (Fraction(levels[0]), levels[1] - 128, levels[2] - 128)
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    expected = [max(0, min(255, round_half_up(value))) for value in (red, green, blue)]
    planes = tuple(np.array([[level]], np.uint8) for level in levels)
    assert to_picture((planes[0], planes[1], planes[2]), 1, 1, matrix)[0, 0].tolist() == expected


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_ten_bits_in_full_resolution_lose_nothing(seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    assert np.array_equal(to_picture(to_planes(image, "444", bits=10), 13, 9), image)


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("chroma", ["420", "444"])
def test_greys_come_back_exactly_at_any_size(chroma: Chroma, bits: int) -> None:
    for height, width in SIZES:
        grey = np.repeat(np.random.default_rng(0).integers(0, 256, (height, width, 1), dtype=np.uint8), 3, axis=2)
        assert np.array_equal(to_picture(to_planes(grey, chroma, bits=bits), width, height), grey)


@pytest.mark.parametrize("height, width", SIZES)
def test_subsampled_planes_are_even_and_chroma_has_half_their_size(height: int, width: int) -> None:
    y, cb, cr = to_planes(smooth_picture(height, width), "420")
    assert y.shape == (height + height % 2, width + width % 2)
    assert cb.shape == cr.shape == (y.shape[0] // 2, y.shape[1] // 2)
    assert np.array_equal(y[-1], y[height - 1]) and np.array_equal(y[:, -1], y[:, width - 1])


@pytest.mark.parametrize("height, width", [(32, 48), (20, 26)])
def test_chroma_is_scaled_as_pillow_scales_it_away_from_the_edges(height: int, width: int) -> None:
    """Pillow's edges follow another rule: it leaves out what is missing."""
    image = smooth_picture(height, width)
    full, half = to_planes(image, "444", bits=10), to_planes(image, "420", bits=10)
    for whole, small in zip(full[1:], half[1:], strict=True):
        target = (width // 2, height // 2)
        down = Image.fromarray(whole.astype(np.float32)).resize(target, Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(down) - small)[2:-2, 2:-2].max() <= 1.5  # each of the two has been rounded
    flat = np.full((height, width), 128, np.uint8)
    _, cb, cr = (plane[: height // 2, : width // 2] for plane in to_planes(image, "444"))
    reds = to_picture((flat, cb, cr), width, height)[..., 0].astype(float)
    up = Image.fromarray(cr.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    assert np.abs(np.clip(128 + 1.5748 * (np.asarray(up) - 128), 0, 255) - reds)[4:-4, 4:-4].max() <= 0.501


def test_subsampling_neither_moves_nor_blurs_smooth_colour() -> None:
    y, x = np.mgrid[0:40, 0:56]
    image = np.stack([60 + 2 * x, 128 + 0 * x, 60 + 2 * y], axis=-1).astype(np.uint8)
    made = to_picture(to_planes(image, "420"), 56, 40)
    assert psnr(made[4:-4, 4:-4], image[4:-4, 4:-4]) > 45


@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("height, width", SIZES)
def test_padding_repeats_the_edge_and_cropping_takes_it_away(chroma: Chroma, height: int, width: int) -> None:
    planes = to_planes(smooth_picture(height, width), chroma)
    grown = pad(planes, 80, 72)
    assert grown[0].shape == (72, 80) and chroma_of(grown) == chroma
    for small, large in zip(planes, grown, strict=True):
        down, right = large.shape[0] - small.shape[0], large.shape[1] - small.shape[1]
        assert np.array_equal(large, np.pad(small, ((0, down), (0, right)), "edge"))
    assert all(np.array_equal(a, b) for a, b in zip(crop(grown, width, height), planes, strict=True))


def test_what_is_no_picture_and_other_depths_are_refused() -> None:
    with pytest.raises(OptionError, match="uint8"):
        to_planes(np.zeros((4, 4), np.uint8), "444")
    with pytest.raises(OptionError, match="8 or 10 bits"):
        to_planes(smooth_picture(4, 4), "444", bits=12)
