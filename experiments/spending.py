"""Where the bits went: what the layers of learned codecs spend their bytes on, means over the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from baselines.protocol import Quality
from experiments.grids import Grid
from experiments.metrics import mean
from experiments.record import Record
from experiments.tables import Tables
from experiments.words import quality_text

__all__ = ["part_names", "spending_grids"]

_NOTE = "Layers below are not counted; overhead: headers, lengths and checksums."


def part_names(records: Sequence[Record]) -> tuple[str, ...]:
    """All parts that records tell of, in the order in which they occur."""
    found = (layer.parts or {} for record in records for layer in record.layers)
    return tuple(dict.fromkeys(name for parts in found for name in parts))


def spending_grids(tables: Tables) -> tuple[Grid, ...]:
    """A table for each layer of each ladder, of a recipe that has codecs which adapt to pictures.

    A row for each codec and quality whose records tell the parts, over the images that other averages are over.
    """
    if not any(spec.adaptation for spec in tables.results.recipe.codecs):
        return ()
    grids = []
    for index, ladder in enumerate(tables.ladders):
        for layer, label in enumerate(ladder.layers):
            found = _told(tables, index, layer)
            names = tuple(dict.fromkeys(name for _, _, parts in found for given in parts for name in given))
            rows = []
            for codec, quality, parts in found:
                means = [mean(given.get(name, 0) for given in parts) for name in names]
                rows.append((codec, quality_text(quality), *(f"{value:.1f}" for value in (*means, sum(means)))))
            if rows:
                where = f"{ladder.label}, {label}" if len(tables.ladders) > 1 else label
                header = ("codec", "quality", *names, "all")
                title = f"Where the bits went, {where}: bytes of the layer alone, means over the images"
                grids.append(Grid(title, header, tuple(rows), (_NOTE,)))
    return tuple(grids)


def _told(tables: Tables, ladder: int, layer: int) -> list[tuple[str, Quality, list[Mapping[str, int]]]]:
    """Codec, quality and the parts of each image, where records of all images tell them."""
    found = []
    for codec in tables.codecs:
        images = tables.complete(codec, ladder)
        for quality in tables.qualities(codec, ladder):
            records = [tables.record(codec, quality, image, ladder) for image in images]
            parts = [record.layers[layer].parts for record in records if record is not None]
            told = [given for given in parts if given is not None]
            if told and len(told) == len(images):
                found.append((codec, quality, told))
    return found
