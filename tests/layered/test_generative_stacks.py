"""Enhancement layers stand on generative base layers as on any other, in one file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from layered.base.transforms import rebuild_tables
from layered.codec import LayeredCodec
from layered.guide import guide_of
from layered.spec import CodecSpec, build
from layered.stream import parse
from layered.training.phases import Objective
from layered.training.recipe import Phase
from tests.conftest import LAMBDAS, smooth_picture

BASES: dict[str, dict[str, Any]] = {
    "gc": {"channels": 3}, "tunable": {"channels": 4}, "sc": {"channels": 3, "classes": ("sky", "road")},
}  # fmt: skip


def stack(name: str) -> LayeredCodec:
    residual = {"name": "mean-scale", "N": 8, "M": 8}
    predictor = {"name": "liff", "features": 4, "growth": 2, "hidden": 8}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        codec = build(CodecSpec.model_validate({
            "base": {"name": name, "width": 32, "blocks": 1, "norm": "channel", **BASES[name]},
            "enhancement": {"predictor": predictor, "residual": residual},
            "lambdas": LAMBDAS,
        }))  # fmt: skip
    rebuild_tables(codec)
    return codec.requires_grad_(False).eval()


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("exact", [False, True])
def test_three_layers_decode_from_one_file(name: str, exact: bool) -> None:
    codec, image = stack(name), smooth_picture(72, 88)
    labels = np.zeros((72, 88), np.uint8)
    labels[30:] = 1
    guide = guide_of(labels, labels == 1) if name == "sc" else None
    data = codec.encode(image, (0.25, 0.5, 1.0), (1.0, 2.0, 2.5), exact=exact, verify=True, guide=guide)
    assert [picture.shape for picture in codec.decode(data)] == [(18, 22, 3), (36, 44, 3), (72, 88, 3)]
    base = data[: parse(data).ends[0]]
    assert np.array_equal(codec.decode(base)[0], codec.decode(data)[0])


@pytest.mark.parametrize("name", ["gc", "tunable"])
def test_enhancement_trains_on_what_the_base_layer_decodes(name: str) -> None:
    codec = stack(name)
    scales = ((0.25, 0.25), (0.5, 0.5), (1.0, 1.0))
    objective = Objective(codec, Phase(name="joint", kind="joint", steps=1, patch=64, scales=scales))
    trained = {part.split(".")[1] for part, value in objective.named_parameters() if value.requires_grad}
    assert trained == {"enhancement"}
