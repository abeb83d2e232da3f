"""From records to averages and BD-rates: what the report shows, without any layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from baselines.protocol import Quality
from experiments.bdrate import Curve, bd_rate, in_common, overlap
from experiments.metrics import mean
from experiments.record import LayerRecord, Record
from experiments.runs import Results
from experiments.words import ladder_label, layer_label, quality_text, quantity
from layered.errors import LayeredError

__all__ = ["RULES", "Cell", "Ladder", "Point", "Tables", "mean_of_all"]

RULES = ("curve of averages", "mean of images")
"""Curve of averages: bpp and PSNR are averaged over the images at each quality, and the two curves compared.
Mean of images: each image's curves are compared, and the percentages averaged."""

SMALL_OVERLAP, FEW_DB = 0.5, 1.0
"""A share of the shorter curve's range of PSNR, and dB; below either a BD-rate says little of whole curves."""
SHARED = "share only"
"""In a note of curves that overlap less than that."""
NAMED_IMAGES = 3
MOST = 0.9
"""Share of the images that must have a BD-rate of their own: a mean over the few that do would mislead."""


@dataclass(frozen=True)
class Point:
    """Averages over `images` images of a codec at one quality, for one layer; ms_ssim and each score if all have it."""

    quality: Quality
    images: int
    bpp: float
    psnr: float
    ms_ssim: float | None
    encode_seconds: float
    decode_seconds: float
    decode_operations: float | None
    scores: Mapping[str, float | None]


@dataclass(frozen=True)
class Cell:
    """A BD-rate in percent, None where there is none; notes say why, or what it leaves out."""

    value: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ladder:
    """One set of layer scales.  layers: a label for each."""

    scales: tuple[float, ...]
    layers: tuple[str, ...]

    @property
    def label(self) -> str:
        """Its scales."""
        return ladder_label(self.scales)

    @property
    def top(self) -> int:
        """The number of the highest layer."""
        return len(self.scales) - 1


