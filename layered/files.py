"""Files are read whole with a one-line error, and written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from layered.errors import OptionError

__all__ = ["read_bytes", "write_bytes_atomic"]


def read_bytes(path: str | Path) -> bytes:
    """All bytes of a file.  Raises OptionError when it is missing, a folder, or may not be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise OptionError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def write_bytes_atomic(path: str | Path, data: bytes) -> None:
    """Write `data` aside, then rename: a full disk or Ctrl-C leaves no half file and an older one untouched.

    Pipes and devices are written directly, since a rename would replace them.  Raises OSError.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    aside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
