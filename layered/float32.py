"""Float32 that is float32 on GPUs too: convolutions there would multiply numbers of ten bits (TF32) by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["whole_float32"]


@contextmanager
def whole_float32() -> Iterator[None]:
    """Within, cuDNN computes float32 in all its bits, so that a GPU's pictures differ from a CPU's by rounding alone.

    Also a decorator.  On CPUs nothing changes, nor where the caller has said by `fp32_precision` what is wanted.
    """
    cudnn = torch.backends.cudnn
    try:
        before = cudnn.allow_tf32
    except RuntimeError:  # the newer setting was used, beside which torch refuses to tell this one
        yield
        return
    try:
        cudnn.allow_tf32 = False
        yield
    finally:
        cudnn.allow_tf32 = before
