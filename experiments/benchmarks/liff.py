"""LIFF against its direct implementation, which forms the filter of every pixel: time, memory, agreement."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from experiments.benchmarks.direct_liff import direct
from experiments.benchmarks.material import picture
from experiments.benchmarks.measure import Goal, Row, Setting, pairs
from experiments.benchmarks.memory import METHOD, peak_of
from layered.enhancement.liff import LIFF
from layered.image import to_tensor

__all__ = ["rows"]

BLOCK = 4096
"""Pixels that the direct implementation takes at once where it is not to take all: what suits it best on a CPU."""


def rows(setting: Setting) -> Iterator[Row]:
    """Twice and four times the size, at the paper's widths."""
    widths, height, width = ((8, 4, 16), 32, 48) if setting.quick else ((64, 32, 256), 256, 384)
    for scale, faster in ((2, 1.7), (4, 2.5)):
        size = (widths, height // scale, width // scale, scale)
        yield from _times(setting, f"LIFF {scale}x to {width}x{height}", size, Goal(faster, at_least=True))
        tries = range(min(setting.repeats, 3))
        ratios = tuple(peak_of(prediction, *size).risen / peak_of(directly, *size).risen for _ in tries)
        name = f"LIFF {scale}x to {width}x{height}, peak memory"
        yield Row("liff", name, "x that of direct, all at once", ratios, Goal(1 / 8), None, METHOD)


@torch.inference_mode()
def _times(
    setting: Setting, name: str, size: tuple[tuple[int, int, int], int, int, int], goal: Goal
) -> Iterator[Row]:
    ours = prediction(*size)
    for reference, at_once in (("direct, all at once", None), (f"direct, {BLOCK} pixels at once", BLOCK)):
        theirs = directly(*size, at_once)
        wanted = theirs()
        apart = float((ours() - wanted).abs().max() / wanted.abs().max())
        yield pairs(setting, name, ours, theirs).speed("liff", name, reference, goal, apart)


def prediction(widths: tuple[int, int, int], height: int, width: int, scale: int) -> Callable[[], torch.Tensor]:
    """Our LIFF, ready to predict a picture of [height, width] times `scale`."""
    model, image = _made(widths, height, width)
    return lambda: model(image, scale * height, scale * width)


def directly(
    widths: tuple[int, int, int], height: int, width: int, scale: int, at_once: int | None = None
) -> Callable[[], torch.Tensor]:
    """The same by the direct implementation."""
    model, image = _made(widths, height, width)
    return lambda: direct(model, image, scale * height, scale * width, at_once)


def _made(widths: tuple[int, int, int], height: int, width: int) -> tuple[LIFF, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LIFF(*widths, init="default").requires_grad_(False).eval()
    return model, to_tensor(picture(height, width))
