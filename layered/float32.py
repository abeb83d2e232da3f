"""Float32 that is float32 on GPUs too: convolutions there would multiply numbers of ten bits (TF32) by default."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["whole_float32"]


_lock = threading.Lock()
_inside = 0  # callers, of all threads: torch's setting is the process's
_before: bool | None = None  # None where torch refuses to tell, for the newer setting was used


@contextmanager
def whole_float32() -> Iterator[None]:
    """Within, cuDNN computes float32 in all its bits, so that a GPU's pictures differ from a CPU's by rounding alone.

    Also a decorator.  On CPUs nothing changes, nor where the caller has said by `fp32_precision` what is wanted.  The
    caller's setting returns when the last of all threads has left.
    """
    global _inside, _before
    cudnn = torch.backends.cudnn
    with _lock:
        if _inside == 0:
            try:
                _before = cudnn.allow_tf32
            except RuntimeError:
                _before = None
            if _before is not None:
                cudnn.allow_tf32 = False
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _before is not None:
                cudnn.allow_tf32 = _before
