"""JPEG XL."""

from __future__ import annotations

import sys
from itertools import pairwise

import imagecodecs
import numpy as np
import pytest

from baselines.jpegxl import JPEGXL, distance
from experiments.metrics import psnr
from layered.errors import CorruptStream, OptionError
from tests.conftest import smooth_picture

CODEC = JPEGXL["jpegxl"]


def test_more_quality_costs_more_bytes_and_looks_better() -> None:
    image = smooth_picture(96, 128)
    files = [CODEC.encode(image, quality) for quality in (5, 30, 60, 90)]
    scores = [psnr(CODEC.decode(file), image) for file in files]
    assert all(len(a) < len(b) for a, b in pairwise(files)) and all(a < b for a, b in pairwise(scores))


def test_distances_fall_with_quality_and_meet_where_the_two_formulas_do() -> None:
    distances = [distance(quality) for quality in np.linspace(1, 99, 99)]
    assert all(a > b for a, b in pairwise(distances))
    assert distance(90) == pytest.approx(1.0) and distance(30 - 1e-9) == pytest.approx(distance(30), abs=0.2)


def test_the_file_is_libjxls_own() -> None:
    image = smooth_picture(24, 40)
    assert CODEC.encode(image, 90) == imagecodecs.jpegxl_encode(image, distance=1.0, effort=7, numthreads=1)


def test_pictures_of_another_kind_are_refused() -> None:
    with pytest.raises(CorruptStream, match="8-bit colour picture expected, got uint16"):
        CODEC.decode(bytes(imagecodecs.jpegxl_encode(smooth_picture(8, 8).astype(np.uint16))))


@pytest.mark.parametrize("quality", [0.5, 99.5, float("nan")])
def test_quality_outside_the_range_is_refused(quality: float) -> None:
    with pytest.raises(OptionError, match="1 to 99"):
        CODEC.encode(smooth_picture(8, 8), quality)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(OptionError, match=r"pip install -e .*codecs"):
        CODEC.fingerprint()
