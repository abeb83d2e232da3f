"""PSNR, MS-SSIM and bits per pixel, each by one rule for all codecs, on 8-bit RGB pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from layered.errors import OptionError
from layered.image import Image8

__all__ = ["MS_SSIM_MIN_SIDE", "bits_per_pixel", "mean", "ms_ssim", "psnr"]

MS_SSIM_MIN_SIDE = 161
"""Shortest side for which MS-SSIM is defined: five scales of an 11-sample window need more than 160."""


def psnr(image: Image8, reference: Image8) -> float:
    """PSNR in dB over all samples of [H, W, 3] RGB, peak 255; infinite for equal pictures.

    Raises OptionError when the sizes differ.
    """
    _check_same_size(image, reference)
    error = image.astype(np.int32) - reference.astype(np.int32)
    mse = float(np.mean(np.square(error), dtype=np.float64))
    return math.inf if mse == 0 else 10 * math.log10(255**2 / mse)


def ms_ssim(image: Image8, reference: Image8) -> float | None:
    """MS-SSIM on RGB, linear in [0, 1], or None where a side is shorter than MS_SSIM_MIN_SIDE.

    The usual five scales and weights (Wang et al. 2003), computed by the package pytorch-msssim.
    """
    _check_same_size(image, reference)
    if min(image.shape[:2]) < MS_SSIM_MIN_SIDE:
        return None
    from pytorch_msssim import ms_ssim as measure

    from layered.image import to_tensor

    return float(measure(to_tensor(image), to_tensor(reference), data_range=1.0))


def bits_per_pixel(size: int, width: int, height: int) -> float:
    """Bits of `size` bytes per pixel of a width x height picture."""
    return 8 * size / (width * height)


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean of finite values; raises OptionError for an empty or an infinite input.

    The mean PSNR of pictures of which one is lossless is infinite, which would hide all others.
    """
    listed = list(values)
    if not listed:
        raise OptionError("there is nothing to average")
    if not all(math.isfinite(value) for value in listed):
        raise OptionError("a lossless picture has infinite PSNR, so that no average exists")
    return math.fsum(listed) / len(listed)


def _check_same_size(image: Image8, reference: Image8) -> None:
    if image.shape != reference.shape:
        raise OptionError(f"sizes {image.shape} and {reference.shape} differ; pictures must have the same")
