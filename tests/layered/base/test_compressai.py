"""With one lambda the base layers are CompressAI's models: same names, same pictures, same bytes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compressai.models.google import FactorizedPrior, MeanScaleHyperprior
from compressai.registry import MODELS
from torch import Tensor

from layered.base.factorized import Factorized
from layered.base.mean_scale import MeanScale
from layered.base.transforms import load_resized
from layered.codec import LayeredCodec
from layered.entropy.payload import split_strings
from layered.layer import Context
from layered.rounding import Hard
from tests.conftest import smooth_picture


def _picture(height: int, width: int) -> Tensor:
    return torch.from_numpy(smooth_picture(height, width)).permute(2, 0, 1)[None].double() / 255


def _reference(kind: Any, N: int, M: int) -> Any:
    """CompressAI's own model with random weights whose latents are not all zero, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = kind(N, M)
        model.g_a[-1].weight.data *= 60
        if hasattr(model, "h_s"):
            model.h_s[-1].weight.data *= 30
            model.h_a[-1].weight.data *= 30
    model.update(force=True, update_quantiles=True)
    return model.double().eval()


@pytest.mark.parametrize("size", [(64, 64), (128, 192)])
@torch.inference_mode()
def test_mean_scale_writes_compressais_strings_and_pictures(size: tuple[int, int]) -> None:
    reference = _reference(MeanScaleHyperprior, 12, 16)
    layer = MeanScale(12, 16).eval()
    load_resized(layer, reference.state_dict())
    layer.double()
    image, context = _picture(*size), Context(*size)
    latents = layer.code(layer.analyse(image, context), context, Hard()).latents
    data = layer.write(latents, context)
    expected = reference.compress(image)
    assert split_strings(data, 2)[1] == (expected["strings"][1][0], expected["strings"][0][0])
    picture = layer.synthesise(layer.read(data, context), context).clamp(0, 1)
    assert torch.allclose(picture, reference.decompress(**expected)["x_hat"], atol=1e-12)
    assert len(set(latents.parts[0].flatten().tolist())) > 20


@torch.inference_mode()
def test_factorized_writes_compressais_strings_and_pictures() -> None:
    reference = _reference(FactorizedPrior, 12, 16)
    layer = Factorized(12, 16).eval()
    load_resized(layer, reference.state_dict())
    layer.double()
    image, context = _picture(48, 80), Context(48, 80)
    latents = layer.code(layer.analyse(image, context), context, Hard()).latents
    data = layer.write(latents, context)
    expected = reference.compress(image)
    assert split_strings(data, 1)[1] == (expected["strings"][0][0],)
    picture = layer.synthesise(layer.read(data, context), context).clamp(0, 1)
    assert torch.allclose(picture, reference.decompress(**expected)["x_hat"], atol=1e-12)


def test_the_paper_widths_have_the_papers_parameter_counts() -> None:
    assert sum(p.numel() for p in MeanScale(128, 192).parameters()) == 7_028_003


def test_the_layers_are_in_compressais_registry() -> None:
    assert MODELS["layered-mean-scale"] is MeanScale
    assert MODELS["layered-factorized"] is Factorized


@torch.inference_mode()
def test_ideal_bits_are_the_real_ones_within_two_percent(tiny_codec: LayeredCodec) -> None:
    image, context = _picture(128, 128).float(), Context(128, 128, 2.0)
    coded = tiny_codec.base.code(tiny_codec.base.analyse(image, context), context, Hard())
    real = 8 * len(tiny_codec.base.write(coded.latents, context))
    assert float(coded.bits) == pytest.approx(real, rel=0.02, abs=300)
