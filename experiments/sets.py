"""Measures of all decoded pictures of a codec together: mIoU, FID and KID, beside the rates of real files.

    python -m experiments.sets RECIPE --segmenter seg.safetensors --labels DIR
    python -m experiments.sets RUN --features my.py:Extractor --patch 64
    python -m experiments.sets --weights FILE --qualities 1,2 --pictures DIR --segmenter my.py:Class --classes a,b ...

RECIPE is one of `layered bench`, by name or file, RUN the folder of one that was measured, and weights with a folder
are a recipe without a file.  What has no record yet is measured first.  Of every set of scales the top layer counts.
The decoded pictures are kept as PNGs in the folder `decoded` of the run, so that they are decoded once; the results go
to `sets.csv` beside it, in place of earlier ones.  The row `codec off` is the originals.

    class Segment:                                # my.py:Segment
        def __call__(self, image): ...            # uint8 [H, W, 3] -> class numbers [H, W]

    class Extractor:                              # my.py:Extractor
        def __call__(self, images): ...           # uint8 [N, side, side, 3] -> numbers [N, D]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from baselines.classes import is_class_name
from experiments.data import Picture
from experiments.decoded import Coded, decode_all
from experiments.distances import Extractor, features_of, fid, find_extractor, kid
from experiments.export import write_csv
from experiments.harness import run
from experiments.overlap import Hook, find_segmenter
from experiments.recipe import load_recipe, make_recipe
from experiments.runs import Results, find_run, load_results
from experiments.words import ladder_label, quality_text, quantity
from experiments.work import limit_threads
from layered.errors import LayeredError, OptionError
from layered.guide import load_labels
from layered.image import Image8

__all__ = ["OFF", "Measures", "Row", "main", "measure_sets"]

OFF = "codec off"
DEVIATION = " deviation"


@dataclass(frozen=True)
class Measures:
    """What is measured.

    segmenter, labels: for mIoU; the maps are PNGs named as the pictures.  extractor, patch: for FID and KID, of
    squares of so many pixels a side.  seed: of KID's subsets.  Raises OptionError for squares without pixels, or a
    seed below 0.
    """

    segmenter: Hook | None = None
    labels: Path | None = None
    extractor: Extractor | None = None
    patch: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.patch < 1:
            raise OptionError(f"squares of {self.patch} pixels a side are none; the least is 1")
        if self.seed < 0:
            raise OptionError(f"a seed is 0 or more, got {self.seed}")


@dataclass(frozen=True)
class Row:
    """values: by measure.  codec: `codec off`, without quality and rate, for the originals.  notes: what lacks, why."""

    scales: tuple[float, ...]
    codec: str
    quality: str
    bpp: float | None
    images: int
    values: Mapping[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def measure_sets(coded: Sequence[Coded], measures: Measures, progress: bool = True) -> list[Row]:
    """A row for the originals of every set of scales, and one for each codec and quality.

    Raises ImageError for label maps that are missing, OptionError for those of another size.
    """
    rows: list[Row] = []
    references: dict[tuple[object, ...], Any] = {}
    for one in track(coded, "measuring", console=Console(stderr=True), disable=not progress):
        same = (one.scales, one.pictures)  # a codec that has failed on some images is compared with the others alone
        if same not in references:
            references[same] = _features(one.originals(), measures)
            values = _overlap(one.originals(), one.pictures, measures)
            rows.append(Row(one.scales, OFF, "", None, len(one.files), values))
        distances, notes = _distances(_features(one.decoded(), measures), references[same], measures)
        values = {**_overlap(one.decoded(), one.pictures, measures), **distances}
        quality = quality_text(one.quality)
        rows.append(Row(one.scales, one.codec, quality, one.bpp, len(one.files), values, notes))
    return rows


def _overlap(images: Iterator[Image8], pictures: Sequence[Picture], measures: Measures) -> dict[str, float | None]:
    hook = measures.segmenter
    if hook is None or measures.labels is None:
        return {}
    confusion = hook.confusion()
    for image, picture in zip(images, pictures, strict=True):
        path = measures.labels / f"{picture.path.stem}.png"
        labels = load_labels(path)
        if labels.shape != image.shape[:2]:
            sizes = f"{labels.shape[1]}x{labels.shape[0]}, the layer {image.shape[1]}x{image.shape[0]}"
            raise OptionError(f"{path} is {sizes}; mIoU needs a top layer of the size of the maps")
        confusion.add(labels, hook.of(image))
    ious = zip(hook.classes, confusion.ious(), strict=True)
    return {"mIoU": confusion.mean(), **{f"IoU {name}": iou for name, iou in ious}}


def _features(images: Iterator[Image8], measures: Measures) -> Any:
    return None if measures.extractor is None else features_of(measures.extractor, images, measures.patch)


def _distances(found: Any, reference: Any, measures: Measures) -> tuple[dict[str, float | None], tuple[str, ...]]:
    if found is None:
        return {}, ()
    distance, name = kid(reference, found, np.random.default_rng(measures.seed)), f"KID/{measures.patch}"
    values: dict[str, float | None] = {name: distance.value, name + DEVIATION: distance.deviation}
    try:
        return {f"FID/{measures.patch}": fid(reference, found), **values}, ()
    except OptionError as error:
        return {f"FID/{measures.patch}": None, **values}, (str(error),)


def table(rows: Sequence[Row]) -> Table:
    """Rows without the IoUs of single classes, which are in the file; scales where there are several sets of them."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    shown = [name for name in names if not name.startswith("IoU ") and not name.endswith(DEVIATION)]
    several = len({row.scales for row in rows}) > 1
    made = Table(*["scales"] * several, "codec", "quality", "bpp", *shown, box=SIMPLE_HEAD)
    for column in made.columns[1 + several :]:
        column.justify = "right"
    for row in rows:
        rate = "" if row.bpp is None else f"{row.bpp:.4f}"
        cells = (_cell(row.values.get(name), row.values.get(name + DEVIATION)) for name in shown)
        made.add_row(*[ladder_label(row.scales)] * several, row.codec, row.quality, rate, *cells)
    return made


