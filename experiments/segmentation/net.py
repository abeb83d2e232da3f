"""The segmenter's network, and its file: safetensors that say how the network is built again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from layered.errors import OptionError
from layered.guide import Labels
from layered.image import Image8, to_tensor
from layered.recipes import Strict, faults
from layered.weights.container import read_tensors, write_tensors

__all__ = ["STRIDE", "Segmenter", "SegmenterSpec", "load_segmenter", "save_segmenter"]

FORMAT = "layered segmenter 1"
STRIDE = 4
"""Pixels a side for which the network gives one set of scores."""
DEEPEST = 16
"""Pixels a side that its smallest features stand for."""


class SegmenterSpec(Strict):
    """What the network is.

    classes: their names, in the order of the numbers in label maps.  ignore: the number of pixels that have no class.
    widths: channels at 1/4, 1/8 and 1/16 of the picture's size.  dilations: of the blocks at 1/16.
    """

    classes: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=2, max_length=256)
    ignore: int | None = Field(default=None, ge=0, le=255)
    widths: tuple[int, int, int] = (32, 64, 80)
    dilations: tuple[int, ...] = (1, 2)

    @model_validator(mode="after")
    def _apart(self) -> SegmenterSpec:
        if self.ignore is not None and self.ignore < len(self.classes):
            raise ValueError(f"ignore: {self.ignore} is the class {self.classes[self.ignore]}")
        return self


class Segmenter(nn.Module):
    """A light U-Net (Ronneberger et al. 2015): two strided convolutions, residual blocks at three sizes, and back."""

    def __init__(self, spec: SegmenterSpec) -> None:
        super().__init__()
        self.spec = spec
        quarter, eighth, sixteenth = spec.widths
        self.stem = nn.Sequential(_conv(3, quarter // 2, 2), _conv(quarter // 2, quarter, 2), _Residual(quarter))
        self.middle = nn.Sequential(_conv(quarter, eighth, 2), _Residual(eighth))
        deep = (_Residual(sixteenth, dilation) for dilation in spec.dilations)
        self.deep = nn.Sequential(_conv(eighth, sixteenth, 2), *deep)
        self.from_deep = _conv(sixteenth, eighth, side=1)
        self.join_middle = _conv(eighth, eighth)
        self.from_middle = _conv(eighth, quarter, side=1)
        self.join_stem = _conv(quarter, quarter)
        self.head = nn.Conv2d(quarter, len(spec.classes), 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in [0, 1], sides multiples of 16 -> scores [B, classes, H / 4, W / 4]."""
        stem = self.stem((pictures - 0.45) / 0.25)
        middle = self.middle(stem)
        middle = self.join_middle(middle + _twice(self.from_deep(self.deep(middle))))
        scores: Tensor = self.head(self.join_stem(stem + _twice(self.from_middle(middle))))
        return scores

    @torch.inference_mode()
    def segment(self, image: Image8) -> Labels:
        """The class of every pixel of a picture [H, W, 3], uint8 [H, W]."""
        height, width = image.shape[:2]
        picture = to_tensor(image, self.head.weight.device)
        padded = F.pad(picture, (0, -width % DEEPEST, 0, -height % DEEPEST), mode="replicate")
        scores = F.interpolate(self(padded), scale_factor=float(STRIDE), mode="bilinear")
        labels: Labels = scores[0, :, :height, :width].argmax(0).to(torch.uint8).cpu().numpy()
        return labels


class _Residual(nn.Module):
    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.inner = nn.Sequential(_conv(width, width), _conv(width, width, dilation=dilation)[:2])

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.inner(x))


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1, side: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, side, stride, dilation * (side // 2), dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear")


def save_segmenter(net: Segmenter, path: str | Path, training: Mapping[str, Any] | None = None) -> None:
    """Write weights and spec.  training: what it was trained on and how, for the reader.  Raises OSError."""
    metadata = {"format": FORMAT, "spec": net.spec.model_dump_json(), "training": json.dumps(dict(training or {}))}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    write_tensors(Path(path), tensors, metadata)


def load_segmenter(path: str | Path, device: str = "cpu") -> Segmenter:
    """The segmenter in a file that `save_segmenter` wrote.  Raises OptionError for any other."""
    metadata, tensors = read_tensors(Path(path))
    if metadata.get("format") != FORMAT:
        raise OptionError(f"{path}: no segmenter of this project; python -m experiments.segmentation train makes one")
    try:
        net = Segmenter(SegmenterSpec.model_validate_json(metadata["spec"]))
        net.load_state_dict(tensors)
    except ValidationError as error:
        raise OptionError(f"{path}: a damaged segmenter ({faults(error)})") from None
    except (KeyError, RuntimeError) as error:
        raise OptionError(f"{path}: a damaged segmenter ({str(error).splitlines()[0]})") from None
    return net.to(device).eval().requires_grad_(False)
