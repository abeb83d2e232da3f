"""Everyday codecs at the settings of CompressAI's published Kodak curves, against these curves.

    python -m experiments.classical_check --reference DIR [--images N] [--codec jpeg]

DIR holds `jpeg.json` and such in CompressAI's schema.  The settings here are those that CompressAI's benchmark gave to
each codec, not the better ones of `baselines`; what differs in spite of that is said in the last column.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from baselines.classical import PillowCodec
from baselines.hevc import HEVC
from baselines.protocol import PictureCodec
from baselines.x265 import MAX_QP
from experiments.bdrate import METHODS, Curve, bd_rate
from experiments.data import DataSet, find_data
from experiments.metrics import bits_per_pixel, mean, psnr
from layered.errors import LayeredError, OptionError
from layered.files import read_bytes

__all__ = ["CHECKS", "Check", "main", "measured", "published"]


@dataclass(frozen=True)
class Check:
    """A published curve and the codec that is to reproduce it.

    file: of the curve.  qualities: ours, for its points in order of rate.  remark: what is known to differ.
    """

    file: str
    codec: PictureCodec
    qualities: tuple[float, ...]
    remark: str


_PERCENT = tuple(range(5, 100, 5))
_RATIOS = tuple(24 / ratio for ratio in range(190, 0, -10))
_QPS = (47, 42, 37, 32, 27, 22, 17, 12)
_REVERSIBLE = {"quality_mode": "rates", "irreversible": False, "mct": 1}

CHECKS: Mapping[str, Check] = {
    "jpeg": Check(
        "jpeg.json", PillowCodec("JPEG", "jpg", (1, 95), "quality", {}), _PERCENT, "published with Pillow 7.1.2"
    ),
    "webp": Check(
        "webp.json", PillowCodec("WEBP", "webp", (0, 100), "quality", {}), _PERCENT, "published with Pillow 7.1.2"
    ),
    "jpeg2000": Check(
        "jpeg2000.json",
        PillowCodec(
            "JPEG2000", "jpg_2000", (0.01, 24), "bits per pixel", _REVERSIBLE,
            lambda rate: {"quality_layers": [24 / rate]}, whole=False,
        ),
        _RATIOS,
        "published with FFmpeg's OpenJPEG on YCbCr of limited range, which this does not go through",
    ),
    "bpg": Check(
        "bpg_444_x265_ycbcr.json", HEVC["bpg"], tuple(MAX_QP - qp for qp in _QPS),
        "published with libbpg 0.9.8, whose x265 is older",
    ),
}  # fmt: skip


def published(path: Path, count: int) -> list[tuple[float, float]]:
    """Pairs of bpp and RGB PSNR in dB, by rate.  Raises LayeredError unless the file holds `count` of them."""
    try:
        results = json.loads(read_bytes(path))["results"]
        points = sorted(zip(map(float, results["bpp"]), map(float, results["psnr-rgb"]), strict=True))
    except (ValueError, KeyError, TypeError) as error:
        raise LayeredError(f"{path}: not in CompressAI's schema ({type(error).__name__}: {error})") from None
    if len(points) != count:
        raise LayeredError(f"{path}: {len(points)} points, where {count} are known")
    return points


def measured(check: Check, data: DataSet, progress: bool = False) -> list[tuple[float, float]]:
    """The same of the codec here: means over the images."""
    points = []
    images = [picture.load() for picture in data.items]
    for quality in track(check.qualities, check.file, transient=True, disable=not progress):
        files = [check.codec.encode(image, quality) for image in images]
        rates = [bits_per_pixel(len(f), i.shape[1], i.shape[0]) for f, i in zip(files, images, strict=True)]
        scores = [psnr(check.codec.decode(f), i) for f, i in zip(files, images, strict=True)]
        points.append((mean(rates), mean(scores)))
    return points


def _curve(points: Sequence[tuple[float, float]]) -> Curve:
    rates, scores = zip(*points, strict=True)
    return Curve(rates, scores)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, help="folder of the curves")
    parser.add_argument("--images", type=int, help="the first so many; all 24, which the curves are of, by default")
    parser.add_argument("--codec", choices=CHECKS, action="append", help="repeatable; all by default")
    given = parser.parse_args(arguments)
    table = Table("codec", *METHODS, "rate, point by point", "PSNR, point by point", "remark")
    try:
        if given.images is not None and given.images < 1:
            raise OptionError(f"at least one image is needed, got {given.images}")
        data = find_data("kodak", given.images)
        for name in given.codec or CHECKS:
            check = CHECKS[name]
            theirs = published(given.reference / check.file, len(check.qualities))
            ours = measured(check, data, progress=True)
            rates = [f"{bd_rate(_curve(theirs), _curve(ours), method):+.2f} %" for method in METHODS]
            bits = [100 * (our[0] / their[0] - 1) for our, their in zip(ours, theirs, strict=True)]
            score = [our[1] - their[1] for our, their in zip(ours, theirs, strict=True)]
            table.add_row(
                name, *rates, f"{min(bits):+.2f} to {max(bits):+.2f} %", f"{min(score):+.3f} to {max(score):+.3f} dB",
                check.remark,
            )  # fmt: skip
    except LayeredError as error:
        parser.error(str(error))
    table.title = f"against the published curves, {len(data.items)} Kodak images"
    Console().print(table)


if __name__ == "__main__":
    main()
