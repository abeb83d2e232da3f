"""The fast product gives what the plain one gives, and steps aside where it must."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from layered.enhancement import dense
from layered.enhancement.dense import relu_of_linear


def drawn(rows: int, into: int, out: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    shapes = ((rows, into), (out, into), (out,))
    h, weight, bias = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    return h, weight, bias


@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 40))
def test_it_is_a_linear_layer_and_relu_at_any_size(rows: int, into: int, out: int) -> None:
    h, weight, bias = drawn(rows, into, out)
    with torch.no_grad():
        assert torch.allclose(relu_of_linear(h, weight, bias), F.relu(F.linear(h, weight, bias)), atol=1e-5)


def test_gradients_flow_where_they_are_enabled() -> None:
    h, weight, bias = drawn(5, 4, 3)
    relu_of_linear(h, weight.requires_grad_(), bias).sum().backward()
    assert weight.grad is not None and bool(weight.grad.abs().sum() > 0)


@torch.no_grad()
def test_doubles_stay_doubles_and_a_build_without_the_fast_product_does_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = drawn(6, 5, 4, torch.float64)
    assert relu_of_linear(*inputs).dtype == torch.float64
    single = drawn(6, 5, 4)
    fast = relu_of_linear(*single)
    monkeypatch.setattr(dense, "_PRODUCT", None)
    assert torch.allclose(relu_of_linear(*single), fast, atol=1e-5)


@torch.no_grad()
def test_the_fast_product_is_used_for_floats_and_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    if dense._PRODUCT is None or not torch.backends.mkldnn.is_available():
        pytest.skip("this build of PyTorch has no oneDNN")
    calls = []
    fast = dense._PRODUCT

    def counted(*arguments: object) -> Tensor:
        calls.append(arguments)
        answer: Tensor = fast(*arguments)
        return answer

    monkeypatch.setattr(dense, "_PRODUCT", counted)
    h, weight, bias = drawn(6, 5, 4)
    relu_of_linear(h, weight, bias)
    assert len(calls) == 1
    relu_of_linear(*drawn(6, 5, 4, torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        assert relu_of_linear(h, weight, bias).dtype == torch.bfloat16
    with torch.backends.mkldnn.flags(enabled=False):
        relu_of_linear(h, weight, bias)
    assert len(calls) == 1


@torch.no_grad()
def test_what_is_no_number_stays_none() -> None:
    h, weight, bias = drawn(3, 5, 4)
    bias[2] = torch.nan
    assert bool(relu_of_linear(h, weight, bias)[:, 2].isnan().all())


@torch.no_grad()
def test_strided_inputs_are_read_as_what_they_are() -> None:
    h, weight, bias = drawn(6, 8, 10)
    strided = (h.T.contiguous().T, weight[::2], bias[::2])
    expected = F.relu(F.linear(h, weight[::2].contiguous(), bias[::2].contiguous()))
    assert torch.allclose(relu_of_linear(*strided), expected, atol=1e-5)
