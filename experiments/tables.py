"""From records to averages and BD-rates: what the report shows, without any layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from baselines.protocol import Quality
from experiments.bdrate import Curve, bd_rate, overlap
from experiments.metrics import mean
from experiments.record import Record
from experiments.results import Results
from layered.errors import LayeredError

__all__ = ["RULES", "Cell", "Point", "Tables", "layer_label"]

RULES = ("curve of averages", "mean of images")
"""Curve of averages: bpp and PSNR are averaged over the images at each quality, and the two curves compared.
Mean of images: each image's curves are compared, and the percentages averaged."""

SMALL_OVERLAP = 0.5
NAMED_IMAGES = 3
MOST = 0.9
"""Share of the images that must have a BD-rate of their own: a mean over the few that do would mislead."""


@dataclass(frozen=True)
class Point:
    """Averages over `images` images of a codec at one quality, for one layer; ms_ssim if all have it."""

    quality: Quality
    images: int
    bpp: float
    psnr: float
    ms_ssim: float | None
    encode_seconds: float
    decode_seconds: float


@dataclass(frozen=True)
class Cell:
    """A BD-rate in percent, None where there is none; notes say why, or what it leaves out."""

    value: float | None
    notes: tuple[str, ...] = ()


def layer_label(layer: int, scale: float) -> str:
    """`BL x0.25`, `EL1 x0.5`, and so on."""
    return f"{'BL' if layer == 0 else f'EL{layer}'} x{scale:g}"


class Tables:
    """Averages and BD-rates of one run, computed from its records when asked for."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.codecs = tuple(spec.name for spec in results.recipe.codecs)
        self.layers = tuple(layer_label(k, scale) for k, scale in enumerate(results.recipe.scales))
        self._records = {(r.codec, r.quality, r.image): r for r in results.records}
        self._qualities = {spec.name: spec.qualities for spec in results.recipe.codecs}
        self._images = results.images()

    def complete(self, codec: str) -> tuple[str, ...]:
        """The images that have a record at every quality of a codec; only these enter any average."""
        wanted = self._qualities[codec]
        return tuple(i for i in self._images if all((codec, q, i) in self._records for q in wanted))

    def points(self, codec: str, layer: int) -> tuple[Point, ...]:
        """One average per quality.  Raises LayeredError when no image is complete or one is lossless."""
        images = self.complete(codec)
        points = []
        for quality in self._qualities[codec]:
            records = [self._records[codec, quality, image] for image in images]
            layers = [record.layers[layer] for record in records]
            similar = [entry.ms_ssim for entry in layers if entry.ms_ssim is not None]
            points.append(
                Point(
                    quality,
                    len(images),
                    mean(entry.bpp for entry in layers),
                    mean(entry.psnr for entry in layers),
                    mean(similar) if similar and len(similar) == len(layers) else None,
                    mean(record.encode_seconds for record in records),
                    mean(record.decode_seconds for record in records),
                )
            )
        return tuple(points)

    def bd_cell(self, anchor: str, test: str, layer: int, rule: str) -> Cell:
        """BD-rate of `test` against `anchor` over the images that both completed; rule: one of RULES."""
        images = [image for image in self.complete(test) if image in self.complete(anchor)]
        if not images:
            return Cell(None, ("no image was measured at all qualities with both codecs",))
        cell = (self._of_averages if rule == RULES[0] else self._of_images)(anchor, test, layer, images)
        if len(images) < len(self._images):
            return Cell(cell.value, (*cell.notes, f"over the {len(images)} images that both completed"))
        return cell

    def _of_averages(self, anchor: str, test: str, layer: int, images: list[str]) -> Cell:
        try:
            curves = [self._curve(codec, layer, images) for codec in (anchor, test)]
            value = bd_rate(curves[0], curves[1], self.results.recipe.bd_rate)
        except LayeredError as error:
            return Cell(None, (str(error),))
        share = overlap(*curves)
        if share < SMALL_OVERLAP:
            return Cell(value, (f"the curves share only {share:.0%} of the shorter one's range of PSNR",))
        return Cell(value)

    def _of_images(self, anchor: str, test: str, layer: int, images: list[str]) -> Cell:
        values, faults = [], {}
        for image in images:
            try:
                curves = [self._curve(codec, layer, [image]) for codec in (anchor, test)]
                values.append(bd_rate(curves[0], curves[1], self.results.recipe.bd_rate))
            except LayeredError as error:
                faults[image] = str(error)
        if not faults:
            return Cell(mean(values))
        names = ", ".join(list(faults)[:NAMED_IMAGES]) + (" and others" if len(faults) > NAMED_IMAGES else "")
        reason = f"{len(faults)} of {len(images)} images ({names}): {next(iter(faults.values()))}"
        if len(values) < MOST * len(images):
            return Cell(None, (f"no mean, because of {reason}",))
        return Cell(mean(values), (f"without {reason}",))

    def _curve(self, codec: str, layer: int, images: list[str]) -> Curve:
        def average(value: Callable[[Record], float], quality: Quality) -> float:
            return mean(value(self._records[codec, quality, image]) for image in images)

        qualities = self._qualities[codec]
        rates = tuple(average(lambda record: record.layers[layer].bpp, q) for q in qualities)
        return Curve(rates, tuple(average(lambda record: record.layers[layer].psnr, q) for q in qualities))
