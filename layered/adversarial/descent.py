"""The discriminator's step and the generator's, in turn."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from layered.adversarial.discriminator import Discriminator
from layered.adversarial.losses import critic_loss, feature_matching, verdict_loss
from layered.adversarial.perceptual import build_perceptual
from layered.codec import LayeredCodec
from layered.errors import OptionError, RecipeError
from layered.guide import one_hot
from layered.image import Image8, to_image8
from layered.layer import Context
from layered.rounding import StraightThrough
from layered.training.descent import Descent
from layered.training.parts import instance_norms, select_trained, trained_parts
from layered.training.phases import Draw
from layered.training.recipe import Phase

__all__ = ["AdversarialDescent"]

SHOWN = 4
BETAS = (0.5, 0.999)
"""Adam's, as in pix2pixHD."""


class _Reconstruction(nn.Module):
    """The base layer's pictures of a batch, their bits, and where they are to be like the originals."""

    def __init__(self, codec: LayeredCodec) -> None:
        super().__init__()
        self.base = codec.base

    def forward(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        context = Context(draw.crops.shape[-2], draw.crops.shape[-1], draw.quality, guide=draw.guide)
        coded = self.base.code(self.base.analyse(draw.crops, context), context, StraightThrough())
        fidelity = self.base.fidelity(coded.latents, context)
        everywhere = torch.ones_like(draw.crops[:, :1]) if fidelity is None else fidelity
        return self.base.synthesise(coded.latents, context).float(), coded.bits, everywhere


class AdversarialDescent(Descent):
    """Trains a base layer, or its generator alone, and a discriminator that forgets nothing between phases."""

    def __init__(
        self,
        fabric: Any,
        codec: LayeredCodec,
        phase: Phase,
        seed: int,
        state: Mapping[str, Any] | None,
        critic: Mapping[str, Tensor] | None,
    ) -> None:
        self._fabric, self._phase = fabric, phase
        self._settings = settings = phase.adversarial
        self._plays = bool(settings.adversarial or settings.matching)
        (self._part,) = trained_parts(codec, phase)
        select_trained(codec, phase, (self._part,))
        for norm in instance_norms(codec, phase):  # an earlier phase may have had it otherwise
            norm.fix(settings.fixed_statistics)
        self._classes = len(getattr(codec.spec.base, "classes", ())) if settings.critic.labels else 0
        if settings.critic.labels and not self._classes:
            raise RecipeError(f"phase {phase.name!r}: critic.labels: the base layer has no classes")
        with torch.random.fork_rng():
            torch.manual_seed(zlib.crc32(f"{seed}/critic".encode()))
            self._critic = Discriminator(3 + self._classes, settings.critic.width, settings.critic.scales)
        if critic is not None and self._plays:
            try:
                self._critic.load_state_dict(dict(critic))
            except RuntimeError:
                raise RecipeError(f"phase {phase.name!r}: its critic is of another size than the one before") from None
        self._critic.to(fabric.device)
        try:
            self._perceptual = build_perceptual(settings.perceptual)
        except OptionError as error:
            raise RecipeError(f"phase {phase.name!r}: {error}") from None
        if self._perceptual is not None:
            self._perceptual.to(fabric.device)
        maker = torch.optim.Adam(self._part.parameters(), lr=phase.lr, betas=BETAS, fused=True)
        judge = torch.optim.Adam(self._critic.parameters(), lr=settings.critic.lr, betas=BETAS, fused=True)
        if state is not None:
            maker.load_state_dict(state["maker"])
            judge.load_state_dict(state["judge"])
        self._made, self._maker = fabric.setup(_Reconstruction(codec).train(), maker)
        self._judged, self._judge = fabric.setup(self._critic, judge)
        self._shown: tuple[Tensor, Tensor] | None = None

    def step(self, draw: Draw, lr: float) -> dict[str, Tensor]:
        for optimiser, rate in ((self._maker, lr), (self._judge, self._settings.critic.lr * lr / self._phase.lr)):
            for group in optimiser.param_groups:
                group["lr"] = rate
        picture, bits, fidelity = self._made(draw)
        made, original = 2 * picture - 1, 2 * draw.crops - 1
        played = {"critic": self._train_critic(original, made.detach(), draw)} if self._plays else {}
        self._critic.requires_grad_(False)
        error = ((made - original).square() * fidelity).sum() / (3 * fidelity.sum()).clamp(min=1)
        terms = {"mse": (self._settings.mse, error), **self._terms(made, original, bits, draw)}
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
        self._maker.zero_grad()
        self._fabric.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._part.parameters(), self._phase.clip)
        self._maker.step()
        self._critic.requires_grad_(True)
        self._shown = draw.crops[:SHOWN], picture[:SHOWN].detach()
        values = {name: value.detach() for name, (_, value) in terms.items()}
        return {"loss": loss.detach(), **played, **values}

    def _train_critic(self, original: Tensor, made: Tensor, draw: Draw) -> Tensor:
        pairs = torch.cat([self._labelled(original, draw), self._labelled(made, draw)])
        both = self._judged(pairs)  # at once: processes agree on gradients once a forward
        real, fake = ([[feature.chunk(2)[k] for feature in scale] for scale in both] for k in (0, 1))
        loss = critic_loss(self._settings.loss, real, fake)
        self._judge.zero_grad()
        self._fabric.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._critic.parameters(), self._phase.clip)
        self._judge.step()
        return loss.detach()

    def _terms(self, made: Tensor, original: Tensor, bits: Tensor, draw: Draw) -> dict[str, tuple[float, Tensor]]:
        """Each further term of the generator's loss by name: weight and value."""
        settings = self._settings
        terms = {"bpp": (settings.rate, bits.mean() / (draw.crops.shape[-2] * draw.crops.shape[-1]))}
        if self._plays:
            fake = self._seen(made, draw)
            terms["verdict"] = settings.adversarial, verdict_loss(settings.loss, fake)
            if settings.matching:
                with torch.no_grad():
                    real = self._seen(original, draw)
                terms["matching"] = settings.matching, feature_matching(real, fake)
        if self._perceptual is not None:
            noise = torch.Generator(made.device).manual_seed(draw.noise)
            pictures = ((made + 1) / 2, (original + 1) / 2)
            terms["perceptual"] = settings.perceptual.weight, self._perceptual(*pictures, noise)
        return terms

    def _seen(self, pictures: Tensor, draw: Draw) -> list[list[Tensor]]:
        """What the discriminator finds, without a thought of its own gradients."""
        with self._fabric.autocast():
            found: list[list[Tensor]] = self._critic(self._labelled(pictures, draw))
        return found

    def _labelled(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Pictures and, where the discriminator sees them, their one-hot labels as further channels."""
        if not self._classes or draw.guide is None:
            return pictures
        return torch.cat([pictures, one_hot(draw.guide.labels, self._classes, pictures)], 1)

    def told(self, draw: Draw, means: Mapping[str, float]) -> dict[str, float]:
        told = {name: value for name, value in means.items() if name != "mse"}
        return told | ({"psnr": -10 * math.log10(means["mse"] / 4)} if means["mse"] else {})  # none kept, none wrong

    def trained_modules(self) -> tuple[nn.Module, ...]:
        return (self._part,)

    def state(self) -> dict[str, Any]:
        return {"maker": self._maker.state_dict(), "judge": self._judge.state_dict()}

    def critic(self) -> dict[str, Tensor] | None:
        if not self._plays:
            return None
        return {name: value.detach().cpu().clone() for name, value in self._critic.state_dict().items()}

    def sheet(self, step: int) -> Image8 | None:
        due = self._settings.sheets and (step % self._settings.sheets == 0 or step == self._phase.steps)
        if not due or self._shown is None:
            return None
        rows = [[to_image8(picture[None]) for picture in pictures] for pictures in self._shown]
        sheet: Image8 = np.concatenate([np.concatenate(row, 1) for row in rows], 0)
        return sheet
