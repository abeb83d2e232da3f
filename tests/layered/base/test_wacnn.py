"""WACNN: window attention, and latents coded in slices that see those before."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import layered
from layered.base.mean_scale import RatedLatents
from layered.base.stf import StfName
from layered.base.wacnn import Wacnn
from layered.codec import LayeredCodec
from layered.entropy.payload import join_strings, split_strings
from layered.entropy.prior import Symbols
from layered.errors import CorruptStream, OptionError
from layered.layer import Context, Latents, in_double
from layered.rounding import Hard, Noise
from layered.spec import CodecSpec, build
from tests.conftest import make_codec, smooth_picture

TINY = {"name": "wacnn", "N": 16, "M": 32, "slices": 4, "support": 2, "hyper": (16, 14, 12, 10, 8), "context": (12, 8),
        "heads": 2, "windows": (8, 4)}  # fmt: skip


@pytest.fixture(scope="module")
def codec() -> LayeredCodec:
    """Three lambdas, attention that is at work, and slices that matter to one another."""
    made = make_codec(CodecSpec.model_validate({"base": TINY, "lambdas": (0.0018, 0.0067, 0.025)}))
    assert isinstance(made.base, Wacnn)
    for net in (*made.base.cc_mean_transforms, *made.base.cc_scale_transforms, *made.base.lrp_transforms):
        net[-1].weight *= 10
    for block in (made.base.g_a[4], made.base.g_a[8], made.base.g_s[0], made.base.g_s[5]):
        block.conv_b[-1].bias.zero_()  # type: ignore[index,union-attr]
    return made


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def picture(height: int, width: int) -> Tensor:
    return torch.from_numpy(smooth_picture(height, width)).permute(2, 0, 1)[None].float() / 255


def coded(layer: Wacnn, height: int, width: int, quality: float = 2.0) -> tuple[RatedLatents, float, Context]:
    context = Context(height, width, quality)
    made = layer.code(layer.analyse(picture(height, width), context), context, Hard())
    assert isinstance(made.latents, RatedLatents)
    return made.latents, float(made.bits), context


def base_of(codec: LayeredCodec) -> Wacnn:
    assert isinstance(codec.base, Wacnn)
    return codec.base


def test_the_papers_widths_have_the_papers_parameter_counts() -> None:
    with FakeTensorMode():
        layer = Wacnn()
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in layer.named_children()}
    assert sum(counts.values()) == 75_235_779
    rounded = {name: round(count / 1e6, 3) for name, count in counts.items() if count > 1e6}
    assert rounded == {
        "g_a": 6.929, "g_s": 6.928, "h_a": 3.319, "h_mean_s": 5.883, "h_scale_s": 5.883,
        "cc_mean_transforms": 15.213, "cc_scale_transforms": 15.213, "lrp_transforms": 15.858,
    }  # fmt: skip


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (64, 64), (5, 130)])
@pytest.mark.parametrize("exact", [False, True])
def test_decoding_gives_the_encoders_picture(codec: LayeredCodec, size: tuple[int, int], exact: bool) -> None:
    image = smooth_picture(*size)
    data = codec.encode(image, (1.0,), 1.5, exact=exact, verify=False)
    with torch.inference_mode():
        context = Context(*size, 1.5, exact=exact)
        layer = codec.base
        latents = layer.code(layer.analyse(picture(*size), context), context, Hard()).latents
        found = layer.read(layer.write(latents, context), context)
        assert all(torch.equal(a, b) for a, b in zip(found.parts, latents.parts, strict=True))
        wanted = layer.synthesise(latents, context)
        assert torch.equal(wanted, layer.synthesise(found, context))
    assert np.array_equal(codec.decode(data)[0], (wanted[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy())


@pytest.mark.parametrize("size", [(1, 1), (40, 72)])
@torch.inference_mode()
def test_latents_alone_are_written_as_those_with_their_gaussians(codec: LayeredCodec, size: tuple[int, int]) -> None:
    layer = base_of(codec)
    latents, _, context = coded(layer, *size)
    data = layer.write(latents, context)
    assert layer.write(Latents(latents.parts), context) == data
    assert layer.write(layer.read(data, context), context) == data


@torch.inference_mode()
def test_integers_are_found_again_where_the_predicted_rounding_error_is_at_its_limit(codec: LayeredCodec) -> None:
    layer = deepcopy(base_of(codec))
    for net in layer.lrp_transforms:
        net[-1].bias.copy_(torch.tensor([1e4, -1e4] * 4))  # type: ignore[index]
    latents, _, context = coded(layer, 48, 48)
    data = layer.write(latents, context)
    assert layer.write(layer.read(data, context), context) == data
    assert float((latents.parts[0] - latents.gaussians[1]).frac().abs().min()) > 0.49


@pytest.mark.parametrize("size", [(33, 65), (100, 70)])
@torch.inference_mode()
def test_symbols_and_pictures_are_the_same_on_one_thread_and_on_two(
    codec: LayeredCodec, size: tuple[int, int], threads: None
) -> None:
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        latents, _, context = coded(base_of(codec), *size)
        found.append((codec.base.write(latents, context), codec.base.synthesise(latents, context)))
    assert all(data == found[0][0] and torch.equal(made, found[0][1]) for data, made in found)


@torch.inference_mode()
def test_ideal_bits_are_the_real_ones_within_two_percent() -> None:
    layer = base_of(make_codec(CodecSpec.model_validate({"base": TINY, "lambdas": (0.0067,)})))
    latents, bits, context = coded(layer, 128, 128, 1.0)
    assert bits == pytest.approx(8 * len(layer.write(latents, context)), rel=0.02, abs=300)


@torch.inference_mode()
def test_a_slice_changes_the_scales_of_those_that_see_it(codec: LayeredCodec) -> None:
    layer, width = base_of(codec), base_of(codec).width
    latents, _, _ = coded(layer, 64, 64)
    y, z = latents.parts
    _, own = layer_gaussians(layer, y, z)
    for changed, seen in ((0, True), (1, True), (2, False)):
        other = y.clone()
        other[:, changed * width : (changed + 1) * width] += 1
        _, scales = layer_gaussians(layer, other, z)
        for k in range(layer.slices):
            same = torch.equal(own[k], scales[k])
            assert same is not (seen and k > changed)


def layer_gaussians(layer: Wacnn, y: Tensor, z: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Means and scales of every slice, as `write` finds them out."""
    hyper = layer._hyper(z, y.shape[-2], y.shape[-1], exact=True)
    known = y.split(layer.width, 1)
    made = [layer._gaussians(k, hyper, known[:k], exact=True) for k in range(layer.slices)]
    return [means for _, means in made], [scales for scales, _ in made]


