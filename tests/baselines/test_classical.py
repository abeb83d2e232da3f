"""Everyday codecs through Pillow."""

from __future__ import annotations

import io
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from baselines.classical import CLASSICAL
from experiments.metrics import psnr
from layered.errors import ImageError, OptionError
from layered.image import Image8

QUALITIES = {"jpeg": (10, 40, 90), "jpeg2000": (0.5, 1.5, 4), "webp": (1, 50, 95), "avif": (5, 40, 80)}


def picture(height: int, width: int) -> Image8:
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 90 * np.sin(x / (4 + k) + k) * np.cos(y / (5 + k)) for k in range(3)]
    noise = np.random.default_rng(0).normal(0, 8, (height, width, 3))
    return np.asarray(np.clip(np.stack(waves, axis=-1) + noise, 0, 255), dtype=np.uint8)


@pytest.mark.parametrize("name", CLASSICAL)
def test_more_quality_costs_more_bytes_and_looks_better(name: str) -> None:
    codec, image = CLASSICAL[name], picture(96, 128)
    files = [codec.encode(image, quality) for quality in QUALITIES[name]]
    scores = [psnr(codec.decode(file), image) for file in files]
    assert all(len(a) < len(b) for a, b in pairwise(files))
    assert all(a < b for a, b in pairwise(scores))


@pytest.mark.parametrize("name", CLASSICAL)
@settings(max_examples=8)
@given(width=st.integers(1, 70), height=st.integers(1, 70))
def test_any_size_comes_back_at_its_own_size(name: str, width: int, height: int) -> None:
    image = picture(height, width)
    codec = CLASSICAL[name]
    assert codec.decode(codec.encode(image, QUALITIES[name][1])).shape == image.shape


@pytest.mark.parametrize("name", ["jpeg", "avif"])
def test_colour_keeps_its_full_resolution(name: str) -> None:
    """Red and blue columns of one pixel mix into purple where chroma is subsampled."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, ::2, 0] = image[:, 1::2, 2] = 200
    codec = CLASSICAL[name]
    assert psnr(codec.decode(codec.encode(image, 90)), image) > 25


def test_jpeg2000_meets_its_rate() -> None:
    image = picture(128, 128)
    size = len(CLASSICAL["jpeg2000"].encode(image, 1.0))
    assert 0.9 < 8 * size / 128**2 < 1.02


@pytest.mark.parametrize(("name", "quality"), [("jpeg", 0), ("jpeg", 96), ("jpeg2000", 0), ("webp", 101)])
def test_quality_outside_the_range_is_refused(name: str, quality: float) -> None:
    with pytest.raises(OptionError, match="must be"):
        CLASSICAL[name].encode(picture(8, 8), quality)


def test_a_broken_quality_is_refused_where_only_whole_ones_exist() -> None:
    with pytest.raises(OptionError, match="whole number"):
        CLASSICAL["webp"].encode(picture(8, 8), 50.5)


def test_a_format_that_pillow_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baselines.classical.features.check", lambda feature: False)
    with pytest.raises(OptionError, match="AVIF"):
        CLASSICAL["avif"].encode(picture(8, 8), 50)


def test_damaged_files_raise_an_image_error() -> None:
    with pytest.raises(ImageError):
        CLASSICAL["jpeg"].decode(CLASSICAL["jpeg"].encode(picture(64, 64), 50)[:100])


def test_the_fingerprint_names_library_versions_and_settings() -> None:
    made = CLASSICAL["avif"].fingerprint()
    assert made["pillow"] and made["AVIF"] and "subsampling=4:4:4" in made["settings"]


SETTINGS = {
    "jpeg": "subsampling=0 optimize=True progressive=True",
    "jpeg2000": "quality_mode=rates irreversible=True no_jp2=True mct=1",
    "webp": "method=6",
    "avif": "subsampling=4:4:4 speed=6 max_threads=1",
}


@pytest.mark.parametrize("name", CLASSICAL)
def test_settings_are_those_that_results_were_made_with(name: str) -> None:
    assert CLASSICAL[name].fingerprint()["settings"] == SETTINGS[name]


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("quality", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_quality(name: str, quality: float) -> None:
    with pytest.raises(OptionError, match="quality must be a number"):
        CLASSICAL[name].encode(picture(8, 8), quality)


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_what_is_no_picture_is_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError):
        CLASSICAL[name].encode(np.zeros(shape, np.uint8), 50)


def test_a_size_beyond_the_format_is_told() -> None:
    with pytest.raises(OptionError, match="WEBP: Pillow does not write 20000x1"):
        CLASSICAL["webp"].encode(np.zeros((1, 20000, 3), np.uint8), 50)


@pytest.mark.parametrize("name", CLASSICAL)
def test_files_of_another_format_are_refused(name: str) -> None:
    file = CLASSICAL[name].encode(picture(16, 16), CLASSICAL[name].quality_range[1])
    for other in CLASSICAL.keys() - {name}:
        with pytest.raises(ImageError, match="not an image"):
            CLASSICAL[other].decode(file)


def test_files_are_what_pillow_writes_with_the_stated_settings() -> None:
    image, buffer = picture(40, 40), io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", quality=50, method=6)
    assert CLASSICAL["webp"].encode(image, 50) == buffer.getvalue()


def test_jpeg2000_decorrelates_the_colours() -> None:
    """Where all three colours hold the same detail, coding them one by one would cost three times the bits."""
    grey = np.repeat(picture(128, 128)[..., :1], 3, axis=2)
    codec = CLASSICAL["jpeg2000"]
    score = psnr(codec.decode(codec.encode(grey, 1.0)), grey)
    plain = io.BytesIO()
    Image.fromarray(grey).save(plain, "JPEG2000", quality_mode="rates", quality_layers=[24], irreversible=True, mct=0)
    assert score > psnr(np.asarray(Image.open(plain)), grey) + 1
