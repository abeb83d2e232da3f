"""A learned prior over the codes of a finite alphabet: noise becomes symbols, of any size.

Source: Agustsson et al. (ICCV 2019, appendix F.6), who train a Wasserstein GAN on the codes of GC, and show what its
generator makes of them; they say no more, so that the networks are ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from layered.base.blocks import Conv, Upsampling, block
from layered.errors import OptionError
from layered.recipes import Strict, faults
from layered.weights.container import read_tensors, write_tensors

__all__ = ["Prior", "PriorSpec", "load_prior", "save_prior"]

_FORMAT = "layered-prior-1"


class PriorSpec(Strict):
    """channels, size: of the codes [C, h, w], each 0 to size - 1.  quality: at which they were coded.

    noise: Gaussian channels at each scale.  width: of the last features; twice that at half the scale, and so on for
    all `doublings`.
    """

    channels: int = Field(ge=1, le=1024)
    size: int = Field(ge=2, le=256)
    quality: float = Field(default=1.0, allow_inf_nan=False)
    noise: int = Field(default=16, ge=1, le=256)
    width: int = Field(default=32, ge=1, le=256)
    doublings: int = Field(default=2, ge=0, le=4)


class Prior(nn.Module):
    """Noise at every scale -> numbers in (-1, 1) [B, C, h, w], of which each code has an equal share of the range.

    Every layer is a convolution, so that any size can be drawn; codes far apart are independent.
    """

    def __init__(self, spec: PriorSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = [spec.width << k for k in range(spec.doublings, -1, -1)]
        inputs = [widths[0], *(width + spec.noise for width in widths[1:])]
        self.first = block(spec.noise, widths[0], 3, "channel")
        self.larger = nn.ModuleList(Upsampling(*pair, "channel") for pair in zip(inputs[:-1], widths[1:], strict=True))
        self.last = Conv(inputs[-1], spec.channels, 3)

    def forward(self, noises: Sequence[Tensor]) -> Tensor:
        """Noises [B, noise, h, w], each twice as high and wide as the one before."""
        x = self.first(noises[0])
        for enlarge, noise in zip(self.larger, noises[1:], strict=True):
            x = torch.cat([enlarge(x), noise], 1)
        return torch.tanh(self.last(x))

    def noises(self, count: int, height: int, width: int, generator: torch.Generator) -> list[Tensor]:
        """What `forward` makes at least [count, C, height, width] of."""
        rows, columns = (-(-side // (1 << self.spec.doublings)) for side in (height, width))
        device = next(self.parameters()).device
        return [
            torch.randn(count, self.spec.noise, rows << k, columns << k, generator=generator).to(device)
            for k in range(self.spec.doublings + 1)
        ]

    def draw(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Symbols of that shape [B, C, h, w], int64.  Raises OptionError for another number of channels."""
        count, channels, height, width = shape
        if channels != self.spec.channels:
            raise OptionError(f"the prior draws {self.spec.channels} channels, the codes have {channels}")
        with torch.no_grad():
            made = self(self.noises(count, height, width, generator))[..., :height, :width]
        return self.symbols(made)

    def numbers(self, symbols: Tensor, within: Tensor) -> Tensor:
        """Symbols -> numbers in (-1, 1); within: where in a symbol's share of the range, in [0, 1)."""
        return (symbols + within) * (2 / self.spec.size) - 1

    def symbols(self, numbers: Tensor) -> Tensor:
        """The inverse: the symbol in whose share of the range each number lies."""
        return ((numbers + 1) * (self.spec.size / 2)).long().clamp(0, self.spec.size - 1)


def save_prior(prior: Prior, path: Path, digest: bytes, training: Mapping[str, Any] | None = None) -> None:
    """Write the prior of the weights with this digest to a safetensors file.  Raises OSError."""
    metadata = {
        "format": _FORMAT,
        "spec": prior.spec.model_dump_json(),
        "weights": digest.hex(),
        "training": json.dumps(dict(training or {})),
    }
    state = {name: value.detach().cpu().contiguous() for name, value in prior.state_dict().items()}
    write_tensors(path, state, metadata)


def load_prior(path: str | Path, digest: bytes, name: str, device: str | torch.device = "cpu") -> Prior:
    """The prior in a file, for the weights of this digest and name.

    Raises OptionError for a file that is none, or is of other weights.
    """
    metadata, state = read_tensors(Path(path))
    if metadata.get("format") != _FORMAT:
        raise OptionError(f"{path}: a safetensors file, but not a prior of this library ({_FORMAT})")
    if metadata.get("weights") != digest.hex():
        raise OptionError(f"{path}: a prior of the weights {metadata.get('weights')}; {name} is {digest.hex()}")
    try:
        with torch.device("meta"):  # no memory for what a file says of itself
            prior = Prior(PriorSpec.model_validate_json(metadata.get("spec", "{}")))
        prior.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    except ValidationError as error:
        raise OptionError(f"{path}: damaged; its specification: {faults(error)}") from None
    except RuntimeError as error:
        raise OptionError(f"{path}: tensors do not fit its own specification ({str(error).splitlines()[0]})") from None
    if not all(bool(value.isfinite().all()) for value in prior.state_dict().values()):
        raise OptionError(f"{path}: damaged; it holds NaN or infinity")
    return prior.requires_grad_(False).eval().to(device)
