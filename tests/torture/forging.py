"""Streams that are whole, with symbols or adapter weights that no encoder would have chosen."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import product
from unittest import mock

import torch

from adapters.section import adapted_layer, pack
from layered import stream
from layered.codec import LayeredCodec
from layered.errors import LayeredError, OptionError
from layered.layer import Context, Latents, Layer
from tests.adapters.kit import drawn
from tests.torture.kit import Bad, Kit, varint

__all__ = ["forged_adapters", "forgeries", "readings"]


def forgeries(kit: Kit) -> Iterator[Bad]:
    """Any symbols from zeros to the coder's largest, in each layer, coded as the encoder would."""
    for n, file in enumerate(kit.files):
        for k, (context, latents) in enumerate(readings(kit.codec, file.data)):
            for size, part, spike in product((0, 1, 30, 10**3, 10**5, 2**26), range(len(latents.parts)), (0, 1)):
                wild = list(latents.parts)
                noise = torch.tensor([kit.rng.uniform(-size, size) for _ in range(wild[part].numel())])
                noise[1:] *= 1 - spike
                wild[part] = noise.view_as(wild[part]).to(wild[part].dtype)
                try:
                    payload = kit.codec.layer(k).write(Latents(tuple(wild)), context)
                except OptionError:  # the prior's means moved so far that the symbols are too large to code
                    continue
                changed = {**file.chunks[k], "payload": varint(len(payload)), "data": payload}
                yield Bad("", n, file.put(chunks=(*file.chunks[:k], changed)), "forged")
        yield Bad("", n, file.put_payload(0, kit.others[n].chunks[0]["data"]), "forged")


def forged_adapters(kit: Kit) -> Iterator[Bad]:
    """Adapter weights of any size for each layer, and its symbols coded as an encoder would that has these weights."""
    for n, file in enumerate(kit.files):
        for k, (context, latents) in enumerate(readings(kit.codec, file.data)):
            layer = kit.codec.layer(k)
            for size, kind in product((0.01, 1.0, 10**3), ("bias", "channel")):
                try:
                    section, _ = pack(layer, kind, "linear8", 0, drawn(layer, kind, size, seed=n))
                    sealed = context.sealed(zlib.crc32(section, context.seal))
                    payload = adapted_layer(layer, section).write(latents, sealed)
                except LayeredError:
                    continue
                flags = bytes([file.chunks[k]["flags"][0] | stream.ADAPTER])
                lengths = {"payload": varint(len(payload)), "adapter": varint(len(section))}
                changed = {**file.chunks[k], "flags": flags, **lengths, "weights": section, "data": payload}
                yield Bad("", n, file.put(chunks=(*file.chunks[:k], changed)), "forged")


def readings(codec: LayeredCodec, data: bytes) -> list[tuple[Context, Latents]]:
    """Each layer's context and latents, as the decoder had them."""
    found: list[tuple[Context, Latents]] = []

    def watched(layer: Layer) -> AbstractContextManager[object]:
        read = layer.read

        def reading(payload: bytes, context: Context) -> Latents:
            found.append((context, read(payload, context)))
            return found[-1][1]

        return mock.patch.object(layer, "read", reading)

    with ExitStack() as watching:
        for layer in (codec.base, *codec.uppers):
            watching.enter_context(watched(layer))
        codec.decode(data)
    return found
