"""Layered, content-adaptive learned image compression."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from layered.codec import LayeredCodec

__all__ = ["__version__", "load"]

__version__ = "0.1.0"


def load(name: str | Path = "compass-small", device: str = "cpu") -> LayeredCodec:
    """The codec of the bundled weights `name`, of a weights file, or of a pretrained model of CompressAI.

    The last are named as `compressai/mbt2018-mean?quality=3&path=FILE`.  device: where it is to run, `cpu`, `cuda`, ...
    Raises OptionError where there are no such weights.
    """
    from layered.weights.store import load as load_weights

    return load_weights(name, device)
