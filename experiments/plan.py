"""From a recipe to the items that must be measured, and to the records that are put together from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from baselines.protocol import Quality, check_quality, layer_qualities
from baselines.registry import SEPARATE
from experiments.data import Picture, find_data
from experiments.item import Item, Wanted, codec_of, fingerprint_of, make_item
from experiments.method import CodecSpec, Method
from experiments.recipe import Recipe
from experiments.record import Provenance
from layered.errors import LayeredError

__all__ = ["Entry", "Plan", "plan"]


@dataclass(frozen=True)
class Entry:
    """One record of the results: a row's codec at one quality on one image.

    keys: of the items that it is put together from, one for each file where the layers are files of their own,
    else one.  cumulative: whether each such layer counts the files below it.
    """

    codec: str
    quality: Quality
    image: str
    scales: tuple[float, ...]
    keys: tuple[str, ...]
    cumulative: bool


@dataclass(frozen=True)
class Plan:
    """items: each once, however many entries need it.  entries: in the order of ladders, codecs, qualities, images."""

    pictures: tuple[Picture, ...]
    items: tuple[Item, ...]
    entries: tuple[Entry, ...]


def plan(recipe: Recipe, provenance: Provenance) -> Plan:
    """What a recipe asks for.

    A simulcast or single-layer picture of one size is one item, shared by both methods and by all ladders that
    have that size.  Loads each codec once, so that missing weights, absent libraries and qualities out of range
    show before the work starts.  Raises LayeredError.
    """
    data = find_data(recipe.data.source, recipe.data.limit, recipe.data.longest_side)
    digests = {picture: picture.digest() for picture in data.items}
    wanted = Wanted(recipe.ms_ssim, recipe.operations, recipe.previews, recipe.scores)
    items: dict[str, Item] = {}
    entries = []
    pieces: dict[str, tuple[Method, Mapping[str, str]]] = {}
    for spec in recipe.codecs:
        try:
            allowed = codec_of(spec.method, recipe.device).quality_range
            piece = _piece(spec)
            pieces[spec.name] = piece, fingerprint_of(piece, recipe.device, wanted)
        except LayeredError as error:
            raise type(error)(f"{spec.name}: {error}") from None
        for quality in spec.qualities:
            check_quality(quality, allowed, spec.name)
    for ladder in recipe.scales:
        for spec in recipe.codecs:
            for quality in spec.qualities:
                for picture, digest in digests.items():
                    made = [
                        make_item(*pieces[spec.name], part, picture, digest, scales, recipe.device, wanted, provenance)
                        for part, scales in _parts(spec, quality, ladder)
                    ]
                    items.update((item.key, item) for item in made)
                    keys = tuple(item.key for item in made)
                    entries.append(
                        Entry(spec.name, quality, picture.name, ladder, keys, SEPARATE.get(spec.codec, False))
                    )
    return Plan(data.items, tuple(items.values()), tuple(entries))


def _piece(spec: CodecSpec) -> Method:
    """What an item of a row is coded by."""
    if spec.codec not in SEPARATE:
        return spec.method
    return Method(codec="single", of=spec.of, weights=spec.weights, options=spec.options, adaptation=spec.adaptation)


def _parts(
    spec: CodecSpec, quality: Quality, ladder: Sequence[float]
) -> list[tuple[Quality, tuple[float, ...]]]:
    """Quality and scales of the items that a row's point on a picture is made of."""
    if spec.codec not in SEPARATE:
        return [(quality, tuple(ladder))]
    qualities = layer_qualities(quality, len(ladder))
    return [(value, (scale,)) for value, scale in zip(qualities, ladder, strict=True)]
