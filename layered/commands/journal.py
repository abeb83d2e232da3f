"""What has been made in a folder, from what and how, so that the same command makes only the rest."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from layered.errors import OptionError
from layered.files import read_bytes

__all__ = ["Journal", "digest_of"]

_HEADER = b'{"format": "layered-adapt-1"}\n'

_Notes = dict[str, dict[str, str]]
"""Of each output: by the digest of its bytes, that of what they were made from."""


def digest_of(*parts: bytes | Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal digits, of bytes and plain values, each told apart from the next."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


class Journal:
    """A file `adapt.jsonl` beside the outputs: of each the digest of all that it was made from, and its own.

    It begins with a line that names its format, and is only appended to, a line an output and in one piece, so that
    neither an interruption nor a second process in the folder takes a note away; a line that was cut is passed over.
    An output is noted before it is written, and whole, so that what an interruption leaves is noted in any case.
    Nothing else is believed: neither a file that is not noted nor one that was changed since.
    """

    NAME = "adapt.jsonl"

    def __init__(self, folder: Path) -> None:
        self._path = folder / self.NAME

    def begin(self, targets: Iterable[Path]) -> None:
        """Make ready to note these outputs, the folder included, so that what must fail fails before any work.

        Raises OptionError where one is a file that is no output of before, or that cannot be read, and where there can
        be no journal.
        """
        notes = self._notes()
        for target in targets:
            self._require_own(target, notes)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._append(b"")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OptionError(f"{self._path}: what is made cannot be noted there: {reason}") from None

    def has(self, target: Path, origin: str) -> bool:
        """Whether the output is there, as it was last made from what has this digest.  Raises OptionError."""
        found = _digest_at(target)
        return found is not None and self._notes().get(target.name, {}).get(found) == origin

    def note(self, target: Path, origin: str, data: bytes) -> None:
        """Note an output that is going to be written.  Raises OSError, and OptionError where `begin` does."""
        self._require_own(target, self._notes())
        entry = {"file": target.name, "from": origin, "sha256": digest_of(data)}
        self._append(json.dumps(entry).encode() + b"\n")

    def _require_own(self, target: Path, notes: _Notes) -> None:
        found = _digest_at(target)
        if found is not None and found not in notes.get(target.name, {}):
            raise OptionError(
                f"{target}: is not as this command made it, by {self._path}, and is not replaced; "
                "remove it, or choose another folder as OUT"
            )

    def _notes(self) -> _Notes:
        notes: _Notes = {}
        for line in self._held().split(b"\n"):
            try:
                entry = json.loads(line)
                notes.setdefault(entry["file"], {})[entry["sha256"]] = entry["from"]
            except (ValueError, TypeError, KeyError, RecursionError):  # a cut line, or the header
                continue
        return notes

    def _held(self) -> bytes:
        """What is in the journal, nothing where there is none.  Raises OptionError for what is none of this command."""
        if not self._path.exists():
            return b""
        held = read_bytes(self._path) if self._path.is_file() else None
        if held is None or not (held.startswith(_HEADER) or _HEADER.startswith(held)):
            raise OptionError(
                f"{self._path}: is no journal of this command, and is not replaced; "
                "move it away, or choose another folder as OUT"
            )
        return held

    def _append(self, line: bytes) -> None:
        """Add a line, after what is missing before it: the header, its rest, or the end of a line that was cut."""
        held = self._held()
        before = _HEADER[len(held) :] if _HEADER.startswith(held) else b"" if held.endswith(b"\n") else b"\n"
        data = before + line
        try:
            with open(self._path, "ab", buffering=0) as file:  # unbuffered: one call to the system, which appends
                if file.write(data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:  # of a full disk it does not say where
            raise type(error)(error.errno, error.strerror, str(self._path)) from None


def _digest_at(path: Path) -> str | None:
    """Of a file; None where there is none.  Raises OptionError where it cannot be read."""
    return digest_of(read_bytes(path)) if path.is_file() else None
