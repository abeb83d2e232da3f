"""Files are read whole with a one-line error, and written whole or not at all."""

from __future__ import annotations

import io
import os
import secrets
from pathlib import Path
from typing import IO

from layered.errors import LimitExceeded, OptionError

__all__ = ["IMAGE_ENDINGS", "MAX_BYTES", "read_bytes", "read_limited", "write_bytes_atomic"]

IMAGE_ENDINGS = tuple(".avif .bmp .gif .jp2 .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split())
"""What is taken from a folder of pictures; a file that is named itself may have any ending."""
MAX_BYTES = 2**31
PART = 2**20


def read_bytes(path: str | Path) -> bytes:
    """All bytes of a file.  Raises OptionError when it is missing, a folder, or may not be read; LimitExceeded."""
    try:
        with open(path, "rb") as file:
            return read_limited(file, str(path))
    except OSError as error:
        raise OptionError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def read_limited(file: IO[bytes], name: str, limit: int = MAX_BYTES) -> bytes:
    """All that is left of `file`.  Raises LimitExceeded above `limit` bytes, as of a device without an end."""
    held = io.BytesIO()
    while part := file.read(PART):
        held.write(part)
        if held.tell() > limit:
            raise LimitExceeded(f"{name}: more than {limit} bytes")
    return held.getvalue()


def write_bytes_atomic(path: str | Path, data: bytes) -> None:
    """Write `data` aside, then rename: a full disk or Ctrl-C leaves no half file and an older one untouched.

    A link stays one: the file that it leads to is written.  Pipes and devices are written directly, since a
    rename would replace them.  Raises OSError.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    path = Path(os.path.realpath(path))
    # File systems limit names to 255 bytes, not characters.
    stem = path.name.encode(errors="ignore")[:100].decode(errors="ignore")
    aside = path.with_name(f".{stem}.{secrets.token_hex(4)}")
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    except OSError as error:  # of a full disk it does not say where
        raise type(error)(error.errno, error.strerror, str(path)) from None
    finally:
        aside.unlink(missing_ok=True)
