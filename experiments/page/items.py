"""Every measured item of a run in a small file, by which a sample of them can be measured again and compared."""

from __future__ import annotations

import csv
import io
import lzma
import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from experiments.export import csv_bytes
from experiments.page.kept import compressed
from experiments.plan import Entry
from experiments.record import Record
from experiments.words import ladder_label, quality_text
from layered.errors import RecipeError
from layered.files import write_bytes_atomic

__all__ = ["FILE", "ItemKey", "Layers", "layers_of", "read_items", "write_items"]

FILE = "items.csv.xz"
_HEADER = ("codec", "quality", "image", "scales", "layer", "bytes", "psnr")

Layers = tuple[tuple[int, str], ...]
"""Bytes and PSNR of every layer, as a file of items has them."""


@dataclass(frozen=True, order=True)
class ItemKey:
    """What names an item within a run; all as in the tables."""

    codec: str
    quality: str
    image: str
    scales: str

    @classmethod
    def of(cls, what: Record | Entry) -> ItemKey:
        """That of a record, or of one that is yet to be made."""
        return cls(what.codec, quality_text(what.quality), what.image, ladder_label(what.scales))


def layers_of(record: Record) -> Layers:
    """What a file of items has of a record."""
    return tuple((layer.bytes, f"{layer.psnr:.3f}") for layer in record.layers)


def write_items(records: Iterable[Record], path: Path) -> None:
    """One row a layer, in the order of the records; PSNR in thousandths of a dB."""
    rows = [
        [*astuple(ItemKey.of(record)), number, size, psnr]
        for record in records
        for number, (size, psnr) in enumerate(layers_of(record))
    ]
    write_bytes_atomic(path, compressed(csv_bytes(_HEADER, rows)))


def read_items(path: Path) -> dict[ItemKey, Layers]:
    """What `write_items` wrote, in the same order.  Raises RecipeError for anything else, or where it holds no item."""
    items: dict[ItemKey, list[tuple[int, str]]] = {}
    try:
        rows = list(csv.reader(io.StringIO(lzma.decompress(path.read_bytes()).decode())))
        if tuple(rows[0]) != _HEADER:
            raise ValueError(f"columns {rows[0]}")
        if not rows[1:]:
            raise ValueError("a header and no item")
        for codec, quality, image, scales, layer, size, psnr in rows[1:]:
            if math.isnan(float(psnr)):
                raise ValueError(f"a PSNR of {psnr}")
            found = items.setdefault(ItemKey(codec, quality, image, scales), [])
            if int(layer) != len(found):
                raise ValueError(f"layer {layer} of {codec}, {image}, where {len(found)} is next")
            found.append((int(size), psnr))
    except (OSError, lzma.LZMAError, csv.Error, ValueError, IndexError) as error:
        raise RecipeError(f"{path}: not a file of items ({error})") from None
    return {key: tuple(layers) for key, layers in items.items()}
