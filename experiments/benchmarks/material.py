"""What is measured on: a picture made here, and one set of weights in our layer and in CompressAI's model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from compressai.models.google import MeanScaleHyperprior

from layered.base.initialise import initialise
from layered.base.mean_scale import MeanScale
from layered.base.transforms import load_resized, rebuild_tables
from layered.image import Image8, to_tensor

__all__ = ["picture", "twins"]

LAMBDA = 0.0067


def picture(height: int, width: int) -> Image8:
    """A picture with gradients, edges and noise, which codes at rates like a photograph's."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = np.stack([np.sin(x / (50 + 30 * k) + k) + np.cos(y / (70 + 20 * k)) for k in range(3)], axis=-1)
    edges = ((x // 37 + y // 41) % 2)[..., None]
    noise = rng.standard_normal((height, width, 3), dtype=np.float32)
    levels: Image8 = np.clip(118 + 45 * waves + 20 * edges + 3 * noise, 0, 255).astype(np.uint8)
    return levels


def twins(N: int, M: int) -> tuple[MeanScale, Any]:
    """Our mean-scale layer and CompressAI's model with the same weights, which code `picture` at a usual rate."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = MeanScale(N, M, (LAMBDA,))
    crop = to_tensor(picture(128, 128))
    initialise(layer, "wavelet", crop, torch.Generator().manual_seed(0))
    last: Any = layer.h_a[-1]
    with torch.no_grad():
        last.weight *= 8  # else most hyper-latents are nought
    rebuild_tables(layer)
    reference = MeanScaleHyperprior(N, M)
    load_resized(reference, layer.state_dict())
    return layer.requires_grad_(False).eval(), reference.requires_grad_(False).eval()
