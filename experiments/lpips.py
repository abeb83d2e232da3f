"""LPIPS, a distance between pictures by the features of a network that was trained for recognition.

Source: Zhang et al. 2018 (version 0.1 of their package, with linear heads).  Nothing comes with it and nothing is
downloaded: the trunk is torchvision's file of AlexNet or VGG-16, the heads a file of the package lpips.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.fingerprint import source_digest
from layered.errors import OptionError
from layered.files import read_bytes
from layered.image import Image8, to_tensor

__all__ = ["TRUNKS", "Lpips", "Trunk", "load_lpips"]

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of the input in [-1, 1]."""
EPSILON = 1e-10


@dataclass(frozen=True)
class Trunk:
    """A network up to its last convolution.

    first: stride and padding of the first convolution.  convolutions: by the number of each in torchvision's
    `features` its channels and the side of its kernel.  pooled: those with max-pooling before them.  tapped: those
    whose features count, after ReLU.  pool: side of max-pooling, whose stride is 2.  smallest: picture, pixels a side.
    """

    first: tuple[int, int]
    convolutions: Mapping[int, tuple[int, int]]
    pooled: tuple[int, ...]
    tapped: tuple[int, ...]
    pool: int
    smallest: int


_VGG = {64: (0, 2), 128: (5, 7), 256: (10, 12, 14), 512: (17, 19, 21, 24, 26, 28)}
TRUNKS: Mapping[str, Trunk] = {
    "AlexNet": Trunk(
        (4, 2), {0: (64, 11), 3: (192, 5), 6: (384, 3), 8: (256, 3), 10: (256, 3)},
        pooled=(3, 6), tapped=(0, 3, 6, 8, 10), pool=3, smallest=31,
    ),
    "VGG-16": Trunk(
        (1, 1), {number: (width, 3) for width, numbers in _VGG.items() for number in numbers},
        pooled=(5, 10, 17, 24), tapped=(2, 7, 14, 21, 28), pool=2, smallest=16,
    ),
}  # fmt: skip


class Lpips(nn.Module):
    """The network and its heads.  fingerprint: what its values depend on."""

    shift: Tensor
    scale: Tensor

    def __init__(self, trunk: Trunk, fingerprint: str = "") -> None:
        super().__init__()
        self.trunk, self.fingerprint = trunk, fingerprint
        before, self.convolutions = 3, nn.ModuleDict()
        for number, (width, side) in trunk.convolutions.items():
            stride, padding = trunk.first if number == 0 else (1, side // 2)
            self.convolutions[str(number)] = nn.Conv2d(before, width, side, stride, padding)
            before = width
        self.heads = nn.ParameterList(torch.zeros(1, trunk.convolutions[tap][0], 1, 1) for tap in trunk.tapped)
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        self.requires_grad_(False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """[B, 3, H, W] in [0, 1] -> the tapped features [B, C, h, w], of length 1 at every place."""
        x, found = (2 * pictures - 1 - self.shift) / self.scale, []
        for number in self.trunk.convolutions:
            if number in self.trunk.pooled:
                x = F.max_pool2d(x, self.trunk.pool, 2)
            x = F.relu(self.convolutions[str(number)](x))
            if number in self.trunk.tapped:
                found.append(x / (x.square().sum(1, keepdim=True).sqrt() + EPSILON))
        return found

    def forward(self, made: Tensor, original: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in [0, 1] -> distances [B]."""
        pairs = zip(self.features(made), self.features(original), self.heads, strict=True)
        return torch.stack([F.conv2d((x - y).square(), head).mean((1, 2, 3)) for x, y, head in pairs]).sum(0)

    @torch.inference_mode()
    def score(self, decoded: Image8, original: Image8) -> float | None:
        """Of two pictures [H, W, 3]; None where a side is too short for the trunk."""
        if min(decoded.shape[:2]) < self.trunk.smallest:
            return None
        return float(self(to_tensor(decoded, self.shift.device), to_tensor(original, self.shift.device)))


def load_lpips(path: str, heads: str, device: str = "cpu") -> Lpips:
    """LPIPS from a trunk's weights in torchvision's names and heads `lin{k}.model.1.weight`.

    Raises OptionError that says which file is missing or what it lacks.
    """
    stored, trunk_digest = _read(path, "path")
    given, heads_digest = _read(heads, "heads")
    first = stored.get("features.0.weight")
    shape = None if first is None else tuple(first.shape)
    trunks = {(width, 3, side, side): name for name, t in TRUNKS.items() for width, side in [t.convolutions[0]]}
    if shape not in trunks:
        found = "it has no features.0.weight" if shape is None else f"its features.0.weight is {list(shape)}"
        raise OptionError(f"lpips: path: {path}: no weights of {' or '.join(TRUNKS)} in torchvision's names; {found}")
    name = trunks[shape]
    versions = f"torch {torch.__version__}, {device}, code {source_digest('experiments/lpips.py')}"
    made = Lpips(TRUNKS[name], f"{name} {trunk_digest}, heads {heads_digest}, {versions}")
    for number, convolution in made.convolutions.items():
        for part, own in convolution.named_parameters():
            own.copy_(_like(own, stored, f"features.{number}.{part}", f"path: {path}: no weights of {name}"))
    for k, own in enumerate(made.heads):
        own.copy_(_like(own, given, f"lin{k}.model.1.weight", f"heads: {heads}: no heads for {name}"))
    return made.to(device).eval()


def _read(path: str, key: str) -> tuple[dict[str, Tensor], str]:
    """Tensors by their names, and the file's digest."""
    try:
        data = read_bytes(path)
    except OptionError as error:
        raise OptionError(f"lpips: {key}: {error}; nothing is downloaded, name a file that you have") from None
    try:
        stored = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise OptionError(f"lpips: {key}: {path}: not a file of weights ({type(error).__name__})") from None
    tensors = stored if isinstance(stored, dict) else {}
    named = {str(name): value for name, value in tensors.items() if isinstance(value, Tensor)}
    return named, hashlib.sha256(data).hexdigest()[:16]


def _like(own: Tensor, stored: Mapping[str, Tensor], name: str, what: str) -> Tensor:
    found = stored.get(name)
    if found is None or found.shape != own.shape:
        has = "is missing" if found is None else f"is {list(found.shape)} where {list(own.shape)} is needed"
        raise OptionError(f"lpips: {what}; {name} {has}")
    return found
