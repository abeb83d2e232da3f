"""Bundled weights that hold only what differs from others, when those others are replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layered.errors import LayeredError
from layered.weights import store
from layered.weights.container import read_tensors

__all__ = ["restacked"]


@contextmanager
def restacked(name: str, folder: Path) -> Iterator[None]:
    """Within it the bundled weights `name` may be replaced: those on top of them are the same before and after.

    They are read first, and written again, on top of the new ones, when all has gone well.  Raises LayeredError where
    one of them would become another.
    """
    above = []
    for path in sorted(folder.glob("*.safetensors.xz")):
        metadata, _ = read_tensors(path)
        on = metadata.get("on", "").split(",")
        if name in on:
            above.append((path, store.load(path), on, json.loads(metadata["training"])))
    yield
    for path, codec, on, training in above:
        digest = store.save_codec(codec, path, codec.name, training, on=on)
        if digest != codec.digest:
            raise LayeredError(f"{path}: {digest.hex()} on the new {name}, it was {codec.digest.hex()}")
