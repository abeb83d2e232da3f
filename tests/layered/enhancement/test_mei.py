"""Enhancement in the latent domain: real streams at any ratio, prediction that is learned, layers of their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from layered import stream
from layered.enhancement.mei import LatentPrediction, MeiEnhancement, read_axis
from layered.errors import CorruptStream, OptionError, RecipeError
from layered.image import save_image
from layered.layer import Context, Latents
from layered.rounding import StraightThrough
from layered.spec import CodecSpec, build
from layered.training.loop import Run, train
from layered.training.recipe import TrainingRecipe
from layered.weights.store import load
from tests.conftest import make_codec, smooth_picture, tiny_mei, tiny_spec

CODECS = {name: make_codec(tiny_mei(name)) for name in ("factorized", "mean-scale")}


def untrained(name: str = "factorized") -> MeiEnhancement:
    """The first enhancement layer, with a prediction that is not zero."""
    layer = make_codec(tiny_mei(name)).uppers[0]
    assert isinstance(layer, MeiEnhancement)
    last = layer.prediction.up[-1]
    assert isinstance(last, torch.nn.ConvTranspose2d)
    torch.nn.init.normal_(last.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return layer


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 5), (64, 64), (65, 63), (33, 21)])
@pytest.mark.parametrize("scales", [(0.25, 0.5, 1.0), (0.5, 1.0), (0.3, 0.41), (1.0,), (0.2, 0.9, 1.0)])
def test_decoding_gives_the_encoders_pictures(name: str, size: tuple[int, int], scales: tuple[float, ...]) -> None:
    width, height = size
    data = CODECS[name].encode(smooth_picture(height, width), scales, 2.0, exact=width < 40, verify=True)
    assert len(CODECS[name].decode(data)) == len(scales)


@settings(max_examples=12)
@given(st.integers(1, 120), st.integers(1, 120), st.integers(1, 120), st.integers(1, 120))
def test_prediction_and_use_of_latents_work_between_any_two_sizes(h: int, w: int, height: int, width: int) -> None:
    layer = untrained()
    lower, carried = torch.rand(2, 3, h, w), torch.randn(2, 16, -(-h // 16), -(-w // 16))
    context = Context(height, width, 1.5, lower, carried=carried)
    latents = layer.analyse(torch.rand(2, 3, height, width), context)
    assert layer.synthesise(latents, context).shape == (2, 3, height, width)
    assert layer.carry(latents, context).shape == (2, layer.carries, -(-height // 16), -(-width // 16))


def test_widths_are_the_papers_unless_told_otherwise() -> None:
    spec: dict[str, object] = {"base": {"name": "factorized", "N": 96, "M": 96}, "enhancement": {"name": "mei"}}
    codec = build(CodecSpec.model_validate(spec))
    assert [layer.carries for layer in codec.uppers if isinstance(layer, MeiEnhancement)] == [192, 288]
    halved = build(CodecSpec.model_validate(spec | {"enhancement": {"name": "mei", "width": 48}})).uppers[1]
    assert isinstance(halved, MeiEnhancement) and halved.carries == 48 + 96


def test_what_is_predicted_is_not_coded_and_is_added_again() -> None:
    layer = untrained()
    lower, carried = torch.rand(1, 3, 16, 16), torch.randn(1, 16, 1, 1)
    image = torch.rand(1, 3, 32, 32)
    context = Context(32, 32, 1.0, lower, carried=carried)
    (missed,) = layer.analyse(image, context).parts
    y = layer.coder.transformed(image)
    expected = layer.prediction(carried)[..., :2, :2]
    assert float(expected.abs().max()) > 0
    assert torch.allclose(layer.coder.gains.remove_gain(missed, 1.0), y - expected, atol=1e-4)
    own = layer.carry(layer.analyse(image, context), context)[:, layer.upscaled :]
    assert torch.allclose(own, y, atol=1e-4)


@pytest.mark.parametrize("name", CODECS)
def test_it_starts_as_a_base_layer_that_codes_the_size_alone(name: str) -> None:
    codec, image = CODECS[name], smooth_picture(64, 80)
    data = codec.encode(image, (0.5, 1.0), 2.0)
    chunk = stream.parse(data).chunks[1]
    alone = codec.encode(image, (1.0,), 2.0)
    assert len(chunk.payload) == len(stream.parse(alone).chunks[0].payload)
    off = np.abs(codec.decode(data)[1].astype(int) - codec.decode(alone)[0])
    assert int(off.max()) <= 1


def test_steps_of_one_read_the_cells_themselves_and_others_lie_between() -> None:
    ramp = torch.arange(6.0)[None, None, :, None].expand(1, 2, 6, 3)
    assert torch.equal(read_axis(ramp, 2, 5, 1.0), ramp[:, :, :5])
    halves = read_axis(ramp, 2, 12, 0.5)[0, 0, :, 0]
    assert torch.allclose(halves, ((torch.arange(12.0) + 0.5) / 2 - 0.5).clamp(0, 5))
    assert torch.allclose(read_axis(ramp, 2, 4, 1.6)[0, 0, :, 0], torch.tensor([0.3, 1.9, 3.5, 5.0]))


def test_prediction_is_zero_before_training_and_doubles_the_grid() -> None:
    answer = LatentPrediction(5, 7, 6, 4)(torch.randn(1, 5, 3, 8))
    assert answer.shape == (1, 4, 8, 16) and not answer.any()


def test_more_layers_than_there_are_modules_are_refused_before_any_work() -> None:
    with pytest.raises(OptionError, match="code up to 3 layers, 4 are asked for"):
        CODECS["factorized"].encode(smooth_picture(32, 32), (0.1, 0.2, 0.5, 1.0))


def test_a_stream_of_more_layers_than_there_are_modules_is_corrupt() -> None:
    codec = CODECS["factorized"]
    parsed = stream.parse(codec.encode(smooth_picture(32, 32), (0.25, 0.5, 1.0)))
    header = dataclasses.replace(parsed.header, layers=4)
    with pytest.raises(CorruptStream, match="4 layers"):
        codec.decode(stream.pack(header, [*parsed.chunks, parsed.chunks[-1]]))


@pytest.mark.parametrize("name", CODECS)
def test_exact_latents_are_carried_in_float64(name: str) -> None:
    layer, lower = untrained(name), torch.rand(1, 3, 16, 16)
    context = Context(32, 32, 1.0, lower, exact=True, carried=torch.randn(1, 16, 1, 1))
    latents = layer.analyse(torch.rand(1, 3, 32, 32), context)
    assert layer.carry(latents, context).dtype == torch.float64
    assert layer.coder.carry(Latents((torch.rand(1, 16, 2, 2),)), context).dtype == torch.float64


def test_a_damaged_payload_is_found_by_its_symbols() -> None:
    codec = CODECS["mean-scale"]
    data = codec.encode(smooth_picture(48, 48), (0.5, 1.0), 2.0)
    parsed = stream.parse(data)
    payload = bytearray(parsed.chunks[1].payload)
    payload[-3] ^= 16
    chunks = [parsed.chunks[0], stream.Chunk(48, 48, parsed.chunks[1].quality, bytes(payload))]
    with pytest.raises(CorruptStream):
        codec.decode(stream.pack(parsed.header, chunks))


def test_bits_take_gradients_through_latents_and_prediction() -> None:
    layer = untrained("mean-scale").requires_grad_(True)
    outer = layer.coder.g_s[0]
    assert isinstance(outer, torch.nn.ConvTranspose2d)
    torch.nn.init.normal_(outer.weight, std=0.1, generator=torch.Generator().manual_seed(1))  # of Up's share it is zero
    carried = torch.randn(1, 16, 1, 1, requires_grad=True)
    context = Context(32, 32, 1.0, torch.rand(1, 3, 16, 16), carried=carried)
    coded = layer.code(layer.analyse(torch.rand(1, 3, 32, 32), context), context, StraightThrough())
    (coded.bits.sum() + layer.synthesise(coded.latents, context).square().sum()).backward()
    for tensor in (carried, *layer.prediction.parameters(), *layer.upscaling.parameters()):
        assert tensor.grad is not None and bool(tensor.grad.isfinite().all()) and bool(tensor.grad.any())


def test_only_a_base_layer_of_the_same_kind_can_be_the_start() -> None:
    with pytest.raises(OptionError, match="own kind and widths"):
        untrained("factorized").start_from(CODECS["mean-scale"].base)


def test_faults_of_the_specification_are_told_of_the_kind_that_was_meant() -> None:
    with pytest.raises(OptionError, match=r"enhancement: layers: .*greater than or equal to 1$"):
        build({"base": {"name": "factorized"}, "enhancement": {"name": "mei", "layers": 0}})
    with pytest.raises(OptionError, match="unknown key 'width'"):
        build({"base": {"name": "factorized"}, "enhancement": {"width": 3}})
    aedc, wide = {"name": "aedc", "N": 8, "M": 4}, {"name": "factorized", "N": 8, "M": 9}
    with pytest.raises(OptionError, match="needs a base layer on CompressAI's transforms"):
        build({"base": aedc, "enhancement": {"name": "mei", "coder": wide}})
    with pytest.raises(OptionError, match=r"coder.M is 9, but the base layer's M is 8"):
        build({"base": {"name": "factorized", "N": 8, "M": 8}, "enhancement": {"name": "mei", "coder": wide}})
    with pytest.raises(OptionError, match="aedc cannot be a residual module"):
        build({"base": wide, "enhancement": {"residual": aedc}})


def recipe(folder: Path, **changes: object) -> TrainingRecipe:
    folder.mkdir()
    for k in range(2):
        save_image(smooth_picture(72, 80, seed=k), folder / f"{k}.png")
    scales = [[0.25, 0.25], [0.25, 0.5], [0.5, 1.0]]
    phases = [
        {"name": "start", "kind": "base", "patch": 32, "steps": 1, "batch": 1, "init": "wavelet"},
        {"name": "all", "kind": "all", "patch": 64, "scales": scales, "steps": 6, "batch": 2, "lr": 1e-3,
         "init": "base", **changes},
    ]  # fmt: skip
    values = {"name": "mei", "model": tiny_mei().model_dump(), "data": {"folder": str(folder)}, "phases": phases,
              "threads": 1}  # fmt: skip
    return TrainingRecipe.model_validate(values)


def test_training_all_layers_together_moves_every_part_and_the_weights_code_pictures(tmp_path: Path) -> None:
    run = Run(recipe(tmp_path / "pictures"), tmp_path / "run")
    before = {name: value.clone() for name, value in run.codec.named_parameters()}
    codec = load(run.finish())
    still = [name for name, value in run.codec.named_parameters() if torch.equal(before[name], value)]
    # Nothing else drives a normalisation's weights away from where they start within a few steps.
    assert all(name.endswith(("quantiles", ".gamma")) for name in still), still
    assert len(codec.decode(codec.encode(smooth_picture(50, 70), (0.25, 0.4, 1.0), 2.0))) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "residual"}, "has no residual of its own"),
        ({"scales": [[0.5, 0.5], [1.0, 1.0]]}, "scales for 1 enhancement layers, the model has 2"),
        ({"scales": [[0.1, 0.2], [0.2, 0.4], [0.4, 0.8], [1.0, 1.0]]}, "code up to 3 layers, 4 are asked for"),
        ({"init": "wavelet"}, "init 'wavelet' is not for phases of kind all"),
    ],
)
def test_phases_that_do_not_fit_the_model_are_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        train(recipe(tmp_path / "pictures", **changes), tmp_path / "run")


def test_compass_enhancement_still_starts_from_its_base() -> None:
    codec = make_codec(tiny_spec())
    codec.uppers[0].start_from(codec.base)
    half = torch.full((1, 3, 32, 32), 0.2)
    flat = Context(32, 32, 1.0, half)
    enhanced = codec.uppers[0]
    coded = enhanced.analyse(enhanced.predict(flat), flat)
    assert torch.allclose(coded.parts[0], codec.base.analyse(half * 0 + 0.5, flat).parts[0], atol=1e-3)


@pytest.mark.parametrize("name", ["compass-small", "mei-small"])
def test_enhancement_of_finished_weights_starts_from_their_base_whatever_its_tables_sizes(name: str) -> None:
    codec = load(name)
    upper, key = codec.uppers[0], "entropy_bottleneck._quantized_cdf"
    module = upper.part("residual") if name == "compass-small" else upper.coder
    assert isinstance(module, torch.nn.Module)
    base = codec.base.state_dict()
    assert module.state_dict()[key].shape != base[key].shape  # or this test would show nothing
    upper.start_from(codec.base)
    assert torch.equal(module.state_dict()[key], base[key])
