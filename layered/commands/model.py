"""The codec that a command works with, on the device it was asked for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from layered.errors import OptionError, WrongModel

if TYPE_CHECKING:
    from layered.codec import LayeredCodec

__all__ = ["named_codec", "writer_of"]


@cache
def named_codec(weights: str, device: str) -> LayeredCodec:
    """The codec of bundled weights or of a file, loaded once.  Raises OptionError."""
    import torch

    import layered

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"--device {device}: {str(error).splitlines()[0]}") from None
    return layered.load(weights, device=device)


def writer_of(digest: bytes, device: str) -> LayeredCodec:
    """The codec of the bundled weights that a stream's digest names.  Raises WrongModel where none match."""
    from layered.weights import name_of

    name = name_of(digest)
    if name is None:
        raise WrongModel(
            f"written with weights {digest.hex()}, not bundled here; give a checkpoint as --weights"
        )
    return named_codec(name, device)
