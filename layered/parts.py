"""What the bytes of a stream are spent on: layer by layer, the strings of its payload, adapter, and overhead."""

from __future__ import annotations

from dataclasses import dataclass

from layered.codec import LayeredCodec
from layered.entropy.payload import split_strings
from layered.errors import CorruptStream, OptionError
from layered.stream import Stream, require_digest

__all__ = ["ADAPTER", "OVERHEAD", "Part", "parts_of"]

ADAPTER, OVERHEAD = "adapter", "overhead"


@dataclass(frozen=True)
class Part:
    """So many bytes of a layer, and what they are for."""

    name: str
    bytes: int


def parts_of(stream: Stream, codec: LayeredCodec) -> tuple[tuple[Part, ...], ...]:
    """The parts of each layer that the stream holds, base first; they add up to the layer's bytes exactly.

    codec: of the weights that wrote it, whose layers say how many strings a payload has and what is in them
    (`Layer.strings`; where they do not, the payload is one part).  Last come ADAPTER, weights of this picture alone,
    and OVERHEAD: the fields of the chunk, lengths of strings, the checksums, and in the base layer the file's header.
    Nothing is decoded.  Raises WrongModel, and CorruptStream for a payload that is no strings.
    """
    require_digest(stream.header, codec.digest, codec.name)
    layers = []
    for k, (chunk, start, end) in enumerate(zip(stream.chunks, (0, *stream.ends), stream.ends, strict=False)):
        try:
            names = codec.layer(k).strings
        except OptionError as error:
            raise CorruptStream(f"the stream has {len(stream.chunks)} layers: {error}") from None
        strings = split_strings(chunk.payload, len(names))[1] if names else (chunk.payload,)
        parts = [Part(name, len(string)) for name, string in zip(names or ("payload",), strings, strict=True)]
        parts.append(Part(ADAPTER, len(chunk.adapter)))
        layers.append((*parts, Part(OVERHEAD, end - start - sum(part.bytes for part in parts))))
    return tuple(layers)
