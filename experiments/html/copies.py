"""Copies of the kept pictures, small enough for one page."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

__all__ = ["STEPS", "Fitted", "fit", "thumbnail"]

STEPS = ((1024, 70), (1024, 55), (768, 50), (640, 45), (512, 40), (384, 35), (256, 30))
"""Longest side and WebP quality, tried in this order where the pictures as kept are too many bytes."""

MOST = 2000
"""Pictures in one page; at the last step about as many fit anyway."""
THUMBNAIL_SIDE = 160
THUMBNAIL_ROOM = 12_000
"""Bytes of the page that the thumbnail of one image surely does not exceed."""
OVERHEAD = 70
"""Bytes of the element around a picture."""
SAMPLES = 16
"""Pictures by which the size of all is foretold."""


@dataclass(frozen=True)
class Fitted:
    """copies: a WebP file for each path that found room.  how: what was done to them, in a sentence."""

    copies: dict[Path, bytes]
    how: str


def fit(groups: Sequence[Sequence[Path]], room: int) -> Fitted:
    """Copies of the files in all groups that take less than `room` bytes of the page, a thumbnail a group included.

    All are made smaller by the same step, since pictures are compared; where the last one is not enough, the
    last groups are left out.
    """
    paths = list(dict.fromkeys(path for group in groups for path in group))[:MOST]
    if not paths:
        return Fitted({}, "")
    inside = room - THUMBNAIL_ROOM * len(groups)
    if weight(path.stat().st_size for path in paths) <= inside:
        kept = {path: path.read_bytes() for path in paths}
        return Fitted(_first(groups, kept, room), "The display copies are those that the run kept (WebP, quality 80).")
    samples = paths[:: max(1, len(paths) // SAMPLES)]
    for side, quality in STEPS:
        last = (side, quality) == STEPS[-1]
        foretold = len(paths) * weight(len(_coded_again(path, side, quality)) for path in samples) / len(samples)
        if foretold > inside and not last:
            continue
        copies = {path: _coded_again(path, side, quality) for path in paths}
        if weight(map(len, copies.values())) <= inside:
            break
    what = f"WebP, quality {quality}, at most {side} a side"
    return Fitted(_first(groups, copies, room), f"To keep this file small, display copies were coded again: {what}.")


def thumbnail(file: bytes) -> bytes:
    """A picture for a list."""
    return _smaller(file, THUMBNAIL_SIDE, 60)


def weight(sizes: Iterable[int]) -> int:
    """Bytes of the page that files of these sizes take."""
    return sum(4 * ((size + 2) // 3) + OVERHEAD for size in sizes)


def _first(groups: Sequence[Sequence[Path]], copies: dict[Path, bytes], room: int) -> dict[Path, bytes]:
    """Those of as many whole groups, from the first on, as there is room for."""
    taken: dict[Path, bytes] = {}
    left = room
    for group in groups:
        if not all(path in copies for path in group):
            break
        new = {path: copies[path] for path in group if path not in taken}
        left -= weight(map(len, new.values())) + THUMBNAIL_ROOM
        if left < 0:
            break
        taken |= new
    return taken


def _coded_again(path: Path, side: int, quality: int) -> bytes:
    return _smaller(path.read_bytes(), side, quality)


def _smaller(file: bytes, side: int, quality: int) -> bytes:
    """A picture coded again, no side longer than `side`; a damaged one as it is."""
    try:
        with Image.open(io.BytesIO(file)) as picture:
            shown = picture.convert("RGB")
    except OSError:
        return file
    shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, format="WEBP", quality=quality, method=2)
    return buffer.getvalue()
