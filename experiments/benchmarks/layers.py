"""What layers and pixels cost: three layers against one, and how time grows with both."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

import layered
from experiments.benchmarks.material import picture
from experiments.benchmarks.measure import Row, Setting, interleaved, pairs
from layered.codec import LayeredCodec
from layered.image import layer_sizes

__all__ = ["growth_rows", "rows"]

QUALITY = 2.5
THREE = (0.25, 0.5, 1.0)
COUNTS = (1, 2, 3, 5, 9)


def rows(setting: Setting) -> Iterator[Row]:
    """Three layers against the base layer alone at full size, with the bundled weights."""
    height, width = (48, 72) if setting.quick else (512, 768)
    codec = layered.load("compass-small")
    three, one = _verbs(codec, height, width, THREE), _verbs(codec, height, width, (1.0,))
    for verb in ("encode", "decode"):
        measured = pairs(setting, f"three layers, {verb}", three[verb], one[verb])
        yield measured.slowness("layers", f"{verb}, 3 layers (1/4, 1/2, 1), {width}x{height}", "one layer")


def growth_rows(setting: Setting) -> Iterator[Row]:
    """The exponent of time in pixels, for three layers; and what an added layer costs."""
    codec = layered.load("compass-small")
    sizes = ((32, 48), (64, 96), (96, 144)) if setting.quick else ((128, 192), (256, 384), (512, 768), (1024, 1536))
    places = [_verbs(codec, *size, THREE) for size in sizes]
    pixels = [height * width for height, width in sizes]
    span = f"{sizes[0][1]}x{sizes[0][0]} to {sizes[-1][1]}x{sizes[-1][0]}, 3 layers"
    for verb in ("encode", "decode"):
        times = interleaved(setting, f"growth with pixels, {verb}", [place[verb] for place in places])
        slopes = tuple(_slope(pixels, [side[repeat][0] for side in times]) for repeat in range(setting.repeats))
        yield Row("growth", f"{verb}, {span}", "exponent of time in pixels", slopes)
    height, width = sizes[1]
    stacks = {count: tuple((k + 1) / count for k in range(count)) for count in COUNTS}
    loads = {count: sum(w * h for w, h in layer_sizes(width, height, stack)) for count, stack in stacks.items()}
    places = [_verbs(codec, height, width, stack) for stack in stacks.values()]
    for verb in ("encode", "decode"):
        times = interleaved(setting, f"growth with layers, {verb}", [place[verb] for place in places])
        for count, side in zip(COUNTS[1:], times[1:], strict=True):
            ratios = [many[0] / one[0] for many, one in zip(side, times[0], strict=True)]
            added = tuple((ratio - 1) / (count - 1) for ratio in ratios)
            note = f"{np.median(ratios):.2f} times in all, for {loads[count] / loads[1]:.2f} times the pixels"
            name = f"{verb}, {count} layers of even steps up to {width}x{height}"
            yield Row("growth", name, "of one layer's time for each layer more", added, note=note)


def _verbs(codec: LayeredCodec, height: int, width: int, scales: tuple[float, ...]) -> dict[str, Callable[[], object]]:
    image = picture(height, width)
    data = codec.encode(image, scales, QUALITY)
    return {"encode": lambda: codec.encode(image, scales, QUALITY, verify=False), "decode": lambda: codec.decode(data)}


def _slope(pixels: list[int], seconds: list[float]) -> float:
    return float(np.polyfit(np.log(pixels), np.log(seconds), 1)[0])
