"""Label maps survive, cost what a drawing of them would, and damage is told."""

from __future__ import annotations

import contextlib
import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from layered.entropy.adaptive import ONE, BitDecoder, BitEncoder, Mixer, code_number
from layered.entropy.contours import decode_labels, encode_labels
from layered.errors import CorruptStream, OptionError
from layered.guide import Labels


def blobs(height: int, width: int, classes: int, seed: int) -> Labels:
    """Nearest of some random points: regions with bends and junctions, as in segmentations."""
    rng = np.random.default_rng(seed)
    points, kinds = rng.random((3 + classes, 2)) * (height, width), rng.integers(0, classes, 3 + classes)
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)
    nearest = np.abs(grid[:, :, None] - points).sum(-1).argmin(-1)
    labels: Labels = kinds[nearest].astype(np.uint8)
    return labels


def noise(height: int, width: int, classes: int, seed: int) -> Labels:
    labels: Labels = np.random.default_rng(seed).integers(0, classes, (height, width)).astype(np.uint8)
    return labels


@settings(max_examples=60)
@given(st.sampled_from([blobs, noise]), st.integers(1, 24), st.integers(1, 24), st.integers(1, 256), st.integers(0, 99))
@example(noise, 1, 1, 1, 0)
@example(noise, 1, 24, 256, 0)
@example(noise, 24, 1, 256, 0)
@example(noise, 24, 24, 2, 0)
def test_every_map_comes_back(make: object, height: int, width: int, classes: int, seed: int) -> None:
    assert callable(make)
    labels = make(height, width, classes, seed)
    assert np.array_equal(decode_labels(encode_labels(labels), height, width), labels)


@pytest.mark.parametrize("inverted", [False, True])
def test_rings_islands_and_regions_that_touch_at_a_corner_come_back(inverted: bool) -> None:
    labels = np.zeros((30, 40), np.uint8)
    labels[2:28, 2:20], labels[5:25, 5:17], labels[10:15, 8:12] = 3, 0, 7
    labels[3:6, 30:33], labels[6:9, 33:36] = 1, 1
    labels[29, 39] = 9
    labels = np.ascontiguousarray(labels[::-1, ::-1]) if inverted else labels
    assert np.array_equal(decode_labels(encode_labels(labels), 30, 40), labels)


def test_a_map_of_one_class_takes_a_byte_or_two() -> None:
    assert len(encode_labels(np.zeros((360, 480), np.uint8))) <= 2
    assert len(encode_labels(np.full((360, 480), 200, np.uint8))) <= 4


def test_a_box_costs_bytes_and_not_a_bitmap() -> None:
    mask = np.zeros((45, 60), np.uint8)
    mask[10:31, 7:44] = 1
    assert len(encode_labels(mask)) <= 20 < mask.size / 8 / 10


@pytest.mark.parametrize("seed", range(3))
def test_regions_take_fewer_bytes_than_as_png(seed: int) -> None:
    labels = blobs(90, 120, 12, seed)
    png = io.BytesIO()
    Image.fromarray(labels).save(png, "PNG", optimize=True)
    assert len(encode_labels(labels)) < 0.7 * len(png.getvalue())


@settings(max_examples=30)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 9), st.integers(0, 99))
def test_zeros_behind_the_end_are_refused(height: int, width: int, classes: int, seed: int) -> None:
    data = encode_labels(blobs(height, width, classes, seed))
    with pytest.raises(CorruptStream, match="go on after their end"):
        decode_labels(data + bytes(1), height, width)


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(CorruptStream, match="go on after their end"):
        decode_labels(encode_labels(blobs(24, 24, 5, 0)) + b"a tail of bytes", 24, 24)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 255), st.booleans())
def test_damage_raises_or_gives_a_map(at: int, change: int, cut: bool) -> None:
    data = bytearray(encode_labels(blobs(20, 30, 9, 0)))
    at %= len(data)
    if cut:
        del data[at:]
    else:
        data[at] ^= change
    try:
        labels = decode_labels(bytes(data), 20, 30)
    except CorruptStream:
        return
    assert labels.shape == (20, 30) and labels.dtype == np.uint8


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x01" + bytes(3), bytes(200), b"\xff" * 200])
def test_what_was_never_a_map_raises_or_ends(data: bytes) -> None:
    with contextlib.suppress(CorruptStream):
        assert decode_labels(data, 12, 12).shape == (12, 12)


@pytest.mark.parametrize("bad", [np.zeros((0, 3), np.uint8), np.zeros((3, 3), np.int64), np.zeros((3, 3, 1), np.uint8)])
def test_what_is_no_map_is_refused(bad: Labels) -> None:
    with pytest.raises(OptionError, match="a label map is"):
        encode_labels(bad)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, ONE - 1)), max_size=300))
def test_bits_come_back_whatever_was_expected(decisions: list[tuple[int, int]]) -> None:
    encoder = BitEncoder()
    for bit, probability in decisions:
        encoder.code(bit, probability)
    decoder = BitDecoder(encoder.finish())
    assert [decoder.code(0, probability) for _, probability in decisions] == [bit for bit, _ in decisions]


def test_bits_cost_what_their_probability_says() -> None:
    encoder, rng = BitEncoder(), np.random.default_rng(0)
    for bit in (rng.random(20_000) < 0.1).tolist():
        encoder.code(int(bit), ONE // 10)
    assert 8 * len(encoder.finish()) == pytest.approx(20_000 * 0.469, rel=0.03)


def test_a_mixer_learns_which_context_tells() -> None:
    encoder, rng, mixer = BitEncoder(), np.random.default_rng(0), Mixer(2)
    for bit in rng.integers(0, 2, 4000).tolist():
        mixer.code(encoder, bit, [0, bit])
    assert len(encoder.finish()) < 40


@pytest.mark.parametrize("size", [(1024, 1024), (32, 32768)])
def test_a_few_bytes_for_a_map_of_a_million_pixels_take_little_memory(size: tuple[int, int]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CorruptStream):
            decode_labels(bytes(1), *size)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


def test_reading_far_beyond_the_end_raises() -> None:
    decoder = BitDecoder(b"")
    with pytest.raises(CorruptStream, match="end too early"):
        for _ in range(1000):
            decoder.code(0, ONE // 2)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5000), max_size=40))
def test_numbers_come_back(values: list[int]) -> None:
    encoder, mixer = BitEncoder(), Mixer(1)
    for value in values:
        code_number(encoder, mixer, value, "n", 5000)
    decoder, mixer = BitDecoder(encoder.finish()), Mixer(1)
    assert [code_number(decoder, mixer, 0, "n", 5000) for _ in values] == values
