"""The layered codec: what is decoded is what was encoded, at every size and layer count."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import layered
from layered import stream
from layered.codec import LayeredCodec
from layered.errors import CorruptStream, LayeredError, LimitExceeded, OptionError, WrongModel
from layered.guide import guide_of
from layered.image import Image8, layer_sizes, resize8
from layered.stream import Limits
from tests.conftest import make_codec, smooth_picture, tiny_spec

SCALES = {
    1: (1.0,),
    2: (0.5, 1.0),
    3: (0.25, 0.5, 1.0),
    5: (0.2, 0.4, 0.6, 0.8, 1.0),
    9: tuple(k / 9 for k in range(1, 10)),
}


@pytest.mark.parametrize("layers", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 5), (64, 64), (65, 63), (33, 21)])
def test_decoding_gives_the_encoders_pictures(tiny_codec: LayeredCodec, size: tuple[int, int], layers: int) -> None:
    width, height = size
    data = tiny_codec.encode(smooth_picture(height, width), SCALES[layers], quality=2.0, verify=True)
    pictures = tiny_codec.decode(data)
    assert [(p.shape[1], p.shape[0]) for p in pictures] == list(layer_sizes(width, height, SCALES[layers]))


@settings(max_examples=12)
@given(st.integers(1, 90), st.integers(1, 90), st.floats(1, 3), st.booleans())
def test_any_size_and_quality_round_trips(width: int, height: int, quality: float, exact: bool) -> None:
    codec = _CODEC
    data = codec.encode(smooth_picture(height, width), (0.3, 0.77, 1.0), quality, exact=exact, verify=False)
    assert codec.decode(data)[-1].shape == (height, width, 3)
    assert [np.array_equal(a, b) for a, b in zip(codec.decode(data), codec.decode(data), strict=True)] == [True] * 3


_CODEC = make_codec(tiny_spec())


@pytest.mark.parametrize("base", ["mean-scale", "factorized"])
@pytest.mark.parametrize("predictor", ["liff", "liif", "bicubic"])
def test_every_base_works_under_every_predictor(base: str, predictor: str) -> None:
    codec = make_codec(tiny_spec(base, predictor))
    image = smooth_picture(48, 50)
    low, top = codec.decode(codec.encode(image, (0.5, 1.0), 3.0))
    assert (low.shape, top.shape) == ((24, 25, 3), (48, 50, 3))
    if predictor != "liif":  # which answers noise before its training; the others start as interpolation
        assert np.mean((top.astype(float) - image) ** 2) < np.mean((image - image.mean()) ** 2)


def test_higher_quality_spends_more_and_errs_less(tiny_codec: LayeredCodec) -> None:
    image = smooth_picture(96, 96)
    sizes, errors = [], []
    for quality in (1.0, 1.5, 2.0, 3.0):
        data = tiny_codec.encode(image, (1.0,), quality)
        sizes.append(len(data))
        errors.append(np.mean((tiny_codec.decode(data)[0].astype(float) - image) ** 2))
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


def test_a_prefix_of_layers_decodes_to_the_same_pictures(tiny_codec: LayeredCodec) -> None:
    data = tiny_codec.encode(smooth_picture(40, 56), (0.25, 0.5, 1.0), 2.0)
    whole = tiny_codec.decode(data)
    for count, end in enumerate(stream.parse(data).ends, start=1):
        part = tiny_codec.decode(data[:end])
        assert len(part) == count
        assert all(np.array_equal(a, b) for a, b in zip(part, whole, strict=False))
        assert len(tiny_codec.decode(data, layers=count)) == count


def test_verification_catches_a_decoder_that_differs(
    tiny_codec: LayeredCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = tiny_codec.decode
    for side, change, exact, passes in [
        (40, (0, 0), True, True), (40, (1, 1), False, True), (40, (1, 1), True, False), (40, (1, 2), False, False),
        (40, (9, 1), False, False), (8, (1, 1), False, True), (8, (2, 1), False, False),
    ]:  # fmt: skip
        image = smooth_picture(side, side)

        def wrong(data: bytes, change: tuple[int, int] = change, **options: object) -> list[Image8]:
            pictures = decode(data)
            samples, levels = change
            spoilt = pictures[-1].astype(int)
            spoilt.reshape(-1)[:samples] += np.where(spoilt.reshape(-1)[:samples] > 128, -levels, levels)
            return [*pictures[:-1], spoilt.astype(np.uint8)]

        monkeypatch.setattr(tiny_codec, "decode", wrong)
        if passes:
            tiny_codec.encode(image, (0.5, 1.0), 2.0, exact=exact)
        else:
            told = "layer 1 decodes with .* levels?" + ("$" if exact else "; encode with `exact`")
            with pytest.raises(LayeredError, match=told):
                tiny_codec.encode(image, (0.5, 1.0), 2.0, exact=exact)


def test_threads_do_not_change_a_bit(tiny_codec: LayeredCodec) -> None:
    image = smooth_picture(70, 90)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            data = tiny_codec.encode(image, (0.5, 1.0), 2.5)
            results.append((data, [p.tobytes() for p in tiny_codec.decode(data)]))
    finally:
        torch.set_num_threads(threads)
    assert results[0] == results[1]


def test_trained_weights_decode_alike_on_one_thread_and_two() -> None:
    """At this size PyTorch would take different kernels for one thread and for two, were it left to it."""
    codec, threads = layered.load("compass-small"), torch.get_num_threads()
    data = codec.encode(smooth_picture(217, 333), (0.5, 1.0), 3.1, verify=False)
    try:
        pictures = []
        for count in (1, 2):
            torch.set_num_threads(count)
            pictures.append([picture.tobytes() for picture in codec.decode(data)])
    finally:
        torch.set_num_threads(threads)
    assert pictures[0] == pictures[1]


def test_without_onednn_symbols_are_equal_and_exact_pictures_identical(tiny_codec: LayeredCodec) -> None:
    image = smooth_picture(70, 90)
    for exact in (False, True):
        data = tiny_codec.encode(image, (0.5, 1.0), 2.5, exact=exact)
        pictures = tiny_codec.decode(data)
        with torch.backends.mkldnn.flags(enabled=False):
            others = tiny_codec.decode(data)
        difference = [np.abs(a.astype(int) - b) for a, b in zip(pictures, others, strict=True)]
        assert max(d.max() for d in difference) <= (0 if exact else 1)


def test_streams_of_other_weights_are_refused(tiny_codec: LayeredCodec) -> None:
    other = make_codec(tiny_spec(), seed=5)
    with pytest.raises(WrongModel):
        other.decode(tiny_codec.encode(smooth_picture(16, 16), (1.0,), 1.0))


def test_a_repaired_checksum_does_not_hide_a_damaged_payload(tiny_codec: LayeredCodec) -> None:
    data = tiny_codec.encode(smooth_picture(32, 32), (1.0,), 2.0)
    parsed = stream.parse(data)
    payload = parsed.chunks[0].payload
    for at in range(len(payload)):
        damaged = payload[:at] + bytes([payload[at] ^ 0x10]) + payload[at + 1 :]
        chunk = stream.Chunk(parsed.chunks[0].width, parsed.chunks[0].height, parsed.chunks[0].quality, damaged)
        with pytest.raises(CorruptStream):
            tiny_codec.decode(stream.pack(parsed.header, [chunk]))


def test_a_huge_size_on_a_tiny_payload_is_refused_before_memory_is_taken(tiny_codec: LayeredCodec) -> None:
    parsed = stream.parse(tiny_codec.encode(smooth_picture(32, 32), (1.0,), 2.0))
    header = stream.Header(stream.VERSION, tiny_codec.digest, 8192, 4096, 1, False)
    chunk = stream.Chunk(8192, 4096, 2.0, parsed.chunks[0].payload)
    with pytest.raises(CorruptStream):
        tiny_codec.decode(stream.pack(header, [chunk]))


def test_garbage_for_adapter_weights_is_told(tiny_codec: LayeredCodec) -> None:
    parsed = stream.parse(tiny_codec.encode(smooth_picture(16, 16), (1.0,), 1.0))
    chunk = dataclasses.replace(parsed.chunks[0], adapter=b"weights")
    with pytest.raises(CorruptStream, match="adapter"):
        tiny_codec.decode(stream.pack(parsed.header, [chunk]))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3)])
def test_arrays_that_are_no_pictures_are_refused(tiny_codec: LayeredCodec, shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="picture"):
        tiny_codec.encode(np.zeros(shape, dtype=np.uint8), (1.0,))
    with pytest.raises(OptionError, match="float"):
        tiny_codec.encode(np.zeros((8, 8, 3)), (1.0,))  # type: ignore[arg-type]


def test_a_layer_put_on_other_layers_is_refused(tiny_codec: LayeredCodec) -> None:
    image = smooth_picture(24, 24)
    pictures = (image, np.ascontiguousarray(image[::-1]))
    streams = [stream.parse(tiny_codec.encode(picture, (0.5, 1.0), 2.0)) for picture in pictures]
    with pytest.raises(CorruptStream, match="symbols"):
        tiny_codec.decode(stream.pack(streams[0].header, [streams[0].chunks[0], streams[1].chunks[1]]))


def test_encoding_checks_limits_before_it_works(tiny_codec: LayeredCodec) -> None:
    image = smooth_picture(24, 24)
    with pytest.raises(LimitExceeded):
        tiny_codec.encode(image, (1.0,), limits=stream.Limits(pixels=500))
    scales = tuple(k / 70 for k in range(1, 71))
    with pytest.raises(LimitExceeded, match="70 layers"):
        tiny_codec.encode(image, scales)
    with pytest.raises(LimitExceeded, match="layers of 720 pixels together, at most 719"):
        tiny_codec.encode(image, (0.5, 1.0), limits=stream.Limits(total=719))
    assert stream.parse(tiny_codec.encode(image, (1.0,), limits=stream.Limits(layers=1))).header.layers == 1


def test_a_guide_that_nothing_would_use_is_refused(tiny_codec: LayeredCodec) -> None:
    labels = np.zeros((24, 24), np.uint8)
    with pytest.raises(OptionError, match="'tiny' take no label map"):
        tiny_codec.encode(smooth_picture(24, 24), guide=guide_of(labels))


def test_render_continues_past_the_top_layer(tiny_codec: LayeredCodec) -> None:
    data = tiny_codec.encode(smooth_picture(20, 30), (0.5, 1.0), 3.0)
    assert tiny_codec.render(data, 61, 45).shape == (45, 61, 3)
    low, top = tiny_codec.decode(data)
    assert np.array_equal(tiny_codec.render(data, 15, 10), low)
    assert np.array_equal(tiny_codec.render(data, 11, 20), resize8(top, 11, 20))


def test_render_takes_the_highest_of_layers_of_one_size(tiny_codec: LayeredCodec) -> None:
    data = tiny_codec.encode(smooth_picture(20, 20), (0.5, 0.98, 1.0), 3.0)
    _, lower, top = tiny_codec.decode(data)
    assert lower.shape == top.shape and not np.array_equal(lower, top)
    assert np.array_equal(tiny_codec.render(data, 20, 20), top)


def test_render_keeps_to_the_limits_it_is_given(tiny_codec: LayeredCodec) -> None:
    data = tiny_codec.encode(smooth_picture(20, 30), (0.5, 1.0), 3.0)
    with pytest.raises(LimitExceeded):
        tiny_codec.render(data, 10, 10, limits=Limits(side=25))
    with pytest.raises(OptionError, match="size 61x45 is outside 1 to 60 a side"):
        tiny_codec.render(data, 61, 45, limits=Limits(side=60))


@pytest.mark.parametrize("scales", [(), (0.5, 0.5), (1.0, 0.5), (0.0, 1.0), (-1.0, 1.0), (float("nan"),), (1.5,)])
def test_bad_scales_are_named(tiny_codec: LayeredCodec, scales: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="scale"):
        tiny_codec.encode(smooth_picture(8, 8), scales)


@pytest.mark.parametrize("quality", [0.9, 3.1, float("nan"), (1.0, 2.0, 3.0)])
def test_bad_qualities_are_named(tiny_codec: LayeredCodec, quality: float) -> None:
    with pytest.raises(OptionError, match="qualit"):
        tiny_codec.encode(smooth_picture(8, 8), (0.5, 1.0), quality)
