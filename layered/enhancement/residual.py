"""COMPASS enhancement layer (Park et al., ICCV 2023): predict from the picture below, code what is missing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from layered.base.transforms import TransformLayer, load_resized
from layered.errors import OptionError
from layered.layer import Coded, Context, Enhancement, Latents, Layer, in_double
from layered.rounding import Rounding

__all__ = ["ResidualEnhancement"]


class ResidualEnhancement(Enhancement):
    """Any base layer as residual module behind any predictor; one instance serves every enhancement layer.

    predictor: module (lower [B, 3, h, w], height, width) -> prediction [B, 3, height, width], not clamped.
    residual: layer that codes image - prediction; nothing conditions it but its own latents, so that a
    prediction that differs between machines can change pictures but never symbols.
    """

    def __init__(self, predictor: nn.Module, residual: Layer) -> None:
        super().__init__()
        self.predictor = predictor
        self.residual = residual
        self.lambdas, self.strings = residual.lambdas, residual.strings

    def predict(self, context: Context) -> Tensor:
        """The prediction [B, 3, H, W] that encoder and decoder share, made once a context."""
        return context.once("prediction", lambda: self._predict(context))

    def part(self, kind: str) -> nn.Module:
        parts = {"residual": self.residual, "predictor": self.predictor}
        return parts[kind] if kind in parts else super().part(kind)

    def _predict(self, context: Context) -> Tensor:
        if context.lower is None:
            raise ValueError("an enhancement layer needs the reconstruction of the layer below")
        run = in_double if context.exact else nn.Module.__call__
        prediction: Tensor = run(self.predictor, context.lower, context.height, context.width)
        return prediction

    def analyse(self, image: Tensor, context: Context) -> Latents:
        return self.residual.analyse((image - self.predict(context)).to(image.dtype), context)

    def code(self, latents: Latents, context: Context, rounding: Rounding) -> Coded:
        return self.residual.code(latents, context, rounding)

    def synthesise(self, latents: Latents, context: Context) -> Tensor:
        return self.predict(context) + self.residual.synthesise(latents, context)

    def write(self, latents: Latents, context: Context) -> bytes:
        return self.residual.write(latents, context)

    def read(self, data: bytes, context: Context) -> Latents:
        return self.residual.read(data, context)

    @torch.no_grad()
    def start_from(self, base: Layer) -> None:
        """Residual module = base layer fed with residual + 1/2: the half is folded into the outer biases."""
        residual = self.residual
        if not isinstance(residual, TransformLayer):
            raise OptionError("only a residual module on CompressAI's transforms can start from a base layer")
        try:
            load_resized(residual, base.state_dict())
        except RuntimeError:
            raise OptionError("a residual module starts from a base layer of its own kind and widths only") from None
        first: Any = residual.g_a[0]
        last: Any = residual.g_s[-1]
        first.bias += 0.5 * first.weight.sum(dim=(1, 2, 3))
        last.bias -= 0.5
