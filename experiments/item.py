"""The unit of work: one codec at one quality on one image, a pure function to one record."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from baselines.fingerprint import source_digest
from baselines.protocol import Codec, Quality, check_quality
from baselines.registry import build
from experiments.data import Picture, find_data
from experiments.metrics import bits_per_pixel, ms_ssim, psnr
from experiments.recipe import CodecSpec, Recipe
from experiments.record import SCHEMA, LayerRecord, Provenance, Record
from experiments.store import digest_of
from layered.errors import LayeredError
from layered.image import layer_sizes, resize8

__all__ = ["Item", "measure", "plan"]

_SOURCES = (
    "baselines/protocol.py", "baselines/simulcast.py", "baselines/single.py", "experiments/data.py",
    "experiments/item.py", "experiments/metrics.py", "layered/image.py",
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """What one record needs; small, and sent to other processes as it is.  key: names the record."""

    key: str
    spec: CodecSpec
    quality: Quality
    picture: Picture
    image_sha256: str
    scales: tuple[float, ...]
    device: str
    ms_ssim: bool
    fingerprint: tuple[tuple[str, str], ...]
    provenance: Provenance


def plan(recipe: Recipe, provenance: Provenance) -> tuple[Item, ...]:
    """All items of a recipe, codec by codec.

    Loads each codec once, so that missing weights, absent libraries and qualities out of range show before
    the work starts.  Raises LayeredError.
    """
    data = find_data(recipe.data.source, recipe.data.limit, recipe.data.longest_side)
    digests = {picture: picture.digest() for picture in data.items}
    items = []
    for spec in recipe.codecs:
        codec = _codec(spec, recipe.device)
        fingerprint = dict(codec.fingerprint())
        for quality in spec.qualities:
            check_quality(quality, codec.quality_range, spec.name)
            for picture, digest in digests.items():
                key = digest_of(_depends_on(recipe, spec, quality, picture.name, digest, fingerprint))
                items.append(
                    Item(
                        key, spec, quality, picture, digest, recipe.scales, recipe.device, recipe.ms_ssim,
                        tuple(fingerprint.items()), provenance,
                    )
                )  # fmt: skip
    return tuple(items)


def measure(item: Item) -> Record:
    """Encode, decode from the bytes alone, and compare every layer with the resized original.

    Raises LayeredError, and whatever a codec raises.
    """
    codec = _codec(item.spec, item.device)
    if dict(codec.fingerprint()) != dict(item.fingerprint):
        raise LayeredError(f"{item.spec.name}: weights, library or code changed after the run began; run it again")
    image = item.picture.load()
    sizes = layer_sizes(image.shape[1], image.shape[0], item.scales)
    start = time.perf_counter()
    encoded = codec.encode(image, item.scales, item.quality)
    between = time.perf_counter()
    pictures = codec.decode(encoded)
    end = time.perf_counter()
    got = tuple((picture.shape[1], picture.shape[0]) for picture in pictures)
    if got != sizes or len(encoded.layer_bytes) != len(sizes):
        raise LayeredError(f"{item.spec.name} decoded layers of sizes {got} where {sizes} were asked for")
    layers = []
    for (width, height), picture, size in zip(sizes, pictures, encoded.layer_bytes, strict=True):
        original = resize8(image, width, height)
        bpp = bits_per_pixel(size, width, height)
        similarity = ms_ssim(picture, original) if item.ms_ssim else None
        layers.append(LayerRecord(width, height, size, bpp, psnr(picture, original), similarity))
    return Record(
        item.key, item.spec.name, item.quality, item.picture.name, item.image_sha256, tuple(layers),
        between - start, end - between, tuple(hashlib.sha256(file).hexdigest() for file in encoded.files),
        dict(item.fingerprint), item.provenance,
    )  # fmt: skip


@lru_cache(maxsize=32)
def _codec(spec: CodecSpec, device: str) -> Codec:
    return build(spec.codec, spec.of, spec.weights, device)


def _depends_on(
    recipe: Recipe, spec: CodecSpec, quality: Quality, image: str, digest: str, fingerprint: Mapping[str, str]
) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "code": source_digest(*_SOURCES),
        "codec": [spec.name, spec.codec, spec.of],
        "fingerprint": dict(fingerprint),
        "quality": quality,
        "scales": recipe.scales,
        "image": [image, digest],
        "ms_ssim": recipe.ms_ssim,
    }
