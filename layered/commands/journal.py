"""What has been made in a folder, from what and how, so that the same command makes only the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layered.errors import OptionError
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

    An output is noted before it is written, and whole, so that what an interruption leaves is either what the note says
    or what was there before, which the note keeps.  Nothing else is believed: neither a file that is not noted nor one
    that was changed since.
    """

    NAME = "adapt.json"

    def __init__(self, folder: Path) -> None:
        self._path = folder / self.NAME

    def has(self, target: Path, origin: str) -> bool:
        """Whether the output is there, as it was made from what has this digest."""
        found, noted = _digest_at(target), self._noted(target)
        return found is not None and noted.get("from") == origin and noted.get("sha256") == found

    def require_own(self, target: Path) -> None:
        """Raise OptionError where there is a file that is no output of before."""
        found, noted = _digest_at(target), self._noted(target)
        if found is not None and found not in (noted.get("sha256"), noted.get("replaced")):
            raise OptionError(
                f"{target}: is not as this command made it, by {self._path}, and is not replaced; "
                "remove it, or choose another folder as OUT"
            )

    def note(self, target: Path, origin: str, data: bytes) -> None:
        """Note an output that is going to be written.  Raises OSError, and OptionError as `require_own` does."""
        self.require_own(target)
        entry = {"from": origin, "sha256": digest_of(data)}
        if (replaced := _digest_at(target)) is not None:
            entry["replaced"] = replaced
        entries = {**self._read(), target.name: entry}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(self._path, (json.dumps(entries, indent=1, sort_keys=True) + "\n").encode())

    def _noted(self, target: Path) -> dict[str, Any]:
        noted = self._read().get(target.name)
        return noted if isinstance(noted, dict) else {}

    def _read(self) -> dict[str, Any]:
        """The entries; none where there is no file or it is damaged."""
        try:
            entries = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return entries if isinstance(entries, dict) else {}


def _digest_at(path: Path) -> str | None:
    """Of a file; None where there is none that can be read."""
    try:
        return digest_of(path.read_bytes()) if path.is_file() else None
    except OSError:
        return None
