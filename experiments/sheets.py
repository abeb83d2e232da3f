"""Contact sheets: an original and what codecs make of it at nearly one rate, each tile with its bytes in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import track

from experiments.decoded import top_picture
from experiments.nearest import groups
from experiments.record import Record
from experiments.redecode import picture_of
from experiments.runs import Results
from layered.errors import OptionError
from layered.image import Image8, load_image, save_image

__all__ = ["Tile", "sheet", "write_sheets"]

CAPTION = 22
"""Pixels of the line below each picture."""


@dataclass(frozen=True)
class Tile:
    """A picture and the line below it."""

    picture: Image8
    caption: str


def write_sheets(results: Results) -> tuple[Path, ...]:
    """`sheets/IMAGE.png` in the run's folder for the first images, as many as the recipe's `beside` says.

    Pictures are coded and decoded again where they are not kept from last time, so that they are exact; sheets of other
    images go.  Raises OptionError where the recipe says nothing of it, and LayeredError where coding gives other files.
    """
    if results.recipe.beside is None:
        raise OptionError(f"{results.recipe.name}: its recipe does not say beside which codec others are shown")
    written, folder = [], results.folder / "sheets"
    chosen = groups(results)[: results.recipe.beside.images]
    keys_of = {_place(record): keys for record, keys in zip(results.records, results.keys, strict=True)}
    for group in track(chosen, "sheets", console=Console(stderr=True), transient=True):
        tiles = [Tile(picture_of(results, group.records[0]).load(), f"{group.image}, original")]
        for record in group.records:
            layer, picture = record.layers[-1], load_image(top_picture(results, record, keys_of[_place(record)]))
            tiles.append(Tile(picture, f"{record.codec}, {layer.bpp:.4f} bpp, {layer.psnr:.2f} dB"))
        folder.mkdir(exist_ok=True)
        written.append(folder / f"{group.image}.png")
        save_image(sheet(tiles), written[-1])
    for path in set(folder.glob("*.png")) - set(written):
        path.unlink()
    return tuple(written)


def _place(record: Record) -> tuple[object, ...]:
    return record.scales, record.codec, record.quality, record.image


def sheet(tiles: Sequence[Tile]) -> Image8:
    """The tiles in rows of nearly as many as there are rows, on white, as large as the largest picture."""
    height = max(tile.picture.shape[0] for tile in tiles) + CAPTION
    width = max(tile.picture.shape[1] for tile in tiles)
    columns = math.ceil(math.sqrt(len(tiles)))
    made = Image.new("RGB", (columns * width, -(-len(tiles) // columns) * height), "white")
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(15)
    for number, tile in enumerate(tiles):
        left, top = number % columns * width, number // columns * height
        made.paste(Image.fromarray(tile.picture), (left, top))
        draw.text((left + 4, top + tile.picture.shape[0] + 2), tile.caption, "black", font)
    return np.asarray(made)
