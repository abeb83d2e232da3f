"""One step of training, whatever it minimises: what the loop knows of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from layered.codec import LayeredCodec
from layered.image import Image8
from layered.training.phases import Draw, Objective
from layered.training.recipe import Phase

__all__ = ["Descent", "PlainDescent", "build_descent"]


class Descent(ABC):
    """The modules and optimisers of one phase."""

    @abstractmethod
    def step(self, draw: Draw, lr: float) -> dict[str, Tensor]:
        """Go down once, and return `loss` and what else is to be logged, means over this process's samples."""

    @abstractmethod
    def told(self, draw: Draw, means: Mapping[str, float]) -> dict[str, float]:
        """What to log of these, once they are means over the global batch."""

    @abstractmethod
    def trained_modules(self) -> tuple[nn.Module, ...]:
        """The parts of the codec that the phase trains."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What a resumed phase is built with, besides the codec."""

    def critic(self) -> dict[str, Tensor] | None:
        """The weights of the discriminator, where there is one, for the phase after this."""
        return None

    def sheet(self, step: int) -> Image8 | None:
        """A picture of what step `step`, counted from 1, has made, where one is due."""
        return None


class PlainDescent(Descent):
    """One loss, one optimiser."""

    def __init__(self, fabric: Any, codec: LayeredCodec, phase: Phase, state: Mapping[str, Any] | None) -> None:
        self._fabric = fabric
        self._objective = Objective(codec, phase)
        self._clip = phase.clip
        optimiser = torch.optim.Adam(self._objective.trained(), lr=phase.lr, fused=True)
        if state is not None:
            optimiser.load_state_dict(dict(state))
        self._objective.train()
        self._module, self._optimiser = fabric.setup(self._objective, optimiser)

    def step(self, draw: Draw, lr: float) -> dict[str, Tensor]:
        for group in self._optimiser.param_groups:
            group["lr"] = lr
        loss, means = self._module(draw)
        self._optimiser.zero_grad()
        self._fabric.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._objective.trained(), self._clip)
        self._optimiser.step()
        return {"loss": loss.detach(), **means}

    def told(self, draw: Draw, means: Mapping[str, float]) -> dict[str, float]:
        return self._objective.told(draw, means)

    def trained_modules(self) -> tuple[nn.Module, ...]:
        return self._objective.trained_modules()

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._optimiser.state_dict()
        return state


def build_descent(
    fabric: Any,
    codec: LayeredCodec,
    phase: Phase,
    seed: int,
    state: Mapping[str, Any] | None,
    critic: Mapping[str, Tensor] | None,
) -> Descent:
    """The descent of a phase.

    state: of one that was stopped.  critic: the discriminator's weights, from before the stop or from an earlier phase.
    """
    if phase.kind == "adversarial":
        from layered.adversarial.descent import AdversarialDescent

        return AdversarialDescent(fabric, codec, phase, seed, state, critic)
    return PlainDescent(fabric, codec, phase, state)
