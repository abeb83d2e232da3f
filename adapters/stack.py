"""The latents of all layers of a stack, refined together: the base pays for what the layers above it gain."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapters.cost import Cost
from adapters.descent import Tell, anneal, frozen, optimiser_of
from adapters.filed import filed
from adapters.refine import Best, leaves, refine
from adapters.schedule import Schedule
from adapters.upwards import upwards
from layered.codec import LayeredCodec, as_decoded
from layered.guide import Guide
from layered.layer import Context, Latents, Layer
from layered.rounding import Hard, Rounding, StraightThrough

__all__ = ["Together", "refine_stack", "shifted"]

_SLOWER = 0.5
"""Of the learning rate, from each layer to the one below it: what is above has to follow."""


@dataclass(frozen=True)
class Together:
    """What is to be added to the encoder's latents of each layer; cost of each layer's file without it and with it;
    seconds that it took."""

    shifts: list[Latents]
    before: tuple[float, ...]
    after: tuple[float, ...]
    seconds: float


def refine_stack(
    codec: LayeredCodec,
    originals: Sequence[Tensor],
    qualities: Sequence[float],
    costs: Sequence[Cost],
    weights: Sequence[float],
    schedule: Schedule,
    generator: torch.Generator,
    guide: Guide | None = None,
    half: bool = False,
    exact: bool = False,
    tell: Callable[[int, str], Tell] | None = None,
) -> Together:
    """For each layer what is to be added to the encoder's latents, for the lowest hard-rounded cost of the whole.

    originals: [1, 3, H_k, W_k], base first.  costs: of each layer, of its own pixels.  weights: what the distortion of
    each layer counts, 0 or more; 0 leaves its picture out.  The whole is the sum of the weighted costs by pixels, so
    that all bits count alike.  First the layers are refined one after another, unweighted, for what is above is
    predicted from each picture; this is cheap, for each but the base is predicted once.  Then all of them from there,
    or from the encoder's latents where those cost less.  Sums rather than latents are found, so that while a layer
    moves those above it are encoded anew.  Between layers pictures are hard-rounded as a decoder's, and gradients pass
    straight through that.  exact: how the file will be decoded; of the encoder's latents, those of each layer alone and
    those of all the ones whose file costs least are returned.  tell: of a layer's number and a stage, what is told of
    its steps.  Raises LayeredError where the cost of the encoder's latents is not finite.
    """
    weighed = [cost.weighted(weight) for cost, weight in zip(costs, weights, strict=True)]
    # A picture that does not count may be too small for MS-SSIM.
    own = [cost if weight else replace(cost, distortion="mse") for cost, weight in zip(costs, weights, strict=True)]
    began, walk = time.monotonic(), _Walk(codec, originals, qualities, weighed, guide)
    with frozen(codec):
        alone = _one_by_one(codec, originals, qualities, own, schedule, generator, guide, half, tell)
        first = [Latents(tuple(map(torch.zeros_like, by.parts))) for by in alone]
        best = Best(_joined(first), walk.cost(first, Hard(exact=False)))
        best.consider(_joined(alone), walk.cost(alone, Hard(exact=False)))
        counts = [len(latents.parts) for latents in first]
        held, groups = [], []
        for k, latents in enumerate(_split(best.parts, counts)):
            copies, moving = leaves(codec.layer(k), latents)
            held.append(copies)
            groups.append((moving, schedule.lr * _SLOWER ** (len(first) - 1 - k)))

        def loss(rounding: Rounding) -> Tensor:
            return walk.cost(held, rounding, half).sum()

        @torch.no_grad()
        def trial() -> bool:
            return best.consider(_joined(held), walk.cost(held, Hard(exact=False)))

        told = None if tell is None else tell(0, "latents of all layers")
        anneal(schedule, time.monotonic(), generator, optimiser_of(*groups), loss, trial, told)
    tried = [(walk.filed(shifts, exact), shifts) for shifts in (first, alone, _split(best.parts, counts))]
    after, found = min(tried, key=lambda each: walk.whole(each[0]))
    return Together(found, tried[0][0], after, time.monotonic() - began)


def _one_by_one(
    codec: LayeredCodec, originals: Sequence[Tensor], qualities: Sequence[float], costs: Sequence[Cost],
    schedule: Schedule, generator: torch.Generator, guide: Guide | None, half: bool,
    tell: Callable[[int, str], Tell] | None,
) -> list[Latents]:  # fmt: skip
    """What is added to the encoder's latents where each layer, above the refined ones below it, is refined alone."""
    found: list[Latents] = []

    def alone(k: int, layer: Layer, context: Context, latents: Latents) -> Latents:
        told = None if tell is None else tell(k, "latents")
        refined = refine(
            layer, originals[k], context, costs[k], schedule, generator, latents, half=half, tell=told
        ).latents
        found.append(Latents(tuple(a - b for a, b in zip(refined.parts, latents.parts, strict=True))))
        return refined

    for _ in upwards(codec, originals, qualities, guide, alone):
        pass
    return found


