"""What each phase of training minimises, as one module whose forward is a step's loss."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layered.base.gain import lambda_at
from layered.codec import LayeredCodec, as_decoded
from layered.enhancement.resample import Bicubic
from layered.enhancement.residual import ResidualEnhancement
from layered.guide import Guide
from layered.rounding import Hard, Mixed
from layered.training.data import CropSource, downscale
from layered.training.parts import residual_of, select_trained, trained_parts
from layered.training.recipe import Phase
from layered.weights.precision import bits_of, keeps_all, rounded

__all__ = [
    "Draw",
    "Objective",
    "draw_step",
    "largest_crop",
    "learning_rate",
]


class Draw:
    """All randomness of one step: crops [B, 3, P, P], layer sides in pixels, quality, seed of the noise.

    share: (rank, world), which part of the global batch the crops are; the noise is drawn for all of it.
    guide: labels of the crops, where the pictures have them, and what is to be kept of each.
    Not a dataclass, because Fabric would reach into one and round the crops to its own precision.
    """

    __slots__ = ("crops", "guide", "noise", "quality", "share", "sides")

    def __init__(
        self,
        crops: Tensor,
        sides: tuple[int, ...],
        quality: float,
        noise: int,
        share: tuple[int, int] = (0, 1),
        guide: Guide | None = None,
    ) -> None:
        self.crops, self.sides, self.quality, self.noise, self.share = crops, sides, quality, noise, share
        self.guide = guide


def largest_crop(phase: Phase) -> int:
    """The side in pixels of the largest crop that a phase may cut from a picture."""
    single = len(phase.scales) == 1 and phase.kind != "predictor"
    return round(phase.patch**2 / max(1, round(phase.patch * phase.scales[0][0]))) if single else phase.patch


def draw_step(
    phase: Phase,
    source: CropSource,
    qualities: tuple[float, float],
    seed: int,
    step: int,
    share: tuple[int, int] = (0, 1),
) -> Draw:
    """The randomness of step `step`: a function of the arguments alone, so that a resumed run repeats it.

    share: (rank, world) of this process.  Everything is drawn for the global batch, so that the processes
    together see what one alone would.
    """
    start = zlib.crc32(f"{seed}/{phase.name}/{step}".encode())
    generator = torch.Generator().manual_seed(start)
    draws = torch.rand(len(phase.scales) + 1, generator=generator).tolist()
    drawn = [low + u * (high - low) for u, (low, high) in zip(draws[:-1], phase.scales, strict=True)]
    sides = tuple(max(1, round(phase.patch * scale)) for scale in drawn)
    quality = qualities[0] + draws[-1] * (qualities[1] - qualities[0])
    # One scale: crop wide and shrink, so that the layer always has `patch` pixels a side.
    crop = phase.patch if len(sides) > 1 or phase.kind == "predictor" else round(phase.patch**2 / sides[0])
    crops, labels = source.draw_labelled(generator, phase.batch, crop, share)
    guide = None if labels is None else Guide(labels, _kept(labels, phase.preserve, phase.batch, generator, share))
    if crop != phase.patch:
        crops, sides = downscale(crops, phase.patch, phase.patch), (phase.patch,)
        guide = None if guide is None else guide.at(phase.patch, phase.patch)
    noise = zlib.crc32(f"{seed}/{phase.name}/{step}/noise/0".encode())
    return Draw(crops, sides, quality, noise, share, guide)


def _kept(labels: Tensor, preserve: str, count: int, generator: torch.Generator, share: tuple[int, int]) -> Tensor:
    """What is to be kept of crops with `labels` [B, P, P]: bool, drawn for the global batch of `count`.

    Boxes have sides of 0.4 to 0.8 of the crop, as the paper's 200 to 400 pixels are of its 512; of classes each is kept
    with a probability of a quarter, as the paper's instances are.
    """
    draws = torch.rand(count, 5 + 256, generator=generator)[share[0] :: share[1]]
    side = labels.shape[-1]
    kept = torch.zeros(labels.shape, dtype=torch.bool, device=labels.device)
    for crop, draw, one in zip(labels, draws, kept, strict=True):
        down, across, high, wide, kind = draw[:5].tolist()
        if preserve == "boxes" or (preserve == "either" and kind < 0.5):
            height, width = round(side * (0.4 + 0.4 * high)), round(side * (0.4 + 0.4 * wide))
            top, left = int(down * (side - height + 1)), int(across * (side - width + 1))
            one[top : top + height, left : left + width] = True
        else:
            one |= (draw[5:] < 0.25).to(labels.device)[crop.long()]
    return kept


def learning_rate(phase: Phase, step: int) -> float:
    """The learning rate of `step`, counted from 0."""
    if phase.schedule == "cosine":
        return phase.lr * 0.5 * (1 + math.cos(math.pi * step / phase.steps))
    if phase.schedule == "step":
        return phase.lr * float(phase.decay ** (step // phase.decay_every))
    return phase.lr


class Objective(nn.Module):
    """The loss of one phase: sum over trained layers of bpp + lambda * 255^2 * MSE, or the predictor's L1 or MSE."""

    def __init__(self, codec: LayeredCodec, phase: Phase) -> None:
        super().__init__()
        self._parts = trained_parts(codec, phase)
        select_trained(codec, phase, self._parts)
        if phase.kind == "residual":
            codec = LayeredCodec(codec.spec, codec.base, ResidualEnhancement(Bicubic(), residual_of(codec)))
        self.codec = codec
        self.phase = phase

    def trained(self) -> list[nn.Parameter]:
        """The parameters that this phase's optimiser holds."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def trained_modules(self) -> tuple[nn.Module, ...]:
        """The modules that hold those parameters, and no others."""
        return self._parts

    def forward(self, draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of the batch, and what it is made of: bpp and MSE of every layer; all are means over samples."""
        if self.phase.kind == "predictor":
            return self._prediction(draw)
        originals = [downscale(draw.crops, side, side) for side in draw.sides]
        noise = torch.Generator(originals[0].device).manual_seed(draw.noise)
        given = (originals, [draw.quality] * len(originals), Mixed(noise, draw.share), draw.guide)
        outputs = torch.func.functional_call(self.codec, self._packed(), given)
        weight = lambda_at(self.codec.spec.lambdas, draw.quality) * 255**2
        loss = torch.zeros((), device=draw.crops.device)
        means: dict[str, Tensor] = {}
        for k, output in enumerate(outputs):
            mse = F.mse_loss(output.reconstruction.float(), output.original)
            bpp = output.bits.mean() / (output.original.shape[-2] * output.original.shape[-1])
            if k > 0 or self.phase.kind in ("base", "all"):
                loss = loss + bpp + weight * mse
            means |= {f"bpp{k}": bpp.detach(), f"mse{k}": mse.detach()}
        return loss, means

    def told(self, draw: Draw, means: Mapping[str, float]) -> dict[str, float]:
        """What to log of `loss` and the other means over the global batch: PSNR in dB, L1 in 8-bit levels."""
        log = {"loss": means["loss"]}
        if self.phase.kind == "predictor":
            log["scale"] = draw.crops.shape[-1] / draw.sides[0]
            if not self.phase.decoded:
                return log | {"l1": 255 * means["loss"]}
            return log | {"quality": draw.quality, "psnr1": -10 * math.log10(max(means["loss"], 1e-10))}
        log["quality"] = draw.quality
        for k in range(len(draw.sides)):
            log[f"bpp{k}"] = means[f"bpp{k}"]
            log[f"psnr{k}"] = -10 * math.log10(max(means[f"mse{k}"], 1e-10))
        return log

    def _packed(self) -> dict[str, Tensor]:
        """The weights as they will be packed, where the phase asks for that; gradients pass straight through."""
        if (significant := self.phase.significant) is None:
            return {}
        return {
            name: weight + (rounded(weight.detach(), bits_of(name, significant)) - weight).detach()
            for name, weight in self.codec.named_parameters()
            if weight.requires_grad and not keeps_all(name)
        }

    def _prediction(self, draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        lower = downscale(draw.crops, draw.sides[0], draw.sides[0])
        side = draw.crops.shape[-1]
        (predictor,) = self._parts
        if not self.phase.decoded:
            return F.l1_loss(predictor(lower, side, side).float(), draw.crops), {}
        with torch.no_grad():
            (base,) = self.codec([lower], [draw.quality], Hard(exact=False), draw.guide)
            lower = as_decoded(base.reconstruction)
        return F.mse_loss(predictor(lower, side, side).float(), draw.crops), {}
