"""Encoding towards a size keeps to it, and uses it."""

from __future__ import annotations

from typing import Any

import pytest

from layered.budget import encode_to_bytes
from layered.codec import LayeredCodec
from layered.errors import OptionError
from layered.image import Image8
from tests.conftest import smooth_picture


def test_the_byte_target_is_met_and_used(tiny_codec: LayeredCodec) -> None:
    image = smooth_picture(96, 96)
    low, high = (len(tiny_codec.encode(image, (0.5, 1.0), q)) for q in tiny_codec.quality_range)
    target = (low + high) // 2
    data = encode_to_bytes(tiny_codec, image, (0.5, 1.0), target)
    assert 0.9 * target < len(data) <= target


def test_a_target_beyond_the_highest_quality_gives_the_highest(tiny_codec: LayeredCodec) -> None:
    image = smooth_picture(32, 32)
    best = tiny_codec.encode(image, (0.5, 1.0), tiny_codec.quality_range[1])
    assert encode_to_bytes(tiny_codec, image, (0.5, 1.0), len(best)) == best
    assert encode_to_bytes(tiny_codec, image, (0.5, 1.0), 10**9, verify=False) == best


def test_weights_of_one_quality_are_not_tried_at_others(
    tiny_codec: LayeredCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LayeredCodec, "quality_range", (2.0, 2.0))
    told: list[float] = []
    inner = LayeredCodec.encode

    def encode(codec: LayeredCodec, image: Image8, scales: Any, quality: float, *more: Any, **by: Any) -> bytes:
        told.append(quality)
        return inner(codec, image, scales, quality, *more, **by)

    monkeypatch.setattr(LayeredCodec, "encode", encode)
    encode_to_bytes(tiny_codec, smooth_picture(32, 32), (0.5, 1.0), 10**9)
    assert told == [2.0, 2.0]  # and again to verify


def test_a_target_below_the_lowest_quality_is_refused(tiny_codec: LayeredCodec) -> None:
    with pytest.raises(OptionError, match=r"needs \d+ bytes \(\d\.\d{3} bits per pixel\), 20 are allowed"):
        encode_to_bytes(tiny_codec, smooth_picture(32, 32), (0.5, 1.0), 20)
