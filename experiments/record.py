"""What was measured: one record for each codec, quality and image."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from baselines.protocol import Quality

__all__ = ["SCHEMA", "LayerRecord", "Provenance", "Record"]

SCHEMA = 1


@dataclass(frozen=True)
class LayerRecord:
    """One layer of one coded image.

    width, height: in pixels.  bytes: all that somebody who wants this layer must have, accumulated over the
    layers below where the method needs them.  bpp: 8 * bytes / (width * height).  psnr: dB, RGB, 8 bits,
    infinite for a lossless picture.  ms_ssim: linear, None where not measured or the picture is too small.
    """

    width: int
    height: int
    bytes: int
    bpp: float
    psnr: float
    ms_ssim: float | None


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

    key: digest of everything that the result depends on.  encode_seconds, decode_seconds: wall time for all
    layers together.  files_sha256: of each coded file.  fingerprint: model digest, library versions, sources.
    """

    key: str
    codec: str
    quality: Quality
    image: str
    image_sha256: str
    layers: tuple[LayerRecord, ...]
    encode_seconds: float
    decode_seconds: float
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
        """Raises ValueError, KeyError or TypeError for anything that `to_json` did not write."""
        values: dict[str, Any] = json.loads(text)
        if values.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        quality = values["quality"]
        layers = [LayerRecord(**{**layer, "psnr": float(layer["psnr"])}) for layer in values["layers"]]
        changed = {
            "quality": tuple(quality) if isinstance(quality, list) else float(quality),
            "layers": tuple(layers),
            "files_sha256": tuple(values["files_sha256"]),
            "provenance": Provenance(**values["provenance"]),
        }
        return Record(**{**values, **changed})
