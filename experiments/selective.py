"""Selective generative compression measured: bytes against what is kept, and errors where it is and where it is not.

    python -m experiments.selective IMAGES LABELS --weights sc-small [--limit N]

Each picture of IMAGES is coded with its map of LABELS and, in turn, nothing, some of its classes, boxes, a mask or all
of it kept.  Every figure is of a real file that was decoded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

import layered
from experiments.data import find_data
from experiments.metrics import bits_per_pixel
from layered.codec import LayeredCodec
from layered.errors import LayeredError, OptionError
from layered.guide import Labels, guide_of, kept_boxes, kept_classes, load_labels
from layered.image import Image8

__all__ = ["WAYS", "Kept", "Summary", "main", "measure", "summary"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Kept:
    """One picture: the share of pixels kept, bytes of its file, and MSE (of 8-bit levels) within and without.

    None where there are no such pixels.
    """

    share: float
    bytes: int
    bpp: float
    within: float | None
    without: float | None


@dataclass(frozen=True)
class Summary:
    """Means over pictures; the MSE of each side over all of its pixels."""

    pictures: int
    share: float
    bytes: float
    bpp: float
    within: float | None
    without: float | None


def _classes(*names: str) -> Callable[[Labels, Sequence[str]], Mask]:
    return lambda labels, known: kept_classes(labels, names, known)


def _box(labels: Labels, share: float) -> Mask:
    """A box in the middle, of that share of the area."""
    high, wide = labels.shape
    height, width = round(high * share**0.5), round(wide * share**0.5)
    return kept_boxes(high, wide, [((wide - width) // 2, (high - height) // 2, width, height)])


def _disc(labels: Labels, known: Sequence[str]) -> Mask:
    height, width = labels.shape
    y, x = np.ogrid[:height, :width]
    disc: Mask = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (0.3 * min(height, width)) ** 2
    return disc


WAYS: dict[str, Callable[[Labels, Sequence[str]], Mask]] = {
    "nothing": lambda labels, known: np.zeros(labels.shape, bool),
    "car": _classes("car"),
    "car, pedestrian, bicyclist": _classes("car", "pedestrian", "bicyclist"),
    "building": _classes("building"),
    "road, pavement": _classes("road", "pavement"),
    "a box, a tenth": lambda labels, known: _box(labels, 0.1),
    "a box, a quarter": lambda labels, known: _box(labels, 0.25),
    "a box, half": lambda labels, known: _box(labels, 0.5),
    "a mask, a disc": _disc,
    "all but sky, road, building": lambda labels, known: ~kept_classes(labels, ["sky", "road", "building"], known),
    "everything": lambda labels, known: np.ones(labels.shape, bool),
}
"""What is kept, by its name in the table; classes are CamVid's."""


def measure(codec: LayeredCodec, image: Image8, labels: Labels, kept: Mask) -> Kept:
    """Code [H, W, 3] with `kept` [H, W] kept, decode it and compare.  Raises LayeredError."""
    data = codec.encode(image, (1.0,), guide=guide_of(labels, kept), verify=False)
    error = np.square(codec.decode(data)[0].astype(np.float64) - image).mean(-1)
    sides = [float(error[side].mean()) if side.any() else None for side in (kept, ~kept)]
    return Kept(float(kept.mean()), len(data), bits_per_pixel(len(data), *kept.shape[::-1]), *sides)


def summary(found: Sequence[Kept]) -> Summary:
    """Means of one way of keeping over the pictures."""

    def total(errors: Sequence[float | None], shares: Sequence[float]) -> float | None:
        pairs = [(error, share) for error, share in zip(errors, shares, strict=True) if error is not None]
        return sum(e * s for e, s in pairs) / sum(s for _, s in pairs) if pairs else None

    shares = [one.share for one in found]
    within = total([one.within for one in found], shares)
    without = total([one.without for one in found], [1 - share for share in shares])
    size, rate = sum(one.bytes for one in found) / len(found), sum(one.bpp for one in found) / len(found)
    return Summary(len(found), sum(shares) / len(found), size, rate, within, without)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images")
    parser.add_argument("labels", type=Path)
    parser.add_argument("--weights", default="sc-small")
    parser.add_argument("--limit", type=int)
    given = parser.parse_args(arguments)
    codec = layered.load(given.weights)
    known: Sequence[str] = getattr(codec.spec.base, "classes", ())
    if not known:
        raise OptionError(f"{given.weights} codes no label maps; weights with an sc base layer do")
    found: dict[str, list[Kept]] = {name: [] for name in WAYS}
    pictures = find_data(given.images, given.limit).items
    for picture in track(pictures, "pictures", console=Console(stderr=True)):
        image, labels = picture.load(), load_labels(given.labels / f"{picture.path.stem}.png")
        for name, way in WAYS.items():
            found[name].append(measure(codec, image, labels, way(labels, known)))
    print(f"{len(pictures)} pictures, weights {codec.name} {codec.digest.hex()}; MSE of 8-bit RGB")
    print("kept                         share    bytes     bpp  MSE kept  MSE made up  ratio")
    for name, each in found.items():
        s = summary(each)
        kept, made = (f"{v:.1f}" if v is not None else "-" for v in (s.within, s.without))
        ratio = f"{s.without / s.within:.2f}" if s.within and s.without else "-"
        print(f"{name:27} {s.share:6.3f} {s.bytes:8.0f}  {s.bpp:.4f} {kept:>9} {made:>12} {ratio:>6}")


if __name__ == "__main__":
    try:
        main()
    except LayeredError as error:
        sys.exit(f"error: {error}")
