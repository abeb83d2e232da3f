"""The pictures of the page, and what they cost in bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baselines.protocol import Quality
from baselines.registry import SEPARATE
from experiments.html.choice import LADDER, chosen_qualities, image_rate, reference_codec, sorted_images
from experiments.html.copies import fit, thumbnail
from experiments.html.values import finite
from experiments.record import Record
from experiments.store import Store
from experiments.tables import Tables
from experiments.words import quality_text

__all__ = ["Gallery", "make_gallery"]

LAYER_ROOM = 60
"""Bytes of the numbers of one codec's layer on one image."""


@dataclass(frozen=True)
class Gallery:
    """values: for the page's script.  copies: picture files, which the values name by their numbers."""

    values: dict[str, Any]
    copies: tuple[bytes, ...]


@dataclass(frozen=True)
class _Shown:
    """One image.  originals, decoded: a file per layer, per codec and layer, where it was kept."""

    name: str
    position: float | None
    records: tuple[Record | None, ...]
    originals: tuple[Path | None, ...]
    decoded: tuple[tuple[Path | None, ...], ...]

    @property
    def files(self) -> list[Path]:
        return [path for paths in (self.originals, *self.decoded) for path in paths if path]


def make_gallery(tables: Tables, room: int) -> Gallery:
    """Every image with every codec at one quality, and as many pictures as fit into `room` bytes of the page."""
    recipe = tables.results.recipe
    chosen, target = chosen_qualities(tables)
    sorted_by, order = sorted_images(tables, chosen)
    shown = _shown(tables, order, chosen)
    room -= LAYER_ROOM * len(shown) * (1 + len(tables.codecs)) * len(tables.ladders[LADDER].scales)
    fitted = fit(_from_both_ends([image.files for image in shown]), room)
    copies = list(fitted.copies.values())
    numbers = {path: number for number, path in enumerate(fitted.copies)}
    images = []
    for image in shown:
        value = _value(tables, image, numbers)
        small = next((number for number in value["originals"] if number is not None), None)
        if small is not None:
            value["thumbnail"] = len(copies)
            copies.append(thumbnail(copies[small]))
        images.append(value)
    left_out = sum(bool(image.files) and not set(image.files) <= numbers.keys() for image in shown)
    values = {
        "ladder": LADDER,
        "why": "" if numbers else _why_none(recipe.previews, left_out),
        "how": fitted.how + (f" {left_out} of {len(shown)} images have none." if left_out else ""),
        "sortedBy": sorted_by,
        "target": finite(target, 3),
        "cumulative": [SEPARATE.get(spec.codec, True) for spec in recipe.codecs],
        "qualities": [quality_text(chosen[codec][0]) if codec in chosen else "" for codec in tables.codecs],
        "bpp": [finite(chosen[codec][1], 3) if codec in chosen else None for codec in tables.codecs],
        "reference": reference_codec(tables),
        "images": images,
    }
    return Gallery(values, tuple(copies))


def _shown(
    tables: Tables, order: Sequence[tuple[str, float | None]], chosen: Mapping[str, tuple[Quality, float]]
) -> list[_Shown]:
    results, scales = tables.results, tables.ladders[LADDER].scales
    store = Store(results.folder / "records")
    keys = {(r.scales, r.codec, r.quality, r.image): k for r, k in zip(results.records, results.keys, strict=True)}

    def decoded(record: Record | None) -> tuple[Path | None, ...]:
        if record is None:
            return (None,) * len(scales)
        of = keys[record.scales, record.codec, record.quality, record.image]
        if len(of) == len(scales):  # every layer is an item of its own
            return tuple(_existing(store.preview(key, 0)) for key in of)
        return tuple(_existing(store.preview(of[0], layer)) for layer in range(len(scales)))

    shown = []
    digests = {record.image: record.image_sha256 for record in results.records}
    for name, position in order:
        records = tuple(
            tables.record(codec, chosen[codec][0], name, LADDER) if codec in chosen else None for codec in tables.codecs
        )
        originals = tuple(_existing(store.original(digests[name], scale)) for scale in scales)
        shown.append(_Shown(name, position, records, originals, tuple(map(decoded, records))))
    return shown


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _value(tables: Tables, image: _Shown, numbers: Mapping[Path, int]) -> dict[str, Any]:
    """One image for the page's script; rates: BD-rates on it against the reference, per codec and layer."""
    reference, layers = reference_codec(tables), range(len(tables.ladders[LADDER].scales))

    def number(path: Path | None) -> int | None:
        return numbers.get(path) if path else None

    def rates(codec: int) -> list[float | str | None]:
        if reference is None or codec == reference:
            return [None for _ in layers]
        pair = (tables.codecs[reference], tables.codecs[codec])
        return [finite(image_rate(tables, *pair, layer, image.name), 4) for layer in layers]

    def layer_numbers(record: Record | None) -> list[list[Any]] | None:
        if record is None:
            return None
        return [
            [entry.width, entry.height, entry.bytes, finite(entry.psnr, 6), finite(entry.ms_ssim, 6)]
            for entry in record.layers
        ]

    return {
        "name": image.name,
        "position": finite(image.position, 4),
        "thumbnail": None,
        "originals": [number(path) for path in image.originals],
        "copies": [[number(path) for path in paths] for paths in image.decoded],
        "layers": [layer_numbers(record) for record in image.records],
        "rates": [rates(codec) for codec in range(len(tables.codecs))],
    }


def _from_both_ends(groups: Sequence[list[Path]]) -> list[list[Path]]:
    """First, last, second, last but one: where there is not room for all, the extremes are worth most."""
    front, back = groups[: (len(groups) + 1) // 2], groups[(len(groups) + 1) // 2 :][::-1]
    return [group for pair in zip(front, [*back, []], strict=False) for group in pair if group]


def _why_none(kept: bool, left_out: int) -> str:
    if left_out:
        return "the file would become too large"
    return "the run kept none" if kept else "the recipe says previews: false"
