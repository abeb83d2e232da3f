"""AEDC: a finite alphabet and an importance map on the five verbs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from layered.base.aedc import LEVELS, Aedc, _Block, importance_mask
from layered.codec import LayeredCodec
from layered.errors import CorruptStream
from layered.image import save_image
from layered.layer import Context, Latents
from layered.rounding import Hard, StraightThrough
from layered.spec import CodecSpec, build
from layered.training.loop import train
from layered.training.recipe import TrainingRecipe
from layered.weights.store import load
from tests.conftest import smooth_picture, untrained

SPEC = CodecSpec.model_validate({"base": {"name": "aedc", "N": 8, "M": 6}, "lambdas": (0.002, 0.02)})


@pytest.fixture(scope="module")
def codec() -> LayeredCodec:
    return untrained(SPEC, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 5), (64, 64), (65, 63), (33, 50)])
@pytest.mark.parametrize("exact", [False, True])
def test_decoding_gives_the_encoders_picture(codec: LayeredCodec, size: tuple[int, int], exact: bool) -> None:
    width, height = size
    data = codec.encode(smooth_picture(height, width), (1.0,), 1.5, exact=exact, verify=True)
    assert codec.decode(data)[0].shape == (height, width, 3)


def test_the_mask_keeps_the_first_channels_as_many_as_the_map_says() -> None:
    importance = torch.tensor([0.0, 0.5, 1.0, 0.26]).reshape(1, 1, 1, 4).requires_grad_(True)
    mask = importance_mask(importance, 6)
    assert mask.sum(1).flatten().tolist() == [0, 3, 6, 2]  # of 6 * map the next whole number
    assert bool((mask[:, :-1] >= mask[:, 1:]).all())
    mask.sum().backward()
    assert importance.grad is not None and float(importance.grad[..., 3]) > 0


def test_residual_blocks_begin_as_the_identity() -> None:
    x = torch.randn(1, 8, 5, 6)
    assert torch.equal(_Block(8)(x), x)


def test_a_higher_quality_uses_more_channels(codec: LayeredCodec) -> None:
    image = torch.rand(1, 3, 64, 64)
    used = [int((codec.base.analyse(image, Context(64, 64, q)).parts[0] != 0).sum()) for q in (1.0, 1.5, 2.0)]
    assert used[0] < used[1] < used[2]


def test_coded_latents_are_of_the_alphabet(codec: LayeredCodec) -> None:
    layer, context = codec.base, Context(32, 32, 1.0)
    assert isinstance(layer, Aedc)
    image = torch.rand(1, 3, 32, 32)
    latents = layer.analyse(image, context)
    coded = layer.code(latents, context, Hard())
    assert set(coded.latents.parts[0].flatten().tolist()) <= set(layer.centres.values.tolist())
    assert len(layer.centres) == LEVELS


def test_bits_and_pictures_take_gradients_in_every_part(codec: LayeredCodec) -> None:
    layer, context = build(SPEC).base, Context(32, 32, 1.0)
    coded = layer.code(layer.analyse(torch.rand(1, 3, 32, 32), context), context, StraightThrough())
    (coded.bits.sum() + layer.synthesise(coded.latents, context).square().sum()).backward()
    # Behind a layer that starts at zero nothing is learned in the first step.
    behind = ("first.weight", "first.bias", "network.0.weight", "network.0.bias", "network.2.weight", "network.2.bias")
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.any()) or name.endswith(behind), name


def test_a_damaged_payload_raises(codec: LayeredCodec) -> None:
    context = Context(40, 40, 1.0)
    latents = codec.base.analyse(torch.rand(1, 3, 40, 40), context)
    payload = codec.base.write(codec.base.code(latents, context, Hard()).latents, context)
    for at in range(0, len(payload), 3):
        damaged = bytearray(payload)
        damaged[at] ^= 1
        with pytest.raises(CorruptStream):
            codec.base.read(bytes(damaged), context)
    found = codec.base.read(payload, context)
    assert isinstance(found, Latents) and found.parts[0].shape == (1, 6, 5, 5)


def test_training_lowers_the_loss_and_the_weights_code_pictures(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    save_image(smooth_picture(64, 64), tmp_path / "pictures" / "a.png")
    phase = {"name": "base", "kind": "base", "steps": 40, "batch": 2, "patch": 32, "lr": 2e-3, "scales": [[1.0, 1.0]]}
    values = {"name": "a", "model": SPEC.model_dump() | {"lambdas": (0.01,)}, "phases": [phase], "threads": 1,
              "data": {"folder": str(tmp_path / "pictures")}, "log_every": 1}  # fmt: skip
    trained = load(train(TrainingRecipe.model_validate(values), tmp_path / "run"))
    losses = [float(line.split('"loss": ')[1].split(",")[0]) for line in (tmp_path / "run" / "curves.jsonl").open()]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    data = trained.encode(smooth_picture(40, 40), (1.0,))
    assert trained.decode(data)[0].shape == (40, 40, 3)
