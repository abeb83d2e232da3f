"""What every codec of the registry must do, learned or not: one claim a test, the same for all."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from baselines.protocol import Codec, Encoded
from baselines.registry import PICTURES, build
from layered.errors import LayeredError, OptionError
from layered.image import Image8, layer_sizes, resize8
from tests.conftest import smooth_picture

SIZES = ((1, 1), (1, 7), (7, 5), (65, 63))
LARGEST = (333, 217)
STACKS = {"layered": (0.25, 0.5, 1.0), "shvc": (0.25, 0.5, 1.0)}
METHODS = (*STACKS, *(f"single {name}" for name in PICTURES), "simulcast jpeg", "simulcast hevc-420")
GENERATIVE = ("single gc", "single tunable")
"""Pictures that look right rather than being near, at a fiftieth of the others' bits."""
DECODE = """
import hashlib, pickle, sys
from baselines.registry import build
for words, encoded in pickle.load(sys.stdin.buffer):
    digest = hashlib.sha256()
    for picture in build(*words).decode(encoded):
        digest.update(str(picture.shape).encode() + picture.tobytes())
    print(digest.hexdigest())
"""


@cache
def codec(method: str) -> Codec:
    made = build(*method.split())
    try:
        made.fingerprint()
    except OptionError as error:
        if "vtm" in method or "vvc" in method:  # whose encoders no package brings everywhere
            pytest.skip(str(error))
        raise
    return made


def scales(method: str) -> tuple[float, ...]:
    return STACKS.get(method, (0.5, 1.0) if method.startswith("simulcast") else (1.0,))


def middle(method: str) -> float:
    """A quality of everyday use, as this codec counts it."""
    low, high = codec(method).quality_range
    return 2.0 if "jpeg2000" in method else float(int((low + high) / 2))


@cache
def coded(method: str, width: int, height: int) -> tuple[Image8, Encoded]:
    image = smooth_picture(height, width)
    return image, codec(method).encode(image, scales(method), middle(method))


def error_of(picture: Image8, original: Image8) -> float:
    return float(np.mean((picture.astype(float) - original) ** 2))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [*SIZES, LARGEST], ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_layer_comes_back_at_its_own_size(method: str, size: tuple[int, int]) -> None:
    image, encoded = coded(method, *size)
    pictures = codec(method).decode(encoded)
    assert [(p.shape[1], p.shape[0]) for p in pictures] == list(layer_sizes(*size, scales(method)))
    assert all(p.dtype == np.uint8 and p.shape[2] == 3 for p in pictures)
    if size == LARGEST:
        top = resize8(image, pictures[-1].shape[1], pictures[-1].shape[0])
        most = 0.8 if method in GENERATIVE else 0.2
        assert error_of(pictures[-1], top) < most * error_of(np.full_like(top, round(float(top.mean()))), top)


@pytest.mark.parametrize("method", METHODS)
def test_the_bytes_reported_are_those_of_the_files(method: str) -> None:
    _, encoded = coded(method, *LARGEST)
    assert max(encoded.layer_bytes) <= sum(map(len, encoded.files))
    if method.startswith("single"):
        assert encoded.layer_bytes == tuple(map(len, encoded.files))
    else:
        assert encoded.layer_bytes[-1] == sum(map(len, encoded.files))
        assert all(a < b for a, b in pairwise(encoded.layer_bytes))


@pytest.mark.parametrize("method", METHODS)
def test_the_ends_of_the_quality_range_are_usable_and_in_order(method: str) -> None:
    image = smooth_picture(48, 64)
    low, high = codec(method).quality_range
    sizes = [codec(method).encode(image, scales(method), quality).layer_bytes[-1] for quality in (low, high)]
    assert sizes[0] < sizes[1] or (low == high and sizes[0] == sizes[1])


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_picture_is_refused(method: str) -> None:
    for shape in ((0, 8, 3), (8, 8), (8, 8, 4)):
        with pytest.raises(OptionError, match="picture"):
            codec(method).encode(np.zeros(shape, np.uint8), scales(method), middle(method))


@pytest.mark.parametrize("method", METHODS)
def test_grey_stays_nearly_grey(method: str) -> None:
    grey = np.repeat(smooth_picture(48, 64)[..., 1:2], 3, axis=2)
    top = codec(method).decode(codec(method).encode(grey, scales(method), middle(method)))[-1].astype(float)
    assert np.abs(top - top.mean(axis=2, keepdims=True)).mean() < (8 if method in GENERATIVE else 6)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_cut_short_or_no_file_at_all_raises(method: str) -> None:
    _, encoded = coded(method, 65, 63)
    last = encoded.files[-1]
    cuts = (last[:length] for length in (1, 4, 9, 14, len(last) // 2, len(last) - 1))
    for damaged in (b"", b"\0", *cuts, bytes(len(last))):
        with pytest.raises(LayeredError):
            codec(method).decode(Encoded((*encoded.files[:-1], damaged), encoded.layer_bytes))


def test_a_fresh_process_decodes_the_same_pictures_from_the_files() -> None:
    jobs, expected = [], []
    for method in METHODS:
        try:
            made = codec(method)
        except pytest.skip.Exception:
            continue
        for size in ((7, 5), (65, 63)):
            _, encoded = coded(method, *size)
            digest = hashlib.sha256()
            for picture in made.decode(encoded):
                digest.update(str(picture.shape).encode() + picture.tobytes())
            jobs.append((method.split(), encoded))
            expected.append(digest.hexdigest())
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", DECODE], input=pickle.dumps(jobs), capture_output=True, check=True, cwd=root
    )
    assert done.stdout.decode().split() == expected
