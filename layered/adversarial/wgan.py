"""The Wasserstein GAN with gradient penalty that a prior is trained by (Gulrajani et al., NeurIPS 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from layered.adversarial.prior import Prior
from layered.training.recipe import PriorRecipe

__all__ = ["BETAS", "LatentCritic", "Wgan", "gradient_penalty"]

BETAS = (0.0, 0.9)
"""Adam's, of that paper."""


class LatentCritic(nn.Module):
    """Codes as numbers [B, C, h, w], both sides 4 or more -> verdicts [B], means over patches of 24x24 codes.

    There is no normalisation: the penalty is on the gradient of each sample alone.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, numbers: Tensor) -> Tensor:
        verdicts: Tensor = self.layers(numbers).mean((1, 2, 3))
        return verdicts


def gradient_penalty(critic: nn.Module, real: Tensor, made: Tensor, shares: Tensor) -> Tensor:
    """The mean of (norm of the critic's gradient - 1)^2 between real and made samples [B, ...] (equation 3).

    shares: how far from the real one to the made one, [B] in [0, 1].
    """
    between = torch.lerp(real, made, shares.reshape(-1, *(1,) * (real.ndim - 1))).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty


class Wgan:
    """A prior and its critic, with their optimisers; state: of a run that was stopped."""

    def __init__(
        self, prior: Prior, critic: LatentCritic, recipe: PriorRecipe, state: Mapping[str, Any] | None = None
    ) -> None:
        self._prior, self._critic, self._recipe = prior.train(), critic.train(), recipe
        self._maker = torch.optim.Adam(prior.parameters(), lr=recipe.lr, betas=BETAS, fused=True)
        self._judge = torch.optim.Adam(critic.parameters(), lr=recipe.lr, betas=BETAS, fused=True)
        if state is not None:
            for name, part in self._parts().items():
                part.load_state_dict(state[name])

    def step(self, symbols: Tensor, generator: torch.Generator) -> dict[str, float]:
        """So many steps of the critic and one of the prior, on symbols [N, C, h, w]; all draws are the generator's.

        Returns `distance`, the critic's estimate of how far both are apart, and the last `penalty`.
        """
        for _ in range(self._recipe.critic_steps):
            distance, penalty = self._train_critic(symbols, generator)
        self._critic.requires_grad_(False)
        loss = -self._critic(self._made(symbols, generator)).mean()
        self._maker.zero_grad()
        loss.backward()
        self._maker.step()
        self._critic.requires_grad_(True)
        return {"distance": float(distance), "penalty": float(penalty)}

    def state(self) -> dict[str, Any]:
        """What another is built with to go on."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def _train_critic(self, symbols: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        device, batch = next(self._critic.parameters()).device, self._recipe.batch
        chosen = symbols[torch.randint(len(symbols), (batch,), generator=generator)]
        real = self._prior.numbers(chosen, torch.rand(chosen.shape, generator=generator)).to(device)
        with torch.no_grad():
            made = self._made(symbols, generator)
        shares = torch.rand(batch, generator=generator).to(device)
        penalty = gradient_penalty(self._critic, real, made, shares)
        of_real, of_made = self._critic(torch.cat([real, made])).chunk(2)
        distance = of_real.mean() - of_made.mean()
        loss = self._recipe.penalty * penalty - distance
        self._judge.zero_grad()
        loss.backward()
        self._judge.step()
        return distance.detach(), penalty.detach()

    def _made(self, symbols: Tensor, generator: torch.Generator) -> Tensor:
        height, width = symbols.shape[-2:]
        made: Tensor = self._prior(self._prior.noises(self._recipe.batch, height, width, generator))
        return made[..., :height, :width]

    def _parts(self) -> dict[str, Any]:
        return {"prior": self._prior, "critic": self._critic, "maker": self._maker, "judge": self._judge}
