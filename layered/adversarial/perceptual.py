"""Losses on features that no discriminator has learned: statistics of patches, or VGG-19's layers."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layered.adversarial.settings import PerceptualSettings
from layered.errors import OptionError

__all__ = ["PatchStatistics", "Perceptual", "Vgg", "build_perceptual"]


class Perceptual(nn.Module, ABC):
    """A distance between two pictures in [0, 1]."""

    @abstractmethod
    def forward(self, made: Tensor, original: Tensor, generator: torch.Generator) -> Tensor:
        """Pictures [B, 3, H, W] -> a mean over them; what is random comes from the generator."""


class PatchStatistics(Perceptual):
    """Sliced Wasserstein distance between the patches of both pictures, at three scales.

    Patches of `side` pixels, in every other row and column, are projected on random directions, and the sorted
    projections of both pictures compared, so that textures count and where exactly they lie does not.  Source:
    Elnekave and Weiss 2022; Pitie et al. 2005.
    """

    def __init__(self, side: int = 7, directions: int = 16, scales: int = 3) -> None:
        super().__init__()
        self.side, self.directions, self.scales = side, directions, scales

    def forward(self, made: Tensor, original: Tensor, generator: torch.Generator) -> Tensor:
        total = made.new_zeros((), dtype=torch.float32)
        made, original = made.float(), original.float()
        for scale in range(self.scales):
            side = min(self.side, *made.shape[-2:])
            shape = (self.directions, 3, side, side)
            slices = torch.randn(shape, generator=generator, device=generator.device).to(made.device)
            slices = slices / slices.flatten(1).norm(dim=1)[:, None, None, None]
            ours, theirs = (F.conv2d(x, slices, stride=2).flatten(2).sort(-1).values for x in (made, original))
            total = total + F.l1_loss(ours, theirs)
            if scale + 1 < self.scales and min(made.shape[-2:]) >= 2 * self.side:
                made, original = F.avg_pool2d(made, 2), F.avg_pool2d(original, 2)
        return total / self.scales


class Vgg(Perceptual):
    """L1 between the features relu1_1 to relu5_1 of VGG-19, weighted 1/32 to 1 as in pix2pixHD.

    path: weights in torchvision's names (`features.0.weight`, ...); None: as initialised, from a seed of its own.
    Pictures are normalised as the weights expect.  Raises OptionError for a file without these weights.
    """

    WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)  # 0: max-pooling
    TAPPED = (0, 3, 6, 11, 16)
    WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)

    mean: Tensor
    deviation: Tensor

    def __init__(self, path: str | Path | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(19)
            before, layers = 3, []
            for width in self.WIDTHS:
                layers.append(nn.Conv2d(before, width, 3, padding=1) if width else nn.MaxPool2d(2))
                before = width or before
            for layer in layers:
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight)
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.layers = nn.ModuleList(layers)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[None, :, None, None])
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[None, :, None, None])
        if path is not None:
            self._take(Path(path))
        self.requires_grad_(False)

    def _take(self, path: Path) -> None:
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
            number = 0
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    parts = {part: stored[f"features.{number}.{part}"] for part in ("weight", "bias")}
                    layer.load_state_dict(parts)
                number += 2 if isinstance(layer, nn.Conv2d) else 1  # torchvision counts the ReLUs too
        except (OSError, KeyError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0]
            raise OptionError(f"perceptual.path: {path}: no weights of VGG-19 ({reason})") from None

    def forward(self, made: Tensor, original: Tensor, generator: torch.Generator) -> Tensor:
        x, y = ((picture - self.mean) / self.deviation for picture in (made, original))
        total = made.new_zeros((), dtype=torch.float32)
        weights = iter(self.WEIGHTS)
        for k, layer in enumerate(self.layers):
            x, y = layer(x), layer(y)
            if isinstance(layer, nn.Conv2d):
                x, y = F.relu(x), F.relu(y)
            if k in self.TAPPED:
                total = total + next(weights) * F.l1_loss(x.float(), y.float())
        return total


def build_perceptual(settings: PerceptualSettings) -> Perceptual | None:
    """The loss of that name, or None.  Raises OptionError."""
    if settings.name == "none" or settings.weight == 0:
        return None
    return PatchStatistics() if settings.name == "patches" else Vgg(settings.path)
