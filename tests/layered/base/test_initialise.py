"""The wavelet start of transforms."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from layered.base.initialise import initialise
from layered.base.transforms import TransformLayer
from layered.spec import build

BASES: list[dict[str, Any]] = [
    {"name": "mean-scale", "N": 16, "M": 24}, {"name": "factorized", "N": 16, "M": 24},
    {"name": "wacnn", "N": 16, "M": 24, "slices": 4, "hyper": (8, 8, 8, 8, 8), "context": (), "heads": 2},
]  # fmt: skip


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("base", BASES, ids=lambda base: base["name"])
def test_a_layer_on_a_gpu_starts_as_one_on_a_cpu(base: dict[str, Any]) -> None:
    crops = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    here, there = (build({"base": base}).requires_grad_(False).base.to(device) for device in ("cpu", "cuda"))
    for layer in (here, there):
        assert isinstance(layer, TransformLayer)
        initialise(layer, "wavelet", crops, torch.Generator().manual_seed(1))
    for (name, value), other in zip(here.named_parameters(), there.parameters(), strict=True):
        assert torch.allclose(value, other.cpu(), rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("base", BASES, ids=lambda base: base["name"])
def test_filters_are_an_orthonormal_packet_and_the_rest_is_drawn_in_order(base: dict[str, Any]) -> None:
    layer = build({"base": base}).requires_grad_(False).base
    assert isinstance(layer, TransformLayer)
    crops = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    initialise(layer, "wavelet", crops, torch.Generator().manual_seed(1))
    analysis: list[Any] = [part for part in layer.g_a if isinstance(part, torch.nn.Conv2d)]
    synthesis: list[Any] = [part for part in layer.g_s if isinstance(part, torch.nn.ConvTranspose2d)]
    generator = torch.Generator().manual_seed(1)
    for stage, (conv, deconv) in enumerate(zip(analysis, reversed(synthesis), strict=True)):
        drawn = [torch.randn(module.weight.shape, generator=generator) * 1e-3 for module in (conv, deconv)]
        filters, mirrored = conv.weight.flatten(1), deconv.weight.flatten(1)
        kept = min(4 * conv.in_channels, conv.out_channels)
        norm = filters[0].norm()
        assert stage == 3 or norm == pytest.approx(1)
        assert torch.allclose(filters[:kept] @ filters[:kept].T, norm**2 * torch.eye(kept), atol=1e-4 * float(norm**2))
        assert torch.allclose(filters[:kept] / norm**2, mirrored[:kept], rtol=1e-4)
        assert torch.equal(conv.weight[kept:], drawn[0][kept:]) and torch.equal(deconv.weight[kept:], drawn[1][kept:])
        assert float(deconv.bias[0]) == (0.5 if stage == 0 else 0)
