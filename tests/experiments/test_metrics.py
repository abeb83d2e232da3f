"""PSNR, MS-SSIM, bits per pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.metrics import MS_SSIM_MIN_SIDE, bits_per_pixel, mean, ms_ssim, psnr
from layered.errors import OptionError
from layered.image import Image8


def noise(height: int, width: int, seed: int = 0) -> Image8:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_psnr_of_a_constant_error_is_the_closed_form() -> None:
    black = np.zeros((5, 7, 3), np.uint8)
    assert psnr(black + np.uint8(16), black) == pytest.approx(20 * math.log10(255 / 16))


def test_psnr_does_not_wrap_around_in_eight_bits() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert psnr(black, white) == psnr(white, black) == 0


def test_psnr_pools_all_channels_before_the_logarithm() -> None:
    a, b = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
    b[..., 0] = 30
    assert psnr(a, b) == pytest.approx(10 * math.log10(255**2 / 300))


def test_equal_pictures_have_infinite_psnr_which_cannot_be_averaged() -> None:
    image = noise(3, 3)
    assert psnr(image, image) == math.inf
    with pytest.raises(OptionError, match="lossless"):
        mean([30.0, psnr(image, image)])


def test_mean_of_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match="nothing"):
        mean([])


def test_pictures_of_different_sizes_are_refused() -> None:
    with pytest.raises(OptionError, match="differ"):
        psnr(noise(3, 4), noise(4, 3))


def test_ms_ssim_is_one_for_equal_pictures_and_falls_with_distortion() -> None:
    image = noise(MS_SSIM_MIN_SIDE, 170)
    blurred = ((image.astype(int) + np.roll(image, 1, axis=1)) // 2).astype(np.uint8)
    score = ms_ssim(blurred, image)
    assert ms_ssim(image, image) == pytest.approx(1)
    assert score is not None and score < 0.99


def test_ms_ssim_is_none_where_five_scales_do_not_fit() -> None:
    small = noise(MS_SSIM_MIN_SIDE - 1, 300)
    assert ms_ssim(small, small) is None


def test_bits_per_pixel_counts_eight_bits_a_byte() -> None:
    assert bits_per_pixel(100, 20, 10) == 4
