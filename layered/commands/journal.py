"""What has been made in a folder, from what and how, so that the same command makes only the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layered.files import write_bytes_atomic

__all__ = ["Journal", "digest_of"]


def digest_of(*parts: bytes | Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal digits, of bytes and plain values, each told apart from the next."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


class Journal:
    """A file `adapt.json` beside the outputs: of each the digest of all that it was made from, and its own.

    An output is noted after it is written, both at once or not at all, so that one that is noted is whole: nothing else
    is believed, neither a file that is not noted nor one that was changed since.
    """

    NAME = "adapt.json"

    def __init__(self, folder: Path) -> None:
        self._path = folder / self.NAME

    def has(self, target: Path, origin: str) -> bool:
        """Whether the output is there, as it was made from what has this digest."""
        noted = self._read().get(target.name)
        if not isinstance(noted, dict) or noted.get("from") != origin:
            return False
        try:
            return bool(digest_of(target.read_bytes()) == noted.get("sha256"))
        except OSError:
            return False

    def note(self, target: Path, origin: str, data: bytes) -> None:
        """Note an output that has just been written.  Raises OSError."""
        entries = {**self._read(), target.name: {"from": origin, "sha256": digest_of(data)}}
        write_bytes_atomic(self._path, (json.dumps(entries, indent=1, sort_keys=True) + "\n").encode())

    def _read(self) -> dict[str, Any]:
        """The entries; none where there is no file or it is damaged."""
        try:
            entries = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return entries if isinstance(entries, dict) else {}
