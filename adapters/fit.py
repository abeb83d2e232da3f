"""The numbers of an adapter while they are found: what the decoder would see of them, and what they would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from adapters.coding import Lattice, Quantiser
from adapters.kinds import changes, kind_of
from adapters.plain import CODINGS, coding_of
from adapters.schedule import share_of
from adapters.section import pack
from adapters.sites import sites
from layered.layer import Layer
from layered.recipes import Strict

__all__ = ["AdapterPlan", "Fit", "Seen"]

_LEAST_SCALE = 1 / 8  # in steps, while numbers are found


class AdapterPlan(Strict):
    """Adapters of one kind, how they are coded, and how they are found.

    kind, coding: names of `adapters.kinds` and `adapters.plain`.  rank: of `low-rank` and `mix`.  sites: see
    `adapters.places.places`; by default behind the last attention, or all modules of a synthesis that has none.  step,
    scale: of the numbers' grid and prior; the coding's own, and the cheapest, by default.  steps, seconds, lr, drop: of
    Adam, see `adapters.schedule.Schedule`; when no step is left, that the numbers pay is tried as ever.  rate: whether
    the numbers' bits count while they are found.  optional: whether in the end sites, and the whole adapter, are left
    out where they do not pay.  spread: standard deviation of all numbers at the start instead of the identity.
    """

    kind: str = "mix"
    coding: str = Field(default="logistic", pattern=f"^({'|'.join(CODINGS)})$")
    rank: int = Field(default=2, ge=1, le=64)
    sites: tuple[str, ...] | None = None
    step: float | None = Field(default=None, gt=0)
    scale: float | None = Field(default=None, gt=0)
    steps: int = Field(default=300, ge=0)
    seconds: float | None = Field(default=None, gt=0)
    lr: float = Field(default=3e-3, gt=0, allow_inf_nan=False)
    drop: float = Field(default=0.8, ge=0, le=1)
    rate: bool = True
    optional: bool = True
    spread: float | None = Field(default=None, gt=0)

    def share(self, step: float) -> float:
        """The share of the learning rate that `step`, counted from 0, has."""
        return share_of(step, self.steps, self.drop)


@dataclass(frozen=True)
class Seen:
    """The layer's tensors as the numbers change them, by name, and the bits of the numbers, both differentiable."""

    tensors: dict[str, Tensor]
    bits: Tensor


class Fit:
    """The numbers of one adapter at several sites of a layer.

    names: of the sites, which the plan's kind suits.
    """

    def __init__(self, layer: Layer, plan: AdapterPlan, names: Sequence[str], generator: torch.Generator) -> None:
        kind, places = kind_of(plan.kind), sites(layer)
        device = next(layer.parameters()).device
        self.layer, self.plan, self.coding = layer, plan, coding_of(plan.coding)
        self.generator, self.groups = generator, kind.groups
        self.values = {name: self._start(kind.start(places[name], plan.rank, generator), device) for name in names}
        self._left_out: set[str] = set()
        self.refit()

    def free(self) -> list[Tensor]:
        """What is to be optimised."""
        return [tensor for tensors in self.values.values() for tensor in tensors]

    def refit(self) -> None:
        """Choose the quantisers again for what the numbers are now."""
        found = [self._quantiser(torch.cat(parts)) for parts in self._grouped()]
        # Of numbers that are nearly all zero the cheapest scale is so small that bits are flat but for a cliff half a
        # step away, and one gradient from there stops Adam for long.
        if isinstance(self.coding, Lattice):
            found = [replace(each, scale=max(each.scale, _LEAST_SCALE * each.step)) for each in found]
        self.quantisers = found

    def seen(self) -> Seen:
        """A step's view: values rounded as they will be, bits of values with noise in the place of rounding."""
        found, bits = {}, torch.zeros((), device=next(self.layer.parameters()).device)
        for name, tensors in self.values.items():
            rounded = []
            for j, tensor in enumerate(tensors):
                quantiser = self.quantisers[min(j, self.groups - 1)]
                rounded.append(self.coding.quantise(tensor, quantiser))
                if self.plan.rate:
                    bits = bits + self.coding.rate(self._noisy(tensor, quantiser), quantiser)
            found[name] = tuple(rounded)
        return Seen(changes(self.layer, self.plan.kind, found), bits)

    def packed(self, coarser: float = 1.0, without: str | None = None) -> bytes:
        """The section as it is coded; coarser: a factor of all steps; without: a site that is left out too."""
        left = [name for name in self.kept() if name != without]
        kept = {name: tuple(tensor.detach() for tensor in self.values[name]) for name in left}
        chosen = [self._quantiser(torch.cat(parts), coarser) for parts in self._grouped(kept)] if kept else None
        return pack(self.layer, self.plan.kind, self.plan.coding, self.plan.rank, kept, chosen)[0]

    def kept(self) -> tuple[str, ...]:
        """The sites that are not left out."""
        return tuple(name for name in self.values if name not in self._left_out)

    def leave_out(self, name: str) -> None:
        """Have a site no longer in the section."""
        self._left_out.add(name)

    def _start(self, tensors: Sequence[Tensor], device: torch.device) -> tuple[Tensor, ...]:
        if self.plan.spread is not None:
            drawn = (torch.randn(t.shape, generator=self.generator, device=self.generator.device) for t in tensors)
            tensors = [self.plan.spread * each for each in drawn]
        return tuple(tensor.detach().to(device, copy=True).requires_grad_(True) for tensor in tensors)

    def _grouped(self, values: dict[str, tuple[Tensor, ...]] | None = None) -> list[list[Tensor]]:
        parts: list[list[Tensor]] = [[] for _ in range(self.groups)]
        for tensors in (self.values if values is None else values).values():
            for j, tensor in enumerate(tensors):
                parts[min(j, self.groups - 1)].append(tensor.detach().flatten())
        return parts

    def _quantiser(self, values: Tensor, coarser: float = 1.0) -> Quantiser:
        if not isinstance(self.coding, Lattice):
            return self.coding.fit(values)
        return self.coding.fit(values, coarser * (self.plan.step or self.coding.step), self.plan.scale)

    def _noisy(self, values: Tensor, quantiser: Quantiser) -> Tensor:
        drawn = torch.rand(values.shape, generator=self.generator, device=self.generator.device)
        return values + quantiser.step * (drawn.to(values.device) - 0.5)
