"""Codecs beside one another at the rate of one of them, or as near to it as each can come."""

from __future__ import annotations

import math
from dataclasses import dataclass

from experiments.grids import Grid
from experiments.metrics import mean
from experiments.record import LayerRecord, Record
from experiments.runs import Results
from experiments.tables import mean_of_all
from experiments.words import quality_text, quantity

__all__ = ["Group", "groups", "nearest_grid"]


@dataclass(frozen=True)
class Group:
    """One image: the record of the codec that the others are beside, and for each other codec its nearest in rate."""

    image: str
    records: tuple[Record, ...]

    @property
    def codecs(self) -> tuple[str, ...]:
        """Their names, of those that have a record of the image."""
        return tuple(record.codec for record in self.records)


def groups(results: Results) -> tuple[Group, ...]:
    """A group for each image that the codec which the recipe is `beside` was measured on, in the recipe's order.

    Rates are those of the top layer of the first set of scales; near is a small ratio.
    """
    compared, scales = results.recipe.compared, results.recipe.scales[0]
    if compared is None:
        return ()
    records = [record for record in results.records if record.scales == scales]
    names = [spec.name for spec in results.recipe.codecs if spec.name != compared[0]]
    found = []
    for first in records:
        if (first.codec, first.quality) == compared:
            others = [[r for r in records if (r.codec, r.image) == (name, first.image)] for name in names]
            near = [min(given, key=lambda r: abs(math.log(_top(r).bpp / _top(first).bpp))) for given in others if given]
            found.append(Group(first.image, (first, *near)))
    return tuple(found)


def nearest_grid(results: Results) -> Grid | None:
    """Means over the images of every codec at its nearest rate; of images alone on which all were measured."""
    found = groups(results)
    if results.recipe.compared is None or not found:
        return None
    codec, quality = results.recipe.compared
    most = max((group.codecs for group in found), key=len)
    whole = [group for group in found if group.codecs == most]
    rows, labels = [], [score.label for score in results.recipe.scores]
    for records in zip(*(group.records for group in whole), strict=True):
        layers = [_top(record) for record in records]
        similar = mean_of_all([layer.ms_ssim for layer in layers])
        similarity = "-" if similar is None else f"{similar:.4f}"
        scores = (mean_of_all([layer.scores.get(label) for layer in layers]) for label in labels)
        told = ("-" if score is None else f"{score:.4g}" for score in scores)
        rate = mean(layer.bpp for layer in layers)
        ratio = mean(layer.bpp / _top(group.records[0]).bpp for layer, group in zip(layers, whole, strict=True))
        lossless = any(math.isinf(layer.psnr) for layer in layers)
        quality_db = "-" if lossless else f"{mean(layer.psnr for layer in layers):.2f}"
        rows.append((records[0].codec, f"{rate:.4f}", f"{ratio:.2f}", quality_db, similarity, *told))
    where = f"{codec} at quality {quality_text(quality)}"
    title = f"At the rate of {where}, or as near to it as each comes: means over {quantity(len(whole), 'image')}"
    return Grid(title, ("codec", "bpp", "times its rate", "PSNR dB", "MS-SSIM", *labels), tuple(rows))


def _top(record: Record) -> LayerRecord:
    return record.layers[-1]
