"""Which qualities and images the page shows pictures of, and in which order."""

from __future__ import annotations

import math
from collections.abc import Mapping

from baselines.protocol import Quality
from experiments.bdrate import bd_rate
from experiments.metrics import mean
from experiments.tables import Tables
from layered.errors import LayeredError

__all__ = ["LADDER", "chosen_qualities", "image_rate", "mean_rates", "reference_codec", "sorted_images"]

LADDER = 0
"""Pictures are of the recipe's first set of scales; those of all would be too many."""


def chosen_qualities(tables: Tables) -> tuple[dict[str, tuple[Quality, float]], float | None]:
    """For each codec the quality, and its mean bpp at the top layer, that is nearest to a common rate; that rate.

    The rate is the geometric middle of the range that all codecs cover (or of the gap between them).  A codec
    without any record has no quality.
    """
    means = mean_rates(tables, tables.ladders[LADDER].top)
    if not means:
        return {}, None
    low = max(min(of.values()) for of in means.values())
    high = min(max(of.values()) for of in means.values())
    target = math.sqrt(low * high)
    chosen = {codec: min(of.items(), key=lambda entry: abs(math.log(entry[1] / target))) for codec, of in means.items()}
    return chosen, target


def mean_rates(tables: Tables, layer: int) -> dict[str, dict[Quality, float]]:
    """By codec and quality the mean bpp of a layer over the images measured; without codecs that have no record."""
    scales = tables.ladders[LADDER].scales
    rates: dict[str, dict[Quality, list[float]]] = {}
    for record in tables.results.records:
        if record.scales == scales:
            rates.setdefault(record.codec, {}).setdefault(record.quality, []).append(record.layers[layer].bpp)
    return {codec: {quality: mean(found) for quality, found in of.items()} for codec, of in rates.items()}


def sorted_images(
    tables: Tables, chosen: Mapping[str, tuple[Quality, float]]
) -> tuple[str, tuple[tuple[str, float | None], ...]]:
    """By what images are sorted, in words; and their names with that number, worst first, those without one last.

    The number is the BD-rate at the top layer, against the reference, of the first codec that has one on any image, or
    the PSNR of the only codec.
    """
    top, names = tables.ladders[LADDER].top, tables.results.images()
    label, reference = tables.ladders[LADDER].layers[top], reference_codec(tables)
    if reference is None:
        codec = tables.codecs[0]
        words = f"PSNR of {codec} at {label}"
        found = {name: _psnr(tables, codec, chosen, name, top) for name in names}
        worst = 1.0
    else:
        for codec in (codec for index, codec in enumerate(tables.codecs) if index != reference):
            words = f"BD-rate of {codec} against {tables.codecs[reference]} at {label}"
            found = {name: image_rate(tables, tables.codecs[reference], codec, top, name) for name in names}
            if any(value is not None for value in found.values()):
                break
        worst = -1.0
    order = sorted(found.items(), key=lambda entry: (entry[1] is None, worst * (entry[1] or 0)))
    return words, tuple(order)


def image_rate(tables: Tables, anchor: str, test: str, layer: int, image: str) -> float | None:
    """BD-rate on one image; None where its curves cannot be compared."""
    if any(image not in tables.complete(codec, LADDER) for codec in (anchor, test)):
        return None
    try:
        curves = [tables.curve(codec, (LADDER, layer), [image]) for codec in (anchor, test)]
        return bd_rate(curves[0], curves[1], tables.results.recipe.bd_rate)
    except LayeredError:
        return None


def _psnr(
    tables: Tables, codec: str, chosen: Mapping[str, tuple[Quality, float]], image: str, layer: int
) -> float | None:
    record = tables.record(codec, chosen[codec][0], image, LADDER) if codec in chosen else None
    return record.layers[layer].psnr if record else None


def reference_codec(tables: Tables) -> int | None:
    """The first anchor, else the first of several codecs."""
    anchors = tables.results.recipe.anchors
    if len(tables.codecs) < 2:
        return None
    return tables.codecs.index(anchors[0]) if anchors else 0
