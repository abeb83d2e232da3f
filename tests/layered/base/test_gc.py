"""GC: the papers' networks at their size, and a codec of finite alphabets on the five verbs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from layered.adversarial.discriminator import PatchDiscriminator
from layered.base.blocks import ChannelNorm, InstanceNorm
from layered.base.gc import Gc
from layered.codec import LayeredCodec
from layered.entropy.models import MODELS
from layered.errors import CorruptStream, LimitExceeded, OptionError, UnsupportedVersion, WrongModel
from layered.guide import guide_of
from layered.layer import Context
from layered.rounding import Hard
from layered.spec import CodecSpec
from layered.weights.store import digest_of
from tests.conftest import smooth_picture, untrained


def made(**options: object) -> LayeredCodec:
    base = {"name": "gc", "width": 32, "channels": 4, "blocks": 1, **options}
    return untrained(CodecSpec.model_validate({"base": base, "lambdas": (0.0002,)}), 5)


CODEC = made(norm="channel")


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_networks_have_the_papers_size() -> None:
    with torch.device("meta"):
        gc = Gc(960, 4, 9)
        assert parameters(gc.encoder) == 5_553_244
        assert parameters(gc.generator) == 154_869_723
        assert parameters(PatchDiscriminator(3, 64)) == 2_764_737


def test_a_label_map_adds_inputs_to_the_encoder_alone() -> None:
    with torch.device("meta"):
        gc = Gc(960, 4, 9, classes=[str(k) for k in range(34)])
        assert parameters(gc.encoder) == 5_553_244 + 34 * 60 * 49
        assert parameters(gc.generator) == 154_869_723


def test_the_digest_of_what_has_no_classes_is_as_before_there_were_any() -> None:
    plain = CodecSpec.model_validate({"base": {"name": "gc", "width": 32}, "lambdas": (0.0002,)})
    assert digest_of(plain, {}).hex() == "e6141a6f44c4"


def maps(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One class, and three in disorder, which no file of the size of the code can hold."""
    noise = np.random.default_rng(0).integers(0, 3, (height, width), dtype=np.uint8)
    return np.zeros((height, width), np.uint8), noise


@pytest.mark.parametrize("shortcut", [False, True])
def test_a_label_map_changes_the_code_and_is_not_in_the_file(shortcut: bool) -> None:
    codec = made(classes=("sky", "road", "car"), entropy="uniform", norm="channel", shortcut=shortcut)
    image = smooth_picture(128, 96)
    one, other = (codec.encode(image, (1.0,), verify=True, guide=guide_of(each)) for each in maps(128, 96))
    assert one != other and codec.decode(other)[0].shape == image.shape  # the decoder has the file alone
    code = 4 * 8 * 6 * math.log2(5) / 8
    assert abs(len(one) - len(other)) <= 1 and len(other) < code + 60 < 128 * 96 * math.log2(3) / 8


def test_a_picture_without_the_label_map_that_the_encoder_sees_is_refused() -> None:
    codec, image = made(classes=("sky", "road")), smooth_picture(32, 48)
    with pytest.raises(OptionError, match="need a label map to encode"):
        codec.encode(image, (1.0,))
    with pytest.raises(OptionError, match="class 2, these weights know 0 to 1"):
        codec.encode(image, (1.0,), guide=guide_of(maps(32, 48)[1]))
    with pytest.raises(OptionError, match="not of this picture"):
        codec.encode(image, (1.0,), guide=guide_of(maps(32, 47)[0]))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 5), (64, 48), (65, 63)])
@pytest.mark.parametrize("exact", [False, True])
def test_decoding_gives_the_encoders_picture(size: tuple[int, int], exact: bool) -> None:
    height, width = size
    data = CODEC.encode(smooth_picture(height, width), (1.0,), exact=exact, verify=True)
    assert CODEC.decode(data)[0].shape == (height, width, 3)


@pytest.mark.parametrize("entropy", MODELS)
@pytest.mark.parametrize("norm", ["instance", "channel"])
def test_every_coding_and_norm_makes_a_codec(entropy: str, norm: str) -> None:
    codec = made(entropy=entropy, norm=norm, centres=(-1, 0, 1))
    data = codec.encode(smooth_picture(40, 33), (1.0,))
    assert codec.decode(data)[0].shape == (40, 33, 3)


