"""The pictures of a run as lossless files, made again from its recipe and kept beside it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.record import Record
from experiments.redecode import picture_of, redecoded
from experiments.runs import Results
from experiments.store import digest_of
from layered.errors import LayeredError
from layered.files import write_bytes_atomic
from layered.image import Image8, resize8

__all__ = ["Remade"]

LONGEST = 16383
"""Pixels a side that WebP can hold."""


class Remade:
    """One layer of the originals and of the decoded pictures of a run, each a lossless WebP file.

    They are kept in the folder `2afc` of the run, so that what was interrupted goes on.
    """

    def __init__(self, results: Results, layer: int) -> None:
        self._results, self._layer = results, layer
        self._methods = {spec.name: spec.method for spec in results.recipe.codecs}

    def original(self, record: Record) -> bytes:
        """The file of what the record's layer is compared with.  Raises LayeredError if the image is another now."""
        path = self._path({"original": record.image_sha256, "scale": record.scales[self._layer]})
        return path.read_bytes() if path.is_file() else _keep(path, self._original(record))

    def decoded(self, record: Record) -> bytes:
        """The file of the decoded picture of the record's layer, from coded files with the SHA-256 of the record.

        Raises LayeredError where they come out otherwise, or decode to another PSNR than the record says.
        """
        path = self._path({
            "codec": self._methods[record.codec].words, "image": record.image_sha256, "scales": record.scales,
            "layer": self._layer, "files": record.files_sha256,
        })  # fmt: skip
        if path.is_file():
            return path.read_bytes()
        return _keep(path, redecoded(self._results, record)[self._layer])

    def _original(self, record: Record) -> Image8:
        layer = record.layers[self._layer]
        return resize8(picture_of(self._results, record).load(), layer.width, layer.height)

    def _path(self, values: dict[str, object]) -> Path:
        return self._results.folder / "2afc" / f"{digest_of(values)}.webp"


def _keep(path: Path, picture: Image8) -> bytes:
    if max(picture.shape) > LONGEST:
        raise LayeredError(f"WebP holds at most {LONGEST} pixels a side; show a lower layer, or set data.longest_side")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="WEBP", lossless=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(path, buffer.getvalue())
    return buffer.getvalue()
