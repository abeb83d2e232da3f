"""Sections in streams: what is decoded is what was adapted, at a header of a few bytes, and damage is told."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from compressai.entropy_models import EntropyBottleneck
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from adapters.coding import Quantiser
from adapters.kinds import KINDS, changes
from adapters.plain import CODINGS
from adapters.section import (
    HEAD,
    MOST_RANK,
    AdapterWeights,
    adapted_layer,
    pack,
    read_section,
    tensors_of,
    write_section,
)  # fmt: skip
from adapters.sites import sites
from adapters.tables import with_tables
from layered import stream
from layered.base.site import Site
from layered.codec import LayeredCodec
from layered.entropy.models import MODELS
from layered.entropy.prior import read_bottleneck, write_bottleneck
from layered.errors import CorruptStream, LayeredError, LimitExceeded, OptionError
from layered.fields import write_fields
from layered.layer import Context
from layered.rounding import Hard
from tests.adapters.kit import Scattered, drawn, tiny_gc, with_site
from tests.conftest import make_codec, smooth_picture, tiny_mei

CODECS = {"compass": with_site(), "mei": make_codec(tiny_mei()), "gc": tiny_gc()}
LAYER = CODECS["compass"].base
SCALES = {"compass": (0.5, 1.0), "mei": (0.5, 1.0), "gc": (1.0,)}
PICTURE = smooth_picture(16, 20)


def equal(a: AdapterWeights, b: AdapterWeights) -> bool:
    """All fields but the groups, which hold the values in another form."""
    same = (a.kind, a.coding, a.rank, a.sites) == (b.kind, b.coding, b.rank, b.sites)
    return same and all(
        x.shape == y.shape and torch.equal(x, y)
        for one, two in zip(a.values, b.values, strict=True)
        for x, y in zip(one, two, strict=True)
    )


def some(kind: str, seed: int, share: float) -> Mapping[str, tuple[Tensor, ...]]:
    """Weights at some of the sites, at least one."""
    every = drawn(LAYER, kind, 0.1, seed)
    kept = [name for k, name in enumerate(every) if np.random.default_rng((seed, k)).random() < share]
    return {name: every[name] for name in reversed(kept or list(every)[:1])}


@settings(max_examples=25)
@given(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(CODINGS)), st.integers(0, 999), st.floats(0, 1))
def test_reading_is_the_inverse_of_writing(kind: str, coding: str, seed: int, share: float) -> None:
    share = share / 4 if kind == "full" else share
    data, weights = pack(LAYER, kind, coding, 2, some(kind, seed, share))
    back = read_section(LAYER, data)
    assert equal(weights, back) and write_section(LAYER, back) == data == write_section(LAYER, weights)
    assert weights.sites == tuple(name for name in sites(LAYER) if name in weights.sites)


@pytest.mark.parametrize(("kind", "exact"), [*((kind, False) for kind in KINDS), ("low-rank", True)])
@pytest.mark.parametrize("name", CODECS)
def test_a_stream_with_adapters_decodes_to_the_encoders_pictures(name: str, kind: str, exact: bool) -> None:
    codec = CODECS[name]
    options = (PICTURE, SCALES[name], None, exact)
    deviation = 0.1 if kind == "mix" else 0.03
    data = codec.encode(*options, adaptation=Scattered(kind, "logistic", deviation), verify=True)
    chunks = stream.parse(data).chunks
    assert all(chunk.adapter for chunk in chunks)
    plain = codec.decode(codec.encode(*options))
    assert all((a != b).any() for a, b in zip(codec.decode(data), plain, strict=True))
    assert codec.decode(codec.encode(*options, adaptation=Scattered(layers=())))[-1].tobytes() == plain[-1].tobytes()


@pytest.mark.parametrize("entropy", MODELS)
def test_entropy_models_of_finite_alphabets_may_be_adapted_as_well(entropy: str) -> None:
    codec = tiny_gc(entropy)
    data = codec.encode(PICTURE, (1.0,), adaptation=Scattered("full", "logistic", 0.2))
    assert codec.decode(data)[0].shape == PICTURE.shape


def test_a_bottlenecks_tables_follow_its_changed_density() -> None:
    name = "entropy_bottleneck"
    values = {name: tuple(0.2 + torch.zeros_like(value) for value in drawn(LAYER, "full", 0.0)[name])}
    data, weights = pack(LAYER, "full", "logistic", 0, values)
    tensors = tensors_of(LAYER, weights)
    assert {f"{name}.{key}" for key in ("quantiles", "_offset", "_quantized_cdf", "_cdf_length")} < tensors.keys()
    model = adapted_layer(LAYER, data)
    context = Context(64, 64)
    latents = model.code(LAYER.analyse(torch.rand(1, 3, 64, 64), context), context, Hard()).latents
    back = model.read(model.write(latents, context), context)
    assert all(torch.equal(a, b) for a, b in zip(back.parts, latents.parts, strict=True))
    bottleneck = LAYER.get_submodule(name)
    held = {f"model.{key.removeprefix(f'{name}.')}": tensor for key, tensor in tensors.items()}
    assert torch.equal(held["model.quantiles"][..., 1], bottleneck.get_parameter("quantiles")[..., 1])

    def logits(moved: float) -> Tensor:
        every = {**held, "model.quantiles": held["model.quantiles"] + moved}
        found: Tensor = torch.func.functional_call(_Logits(bottleneck), every, ())
        return found[..., [0, 2]]

    target = bottleneck.get_buffer("target")[[0, 2]]
    with torch.no_grad():  # the outer quantiles are where the density says, to the grid they are on
        assert bool((logits(-1 / 128) < target).all()) and bool((logits(1 / 128) > target).all())


@pytest.mark.parametrize("offset", [-700.0, 700.0])
def test_a_density_far_from_its_offset_of_rounding_is_coded_all_the_same(offset: float) -> None:
    model = EntropyBottleneck(2)
    model.quantiles.data[..., 1] = offset
    tables = with_tables(model, {name: value for name, value in model.named_parameters() if name != "quantiles"})
    with torch.no_grad():
        for name, tensor in tables.items():
            owner, _, last = name.rpartition(".")
            held = model.get_submodule(owner)
            if name in dict(model.named_parameters()):
                held.register_parameter(last, nn.Parameter(tensor))
            else:
                held.register_buffer(last, tensor)
    z_hat = offset - torch.sign(torch.tensor(offset)) * torch.tensor([[700.0, 690.0], [0.0, 350.0]])[None, :, None]
    back, _ = read_bottleneck(model, write_bottleneck(model, z_hat).string, 1, 2)
    assert torch.equal(back, z_hat)


@pytest.mark.parametrize("offset", [-5000.0, 5000.0])
def test_a_density_too_far_from_its_offset_of_rounding_is_refused(offset: float) -> None:
    model = EntropyBottleneck(2)
    model.quantiles.data[..., 1] = offset
    with pytest.raises(CorruptStream, match="spread over more than"):
        with_tables(model, {name: value for name, value in model.named_parameters() if name != "quantiles"})


class _Logits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self) -> Tensor:
        logits: Tensor = self.model._logits_cumulative(self.model.quantiles, stop_gradient=True)  # type: ignore[operator]
        return logits


def test_an_adapter_of_one_site_has_a_head_of_four_bytes() -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {"g_s.3": KINDS["low-rank"].start(LAYER.get_submodule("g_s.3"), 2, generator)}
    data, _ = pack(LAYER, "low-rank", "linear8", 2, tensors)
    assert len(data) == 3 + 2 * 8 + 2 * 2 * 12
    big = nn.Sequential(*(nn.Linear(1, 1) for _ in range(300)), Site(192))
    tensors = {"300": (torch.zeros(2, 192), torch.zeros(192, 2))}
    data, _ = pack(big, "low-rank", "logistic", 2, tensors)  # type: ignore[arg-type]
    assert len(data) == 4 + 4 + 8  # where the paper's fixed prior takes 171 bytes for zeros


def test_no_sites_give_no_bytes(tiny_codec: LayeredCodec) -> None:
    data, weights = pack(tiny_codec.base, "low-rank", "logistic", 2, {})
    assert data == b"" == write_section(tiny_codec.base, weights)


def test_the_decoder_sees_what_the_coding_quantises() -> None:
    tensors = some("bias", 3, 0.5)
    _, weights = pack(LAYER, "bias", "laplace", 0, tensors, [Quantiser(0.0625, 0.125)])
    assert weights.groups[0].quantiser == Quantiser(0.0625, 0.125)
    for name, (value,) in zip(weights.sites, weights.values, strict=True):
        assert torch.equal(value, CODINGS["laplace"].quantise(tensors[name][0], Quantiser(0.0625, 0.125)))
    applied = adapted_layer(LAYER, write_section(LAYER, weights)).tensors
    for key, tensor in changes(LAYER, "bias", dict(zip(weights.sites, weights.values, strict=True))).items():
        assert torch.equal(applied[key], tensor)


Q = [Quantiser(0.1, 0.1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("low-rank", "logistic", 0, {"g_s.3": ()}), "rank"),
        (("low-rank", "logistic", MOST_RANK + 1, {"g_s.3": ()}), "rank"),
        (("lora", "logistic", 2, {}), "low-rank"),
        (("bias", "zip", 2, {}), "logistic"),
        (("bias", "logistic", 2, {"g_s.9": ()}), "no site 'g_s.9'"),
        (("bias", "logistic", 2, {"g_s.3": ()}), "does not suit g_s.3, a Site"),
        (("channel", "logistic", 2, {"g_s.3": (torch.zeros(11),)}), "expected"),
        (("low-rank", "logistic", 2, {"g_s.3": (torch.zeros(2, 12), torch.zeros(12, 2))}, Q), "1 quantisers for the 2"),
    ],
)  # fmt: skip
def test_options_are_checked(options: Sequence[object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        pack(LAYER, *options)  # type: ignore[arg-type]


def test_weights_that_no_decoder_takes_are_refused_when_they_are_packed() -> None:
    for value in (float("nan"), float("inf"), 1e9):
        with pytest.raises(LayeredError, match=r"finite|beyond"):
            pack(LAYER, "channel", "linear8", 2, {"g_s.3": (torch.full((12,), value),)})


def forged(flags: int, rest: bytes = b"", **values: int) -> bytes:
    return write_fields(HEAD, {"flags": flags, "rank": 2, "sites": 2, **values}) + rest


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated"),
        (b"weights", "unknown kind or coding"),
        (forged(0b0000101), "unknown kind or coding"),
        (forged(0b0101001), "unknown kind or coding"),
        (forged(0b10000001), "unknown kind or coding"),
        (forged(0, rank=0), "truncated"),
        (forged(0, b"\1", rank=0), "rank of an adapter is 1 to 64, got 0"),
        (forged(0, b"\1", rank=65), "got 65"),
        (forged(0, b"\1", rank=64), "rank 64 where matrices have at most"),
        (forged(0b1000000, sites=1), "1 sites"),
        (forged(0b1000000, sites=0), "0 sites"),
        (forged(0b1000000, sites=9999), "9999 sites"),
        (forged(0b0000001, b"\x7f"), "site 127"),
        (forged(0b0000001, b"\x80\0"), "shortest form"),
        (forged(0b0000001, b"\1"), "steps and scales"),
    ],
)  # fmt: skip
def test_forged_heads_are_told(data: bytes, message: str) -> None:
    with pytest.raises(CorruptStream, match=message):
        read_section(LAYER, data)


def test_a_site_that_the_kind_does_not_suit_is_told() -> None:
    number = list(sites(LAYER)).index("g_s.3")
    with pytest.raises(CorruptStream, match=r"bias does not suit g_s\.3, a Site"):
        read_section(LAYER, forged(1, bytes([number])))


@pytest.mark.parametrize(
    ("name", "coding"), [*(("gc", coding) for coding in CODINGS), ("compass", "logistic"), ("mei", "logistic")]
)
def test_damaged_sections_in_streams_with_right_checksums_are_told(name: str, coding: str) -> None:
    codec, rng = CODECS[name], np.random.default_rng(1)
    data = codec.encode(PICTURE, SCALES[name], adaptation=Scattered("channel", coding, 0.05))
    parsed = stream.parse(data)
    section = parsed.chunks[-1].adapter
    damaged = [section[:at] for at in rng.integers(1, len(section), 3)] + [section + b"\0"]
    for at in (0, 1, 2, 3, *rng.integers(0, len(section), 6)):
        damaged.append(section[:at] + bytes([section[at] ^ 1 << int(rng.integers(8))]) + section[at + 1 :])
    for bad in damaged:
        chunks = (*parsed.chunks[:-1], replace(parsed.chunks[-1], adapter=bad))
        with pytest.raises(CorruptStream):
            codec.decode(stream.pack(parsed.header, chunks))


@pytest.mark.parametrize("name", CODECS)
def test_any_weights_leave_a_decoder_that_answers_or_refuses(name: str) -> None:
    """The payload's checksum would refuse them; here the layer itself must bear them."""
    codec, context = CODECS[name], Context(16, 20)
    layer = codec.base
    image = torch.rand(1, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for kind in KINDS:
            for deviation in (1.0, 1e3, 1e6):
                try:
                    data, _ = pack(layer, kind, "linear8", 2, drawn(layer, kind, deviation))
                    adapted = adapted_layer(layer, data)
                    latents = adapted.code(layer.analyse(image, context), context, Hard()).latents
                    payload = adapted.write(latents, context)
                except LayeredError:
                    continue
                try:
                    picture = adapted.synthesise(adapted.read(payload, context), context)
                except (CorruptStream, LimitExceeded):
                    continue
                assert picture.shape == image.shape
