"""What the files of our own codecs spend their bytes on, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

from baselines.family import Family
from baselines.learned import BasePicture, LayeredFile, load_codec
from baselines.protocol import Codec, Encoded

__all__ = ["spent"]


def spent(codec: Codec, encoded: Encoded) -> tuple[Mapping[str, int], ...] | None:
    """Bytes of each layer's own chunk by the names of `layered.parts`, base first; None of other people's codecs."""
    from layered.parts import parts_of
    from layered.stream import parse

    own = getattr(codec, "picture", codec)  # of simulcast and single-layer coding
    if not isinstance(own, LayeredFile | BasePicture | Family):
        return None
    made = ((file, own.of(file) if isinstance(own, Family) else own) for file in encoded.files)
    chunks = (parts for file, by in made for parts in parts_of(parse(file), load_codec(by.weights, by.device)))
    return tuple({part.name: part.bytes for part in parts} for parts in chunks)