def test_the_uniform_rate_is_the_papers_bound() -> None:
    codec = made(entropy="uniform")
    image = np.random.default_rng(0).integers(0, 256, (512, 768, 3), dtype=np.uint8)
    bits = 8 * len(codec.encode(image, (1.0,), verify=False))
    assert bits == pytest.approx(4 * 32 * 48 * math.log2(5), abs=8 * 60)


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_damage_is_told(seed: int) -> None:
    data = bytearray(CODEC.encode(smooth_picture(40, 40), (1.0,), verify=False))
    data[seed % len(data)] ^= 1 + seed % 255
    with pytest.raises((CorruptStream, UnsupportedVersion, WrongModel, LimitExceeded)):
        CODEC.decode(bytes(data))


def test_codes_are_centres_and_pictures_lie_between_black_and_white() -> None:
    context = Context(40, 56)
    image = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    coded = CODEC.base.code(CODEC.base.analyse(image, context), context, Hard())
    (codes,) = coded.latents.parts
    assert codes.shape == (2, 4, 3, 4) and set(codes.flatten().tolist()) <= {-2, -1, 0, 1, 2}
    picture = CODEC.base.synthesise(coded.latents, context)
    assert picture.shape == image.shape and 0 <= float(picture.min()) <= float(picture.max()) <= 1
    assert coded.bits.shape == (2,)


def test_a_shortcut_shows_the_picture_before_any_training() -> None:
    image = torch.from_numpy(smooth_picture(96, 128)).permute(2, 0, 1)[None].float() / 255
    context = Context(96, 128)

    def error(codec: LayeredCodec) -> float:
        coded = codec.base.code(codec.base.analyse(image, context), context, Hard())
        return float((codec.base.synthesise(coded.latents, context) - image).square().mean())

    flat = float((image - image.mean((2, 3), keepdim=True)).square().mean())
    assert error(made(shortcut=True, norm="channel")) < 0.7 * flat < error(CODEC)


FIRST_NOISE = [0.6573347, -2.4901013, -0.9139904]


def test_noise_is_the_decoders_too_and_another_for_another_code() -> None:
    codec = made(noise=3, norm="channel")
    data = codec.encode(smooth_picture(48, 48), (1.0,), verify=True)
    assert np.array_equal(codec.decode(data)[0], codec.decode(data)[0])
    base = codec.base
    assert isinstance(base, Gc)
    one, other = (base._with_noise(torch.full((1, 4, 3, 3), value))[:, 4:] for value in (0.0, 1.0))
    assert one.shape == (1, 3, 3, 3) and not torch.equal(one, other)
    assert one[0, 0, 0].tolist() == pytest.approx(FIRST_NOISE, abs=1e-6)


def test_odd_widths_are_refused() -> None:
    with pytest.raises(OptionError, match="multiple of 16"):
        made(width=40)


def test_instance_norm_learns_statistics_and_keeps_to_them_once_fixed() -> None:
    norm = InstanceNorm(2, momentum=1.0).train()
    x = (torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0)) * 5 + 2).requires_grad_(True)
    own = norm(x)
    assert torch.allclose(own.mean((2, 3)), torch.zeros(3, 2), atol=1e-5)
    assert torch.allclose(own.var((2, 3), correction=0), torch.ones(3, 2), atol=1e-3)
    norm.fix()
    assert torch.allclose(norm(x)[..., :3, :5], norm(x[..., :3, :5]))
    assert float(norm(x.detach()).mean().abs()) < 0.01 and not torch.allclose(norm(x), own, atol=1e-3)


def test_channel_norm_looks_at_one_position_at_a_time() -> None:
    norm = ChannelNorm(6)
    x = torch.randn(1, 6, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(norm(x)[..., 2:3, 1:2], norm(x[..., 2:3, 1:2]))
    assert torch.allclose(norm(x).mean(1), torch.zeros(1, 4, 5), atol=1e-6)