def _cell(value: float | None, deviation: float | None) -> str:
    spread = "" if deviation is None else f" +-{deviation:.2g}"
    return "" if value is None else f"{value:.4g}{spread}"


def _results(given: argparse.Namespace) -> Results:
    """The run whose pictures are measured; what a recipe lacks is measured now."""
    if given.weights:
        if given.source or not (given.qualities and given.pictures):
            raise OptionError("--weights goes with --qualities and --pictures, and without a recipe")
        name = _name_of(given.weights)
        try:
            qualities = [float(quality) for quality in given.qualities.split(",")]
        except ValueError:
            raise OptionError(f"--qualities: {given.qualities!r} is not numbers with commas between") from None
        codec = {"name": name, "codec": "layered", "weights": given.weights, "qualities": qualities}
        recipe = make_recipe({"name": name, "data": given.pictures, "codecs": [codec]}, given.overrides)
    elif not given.source:
        raise OptionError("name a recipe, the folder of a run, or --weights")
    elif Path(given.source).is_dir():
        return load_results(find_run(Path(given.source)))
    else:
        recipe = load_recipe(given.source, given.overrides)
    return run(recipe, given.out or Path("out"), workers=given.workers)


def _name_of(weights: str) -> str:
    """The name of a run of these weights: that of the file, or of the folder in which training has put it."""
    path = Path(weights)
    found = path.parent.name if path.name == "weights.safetensors" else path.name.partition(".")[0]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", found).strip("-._") or "weights"


def _require_sense(given: argparse.Namespace) -> None:
    """Raises OptionError for options that would do nothing."""

    def there(*values: object) -> bool:
        return any(value is not None for value in values)

    of_a_run = not given.weights and given.source and Path(given.source).is_dir()
    dead = {
        "--qualities and --pictures go with --weights": given.weights is None
        and there(given.qualities, given.pictures),
        "--out, --workers and --set are for what is measured now, not for the folder of a run; name its recipe":
        of_a_run and (given.overrides or there(given.out, given.workers)),
        "--patch and --seed go with --features": given.features is None and there(given.patch, given.seed),
        "--classes, --ignore and --device go with --segmenter": given.segmenter is None
        and there(given.classes, given.ignore, given.device),
        "--device is for a segmenter from a file; a class chooses its own": given.segmenter is not None
        and is_class_name(given.segmenter) and there(given.device),
    }
    if wrong := next((told for told, is_so in dead.items() if is_so), None):
        raise OptionError(wrong)


def _measures(given: argparse.Namespace) -> Measures:
    if (given.segmenter is None) != (given.labels is None) or not (given.segmenter or given.features):
        raise OptionError("--segmenter with --labels gives mIoU, --features FID and KID; ask for one or both")
    classes = given.classes.split(",") if given.classes else ()
    device = given.device or "cpu"
    segmenter = find_segmenter(given.segmenter, classes, given.ignore, device) if given.segmenter else None
    extractor = find_extractor(given.features) if given.features else None
    own = {name: value for name in ("patch", "seed") if (value := getattr(given, name)) is not None}
    return Measures(segmenter, given.labels, extractor, **own)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 1 where records are missing.  Raises LayeredError."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", metavar="RECIPE|RUN")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="A.B=C", help="as of bench")
    parser.add_argument("--out", type=Path, help="as of bench")
    parser.add_argument("--workers", type=int, help="as of bench")
    parser.add_argument("--weights", help="a weights file, or bundled weights by name")
    parser.add_argument("--qualities", help="of the weights, with commas between")
    parser.add_argument("--pictures", help="a folder, or a data set by name")
    parser.add_argument("--segmenter", metavar="FILE", help="of experiments.segmentation, or my.py:Class")
    parser.add_argument("--labels", type=Path, metavar="DIR", help="grey PNGs of class numbers")
    parser.add_argument("--classes", help="names, for a segmenter of your own")
    parser.add_argument("--ignore", type=int, help="the class that does not count, for a segmenter of your own")
    parser.add_argument("--device", help="of a segmenter from a file; cpu unless said")
    parser.add_argument("--features", metavar="my.py:Class")
    parser.add_argument("--patch", type=int, help="side of the squares, in pixels: 256 unless said")
    parser.add_argument("--seed", type=int, help="of KID's subsets: 0 unless said")
    given = parser.parse_args(arguments)
    _require_sense(given)
    measures = _measures(given)
    results = _results(given)
    limit_threads(results.recipe.threads)
    rows = measure_sets(decode_all(results), measures)
    lines = [
        [ladder_label(row.scales), row.codec, row.quality, row.images, row.bpp, name, value]
        for row in rows
        for name, value in row.values.items()
    ]
    path = results.folder / "sets.csv"
    write_csv(path, "scales codec quality images bpp measure value".split(), lines)
    console = Console()
    console.print(table(rows), *dict.fromkeys(note for row in rows for note in row.notes), sep="\n")
    if results.failures:
        console.print(f"{quantity(len(results.failures), 'record')} missing; layered report says which and why")
    console.print(f"with each class: {path}", soft_wrap=True, markup=False)
    return int(bool(results.failures))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LayeredError as error:
        sys.exit(f"error: {error}")
