"""Label maps as vector graphics against lossless picture codecs, in bytes.

    python -m experiments.label_maps DIR [--limit N]

Every map below DIR, a grey PNG of classes, is coded and decoded again; what does not come back equal is an error.
Contours are a part of a stream, which has the size and a checksum: these, some 8 bytes, are not counted.
WebP has no grey and gets the map as RGB; JPEG XL is at effort 9.  Needs the extra `codecs`.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from layered.entropy.contours import decode_labels, encode_labels
from layered.errors import LayeredError, OptionError, install
from layered.guide import Labels, load_labels

__all__ = ["main", "sizes"]


def _pillow(labels: Labels, name: str, **options: object) -> int:
    file = io.BytesIO()
    Image.fromarray(labels).save(file, name, **options)
    return file.tell()


def _webp(labels: Labels) -> int:
    return _pillow(np.repeat(labels[..., None], 3, 2), "WEBP", lossless=True, quality=100, method=6)


def _jpegxl(labels: Labels) -> int:
    try:
        import imagecodecs
    except ImportError:
        raise OptionError(f"JPEG XL needs imagecodecs: {install('codecs')}") from None
    return len(imagecodecs.jpegxl_encode(labels, lossless=True, effort=9))


CODECS: dict[str, Callable[[Labels], int]] = {
    "contours": lambda labels: len(encode_labels(labels)),
    "PNG": lambda labels: _pillow(labels, "PNG", optimize=True),
    "WebP, lossless": _webp,
    "JPEG XL, lossless": _jpegxl,
}


def sizes(labels: Labels) -> dict[str, int]:
    """Bytes of a map [H, W] by each codec.  Raises LayeredError if contours do not give the map back."""
    if not np.array_equal(decode_labels(encode_labels(labels), *labels.shape), labels):
        raise LayeredError("a label map has not come back equal")
    return {name: size(labels) for name, size in CODECS.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args(arguments)
    paths = sorted(given.folder.rglob("*.png"))[: given.limit]
    if not paths:
        parser.error(f"no PNG files in {given.folder}")
    totals = dict.fromkeys(CODECS, 0)
    began = time.monotonic()
    for path in track(paths, "maps", console=Console(stderr=True)):
        for name, size in sizes(load_labels(path)).items():
            totals[name] += size
    best = min(value for name, value in totals.items() if name != "contours")
    for name, value in totals.items():
        told = f"{value:9} bytes, {value / len(paths):8.1f} a map"
        print(f"{name:18} {told}, {value / best:.3f} of the best picture codec")
    print(f"{len(paths)} maps, all equal after decoding, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except LayeredError as error:
        sys.exit(f"error: {error}")
