"""Attention within shifted windows, against its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from layered.base.attention import ShiftedWindows


def made(channels: int = 6, heads: int = 2, window: int = 4) -> ShiftedWindows:
    torch.manual_seed(0)
    module = ShiftedWindows(channels, heads, window).double()
    torch.nn.init.normal_(module.attn.relative_position_bias_table)
    return module


def defined(module: ShiftedWindows, x: Tensor) -> Tensor:
    """x [C, H, W]: position by position, seeing those of its shifted window, which the picture's border cuts."""
    attn, window, shift = module.attn, module.window, module.window // 2
    channels, height, width = x.shape
    size = channels // attn.heads
    q, k, v = attn.qkv(x.permute(1, 2, 0)).split(channels, -1)
    mixed = torch.zeros(height, width, channels).double()
    for i in range(height):
        for j in range(width):
            down, across = (i - shift) // window * window + shift, (j - shift) // window * window + shift
            rows, columns = range(max(down, 0), min(down + window, height)), range(max(across, 0),
                                                                                  min(across + window, width))
            seen = [(m, n) for m in rows for n in columns]
            index = torch.tensor([(i - m + window - 1) * (2 * window - 1) + j - n + window - 1 for m, n in seen])
            for head in range(attn.heads):
                part = slice(head * size, (head + 1) * size)
                keys, values = (torch.stack([t[m, n, part] for m, n in seen]) for t in (k, v))
                scores = keys @ q[i, j, part] / size**0.5 + attn.relative_position_bias_table[index, head]
                mixed[i, j, part] = scores.softmax(0) @ values
    result: Tensor = x + attn.proj(mixed).permute(2, 0, 1)
    return result


@pytest.mark.parametrize("size", [(8, 12), (4, 4), (1, 1), (3, 6), (5, 9)])
@pytest.mark.parametrize("gradients", [False, True])
def test_a_position_sees_its_shifted_window_within_the_picture(size: tuple[int, int], gradients: bool) -> None:
    module, x = made(), torch.randn(2, 6, *size, generator=torch.Generator().manual_seed(1)).double()
    with torch.set_grad_enabled(gradients):
        found = module(x)
        assert torch.allclose(found[1], defined(module, x[1]), atol=1e-12)


@torch.no_grad()
def test_large_pictures_go_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = made(), torch.randn(2, 6, 20, 24).double()
    whole = module(x)
    monkeypatch.setattr("layered.base.attention._TOGETHER", 7)
    assert torch.allclose(module(x), whole, atol=1e-14)
