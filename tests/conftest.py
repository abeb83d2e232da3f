"""Small codecs and pictures that every test may use."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from hypothesis import settings

from layered.base.initialise import initialise
from layered.base.transforms import rebuild_tables
from layered.codec import LayeredCodec
from layered.enhancement.residual import ResidualEnhancement
from layered.image import Image8
from layered.spec import CodecSpec, build
from layered.weights.store import digest_of

settings.register_profile("untimed", deadline=None)  # times are measured elsewhere
settings.load_profile("untimed")
torch.set_num_threads(1)  # on busy cores a second thread only waits
signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background jobs are started with it ignored

LAMBDAS = (0.0018, 0.0067, 0.025)


def smooth_picture(height: int, width: int, seed: int = 0) -> Image8:
    """A picture with gradients, edges and some texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / (5 + 3 * k) + k) + np.cos(y / (7 + 2 * k)) for k in range(3)]
    edges = ((x // 9 + y // 11) % 2)[..., None] * 0.5
    levels = 128 + 45 * np.stack(waves, axis=-1) + 40 * edges + rng.normal(0, 3, (height, width, 3))
    picture: Image8 = np.clip(levels, 0, 255).astype(np.uint8)
    return picture


def untrained(spec: CodecSpec, seed: int) -> LayeredCodec:
    """A codec as it is built from a seed, with tables, ready to code."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        codec = build(spec)
    rebuild_tables(codec)
    codec.digest = digest_of(codec.spec, codec.state_dict())
    return codec.requires_grad_(False).eval()


def make_codec(spec: CodecSpec, seed: int = 0) -> LayeredCodec:
    """An untrained codec that nevertheless codes pictures, thanks to its wavelet start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        codec = build(spec)
    generator = torch.Generator().manual_seed(seed)
    picture = torch.from_numpy(smooth_picture(64, 64)).permute(2, 0, 1)[None].float() / 255
    initialise(codec.base, "wavelet", picture, generator)
    for upper in codec.uppers:
        if isinstance(upper, ResidualEnhancement):
            initialise(upper.residual, "wavelet", (picture - 0.5) * 0.2, generator, centre=0.0)
        else:
            upper.start_from(codec.base)
    rebuild_tables(codec)
    codec.name = "tiny"
    codec.digest = digest_of(codec.spec, codec.state_dict())
    return codec.requires_grad_(False).eval()


def tiny_spec(base: str = "mean-scale", predictor: str = "liff", lambdas: tuple[float, ...] = LAMBDAS) -> CodecSpec:
    """A layered codec of a few thousand parameters."""
    options = {"name": "bicubic"} if predictor == "bicubic" else {
        "name": predictor, "features": 4, "growth": 2, "hidden": 8}  # fmt: skip
    return CodecSpec.model_validate({
        "base": {"name": base, "N": 12, "M": 16},
        "enhancement": {"predictor": options, "residual": {"name": "mean-scale", "N": 12, "M": 16}},
        "lambdas": lambdas,
    })  # fmt: skip


def tiny_mei(name: str = "factorized", width: int | None = 4) -> CodecSpec:
    """Three layers coded in the latent domain."""
    coder = {"name": name, "N": 12, "M": 16}
    enhancement = {"name": "mei", "coder": coder, "width": width}
    return CodecSpec.model_validate({"base": coder, "enhancement": enhancement, "lambdas": LAMBDAS})


@pytest.fixture(scope="session")
def tiny_codec() -> LayeredCodec:
    """Three lambdas, LIFF, mean-scale."""
    return make_codec(tiny_spec())
