"""What generator and discriminator minimise, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["GAN_LOSSES", "GanLoss", "critic_loss", "feature_matching", "verdict_loss"]


@dataclass(frozen=True)
class GanLoss:
    """of_real, of_fake: the discriminator's loss of verdicts [B, 1, h, w]; of_made: the generator's, of the same."""

    of_real: Callable[[Tensor], Tensor]
    of_fake: Callable[[Tensor], Tensor]
    of_made: Callable[[Tensor], Tensor]


GAN_LOSSES: dict[str, GanLoss] = {
    # Mao et al. 2017, the discriminator's halved as in pix2pixHD.
    "lsgan": GanLoss(
        lambda v: 0.5 * (v - 1).square().mean(), lambda v: 0.5 * v.square().mean(), lambda v: (v - 1).square().mean()
    ),
    # Goodfellow et al. 2014, without saturation.
    "vanilla": GanLoss(
        lambda v: F.softplus(-v).mean(), lambda v: F.softplus(v).mean(), lambda v: F.softplus(-v).mean()
    ),
    # Lim and Ye 2017.
    "hinge": GanLoss(lambda v: F.relu(1 - v).mean(), lambda v: F.relu(1 + v).mean(), lambda v: -v.mean()),
}


def critic_loss(name: str, real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """The discriminator's loss, added over its scales."""
    loss = GAN_LOSSES[name]
    terms = [loss.of_real(r[-1].float()) + loss.of_fake(f[-1].float()) for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).sum()


def verdict_loss(name: str, fake: list[list[Tensor]]) -> Tensor:
    """The generator's loss, added over the scales."""
    return torch.stack([GAN_LOSSES[name].of_made(f[-1].float()) for f in fake]).sum()


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """L1 between the discriminator's features of original and reconstruction, a mean over its scales (pix2pixHD)."""
    terms = [
        F.l1_loss(f.float(), r.detach().float())
        for real_scale, fake_scale in zip(real, fake, strict=True)
        for r, f in zip(real_scale[:-1], fake_scale[:-1], strict=True)
    ]
    return torch.stack(terms).sum() / len(real)
