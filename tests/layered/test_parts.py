"""What a layer's bytes are spent on adds up to them, and every layer names the strings that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from layered.base.transforms import rebuild_tables
from layered.codec import LayeredCodec
from layered.entropy.payload import join_strings
from layered.entropy.prior import Symbols
from layered.errors import CorruptStream, WrongModel
from layered.guide import guide_of
from layered.layer import Context
from layered.parts import ADAPTER, OVERHEAD, parts_of
from layered.spec import BASE_LAYERS, CodecSpec, build
from layered.stream import pack, parse
from layered.weights.store import digest_of
from tests.conftest import LAMBDAS, make_codec, smooth_picture, tiny_mei, tiny_spec

WIDE = {"N": 12, "M": 16}
FINITE = {"width": 32, "channels": 3, "blocks": 1, "norm": "channel"}
OPTIONS: dict[str, dict[str, Any]] = {
    "mean-scale": WIDE, "factorized": WIDE, "aedc": WIDE, "gc": FINITE, "tunable": FINITE,
    "sc": {**FINITE, "classes": ("sky", "road")},
    "wacnn": {"N": 16, "M": 32, "slices": 4, "hyper": (16, 14, 12, 10, 8), "context": (12, 8), "heads": 2},
}  # fmt: skip
NAMES = {
    "mean-scale": ("hyper-latents", "latents"), "factorized": ("latents",), "aedc": ("codes",), "gc": ("codes",),
    "tunable": ("codes",), "sc": ("label map", "heatmap", "codes"), "wacnn": ("hyper-latents", "latents"),
}  # fmt: skip


def made(name: str) -> LayeredCodec:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = build(CodecSpec.model_validate({"base": {"name": name, **OPTIONS[name]}, "lambdas": LAMBDAS}))
    rebuild_tables(codec)
    codec.digest = digest_of(codec.spec, codec.state_dict())
    return codec.requires_grad_(False).eval()


def encoded(codec: LayeredCodec, scales: Sequence[float]) -> tuple[bytes, list[list[int]]]:
    """A stream, and the lengths of the strings that each layer wrote."""
    lengths: list[list[int]] = []

    def watched(symbols: Sequence[Symbols], context: Context) -> bytes:
        lengths.append([len(part.string) for part in symbols])
        return join_strings(symbols, context)

    labels = np.zeros((50, 70), np.uint8)
    labels[20:, 30:] = 1
    guide = guide_of(labels, labels > 0) if codec.base.selective else None
    places = ("base.finite", "base.sc", "base.factorized", "base.mean_scale", "base.wacnn")
    patches = [mock.patch(f"layered.{place}.join_strings", watched) for place in places]
    for patch in patches:
        patch.start()
    try:
        return codec.encode(smooth_picture(50, 70), scales, 1.0, verify=False, guide=guide), lengths
    finally:
        for patch in patches:
            patch.stop()


@pytest.mark.parametrize("name", BASE_LAYERS)
def test_parts_of_a_base_layer_are_its_strings_and_add_up_to_the_file(name: str) -> None:
    codec = made(name)
    data, lengths = encoded(codec, (1.0,))
    (parts,) = parts_of(parse(data), codec)
    assert tuple(part.name for part in parts) == (*NAMES[name], ADAPTER, OVERHEAD)
    assert [part.bytes for part in parts[:-2]] == lengths[0] and sum(part.bytes for part in parts) == len(data)
    # Header, the chunk's fields and its checksum, the symbols' checksum, and the lengths of strings but the last.
    varint = 1 if len(parse(data).chunks[0].payload) < 128 else 2
    assert parts[-1].bytes == 15 + (1 + 2 + varint + 4) + 4 + 3 * (len(NAMES[name]) - 1)


@pytest.mark.parametrize("spec", [tiny_spec(), tiny_mei(), tiny_mei("mean-scale")], ids=["compass", "mei", "enhanced"])
def test_parts_of_every_layer_add_up_to_the_bytes_of_its_chunk(spec: CodecSpec) -> None:
    codec = make_codec(spec)
    data, lengths = encoded(codec, (0.25, 0.5, 1.0))
    stream = parse(data)
    found = parts_of(stream, codec)
    assert [[part.bytes for part in parts[:-2]] for parts in found] == lengths
    assert [sum(p.bytes for p in parts) for parts in found] == [b - a for a, b in pairwise((0, *stream.ends))]
    cut = parts_of(parse(data[: stream.ends[1]]), codec)
    assert cut == found[:2]


def test_adapter_weights_are_a_part_of_their_own(tiny_codec: LayeredCodec) -> None:
    stream = parse(tiny_codec.encode(smooth_picture(20, 24), (0.5, 1.0)))
    chunks = [stream.chunks[0], replace(stream.chunks[1], adapter=bytes(300))]
    data = pack(stream.header, chunks)
    plain, adapted = (parts_of(parse(each), tiny_codec) for each in (pack(stream.header, stream.chunks), data))
    assert {p.name: p.bytes for p in adapted[1]}[ADAPTER] == 300 and plain[0] == adapted[0]
    assert plain[1][:2] == adapted[1][:2] and sum(p.bytes for parts in adapted for p in parts) == len(data)


def test_a_layer_that_names_no_strings_has_its_payload_as_one_part(
    tiny_codec: LayeredCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = parse(tiny_codec.encode(smooth_picture(20, 24), (1.0,)))
    monkeypatch.setattr(tiny_codec.base, "strings", ())
    payload = parts_of(stream, tiny_codec)[0][0]
    assert (payload.name, payload.bytes) == ("payload", len(stream.chunks[0].payload))


def test_parts_are_told_of_the_weights_that_wrote_the_stream_alone(tiny_codec: LayeredCodec) -> None:
    stream = parse(tiny_codec.encode(smooth_picture(20, 24), (0.5, 1.0)))
    with pytest.raises(WrongModel):
        parts_of(stream, made("gc"))
    alone = made("gc")
    alone.digest = tiny_codec.digest
    with pytest.raises(CorruptStream, match="2 layers"):
        parts_of(stream, alone)
    short = pack(stream.header, [replace(stream.chunks[0], payload=b"123456")])
    with pytest.raises(CorruptStream, match="shorter"):
        parts_of(parse(short), tiny_codec)
