"""What was measured: one record for each codec, quality and image."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import accumulate
from typing import Any

from pydantic import TypeAdapter

from baselines.protocol import Quality
from experiments.metrics import bits_per_pixel

__all__ = ["SCHEMA", "LayerRecord", "Provenance", "Record", "join"]

SCHEMA = 2


@dataclass(frozen=True)
class LayerRecord:
    """One layer of one coded image.

    width, height: in pixels.  bytes: all that somebody who wants this layer must have, accumulated over the
    layers below where the method needs them.  bpp: 8 * bytes / (width * height).  psnr: dB, RGB, 8 bits,
    infinite for a lossless picture.  ms_ssim: linear, None where not measured or the picture is too small.  scores:
    of `experiments.scores` by their labels, None where one is not defined; empty where none was asked for.  parts:
    what this layer's own bytes are spent on, by the names of `layered.parts`; None of codecs that are not ours, and in
    records that are older.
    """

    width: int
    height: int
    bytes: int
    bpp: float
    psnr: float
    ms_ssim: float | None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    parts: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Provenance:
    """Where and how a record was made.  commit: of this project's checkout, None when it is not in one."""

    command: str
    commit: str | None
    machine: str
    threads: int


@dataclass(frozen=True)
class Record:
    """One item's result.

    key: digest of everything that the result depends on.  scales: of the layers, relative to the image.
    encode_seconds, decode_seconds: wall time for all layers together.  decode_operations: multiplications and
    additions of the networks while decoding all layers, None where not counted.  files_sha256: of each coded
    file.  fingerprint: model digest, library versions, sources.
    """

    key: str
    codec: str
    quality: Quality
    image: str
    image_sha256: str
    scales: tuple[float, ...]
    layers: tuple[LayerRecord, ...]
    encode_seconds: float
    decode_seconds: float
    decode_operations: int | None
    files_sha256: tuple[str, ...]
    fingerprint: Mapping[str, str]
    provenance: Provenance

    def to_json(self) -> str:
        """Strict JSON: an infinite PSNR becomes the string "inf"."""
        values = {"schema": SCHEMA, **asdict(self)}
        for layer in values["layers"]:
            if math.isinf(layer["psnr"]):
                layer["psnr"] = "inf"
        return json.dumps(values, indent=1, allow_nan=False) + "\n"

    @staticmethod
    def from_json(text: str) -> Record:
        """Raises ValueError, KeyError, TypeError or AttributeError for anything that `to_json` did not write."""
        try:
            values: dict[str, Any] = json.loads(text)
        except RecursionError:
            raise ValueError("nested without end") from None
        if values.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        record = _adapter().validate_python(values)
        if any(min(layer.width, layer.height, layer.bytes) < 1 for layer in record.layers):
            raise ValueError("a layer without pixels or bytes")
        seconds = (record.encode_seconds, record.decode_seconds)
        whole = all(layer.bpp == bits_per_pixel(layer.bytes, layer.width, layer.height) for layer in record.layers)
        if not whole or len(record.layers) != len(record.scales) or not all(map(math.isfinite, seconds)):
            raise ValueError("values that do not fit one another")
        if any(math.isnan(layer.psnr) or math.isnan(layer.ms_ssim or 0.0) for layer in record.layers):
            raise ValueError("a PSNR or MS-SSIM that is no number")
        if not all(math.isfinite(score or 0.0) for layer in record.layers for score in layer.scores.values()):
            raise ValueError("a score that is no number")
        if any(min(layer.parts.values(), default=0) < 0 for layer in record.layers if layer.parts is not None):
            raise ValueError("a part of fewer than no bytes")
        return record


@cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def join(codec: str, quality: Quality, pieces: Sequence[Record], cumulative: bool) -> Record:
    """The record of a codec whose layers are files of their own, each measured as a piece.

    cumulative: whether a layer counts the files of the layers below it, as simulcast does.
    """
    layers = [layer for piece in pieces for layer in piece.layers]
    if cumulative:
        totals = accumulate(layer.bytes for layer in layers)
        layers = [
            replace(layer, bytes=total, bpp=bits_per_pixel(total, layer.width, layer.height))
            for layer, total in zip(layers, totals, strict=True)
        ]
    counted = [piece.decode_operations for piece in pieces if piece.decode_operations is not None]
    return replace(
        pieces[0],
        codec=codec,
        quality=quality,
        scales=tuple(scale for piece in pieces for scale in piece.scales),
        layers=tuple(layers),
        encode_seconds=sum(piece.encode_seconds for piece in pieces),
        decode_seconds=sum(piece.decode_seconds for piece in pieces),
        decode_operations=sum(counted) if len(counted) == len(pieces) else None,
        files_sha256=tuple(digest for piece in pieces for digest in piece.files_sha256),
    )
