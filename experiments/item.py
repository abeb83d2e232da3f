"""The unit of work: one codec at one quality on one image, a pure function to one record."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version

import numpy as np
import PIL
from PIL import Image

from baselines.fingerprint import source_digest
from baselines.protocol import Codec, Encoded, Quality
from baselines.registry import build
from experiments.data import Picture
from experiments.method import Method
from experiments.metrics import bits_per_pixel, ms_ssim, psnr
from experiments.provenance import machine
from experiments.record import SCHEMA, LayerRecord, Provenance, Record
from experiments.scores import ScoreSpec, score_all, scores_fingerprint
from experiments.spent import spent
from experiments.store import digest_of
from layered.errors import LayeredError
from layered.image import Image8, layer_sizes, resize8

__all__ = [
    "PREVIEW_SIDE", "Item", "Measured", "Wanted", "codec_of", "fingerprint_of", "make_item", "measure", "preview",
]  # fmt: skip

PREVIEW_SIDE = 1024
"""Pictures kept for the report are shrunk to this side."""

_SOURCES = (
    "baselines/protocol.py", "baselines/single.py", "experiments/data.py", "experiments/item.py",
    "experiments/metrics.py", "experiments/spent.py", "layered/depth.py", "layered/image.py", "layered/parts.py",
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What is measured besides bytes, PSNR and seconds, at the cost of time.

    ms_ssim, scores: of every layer.  operations: of decoding, which is then done twice.  previews: the decoded
    pictures.
    """

    ms_ssim: bool = False
    operations: bool = False
    previews: bool = False
    scores: tuple[ScoreSpec, ...] = ()


@dataclass(frozen=True)
class Item:
    """What one record needs; small, and sent to other processes as it is.

    key: names the record.
    """

    key: str
    method: Method
    quality: Quality
    picture: Picture
    image_sha256: str
    scales: tuple[float, ...]
    device: str
    wanted: Wanted
    fingerprint: tuple[tuple[str, str], ...]
    provenance: Provenance


@dataclass(frozen=True)
class Measured:
    """A record, and a WebP of each decoded layer for the eye only; none where they are not wanted."""

    record: Record
    previews: tuple[bytes, ...] = ()


def fingerprint_of(method: Method, device: str, wanted: Wanted) -> Mapping[str, str]:
    """What a method's results depend on, and what measures them.  Raises LayeredError for faults of codec or scores."""
    return _fingerprint(codec_of(method, device), wanted, device)


def make_item(
    method: Method,
    fingerprint: Mapping[str, str],
    quality: Quality,
    picture: Picture,
    image_sha256: str,
    scales: tuple[float, ...],
    device: str,
    wanted: Wanted,
    provenance: Provenance,
) -> Item:
    """An item, its key made of all that its result depends on; fingerprint: that of the method, `fingerprint_of`."""
    key = digest_of({
        "schema": SCHEMA,
        "codec": method.words,
        "fingerprint": dict(fingerprint),
        "quality": quality,
        "scales": scales,
        "image": [picture.name, image_sha256],
        "wanted": [wanted.ms_ssim, wanted.operations],
    })  # fmt: skip
    return Item(
        key, method, quality, picture, image_sha256, scales, device, wanted, tuple(fingerprint.items()), provenance,
    )  # fmt: skip


def measure(item: Item) -> Measured:
    """Encode, decode from the bytes alone, and compare every layer with the resized original.

    Raises LayeredError, and whatever a codec raises.
    """
    codec = codec_of(item.method, item.device)
    if _fingerprint(codec, item.wanted, item.device) != dict(item.fingerprint):
        raise LayeredError(f"{item.method.label}: other weights, libraries or code than when the run began")
    image = item.picture.load()
    if item.picture.digest() != item.image_sha256:
        raise LayeredError(f"{item.picture.path}: another picture than when the run began; start it again")
    sizes = layer_sizes(image.shape[1], image.shape[0], item.scales)
    start = time.perf_counter()
    encoded = codec.encode(image, item.scales, item.quality)
    between = time.perf_counter()
    pictures = codec.decode(encoded)
    end = time.perf_counter()
    got = tuple((picture.shape[1], picture.shape[0]) for picture in pictures)
    if got != sizes or len(encoded.layer_bytes) != len(sizes):
        raise LayeredError(f"{item.method.label} decoded layers of sizes {got} where {sizes} were asked for")
    if (check := getattr(codec, "check", None)) is not None:
        check(encoded, pictures)
    layers = []
    parts = spent(codec, encoded) or (None,) * len(sizes)
    for (width, height), picture, size, held in zip(sizes, pictures, encoded.layer_bytes, parts, strict=True):
        original = resize8(image, width, height)
        bpp = bits_per_pixel(size, width, height)
        similarity = ms_ssim(picture, original) if item.wanted.ms_ssim else None
        scores = score_all(item.wanted.scores, picture, original, item.device)
        layers.append(LayerRecord(width, height, size, bpp, psnr(picture, original), similarity, scores, held))
    counted = _operations(codec, encoded) if item.wanted.operations else None
    digests = tuple(hashlib.sha256(file).hexdigest() for file in encoded.files)
    record = Record(
        item.key, item.method.label, item.quality, item.picture.name, item.image_sha256, item.scales, tuple(layers),
        between - start, end - between, counted, digests, dict(item.fingerprint),
        replace(item.provenance, machine=machine(item.device)),
    )  # fmt: skip
    return Measured(record, tuple(map(preview, pictures)) if item.wanted.previews else ())


def _fingerprint(codec: Codec, wanted: Wanted, device: str) -> dict[str, str]:
    """What the codec's results depend on, and what measures them."""
    ours = {"harness": source_digest(*_SOURCES)}
    ours |= {"pillow": PIL.__version__, "numpy": np.__version__}  # they make the originals and compare
    if wanted.ms_ssim:
        ours |= {"torch": _torch(), "pytorch-msssim": version("pytorch-msssim")}
    ours |= scores_fingerprint(wanted.scores, device)
    told = codec.fingerprint()
    hidden = {f"codec's {name}": text for name, text in told.items() if ours.get(name, text) != text}
    return {**told, **ours, **hidden}


def _torch() -> str:
    import torch

    return str(torch.__version__)


def _operations(codec: Codec, encoded: Encoded) -> int | None:
    """Of decoding; None for what does not compute by torch, of which nothing is counted."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        codec.decode(encoded)
    return int(counter.get_total_flops()) or None


def preview(picture: Image8) -> bytes:
    """The picture as a small WebP file for the report; never what is measured."""
    scale = min(1.0, PREVIEW_SIDE / max(picture.shape[:2]))
    height, width = (max(1, round(scale * side)) for side in picture.shape[:2])
    buffer = io.BytesIO()
    shown = Image.fromarray(np.ascontiguousarray(resize8(picture, width, height)))
    shown.save(buffer, format="WEBP", quality=80, method=4)
    return buffer.getvalue()


@lru_cache(maxsize=32)
def codec_of(method: Method, device: str) -> Codec:
    """The codec, built once per process."""
    return build(
        method.codec, method.of, method.weights, device, options=method.options, adaptation=method.adaptation
    )
