"""The steps' synthesis in bfloat16: half the memory to move, and on many processors twice the arithmetic."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from adapters.applied import AdaptedLayer
from adapters.sites import sites, used_sites
from layered.layer import Context, Latents, Layer
from layered.rounding import Hard

__all__ = ["halved", "is_quick"]

_DENSE = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def is_quick(device: torch.device) -> bool:
    """Whether bfloat16 is arithmetic there, not an emulation of it."""
    if device.type == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
    told = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # oneDNN's own answer counts emulation in
    return device.type == "cpu" and told is not None and bool(told())


@torch.no_grad()
def halved(layer: Layer, latents: Latents, context: Context, tensors: Mapping[str, Tensor]) -> AdaptedLayer:
    """The layer with bfloat16 weights, channels last, in the convolutions that synthesise these latents.

    To be run under autocast.  tensors: replaced ones, as of `adapters.applied.AdaptedLayer`; they go the same way.
    """
    coded = layer.code(latents, context, Hard(exact=False)).latents
    places, made = sites(layer), dict(tensors)
    for name in used_sites(layer, coded, context):
        for key, own in places[name].named_parameters(recurse=False):
            full = f"{name}.{key}"
            if isinstance(places[name], _DENSE):
                made[full] = _light(made.get(full, own))
    return AdaptedLayer(layer, made)


def _light(weight: Tensor) -> Tensor:
    halved = weight.detach().bfloat16()
    return halved.contiguous(memory_format=torch.channels_last) if halved.ndim == 4 else halved
