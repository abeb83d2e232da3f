"""Everyday codecs at the settings of CompressAI's published Kodak curves, against these curves.

    python -m experiments.classical_check [--codec jpeg]

The settings here are those that the curves were made with, not the better ones of `baselines`; what differs in spite
of that is said below the table.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from baselines.classical import PillowCodec
from baselines.hevc import HEVC
from baselines.x265 import MAX_QP
from experiments.bdrate import METHODS, Curve, bd_rate
from experiments.data import DataSet, find_data
from experiments.metrics import bits_per_pixel, mean, psnr
from experiments.published import published_curves
from layered.errors import LayeredError
from layered.image import Image8, load_image

__all__ = ["CHECKS", "Check", "main", "measured"]


class Coder(Protocol):
    """The part of `baselines.protocol.PictureCodec` that is needed here."""

    def encode(self, image: Image8, quality: float) -> bytes: ...

    def decode(self, data: bytes) -> Image8: ...


class LimitedRangeJpeg2000:
    """OpenJPEG behind FFmpeg's conversion: 8-bit YCbCr of limited range (BT.601, 4:4:4), 5/3 wavelet.

    quality: the factor by which 24 bits per pixel are to shrink, negative, so that more of it costs more bytes.
    """

    def encode(self, image: Image8, quality: float) -> bytes:
        planes = Image.fromarray(np.clip(np.rint(image @ _TO_LIMITED.T + _OFFSET), 0, 255).astype(np.uint8))
        file = io.BytesIO()
        planes.save(file, "JPEG2000", quality_mode="rates", quality_layers=[-quality], irreversible=False, mct=0)
        return file.getvalue()

    def decode(self, data: bytes) -> Image8:
        levels = np.rint((load_image(io.BytesIO(data)) - _OFFSET) @ np.linalg.inv(_TO_LIMITED).T)
        picture: Image8 = np.clip(levels, 0, 255).astype(np.uint8)
        return picture


_TO_LIMITED = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
_OFFSET = np.array([16.0, 128.0, 128.0])


@dataclass(frozen=True)
class Check:
    """A published curve and the codec that is to reproduce it.

    curve: its name in `experiments.published`.  qualities: ours, for its points in order of rate.  remark: what is
    known to differ.
    """

    curve: str
    codec: Coder
    qualities: tuple[float, ...]
    remark: str


_WIDTH = 160  # of what goes into a file, where rows are not to be broken

_PERCENT = tuple(range(5, 100, 5))
_RATIOS = tuple(-ratio for ratio in range(190, 0, -10))
_QPS = (47, 42, 37, 32, 27, 22, 17, 12)

CHECKS: Mapping[str, Check] = {
    "jpeg": Check(
        "jpeg", PillowCodec("JPEG", "jpg", (1, 95), "quality", {}), _PERCENT,
        "published with IJG's libjpeg 9d, that of Pillow's wheels before 9.0; turbo resamples chroma otherwise",
    ),
    "webp": Check("webp", PillowCodec("WEBP", "webp", (0, 100), "quality", {}), _PERCENT, "nothing known"),
    "jpeg2000": Check("jpeg2000", LimitedRangeJpeg2000(), _RATIOS, "nothing known"),
    "bpg": Check(
        "bpg_444_x265_ycbcr", HEVC["bpg"], tuple(MAX_QP - qp for qp in _QPS),
        "published with libbpg 0.9.8, whose x265 is older, and which packs its headers tighter",
    ),
}  # fmt: skip


def measured(check: Check, data: DataSet, progress: bool = False) -> Curve:
    """The curve of the codec here: means over the images."""
    points = []
    images = [picture.load() for picture in data.items]
    shown = Console(stderr=True)
    for quality in track(check.qualities, check.curve, console=shown, transient=True, disable=not progress):
        files = [check.codec.encode(image, quality) for image in images]
        rates = [bits_per_pixel(len(f), i.shape[1], i.shape[0]) for f, i in zip(files, images, strict=True)]
        scores = [psnr(check.codec.decode(f), i) for f, i in zip(files, images, strict=True)]
        points.append((mean(rates), mean(scores)))
    return Curve(tuple(rate for rate, _ in points), tuple(score for _, score in points))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", choices=CHECKS, action="append", help="repeatable; all by default")
    given = parser.parse_args(arguments)
    table, remarks = Table("codec", *METHODS, "bits, point by point", "PSNR, point by point"), []
    try:
        data = find_data("kodak")
        for name in given.codec or CHECKS:
            check = CHECKS[name]
            theirs, ours = published_curves()[check.curve], measured(check, data, progress=True)
            percent = [f"{bd_rate(theirs, ours, method):+.2f} %" for method in METHODS]
            bits = [100 * (our / their - 1) for our, their in zip(ours.rates, theirs.rates, strict=True)]
            score = [our - their for our, their in zip(ours.qualities, theirs.qualities, strict=True)]
            table.add_row(
                name, *percent, f"{min(bits):+.2f} to {max(bits):+.2f} %", f"{min(score):+.3f} to {max(score):+.3f} dB"
            )
            remarks.append(f"{name}: {check.remark}")
    except LayeredError as error:
        parser.error(str(error))
    table.title = f"against the published curves, {len(data.items)} Kodak images"
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table, *remarks, sep="\n")


if __name__ == "__main__":
    main()
