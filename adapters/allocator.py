"""Memory that the steps of an adaptation free is kept for the next step, where the C library can be told to."""

from __future__ import annotations

import ctypes

__all__ = ["keep_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_LARGEST = 2**30
_OLDER = 2**25  # what releases of glibc accept that refuse more
_NEVER = 2**31 - 1


def keep_memory() -> bool:
    """Tell glibc to keep what is freed for this process; False, and nothing else, where that cannot be told.

    Activations of one step are as large as those of the next.  Without this they are given back to the system and
    fetched anew, page by page.
    """
    try:
        tell = ctypes.CDLL(None).mallopt
        kept = any(tell(_MMAP_THRESHOLD, size) for size in (_LARGEST, _OLDER))
        return bool(kept and tell(_TRIM_THRESHOLD, _NEVER))
    except (AttributeError, OSError, TypeError):  # other C libraries and systems, each in its own way
        return False
