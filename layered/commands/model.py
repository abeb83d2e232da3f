"""The codec that a command works with, on the device it was asked for."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from layered.errors import OptionError, WrongModel
from layered.weights.card import card

if TYPE_CHECKING:
    from layered.codec import LayeredCodec

__all__ = ["check_device", "check_name", "named_codec", "writer_of"]


def check_device(device: str, option: str = "--device") -> None:
    """Raise OptionError, naming the option, unless numbers can be put on `device` and fetched from it."""
    import torch

    try:
        torch.zeros(1, device=device).cpu()
    except Exception as error:  # each backend that is missing raises its own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise OptionError(f"{option} {device}: {reason}") from None


def check_name(weights: str) -> None:
    """Raise OptionError for weights that are neither bundled nor a file, before torch is imported."""
    published = "/" in weights and not weights.endswith(".safetensors")
    if not published and not os.path.isfile(weights):  # which unlike Path's does not mind names that are too long
        card(weights)


@cache
def named_codec(weights: str, device: str) -> LayeredCodec:
    """The codec of bundled weights or of a file, loaded once.  Raises OptionError."""
    check_name(weights)
    import layered

    check_device(device)
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