@torch.inference_mode()
def test_damaged_payloads_raise(codec: LayeredCodec) -> None:
    latents, _, context = coded(base_of(codec), 40, 40)
    payload = codec.base.write(latents, context)
    for at in range(0, len(payload), 7):
        damaged = bytearray(payload)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(CorruptStream):
            codec.base.read(bytes(damaged), context)
    for cut in (0, 3, 9, len(payload) - 4, len(payload) - 1):
        with pytest.raises(CorruptStream):
            codec.base.read(payload[:cut], context)
    with pytest.raises(CorruptStream):
        codec.base.read(payload, Context(40, 400, 2.0))


@torch.inference_mode()
def test_a_string_too_short_for_its_size_is_told_before_all_slices_are_decoded(
    codec: LayeredCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, context = base_of(codec), Context(256, 256, 2.0)
    large, _, _ = coded(layer, 256, 256)
    _, (z, y) = split_strings(layer.write(large, context), 2)
    nothing = np.zeros(0, np.int32)
    forged = join_strings((Symbols(z, nothing), Symbols(y[:8], nothing)), context)
    asked: list[int] = []
    gaussians = layer._gaussians

    def noted(k: int, *rest: Any, **more: Any) -> Any:
        asked.append(k)
        return gaussians(k, *rest, **more)

    monkeypatch.setattr(layer, "_gaussians", noted)
    with pytest.raises(CorruptStream, match="fewer symbols"):
        layer.read(forged, context)
    assert len(asked) < layer.slices


def test_a_training_step_gives_finite_gradients_to_all_parameters(codec: LayeredCodec) -> None:
    layer = build(codec.spec).base
    context = Context(64, 64, 1.5)
    made = layer.code(layer.analyse(picture(64, 64), context), context, Noise(torch.Generator().manual_seed(0)))
    (made.bits.sum() + layer.synthesise(made.latents, context).square().sum()).backward()
    for name, parameter in layer.named_parameters():
        if not name.endswith("quantiles"):
            assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
            assert bool(parameter.grad.any()), name


@torch.inference_mode()
def test_a_higher_quality_takes_more_bits_for_a_better_picture(codec: LayeredCodec) -> None:
    found = []
    for quality in (1.0, 2.0, 2.5, 3.0):
        latents, bits, context = coded(base_of(codec), 64, 64, quality)
        found.append((bits, -float((codec.base.synthesise(latents, context) - picture(64, 64)).square().mean())))
    assert found == sorted(found)


@torch.inference_mode()
def test_attention_blocks_closed_by_the_wavelet_start_are_near_the_identity() -> None:
    layer = base_of(make_codec(CodecSpec.model_validate({"base": TINY})))
    x = torch.randn(1, 16, 20, 28)
    assert float((layer.g_s[5](x) - x).square().mean()) < 1e-3


def test_one_lambda_has_no_gains_and_wrong_widths_are_told() -> None:
    assert not [name for name in build({"base": TINY}).state_dict() if "gains" in name]
    for wrong, word in (({"slices": 5}, "do not divide"), ({"heads": 3}, "heads"), ({"N": 15}, "heads")):
        with pytest.raises(OptionError, match=word):
            build({"base": TINY | wrong})


def stf_state(layer: Wacnn) -> dict[str, Tensor]:
    """What the authors' training is thought to leave: older names, a computed buffer, no tables."""
    state = {}
    for key, value in layer.state_dict().items():
        for new, old in ((".matrices.", "._matrix"), (".biases.", "._bias"), (".factors.", "._factor")):
            key = key.replace(new, old)
        state[key] = value[:0] if key.endswith(("_quantized_cdf", "_cdf_length", "_offset", "scale_table")) else value
        if key.endswith("bias_table"):
            state[key.replace("bias_table", "index")] = torch.zeros(4, 4, dtype=torch.long)
    return {f"module.{key}": value for key, value in state.items()}


def test_a_checkpoint_of_the_authors_names_becomes_a_codec(codec: LayeredCodec, tmp_path: Path) -> None:
    layer = build({"base": TINY}).base
    assert isinstance(layer, Wacnn)
    path = tmp_path / "cnn.pth.tar"
    torch.save({"state_dict": stf_state(layer), "epoch": 3}, path)
    loaded = layered.load(f"stf/wacnn?path={path}&lambda=0.0035")
    assert loaded.spec == CodecSpec.model_validate({"base": TINY, "lambdas": (0.0035,)})
    parameters = dict(loaded.base.named_parameters())
    for name, value in layer.named_parameters():
        assert name.endswith("quantiles") or torch.equal(parameters[name], value)
    assert loaded.decode(loaded.encode(smooth_picture(20, 30), (1.0,)))[0].shape == (20, 30, 3)


def test_checkpoints_that_are_none_are_told(codec: LayeredCodec, tmp_path: Path) -> None:
    path = tmp_path / "cnn.pth.tar"
    name = f"stf/wacnn?path={path}&lambda=0.0035"
    with pytest.raises(OptionError, match="is not there"):
        layered.load(name)
    state: dict[str, Any] = stf_state(base_of(codec))
    for broken in ({"g_a.0.weight": torch.zeros(3)}, {k: v for k, v in state.items() if "h_a.2.bias" not in k}, [1]):
        torch.save(broken, path)
        with pytest.raises(OptionError, match="not a checkpoint"):
            layered.load(name)
    for wrong, word in (("stf/stf?path=a&lambda=1", "unknown checkpoint"), ("stf/wacnn?path=a", "lambda="),
                        ("stf/wacnn?path=a&lambda=0", "positive"), ("stf/wacnn?lambda=1", "path=FILE"),
                        ("stf/wacnn?path=a&lambda=1&b=2", "unknown b")):  # fmt: skip
        with pytest.raises(OptionError, match=word):
            StfName.parse(wrong)


@torch.inference_mode()
def test_an_adapter_at_a_site_acts_between_the_product_and_the_sum(codec: LayeredCodec) -> None:
    block: Any = base_of(codec).g_s[5]
    x = torch.randn(1, 16, 8, 12).double()
    without = in_double(block, x)
    block.site.weight = torch.eye(16)
    try:
        assert torch.allclose(in_double(block, x) - x, 2 * (without - x))
    finally:
        block.site.weight = None
