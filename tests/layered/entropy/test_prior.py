"""What CompressAI's entropy models write is what they were given, or it is refused."""

from __future__ import annotations

import pytest
import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional

from layered.entropy.prior import write_bottleneck, write_gaussian
from layered.errors import OptionError


@pytest.mark.parametrize("value", [2.0**31, 2.0**32, -(2.0**32) - 2048, 2.0**62, 1e30])
def test_symbols_that_would_wrap_in_32_bits_are_refused(value: float) -> None:
    latents = torch.full((1, 2, 1, 2), value)
    bottleneck, gaussian = EntropyBottleneck(2), GaussianConditional([0.5, 1.0])
    for model in (bottleneck, gaussian):
        model.update()
    with pytest.raises(OptionError, match="beyond"):
        write_bottleneck(bottleneck, latents)
    with pytest.raises(OptionError, match="beyond"):
        write_gaussian(gaussian, latents, torch.ones_like(latents), torch.zeros_like(latents))
