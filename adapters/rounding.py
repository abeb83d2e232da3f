"""Relaxed rounding for the refinement of latents: stochastic Gumbel annealing and its kin, and soft rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from layered.errors import OptionError
from layered.rounding import nearest

__all__ = ["LOGITS", "Gumbel", "SoftRound", "logits_of"]

_EDGE = 1e-5
"""Distances are kept this far from 0 and 1, where the logits are infinite."""
_SLOPE = 1.4  # of `ssl`
_SHRINK, _FAR = 0.98, 1.5  # of distances, with three classes; those of `ssl` reach 1.5
_POWER = 1.4  # of probabilities, with three classes


def _atanh(v: Tensor) -> Tensor:
    return -torch.atanh(v)


def _linear(v: Tensor) -> Tensor:
    return torch.log1p(-v)


def _cosine(v: Tensor) -> Tensor:
    return 2 * torch.log(torch.cos(v * (math.pi / 2)))


def _ssl(v: Tensor) -> Tensor:
    return torch.nn.functional.logsigmoid(-_SLOPE * torch.logit(v))


LOGITS: dict[str, Callable[[Tensor], Tensor]] = {"atanh": _atanh, "linear": _linear, "cosine": _cosine, "ssl": _ssl}
"""Logarithm, at temperature 1 and up to a constant, of the probability of an integer at distance v in (0, 1)."""


def logits_of(name: str) -> Callable[[Tensor], Tensor]:
    """The function of that name.  Raises OptionError listing the valid ones."""
    if name not in LOGITS:
        raise OptionError(f"no logits are called {name!r}; use one of {', '.join(LOGITS)}")
    return LOGITS[name]


@dataclass(frozen=True)
class Gumbel:
    """A relaxed random choice among the nearest integers, which becomes rounding as the temperature falls.

    temperature: of the probabilities and of the relaxation alike.  logits: `atanh` (SGA; Yang, Bamler and Mandt,
    NeurIPS 2020), or `linear`, `cosine`, `ssl` (SGA+; Perugachi-Diaz et al. 2024).  classes: 2, the integers below and
    above, or 3, the nearest and its neighbours: a distance d then counts as 0.98 d, 1 at the most, and for `ssl` as
    0.98 d / 1.5, so that all three are in reach everywhere, and the probability is raised to 1.4; these constants are
    those of SGA+, how they go together is ours.  The same sample goes to synthesis and likelihood.
    """

    temperature: float
    generator: torch.Generator
    logits: str = "atanh"
    classes: int = 2
    exact: bool = False

    def __post_init__(self) -> None:
        logits_of(self.logits)
        if self.classes not in (2, 3) or not self.temperature > 0:
            raise OptionError(f"{self.classes} classes at temperature {self.temperature}; 2 or 3, above 0")

    def __call__(self, centred: Tensor) -> tuple[Tensor, Tensor]:
        if self.classes == 2:
            below = torch.floor(centred).detach()
            above = centred - below
            drawn = self._uniform(centred)
            logistic = torch.log(drawn) - torch.log1p(-drawn)  # as the difference of two Gumbel variables is
            margin = self._logits(1 - above) - self._logits(above)
            values = below + torch.sigmoid((margin / self.temperature + logistic) / self.temperature)
            return values, values
        first = torch.round(centred).detach() - 1
        shares = self._shares(torch.stack([self._logits((centred - first - k).abs()) for k in range(3)], -1))
        values = first + shares[..., 1] + 2 * shares[..., 2]
        return values, values

    def assign(self, distances: Tensor) -> Tensor:
        """Any of the values may be chosen, with logits of minus the squared distance."""
        return self._shares(-distances)

    def _logits(self, distance: Tensor) -> Tensor:
        power = 1.0
        if self.classes == 3:
            distance, power = _SHRINK * distance / (_FAR if self.logits == "ssl" else 1.0), _POWER
        return power * logits_of(self.logits)(distance.clamp(_EDGE, 1 - _EDGE))

    def _shares(self, logits: Tensor) -> Tensor:
        gumbel = -torch.log(-torch.log(self._uniform(logits)))
        # Logits divided by the temperature are those of the distribution; divided again, those of its relaxation.
        return torch.softmax((logits / self.temperature + gumbel) / self.temperature, -1)

    def _uniform(self, like: Tensor) -> Tensor:
        device = self.generator.device
        drawn = torch.rand(like.shape, generator=self.generator, device=device, dtype=like.dtype)
        return drawn.clamp(1e-6, 1 - 1e-6).to(like.device)


@dataclass(frozen=True)
class SoftRound:
    """Soft rounding, noise, soft rounding (Agustsson and Theis, NeurIPS 2020), as Cool-Chic and C3 optimise latents.

    temperature: of the soft rounding; towards 0 it is rounding.  noise: standard deviation of the Gaussian between.
    """

    temperature: float
    noise: float
    generator: torch.Generator
    exact: bool = False

    def __call__(self, centred: Tensor) -> tuple[Tensor, Tensor]:
        drawn = torch.randn(
            centred.shape, generator=self.generator, device=self.generator.device, dtype=centred.dtype
        )  # fmt: skip
        noisy = self._soft(centred) + self.noise * drawn.to(centred.device)
        values = self._soft(noisy)
        return values, values

    def assign(self, distances: Tensor) -> Tensor:
        """The nearest value forward, the softmax of the distances over the temperature backward."""
        soft = torch.softmax(-distances / self.temperature, -1)
        return soft + (nearest(distances) - soft).detach()

    def _soft(self, x: Tensor) -> Tensor:
        below = torch.floor(x).detach()
        scaled = torch.tanh((x - below - 0.5) / self.temperature) / (2 * math.tanh(1 / (2 * self.temperature)))
        return below + 0.5 + scaled
