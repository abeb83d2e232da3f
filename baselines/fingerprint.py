"""Digests of source code, so that a result is not reused after the code that made it has changed."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

__all__ = ["source_digest"]

_ROOT = Path(__file__).resolve().parent.parent


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
    return digest.hexdigest()[:16]
