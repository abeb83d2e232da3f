"""The layered codec: a base layer and any number of enhancement layers, one file for all of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from layered import stream
from layered.adaptation import Adaptation, Adapted, Choose, adapted_layer
from layered.errors import CorruptStream, LayeredError, OptionError, outside
from layered.float32 import whole_float32
from layered.guide import Guide
from layered.image import Image8, check_image, check_scales, layer_sizes, resize8, to_image8, to_tensor
from layered.layer import Context, Enhancement, Layer
from layered.rounding import Hard, Rounding

if TYPE_CHECKING:
    from layered.spec import CodecSpec

__all__ = ["LIMITS", "LayerOutput", "LayeredCodec", "as_decoded"]

LIMITS = stream.Limits(pixels=2**25, total=2**28)
"""What is coded unless the caller allows more: 8K pictures, some 8 GB of memory at the bundled widths."""

TOLERANCE = 0.001  # share of samples that may be one level off in float32


@dataclass(frozen=True)
class LayerOutput:
    """One layer of a training forward: original and reconstruction [B, 3, H, W], bits [B]."""

    original: Tensor
    reconstruction: Tensor
    bits: Tensor


class LayeredCodec(nn.Module):
    """Encodes pictures to layered streams and back.

    spec: how it was built.  base: codes the smallest picture.  enhancement: shared by all upper layers, or a list
    with one for each, or None for a single-layer codec.  The loader sets digest, six bytes that name the weights in
    every stream, and untrained, those of `base` and `enhancement` that no training has reached; commands tell of them.
    """

    def __init__(self, spec: CodecSpec, base: Layer, enhancement: Enhancement | nn.ModuleList | None) -> None:
        super().__init__()
        self.spec = spec
        self.base = base
        self.enhancement = enhancement
        self.name = "unnamed"
        self.digest = bytes(6)
        self.untrained: frozenset[str] = frozenset()

    @property
    def quality_range(self) -> tuple[float, float]:
        """Lowest and highest quality of every layer."""
        return self.base.quality_range

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def layer(self, index: int) -> Layer:
        """The module that codes layer `index`, 0 being the base.  Raises OptionError where there is none."""
        if index == 0:
            return self.base
        if isinstance(self.enhancement, Enhancement):
            return self.enhancement
        if not self.uppers:
            raise OptionError(f"the weights {self.name!r} have no enhancement layer, so they code one layer only")
        if index > len(self.uppers):
            most = len(self.uppers) + 1
            raise OptionError(f"the weights {self.name!r} code up to {most} layers, {index + 1} are asked for")
        return self.uppers[index - 1]

    @property
    def most_layers(self) -> int | None:
        """How many layers a stream may have; None where there is no end to them."""
        return None if isinstance(self.enhancement, Enhancement) else len(self.uppers) + 1

    @property
    def uppers(self) -> tuple[Enhancement, ...]:
        """The enhancement modules: one that all upper layers share, one for each, or none."""
        if isinstance(self.enhancement, Enhancement):
            return (self.enhancement,)
        return tuple(cast("Iterable[Enhancement]", self.enhancement or ()))

    def forward(
        self,
        originals: Sequence[Tensor],
        qualities: Sequence[float],
        rounding: Rounding,
        guide: Guide | None = None,
    ) -> tuple[LayerOutput, ...]:
        """All layers of a batch, differentiable: originals of each layer [B, 3, H_k, W_k], base first.

        guide: of the batch at any size, for base layers that need label maps.
        """
        outputs: list[LayerOutput] = []
        lower = carried = None
        for k, (original, quality) in enumerate(zip(originals, qualities, strict=True)):
            height, width = original.shape[-2:]
            context = Context(height, width, quality, lower, carried=carried, guide=guide)
            layer = self.layer(k)
            coded = layer.code(layer.analyse(original, context), context, rounding)
            picture = layer.synthesise(coded.latents, context)
            outputs.append(LayerOutput(original, picture, coded.bits))
            lower, carried = as_decoded(picture), layer.carry(coded.latents, context)
        return tuple(outputs)

    @torch.inference_mode(False)  # adaptation needs autograd, whatever the caller has switched off
    @torch.no_grad()
    @whole_float32()
    def encode(
        self,
        image: Image8,
        scales: Sequence[float] = (0.25, 0.5, 1.0),
        quality: float | Sequence[float] | None = None,
        exact: bool = False,
        verify: bool = True,
        limits: stream.Limits = LIMITS,
        guide: Guide | None = None,
        adaptation: Adaptation | None = None,
    ) -> bytes:
        """Picture [H, W, 3] uint8 -> one stream holding a layer for each scale, base first.

        scales: increasing, relative to the picture, in (0, 1].  quality: one real number or one a layer, in
        `quality_range`; the middle of it by default.  exact: float64 synthesis, so that every machine decodes
        the same pictures.  verify: decode the stream and compare before returning it; without `exact` one
        level at 0.1% of the samples, or at one, passes, since libraries may round otherwise on a busy machine.
        guide: of the picture at full size, for base layers that need a label map.  adaptation: what finds latents
        and decoder weights for this picture alone, see the package `adapters`.
        Raises OptionError; LimitExceeded; LayeredError when the verification fails.
        """
        check_image(image)
        height, width = image.shape[:2]
        qualities = self.qualities(quality, len(check_scales(scales)))
        header = stream.Header(stream.VERSION, self.digest, width, height, len(qualities), exact)
        stream.check_header(header, limits)
        if guide is not None and guide.labels.shape != (1, height, width):
            sides = "x".join(map(str, guide.labels.shape[:0:-1]))
            raise OptionError(f"a label map of {sides} is not of this picture of {width}x{height}")
        if guide is not None and not getattr(self.spec.base, "classes", ()):
            raise OptionError(f"the weights {self.name!r} take no label map; those with classes do")
        if guide is not None and bool(guide.preserved.any()) and not self.base.selective:
            raise OptionError(f"the weights {self.name!r} keep everything; what is kept is chosen for sc base layers")
        self.layer(len(qualities) - 1)  # too many layers are told before the first is coded
        chunks, pictures = [], []
        lower: Tensor | None = None
        carried: Tensor | None = None
        seal = 0
        sizes = layer_sizes(width, height, scales)
        stream.check_total(sizes, limits)

        def original(k: int) -> Tensor:
            return to_tensor(resize8(image, *sizes[k]), self.device)

        def plain(k: int, context: Context) -> Adapted:
            return Adapted(self.layer(k).analyse(original(k), context))

        choose: Choose = plain
        if adaptation is not None:
            choose = adaptation.start(self, [original(k) for k in range(len(sizes))], qualities, exact, guide)
        for k, (w, h) in enumerate(sizes):
            context = Context(h, w, qualities[k], lower, exact, seal, carried, guide)
            adapted = choose(k, context)
            layer = adapted_layer(self.layer(k), adapted.weights)
            if adapted.weights:
                context = context.sealed(zlib.crc32(adapted.weights, seal))
            latents = layer.code(adapted.latents, context, Hard()).latents
            chunks.append(stream.Chunk(w, h, qualities[k], layer.write(latents, context), adapted.weights))
            seal = zlib.crc32(chunks[-1].payload, context.seal)
            pictures.append(to_image8(layer.synthesise(latents, context)))
            lower, carried = to_tensor(pictures[-1], self.device), layer.carry(latents, context)
        data = stream.pack(header, chunks, limits)
        if verify:
            decoded = self.decode(data, limits=limits)
            for k, (wanted, got) in enumerate(zip(pictures, decoded, strict=True)):
                _verify(k, wanted, got, exact)
        return data

    @torch.inference_mode()
    @whole_float32()
    def decode(
        self, data: bytes, layers: int | None = None, strict: bool = True, limits: stream.Limits = LIMITS
    ) -> list[Image8]:
        """Stream -> pictures [H, W, 3] uint8, base first.

        layers: how many to decode, all that are there by default.  strict: False drops a damaged tail.
        Raises CorruptStream, UnsupportedVersion, WrongModel, LimitExceeded, OptionError.
        """
        parsed = stream.parse(data, strict=strict, limits=limits)
        stream.require_digest(parsed.header, self.digest, self.name)
        count = len(parsed.chunks) if layers is None else layers
        if not 1 <= count <= len(parsed.chunks):
            raise OptionError(f"{layers} layers asked for, the stream holds {len(parsed.chunks)}")
        try:
            self.layer(count - 1)
        except OptionError as error:
            raise CorruptStream(f"the stream has {count} layers: {error}") from None
        low, high = self.quality_range
        pictures: list[Image8] = []
        carried: Tensor | None = None
        seal = 0
        for k, chunk in enumerate(parsed.chunks[:count]):
            if not low <= chunk.quality <= high:
                raise CorruptStream(f"layer {k}: quality {chunk.quality} {outside(low, high)} of these weights")
            lower = to_tensor(pictures[-1], self.device) if pictures else None
            seal = zlib.crc32(chunk.adapter, seal)
            context = Context(chunk.height, chunk.width, chunk.quality, lower, parsed.header.exact, seal, carried)
            layer = adapted_layer(self.layer(k), chunk.adapter)
            latents = layer.read(chunk.payload, context)
            picture = layer.synthesise(latents, context)
            if not bool(torch.isfinite(picture).all()):
                raise CorruptStream(f"layer {k}: its symbols give values beyond all numbers; no encoder writes such")
            pictures.append(to_image8(picture))
            carried = layer.carry(latents, context)
            seal = zlib.crc32(chunk.payload, seal)
        return pictures

    @torch.inference_mode()
    @whole_float32()
    def render(
        self, data: bytes, width: int, height: int, strict: bool = True, limits: stream.Limits = LIMITS
    ) -> Image8:
        """Stream -> picture of any size: the highest layer, predicted on to [height, width].

        Where layers have that very size, the highest of them is returned as it is; an axis that shrinks is resized
        antialiased.  Raises what `decode` does, and OptionError for a size beyond the limits.
        """
        if not (1 <= width <= limits.side and 1 <= height <= limits.side and width * height <= limits.pixels):
            raise OptionError(f"size {width}x{height} is outside 1 to {limits.side} a side, {limits.pixels} pixels")
        parsed = stream.parse(data, strict=strict, limits=limits)
        alike = [k + 1 for k, chunk in enumerate(parsed.chunks) if (chunk.width, chunk.height) == (width, height)]
        top = self.decode(data, alike[-1] if alike else None, strict, limits)[-1]
        if alike:
            return top
        top = resize8(top, min(width, top.shape[1]), min(height, top.shape[0]))
        if self.enhancement is None or top.shape[:2] == (height, width):
            return resize8(top, width, height)
        context = Context(height, width, lower=to_tensor(top, self.device), exact=parsed.header.exact)
        return to_image8(self.uppers[0].predict(context))

    def qualities(self, quality: float | Sequence[float] | None, layers: int) -> tuple[float, ...]:
        """The quality of each layer, as the stream stores it, for what `encode` may be given.  Raises OptionError."""
        low, high = self.quality_range
        if quality is None:
            quality = (low + high) / 2
        values = tuple(quality) if isinstance(quality, Sequence) else (quality,) * layers
        if len(values) != layers:
            raise OptionError(f"{len(values)} qualities for {layers} layers; give one, or one a layer")
        for value in values:
            if not low <= value <= high:
                raise OptionError(f"quality {value} {outside(low, high)} of the weights {self.name!r}")
        return tuple(stream.stored_quality(value) for value in values)


def _verify(layer: int, wanted: Image8, got: Image8, exact: bool) -> None:
    """Raise LayeredError unless the decoded picture is the encoder's, within what float32 may differ by."""
    difference = np.abs(wanted.astype(np.int16) - got)
    samples, largest = int(np.count_nonzero(difference)), int(difference.max())
    if samples and (exact or largest > 1 or samples > max(1, TOLERANCE * difference.size)):
        told = f"layer {layer} decodes with {samples} samples off, by up to {largest} levels"
        mend = "" if exact else "; encode with `exact` (--exact), or without this check (--no-verify)"
        raise LayeredError(f"verification failed: {told}{mend}")


def as_decoded(picture: Tensor) -> Tensor:
    """The picture a decoder holds: clamped to [0, 1] and rounded to 8 bits; gradients pass straight through.

    In float32 at least, since half precision has not all the multiples of 1/255.
    """
    picture = picture.to(torch.promote_types(picture.dtype, torch.float32))
    rounded = (picture.clamp(0, 1) * 255).round() / 255
    return picture + (rounded - picture).detach()
