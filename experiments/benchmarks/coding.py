"""The mean-scale layer, with its checks, against CompressAI's `compress` and `decompress` on the same weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from experiments.benchmarks.material import picture, twins
from experiments.benchmarks.measure import Goal, Row, Setting, pairs
from layered.entropy.payload import split_strings
from layered.image import to_tensor
from layered.layer import Context
from layered.rounding import Hard

__all__ = ["rows"]


@torch.inference_mode()
def rows(setting: Setting) -> Iterator[Row]:
    """Encoding and decoding of one picture."""
    height, width, N, M = (64, 128, 16, 24) if setting.quick else (512, 768, 128, 192)
    layer, reference = twins(N, M)
    image = to_tensor(picture(height, width))

    def encode() -> bytes:
        context = Context(height, width)
        return layer.write(layer.code(layer.analyse(image, context), context, Hard()).latents, context)

    def decode() -> torch.Tensor:
        context = Context(height, width)
        return layer.synthesise(layer.read(data, context), context).clamp(0, 1)

    data, strings = encode(), reference.compress(image)
    z, y = split_strings(data, 2)[1]
    theirs = [len(strings["strings"][1][0]), len(strings["strings"][0][0])]
    unequal = sum(abs(a - b) for a, b in zip((len(z), len(y)), theirs, strict=True)) / sum(theirs)
    apart = float((decode() - reference.decompress(**strings)["x_hat"]).abs().max())
    rates = " + ".join(f"{8 * len(part) / (height * width):.2f}" for part in (y, z))
    size = f"{width}x{height}, N={N}, M={M}, {rates} bpp (y + z)"
    compress = pairs(setting, "encode", encode, lambda: reference.compress(image))
    yield compress.slowness("coding", f"mean-scale encode {size}", "CompressAI", Goal(1.0), unequal)
    decompress = pairs(setting, "decode", decode, lambda: reference.decompress(**strings))
    yield decompress.slowness("coding", f"mean-scale decode {size}", "CompressAI", Goal(1.0), apart)
