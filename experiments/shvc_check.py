"""How close the emulated SHVC comes to measurements of the reference software SHM, layer by layer.

    python -m experiments.shvc_check --reference DIR [--images N] [--scales 2_1]
    python -m experiments.shvc_check --reference DIR --scales 4_2_1 --run out/kodak_3layer --codec layered

DIR holds `shm11_kodak_2_1.csv` and such, named by the factors between the image and its layers, the base first: one
row per image, QP and layer, with the layer's bits and its PSNR in RGB.  The same Kodak images are coded at the same
QPs; bits are accumulated over layers.  Ours are those of whole files; theirs, as SHM's log counts them, are without
start codes, 20 bytes of a file of one layer and 42 of three.  With a run, a codec of that is compared instead.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from baselines.protocol import Codec
from baselines.shvc.emulated import EmulatedShvc
from baselines.x265 import MAX_QP
from experiments.bdrate import Curve, bd_rate
from experiments.data import DataSet, find_data
from experiments.metrics import mean, psnr
from experiments.runs import Results, load_results
from experiments.tables import Tables
from layered.errors import LayeredError, OptionError
from layered.files import read_bytes
from layered.image import check_scales, resize8

__all__ = ["Key", "Point", "against", "compare", "main", "measured", "referenced"]


@dataclass(frozen=True, order=True)
class Key:
    """One picture: a layer, the base being 0, of an image at a QP."""

    image: str
    layer: int
    qp: int


@dataclass(frozen=True)
class Point:
    """What a picture costs, with all layers below, and its PSNR in dB against the resized image."""

    bits: float
    psnr: float


def referenced(path: Path, images: Sequence[str]) -> dict[Key, Point]:
    """The points of `images` (names without ending) in a table of SHM's results.

    Raises LayeredError when the table lacks an image or a column, or holds what is no number.
    """
    rows = list(csv.DictReader(io.StringIO(read_bytes(path).decode(errors="replace"))))
    points: dict[Key, Point] = {}
    try:
        for row in sorted(rows, key=lambda row: int(row["layer"])):
            key = Key(Path(row["image"]).stem, int(row["layer"]), int(row["qp"]))
            lower = points[Key(key.image, key.layer - 1, key.qp)].bits if key.layer else 0
            points[key] = Point(lower + int(row["layer_bits"]), float(row["psnr_rgb_db"]))
    except (KeyError, ValueError, TypeError) as error:
        raise LayeredError(f"{path}: no table of SHM's results ({type(error).__name__}: {error})") from None
    if missing := [image for image in images if image not in {key.image for key in points}]:
        raise LayeredError(f"{path}: no results of {missing[0]}")
    return {key: point for key, point in points.items() if key.image in images}


def measured(codec: Codec, data: DataSet, scales: Sequence[float], qps: Sequence[int]) -> dict[Key, Point]:
    """The same of a codec of ours."""
    points = {}
    for picture in data.items:
        image = picture.load()
        for qp in qps:
            encoded = codec.encode(image, scales, MAX_QP - qp)
            for layer, made in enumerate(codec.decode(encoded)):
                score = psnr(made, resize8(image, made.shape[1], made.shape[0]))
                points[Key(picture.name, layer, qp)] = Point(8 * encoded.layer_bytes[layer], score)
    return points


def compare(ours: Mapping[Key, Point], theirs: Mapping[Key, Point]) -> list[tuple[int, str, float, float | None]]:
    """Rows of (layer, what, rate in percent, PSNR in dB), ours less theirs.

    What: `QP n`, each the mean over images of bits and of PSNR; `mean curve`, the BD-rate of these means; `mean of
    images`, the mean of the images' BD-rates; these have no PSNR.  Raises CurveError where a curve makes no
    sense, LayeredError where the two hold different points.
    """
    if ours.keys() != theirs.keys():
        other = min(ours.keys() ^ theirs.keys())
        raise LayeredError(f"{other.image} at QP {other.qp}, layer {other.layer}, is in one of the results only")
    images, layers, qps = (sorted({getattr(key, name) for key in ours}) for name in ("image", "layer", "qp"))
    rows: list[tuple[int, str, float, float | None]] = []
    for layer in layers:
        single = []
        for image in images:
            anchor, test = (_curve([points[Key(image, layer, qp)] for qp in qps]) for points in (theirs, ours))
            single.append(bd_rate(anchor, test))
        means = [_means([[of[Key(image, layer, qp)] for image in images] for qp in qps]) for of in (theirs, ours)]
        for qp, their, our in zip(qps, *means, strict=True):
            rows.append((layer, f"QP {qp}", 100 * (our.bits / their.bits - 1), our.psnr - their.psnr))
        rows.append((layer, "mean curve", bd_rate(_curve(means[0]), _curve(means[1])), None))
        rows.append((layer, "mean of images", mean(single), None))
    return rows


def against(theirs: Mapping[Key, Point], results: Results, codec: str) -> list[tuple[int, str, float, float | None]]:
    """The rows `mean curve` of `compare`, for a codec of a run.

    Raises LayeredError for other or smaller images than the table's, for a codec that the run lacks, and for another
    number of layers; CurveError where a curve makes no sense.
    """
    tables = Tables(results)
    if codec not in tables.codecs:
        raise LayeredError(f"{results.folder}: no codec {codec!r}; there are {', '.join(tables.codecs)}")
    images, layers, qps = (sorted({getattr(key, name) for key in theirs}) for name in ("image", "layer", "qp"))
    if len(tables.ladders) > 1 or sorted(tables.complete(codec)) != images:
        raise LayeredError(f"{results.folder}: not one set of scales, or not all of the table's {len(images)} images")
    if results.recipe.data.longest_side is not None:
        raise LayeredError(f"{results.folder}: its images were shrunk, those of the table were not")
    records = [record for record in results.records if record.codec == codec]
    if any(len(record.layers) != len(layers) for record in records):
        raise LayeredError(f"{results.folder}: its layers are not the {len(layers)} of the table")
    rows: list[tuple[int, str, float, float | None]] = []
    for layer in layers:
        anchor = [[theirs[Key(image, layer, qp)] for image in images] for qp in qps]
        test = [
            [Point(8 * r.layers[layer].bytes, r.layers[layer].psnr) for r in records if r.quality == quality]
            for quality in tables.qualities(codec)
        ]
        rows.append((layer, "mean curve", bd_rate(_curve(_means(anchor)), _curve(_means(test))), None))
    return rows


def _means(columns: Sequence[Sequence[Point]]) -> list[Point]:
    """Of each column, which is one QP or quality, the means over its images."""
    return [Point(mean(p.bits for p in column), mean(p.psnr for p in column)) for column in columns]


def _curve(points: Sequence[Point]) -> Curve:
    return Curve(tuple(point.bits for point in points), tuple(point.psnr for point in points))


def _scales(text: str) -> tuple[float, ...]:
    try:
        return check_scales([1 / float(factor) for factor in text.split("_")])
    except (ValueError, ZeroDivisionError, LayeredError):
        raise OptionError(f"{text!r}: factors such as 4_2_1, the base layer's first, are needed") from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--images", type=int, help="the first so many; all by default")
    parser.add_argument("--scales", default="2_1", help="which table, for example 4_2_1")
    parser.add_argument("--run", type=Path, help="folder of a run of the same images and scales")
    parser.add_argument("--codec", help="of the run: layered unless said")
    given = parser.parse_args(arguments)
    try:
        scales, codec = _scales(given.scales), given.codec or "layered"
        if given.codec and not given.run:
            raise OptionError("--codec goes with --run")
        if given.images is not None and given.images < 1:
            raise OptionError(f"at least one image is needed, got {given.images}")
        data = find_data("kodak", given.images)
        path = given.reference / f"shm11_kodak_{given.scales}.csv"
        theirs = referenced(path, [picture.name for picture in data.items])
        if given.run:
            results = load_results(given.run)
            if tuple(results.recipe.scales) != (scales,):
                raise LayeredError(f"{given.run}: its layers are not those of {given.scales}")
            rows = against(theirs, results, codec)
        else:
            ours = measured(EmulatedShvc(), data, scales, sorted({key.qp for key in theirs}))
            rows = compare(ours, theirs)
    except LayeredError as error:
        parser.error(str(error))
    title = f"{codec if given.run else 'emulated SHVC'} against SHM, {given.scales}, {len(data.items)} images"
    table = Table("layer", "at", "rate", "PSNR", title=title)
    for layer, what, rate, score in rows:
        table.add_row(str(layer), what, f"{rate:+.2f} %", "" if score is None else f"{score:+.3f} dB")
    Console().print(table)


if __name__ == "__main__":
    main()
