"""The latents of all layers of a stack, refined together: the base pays for what the layers above it gain."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from adapters.cost import Cost
from adapters.descent import Tell, anneal, frozen, optimiser_of
from adapters.filed import filed
from adapters.refine import Best, leaves
from adapters.schedule import Schedule
from layered.codec import LayeredCodec, as_decoded
from layered.guide import Guide
from layered.layer import Context, Latents
from layered.rounding import Hard, Rounding

__all__ = ["refine_stack"]


def refine_stack(
    codec: LayeredCodec,
    originals: Sequence[Tensor],
    qualities: Sequence[float],
    costs: Sequence[Cost],
    schedule: Schedule,
    generator: torch.Generator,
    guide: Guide | None = None,
    half: bool = False,
    exact: bool = False,
    tell: Tell | None = None,
) -> list[Latents]:
    """Latents of each layer, before rounding, with the lowest hard-rounded cost of the whole that was met.

    originals: [1, 3, H_k, W_k], base first.  costs: of each layer, of its own pixels; the whole is their sum, weighted
    by pixels, so that all bits count alike, and a layer counts by its lambda: one of 0 leaves its picture out.
    Between layers pictures are rounded to 8 bits as a decoder's, and gradients pass through that.  exact: how the file
    will be decoded; the encoder's own latents are returned where that file does not cost less than theirs.
    Raises LayeredError where their cost is not finite.
    """
    began, walk = time.monotonic(), _Walk(codec, originals, qualities, costs, guide)
    with frozen(codec):
        first = walk.encoded()
        best = Best(_joined(first), walk.cost(first, Hard(exact=False)))
        held, free = [], []
        for k, latents in enumerate(first):
            copies, moving = leaves(codec.layer(k), latents)
            held.append(copies)
            free += moving

        def loss(rounding: Rounding) -> Tensor:
            return walk.cost(held, rounding, half).sum()

        @torch.no_grad()
        def trial() -> bool:
            return best.consider(_joined(held), walk.cost(held, Hard(exact=False)))

        anneal(schedule, began, generator, optimiser_of((free, schedule.lr)), loss, trial, tell)
    found = _split(best.parts, [len(latents.parts) for latents in first])
    return found if walk.filed(found, exact) < walk.filed(first, exact) else first


class _Walk:
    """From the base up, as a decoder goes."""

    def __init__(
        self, codec: LayeredCodec, originals: Sequence[Tensor], qualities: Sequence[float], costs: Sequence[Cost],
        guide: Guide | None,
    ) -> None:  # fmt: skip
        self.codec, self.originals, self.costs = codec, originals, costs
        self._contexts = []
        for original, quality in zip(originals, qualities, strict=True):
            height, width = original.shape[-2:]
            told = guide.at(height, width) if guide is not None else None
            self._contexts.append(Context(height, width, quality, guide=told))

    @torch.no_grad()
    def encoded(self) -> list[Latents]:
        """The encoder's latents of each layer, above hard-rounded ones."""
        found: list[Latents] = []
        lower = carried = None
        for k, original in enumerate(self.originals):
            layer, context = self.codec.layer(k), self._context(k, lower, carried)
            found.append(layer.analyse(original, context))
            coded = layer.code(found[-1], context, Hard(exact=False))
            lower, carried = as_decoded(layer.synthesise(coded.latents, context)), layer.carry(coded.latents, context)
        return found

    def cost(self, latents: Sequence[Latents], rounding: Rounding, half: bool = False) -> Tensor:
        """Bits per pixel of the top layer, and distortions, [1]."""
        whole = self.originals[0].new_zeros(1)
        lower = carried = None
        for k, (given, original, cost) in enumerate(zip(latents, self.originals, self.costs, strict=True)):
            layer, context = self.codec.layer(k), self._context(k, lower, carried)
            coded = layer.code(given, context, rounding)
            with torch.autocast(original.device.type, torch.bfloat16, enabled=half):
                picture = layer.synthesise(coded.latents, context).float()
            lower, carried = as_decoded(picture), layer.carry(coded.latents, context)
            where = layer.fidelity(coded.latents, context)
            whole = whole + self._share(k) * cost.of(coded.bits, lower, original, where)
        return whole

    def filed(self, latents: Sequence[Latents], exact: bool) -> float:
        """The same of the file."""
        whole = 0.0
        lower = carried = None
        for k, (given, original, cost) in enumerate(zip(latents, self.originals, self.costs, strict=True)):
            context = replace(self._context(k, lower, carried), exact=exact)
            made = filed(self.codec.layer(k), given, b"", original, context, cost)
            lower, carried = made.picture, made.carried
            whole += self._share(k) * made.cost
        return whole

    def _share(self, k: int) -> float:
        """Pixels of layer k, relative to the top layer's."""
        return self.originals[k][0, 0].numel() / self.originals[-1][0, 0].numel()

    def _context(self, k: int, lower: Tensor | None, carried: Tensor | None) -> Context:
        return replace(self._contexts[k], lower=lower, carried=carried, _made={})


def _joined(stack: Sequence[Latents]) -> Latents:
    return Latents(tuple(part for latents in stack for part in latents.parts))


def _split(parts: Sequence[Tensor], counts: Sequence[int]) -> list[Latents]:
    given = iter(parts)
    return [Latents(tuple(next(given) for _ in range(count))) for count in counts]
