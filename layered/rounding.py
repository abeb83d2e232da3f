"""How latents become integers: what the synthesis transform sees, and where the likelihood is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Hard", "Mixed", "Noise", "Rounding", "StraightThrough"]


class Rounding(Protocol):
    """A quantiser of zero-centred latents.

    exact: True when the result is what a decoder would hold; entropy parameters are then float64.
    """

    @property
    def exact(self) -> bool: ...

    def __call__(self, centred: Tensor) -> tuple[Tensor, Tensor]:
        """Latents minus their offset -> (values for synthesis, points for the likelihood), same shape."""
        ...

    def assign(self, distances: Tensor) -> Tensor:
        """Squared distances to the values of a finite alphabet [..., L] -> their shares in the choice, adding to 1."""
        ...


class _Nearest:
    """The nearest value forward; backward the softmax of the distances (Mentzer et al., CVPR 2018, section 3.2)."""

    def assign(self, distances: Tensor) -> Tensor:
        hard, soft = nearest(distances), torch.softmax(-distances, -1)
        return soft + (hard - soft).detach()


@dataclass(frozen=True)
class Hard:
    """Rounding to the nearest integer, as the coder does it."""

    exact: bool = True

    def __call__(self, centred: Tensor) -> tuple[Tensor, Tensor]:
        values = torch.round(centred)
        return values, values

    def assign(self, distances: Tensor) -> Tensor:
        return nearest(distances)


@dataclass(frozen=True)
class StraightThrough(_Nearest):
    """Hard rounding forward, identity backward (Bengio et al. 2013), for rate and distortion alike."""

    exact: bool = False

    def __call__(self, centred: Tensor) -> tuple[Tensor, Tensor]:
        values = centred + (torch.round(centred) - centred).detach()
        return values, values


@dataclass(frozen=True)
class Noise(_Nearest):
    """Additive uniform noise in [-1/2, 1/2) (Balle et al. 2017), for rate and distortion alike."""

    generator: torch.Generator
    exact: bool = False

    def __call__(self, centred: Tensor) -> tuple[Tensor, Tensor]:
        values = centred + uniform_like(centred, self.generator)
        return values, values


@dataclass(frozen=True)
class Mixed(_Nearest):
    """Noise for the rate, straight-through rounding for the distortion (Minnen and Singh 2020).

    share: (rank, world) of a process that holds every world-th sample of a batch, beginning with the rank-th.
    The noise is drawn for the whole batch, and so does not depend on how many processes share it.
    """

    generator: torch.Generator
    share: tuple[int, int] = (0, 1)
    exact: bool = False

    def __call__(self, centred: Tensor) -> tuple[Tensor, Tensor]:
        values = centred + (torch.round(centred) - centred).detach()
        return values, centred + uniform_like(centred, self.generator, self.share)


def nearest(distances: Tensor) -> Tensor:
    """One for the smallest of the distances [..., L], the first of equal ones, zero for the others."""
    chosen = torch.zeros_like(distances)
    return chosen.scatter_(-1, distances.argmin(-1, keepdim=True), 1.0)


def uniform_like(tensor: Tensor, generator: torch.Generator, share: tuple[int, int] = (0, 1)) -> Tensor:
    """Uniform noise in [-1/2, 1/2) of the shape, type and device of `tensor`, drawn on the generator's device."""
    rank, world = share
    shape = (len(tensor) * world, *tensor.shape[1:])
    noise = torch.rand(shape, generator=generator, device=generator.device, dtype=tensor.dtype)[rank::world]
    return noise.to(tensor.device) - 0.5
