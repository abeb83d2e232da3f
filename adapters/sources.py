"""Where latents come from while an adapter is found: they stay, are optimised themselves, or an encoder is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from adapters.applied import AdaptedLayer
from adapters.places import encoder_sites
from adapters.refine import leaves
from adapters.schedule import Schedule
from adapters.sites import encoding_parameters, own_parameters, sites, used_sites
from layered.layer import Coded, Context, Latents, Layer
from layered.rounding import Hard, Mixed, StraightThrough

__all__ = ["Encoder", "Fixed", "Free", "Source"]


class Source(Protocol):
    """free: what is to be optimised, and lr: how fast.  changing: names of the layer's modules whose parameters are."""

    free: list[Tensor]
    lr: float
    changing: tuple[str, ...]

    def coded(self, tensors: Mapping[str, Tensor], step: float) -> Coded:
        """Quantised latents and bits [1], where the decoder has these tensors, at `step`."""
        ...

    def latents(self, tensors: Mapping[str, Tensor]) -> Latents:
        """As they are now, before rounding, where the decoder has these tensors."""
        ...


class Fixed:
    """Latents that stay as they are; coded again only where tensors change that more than the synthesis uses."""

    def __init__(self, layer: Layer, latents: Latents, context: Context) -> None:
        self.free: list[Tensor] = []
        self.lr = 0.0
        self.changing: tuple[str, ...] = ()
        self._layer, self._latents, self._context = layer, latents, context
        with torch.no_grad():
            self._coded = layer.code(latents, context, Hard(exact=False))
        self._behind = tuple(f"{name}." for name in used_sites(layer, self._coded.latents, context))

    def coded(self, tensors: Mapping[str, Tensor], step: float) -> Coded:
        if all(name.startswith(self._behind) for name in tensors):
            return self._coded
        return AdaptedLayer(self._layer, tensors).code(self._latents, self._context, StraightThrough())

    def latents(self, tensors: Mapping[str, Tensor]) -> Latents:
        return self._latents


class Free:
    """Latents that are optimised under a schedule's rounding."""

    def __init__(
        self, layer: Layer, latents: Latents, context: Context, schedule: Schedule, generator: torch.Generator
    ) -> None:
        self._latents, self.free = leaves(layer, latents)
        self.lr = schedule.lr
        self.changing: tuple[str, ...] = ()
        self._layer, self._context, self._schedule, self._generator = layer, context, schedule, generator

    def coded(self, tensors: Mapping[str, Tensor], step: float) -> Coded:
        rounding = self._schedule.rounding_at(step, self._generator)
        return AdaptedLayer(self._layer, tensors).code(self._latents, self._context, rounding)

    def latents(self, tensors: Mapping[str, Tensor]) -> Latents:
        return Latents(tuple(part.detach() for part in self._latents.parts))


class Encoder:
    """Latents of an encoder that is optimised, under noise for the rate and rounding for the distortion.

    It begins as the layer's own: all that the encoder alone reads is changed.
    """

    def __init__(
        self, layer: Layer, original: Tensor, context: Context, lr: float, generator: torch.Generator
    ) -> None:
        alone = encoder_sites(layer, original, context)
        found = {
            name: own_parameters(module) if name in alone else encoding_parameters(module)
            for name, module in sites(layer).items()
        }
        self.lr, self.changing = lr, tuple(name for name, parameters in found.items() if parameters)
        self._own = {
            f"{name}.{key}": value.detach().clone().requires_grad_(True)
            for name, parameters in found.items()
            for key, value in parameters.items()
        }
        self.free = list(self._own.values())
        self._layer, self._original, self._context, self._generator = layer, original, context, generator

    def coded(self, tensors: Mapping[str, Tensor], step: float) -> Coded:
        layer = AdaptedLayer(self._layer, {**self._own, **tensors})
        latents = layer.analyse(self._original, self._context)
        return layer.code(latents, self._context, Mixed(self._generator))

    @torch.no_grad()
    def latents(self, tensors: Mapping[str, Tensor]) -> Latents:
        return AdaptedLayer(self._layer, {**self._own, **tensors}).analyse(self._original, self._context)
