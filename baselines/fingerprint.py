"""Digests of source code, so that a result is not reused after the code that made it has changed."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

__all__ = ["source_digest"]

_ROOT = Path(__file__).resolve().parent.parent
_EQUAL = {
    "57df9ce0ddad86ce": "4d3f7aad0f50beb7",  # the harness since records tell of parts
    "5b67dafb6c32c9c9": "f4219701029d627a",  # learned codecs since WACNN names its strings
}
"""Sources that measure what earlier ones did: their digest, and that of those, whose results stay valid."""


@cache
def source_digest(*sources: str) -> str:
    """SHA-256 (16 hex digits) of Python files named relative to the packages' parent folder.

    A folder stands for all Python files below it.  Raises FileNotFoundError for a name that does not exist.
    """
    digest = hashlib.sha256()
    for source in sources:
        path = _ROOT / source
        if not path.exists():
            raise FileNotFoundError(path)
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(_ROOT).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    found = digest.hexdigest()[:16]
    return _EQUAL.get(found, found)
