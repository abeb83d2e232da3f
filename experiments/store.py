"""Records on disk: one JSON file per item, written whole or not at all, found again by what it depends on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.record import Record
from layered.files import write_bytes_atomic

__all__ = ["Store", "digest_of"]

STALE = 60.0
"""Seconds after which a file written aside belongs to a run that was killed."""


def digest_of(values: Mapping[str, Any]) -> str:
    """Digest (32 hex digits) of plain values, independent of the order of keys."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Store:
    """The folder `records` of one run, and `previews` and `decoded` beside it."""

    folder: Path

    @property
    def _previews(self) -> Path:
        return self.folder.with_name("previews")

    def path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def load(self, key: str) -> Record | None:
        """The record, or None where there is none or the file is damaged, so that it is measured again."""
        try:
            record = Record.from_json(self.path(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return record if record.key == key else None

    def save(self, record: Record) -> None:
        """Raises OSError when the disk refuses; an older record then stays as it was."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(self.path(record.key), record.to_json().encode())

    def has_picture(self, path: Path) -> bool:
        """Whether a kept picture is there and whole, as far as its length tells."""
        try:
            with path.open("rb") as file:
                head = file.read(8)
            return head[:4] == b"RIFF" and int.from_bytes(head[4:], "little") + 8 == path.stat().st_size
        except OSError:
            return False

    def preview(self, key: str, layer: int) -> Path:
        """Where the picture of an item's layer lies, if it was kept."""
        return self._previews / f"{key}-{layer}.webp"

    def original(self, image_sha256: str, scale: float) -> Path:
        """Where the picture lies that a layer of this scale is compared with, if it was kept."""
        return self._previews / f"original-{image_sha256[:16]}-{scale:g}.webp"

    def decoded(self, key: str) -> Path:
        """Where the highest picture of an item lies as it was decoded, a PNG, if it was kept."""
        return self.folder.with_name("decoded") / f"{key}.png"

    def save_preview(self, path: Path, picture: bytes) -> None:
        """Raises OSError when the disk refuses."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(path, picture)

    def sweep(self) -> None:
        """Remove what killed runs left half written; a file younger than a minute may be another run's."""
        beside = self.folder.parent
        left = *self.folder.glob(".*.json.*"), *self._previews.glob(".*.webp.*"), *beside.glob("decoded/.*.png.*")
        for path in (*left, *beside.glob("2afc/.*.webp.*")):
            with suppress(FileNotFoundError):  # that other run may have finished it
                if time.time() - path.stat().st_mtime > STALE:
                    path.unlink()
