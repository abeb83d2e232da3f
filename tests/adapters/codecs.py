"""One small codec of every kind, made when a test first asks for it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layered.codec import LayeredCodec
from layered.guide import Guide, guide_of
from layered.image import Image8, to_tensor
from layered.layer import Context, Layer
from layered.spec import CodecSpec
from tests.conftest import LAMBDAS, make_codec, smooth_picture, tiny_mei, tiny_spec, untrained

__all__ = ["LAYERS", "base_codec", "case", "guide_for", "stack_codec"]

_GENERATIVE: dict[str, dict[str, Any]] = {
    "gc": {"channels": 3}, "tunable": {"channels": 4}, "sc": {"channels": 3, "classes": ("sky", "road")},
}  # fmt: skip
LAYERS = ("mean-scale", "factorized", "aedc", "gc", "tunable", "sc", "residual", "mei")
"""What `case` knows: base layers by their names, and the two kinds of enhancement."""


@lru_cache
def base_codec(name: str) -> LayeredCodec:
    """A codec of one layer, of a base layer of that name."""
    options = {"width": 32, "blocks": 1, "norm": "channel", **_GENERATIVE[name]} if name in _GENERATIVE else {
        "N": 8, "M": 8}  # fmt: skip
    spec = CodecSpec.model_validate({"base": {"name": name, **options}, "lambdas": LAMBDAS})
    if name in ("mean-scale", "factorized"):
        return make_codec(spec)
    return untrained(spec, 3)


@lru_cache
def stack_codec(name: str = "residual") -> LayeredCodec:
    """A codec with enhancement layers of that name, residual or mei."""
    return make_codec(tiny_spec() if name == "residual" else tiny_mei("mean-scale"))


def guide_for(name: str, height: int, width: int) -> Guide | None:
    """A guide where the layer needs one: of the lower half, which is preserved."""
    labels = np.zeros((height, width), np.uint8)
    labels[height // 2 :] = 1
    return guide_of(labels, labels == 1) if name == "sc" else None


def case(name: str, height: int = 24, width: int = 40, picture: Image8 | None = None) -> tuple[Layer, Tensor, Context]:
    """A layer of LAYERS, a picture for it, and what a decoder holds."""
    original = to_tensor(smooth_picture(height, width) if picture is None else picture)
    if name not in ("residual", "mei"):
        return base_codec(name).base, original, Context(height, width, 2.0, guide=guide_for(name, height, width))
    small = smooth_picture((height + 1) // 2, (width + 1) // 2, seed=1)
    generator = torch.Generator().manual_seed(4)
    carried = torch.randn(1, 16, -(-small.shape[0] // 16), -(-small.shape[1] // 16), generator=generator)
    context = Context(height, width, 2.0, to_tensor(small), carried=carried if name == "mei" else None)
    return stack_codec(name).layer(1), original, context