def shifted(latents: Latents, by: Latents) -> Latents:
    """The sum of latents, part by part."""
    return Latents(tuple(a + b for a, b in zip(latents.parts, by.parts, strict=True)))


class _Walk:
    """From the base up, as a decoder goes."""

    def __init__(
        self, codec: LayeredCodec, originals: Sequence[Tensor], qualities: Sequence[float], costs: Sequence[Cost],
        guide: Guide | None,
    ) -> None:  # fmt: skip
        self.codec, self.originals, self.costs = codec, originals, costs
        sizes = (original.shape[-2:] for original in originals)
        self._contexts = [Context(h, w, quality, guide=guide) for (h, w), quality in zip(sizes, qualities, strict=True)]

    def cost(self, shifts: Sequence[Latents], rounding: Rounding, half: bool = False) -> Tensor:
        """Bits per pixel of the top layer, and distortions, [1]."""
        whole = self.originals[0].new_zeros(1)
        lower = carried = None
        for k, (by, original, cost) in enumerate(zip(shifts, self.originals, self.costs, strict=True)):
            layer, context = self.codec.layer(k), self._context(k, lower, carried)
            latents = shifted(layer.analyse(original, context), by)
            coded = layer.code(latents, context, rounding)
            picture = self._picture(k, coded.latents, context, half)
            where = layer.fidelity(coded.latents, context)
            whole = whole + self._share(k) * cost.of(coded.bits, picture, original, where)
            if k < len(self.originals) - 1 and not isinstance(rounding, Hard):
                # What is above must not adapt to a picture that no decoder has.
                coded = layer.code(latents, context, StraightThrough())
                picture = self._picture(k, coded.latents, context, half)
            lower, carried = picture, layer.carry(coded.latents, context)
        return whole

    def filed(self, shifts: Sequence[Latents], exact: bool) -> tuple[float, ...]:
        """The cost of each layer in the file."""
        found: list[float] = []
        lower = carried = None
        for k, (by, original, cost) in enumerate(zip(shifts, self.originals, self.costs, strict=True)):
            layer, context = self.codec.layer(k), replace(self._context(k, lower, carried), exact=exact)
            with torch.no_grad():
                latents = shifted(layer.analyse(original, context), by)
            made = filed(layer, latents, b"", original, context, cost)
            lower, carried = made.picture, made.carried
            found.append(made.cost)
        return tuple(found)

    def whole(self, costs: Sequence[float]) -> float:
        """Costs of all layers in one."""
        return sum(self._share(k) * cost for k, cost in enumerate(costs))

    def _picture(self, k: int, latents: Latents, context: Context, half: bool) -> Tensor:
        with torch.autocast(self.originals[k].device.type, torch.bfloat16, enabled=half):
            return as_decoded(self.codec.layer(k).synthesise(latents, context).float())

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