class Tables:
    """Averages and BD-rates of one run, computed from its records when asked for, and remembered.

    `ladder` counts the recipe's sets of scales, `layer` the layers of one set.  Sets of scales share layers, those
    below the first difference; they are known by their numbers, not by their scales, so nothing is assumed of codecs.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.codecs = tuple(spec.name for spec in results.recipe.codecs)
        self.ladders = tuple(
            Ladder(scales, tuple(layer_label(k, scale) for k, scale in enumerate(scales)))
            for scales in results.recipe.scales
        )
        self._records = {(r.scales, r.codec, r.quality, r.image): r for r in results.records}
        measured = {(r.scales, r.codec, r.quality) for r in results.records}
        self._qualities = {
            (spec.name, index): tuple(q for q in spec.qualities if (ladder.scales, spec.name, q) in measured)
            for spec in results.recipe.codecs
            for index, ladder in enumerate(self.ladders)
        }
        self._images = results.images()
        self._complete: dict[tuple[str, int], tuple[str, ...]] = {}
        self._curves: dict[tuple[str, int, tuple[str, ...]], Curve | LayeredError] = {}
        self._cells: dict[tuple[str, str, str, int, int], Cell] = {}
        self._contents: dict[tuple[object, ...], int] = {}
        self._content_of: dict[tuple[str, int, int], int] = {}

    def record(self, codec: str, quality: Quality, image: str, ladder: int = 0) -> Record | None:
        """One record, if it was measured."""
        return self._records.get((self.ladders[ladder].scales, codec, quality, image))

    def qualities(self, codec: str, ladder: int = 0) -> tuple[Quality, ...]:
        """Those of a codec that were measured on any image; the others are left out of its curves."""
        return self._qualities[codec, ladder]

    def complete(self, codec: str, ladder: int = 0) -> tuple[str, ...]:
        """The images that have a record at each of these qualities; only they enter any average."""
        if (codec, ladder) not in self._complete:
            scales, wanted = self.ladders[ladder].scales, self.qualities(codec, ladder)
            self._complete[codec, ladder] = tuple(
                i for i in self._images if wanted and all((scales, codec, q, i) in self._records for q in wanted)
            )
        return self._complete[codec, ladder]

    def points(self, codec: str, layer: int, ladder: int = 0) -> tuple[Point, ...]:
        """One average per quality.  Raises LayeredError when no image is complete or one is lossless."""
        images, scales = self.complete(codec, ladder), self.ladders[ladder].scales
        if not images:
            raise LayeredError("no image was measured at all qualities")
        points = []
        for quality in self.qualities(codec, ladder):
            records = [self._records[scales, codec, quality, image] for image in images]
            layers = [record.layers[layer] for record in records]
            points.append(
                Point(
                    quality,
                    len(images),
                    mean(entry.bpp for entry in layers),
                    mean(entry.psnr for entry in layers),
                    mean_of_all([entry.ms_ssim for entry in layers]),
                    mean(record.encode_seconds for record in records),
                    mean(record.decode_seconds for record in records),
                    mean_of_all([record.decode_operations for record in records]),
                    {
                        score.label: mean_of_all([entry.scores.get(score.label) for entry in layers])
                        for score in self.results.recipe.scores
                    },
                )
            )
        return tuple(points)

    def bd_cell(self, anchor: str, test: str, layer: int, rule: str, ladder: int = 0) -> Cell:
        """BD-rate of `test` against `anchor` over the images that both completed; rule: one of RULES."""
        key = (rule, anchor, test, self._content(anchor, ladder, layer), self._content(test, ladder, layer))
        if key not in self._cells:
            self._cells[key] = self._bd_cell(anchor, test, layer, rule, ladder)
        return self._cells[key]

    def _bd_cell(self, anchor: str, test: str, layer: int, rule: str, ladder: int) -> Cell:
        measured = set(self.complete(anchor, ladder))
        images = [image for image in self.complete(test, ladder) if image in measured]
        if not images:
            none = [codec for codec in (anchor, test) if not self.complete(codec, ladder)]
            who = f"with {' or '.join(none)}" if none else "with both codecs"
            return Cell(None, (f"no image was measured at all qualities {who}",))
        cell = (self._of_averages if rule == RULES[0] else self._of_images)(anchor, test, (ladder, layer), images)
        notes = [note for codec in (anchor, test) for note in self.gaps(codec, ladder)]
        if len(images) < len(self._images):
            notes.append(f"over the {quantity(len(images), 'image')} that both completed")
        return Cell(cell.value, (*cell.notes, *notes))

    def gaps(self, codec: str, ladder: int = 0) -> tuple[str, ...]:
        """What its curves lack, in words."""
        spec = next(spec for spec in self.results.recipe.codecs if spec.name == codec)
        lost = [quality for quality in spec.qualities if quality not in self.qualities(codec, ladder)]
        if not lost:
            return ()
        which = f"{'quality' if len(lost) == 1 else 'qualities'} {', '.join(map(quality_text, lost))}"
        return (f"{codec} without {which}, measured on no image",)

    def curve(self, codec: str, where: tuple[int, int], images: Sequence[str]) -> Curve:
        """Rate and PSNR over the qualities, averaged over `images`.  where: ladder and layer.  Raises LayeredError."""
        key = (codec, self._content(codec, *where), tuple(images))
        if key not in self._curves:
            try:
                self._curves[key] = self._curve(codec, where, images)
            except LayeredError as error:
                self._curves[key] = error
        found = self._curves[key]
        if isinstance(found, LayeredError):
            raise found
        return found

    def _curve(self, codec: str, where: tuple[int, int], images: Sequence[str]) -> Curve:
        def average(value: Callable[[LayerRecord], float], quality: Quality) -> float:
            scales = self.ladders[ladder].scales
            return mean(value(self._records[scales, codec, quality, image].layers[layer]) for image in images)

        ladder, layer = where
        qualities = self.qualities(codec, ladder)
        rates = tuple(average(lambda entry: entry.bpp, quality) for quality in qualities)
        return Curve(rates, tuple(average(lambda entry: entry.psnr, quality) for quality in qualities))

    def _content(self, codec: str, ladder: int, layer: int) -> int:
        """A number that is the same for two layers of a codec whose images, rates and PSNR are all the same."""
        place = (codec, ladder, layer)
        if place not in self._content_of:
            images = self.complete(codec, ladder)
            records = [self.record(codec, q, i, ladder) for q, i in product(self.qualities(codec, ladder), images)]
            layers = [record.layers[layer] for record in records if record is not None]
            numbers = (images, *((entry.bpp, entry.psnr) for entry in layers))
            self._content_of[place] = self._contents.setdefault(numbers, len(self._contents))
        return self._content_of[place]

    def _of_averages(self, anchor: str, test: str, where: tuple[int, int], images: Sequence[str]) -> Cell:
        try:
            curves = [self.curve(codec, where, images) for codec in (anchor, test)]
            value = bd_rate(curves[0], curves[1], self.results.recipe.bd_rate)
        except LayeredError as error:
            return Cell(None, (str(error),))
        share, decibels = overlap(*curves), in_common(*curves)
        if share < SMALL_OVERLAP or decibels < FEW_DB:
            told = f"{share:.0%} of the shorter one's range of PSNR, {decibels:.2f} dB"
            return Cell(value, (f"the curves {SHARED} {told}",))
        return Cell(value)

    def _of_images(self, anchor: str, test: str, where: tuple[int, int], images: Sequence[str]) -> Cell:
        values, shared, faults = [], {}, {}
        for image in images:
            try:
                curves = [self.curve(codec, where, [image]) for codec in (anchor, test)]
                values.append(bd_rate(curves[0], curves[1], self.results.recipe.bd_rate))
                if overlap(*curves) < SMALL_OVERLAP or in_common(*curves) < FEW_DB:
                    shared[image] = in_common(*curves)
            except LayeredError as error:
                faults[image] = str(error)
        notes: tuple[str, ...] = ()
        if shared:
            least = min(shared, key=shared.__getitem__)
            told = f"the curves of {len(shared)} of {len(images)} images {SHARED} a part of their range of PSNR"
            notes = (f"{told}, less than half or than {FEW_DB:g} dB ({least} {shared[least]:.2f} dB)",)
        if not faults:
            return Cell(mean(values), notes)
        names = ", ".join(list(faults)[:NAMED_IMAGES]) + (" and others" if len(faults) > NAMED_IMAGES else "")
        reason = f"{len(faults)} of {len(images)} images ({names}): {next(iter(faults.values()))}"
        if len(values) < MOST * len(images):
            return Cell(None, (f"no mean, because of {reason}",))
        return Cell(mean(values), (*notes, f"without {reason}"))


def mean_of_all(values: Sequence[float | None]) -> float | None:
    """The mean, or None where a value is missing."""
    found = [value for value in values if value is not None]
    return mean(found) if found and len(found) == len(values) else None
