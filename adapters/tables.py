"""Integer tables of entropy models whose parameters an adapter changes: they are rebuilt, at both ends."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from compressai.entropy_models import EntropyBottleneck
from torch import Tensor, nn

from layered.entropy.coder import Tables
from layered.entropy.symbols import SymbolModel
from layered.errors import CorruptStream, OptionError

__all__ = ["with_tables"]

SPREAD = 2**12
"""Integers that a bottleneck's table holds; beyond, it would take the coder's counts and our memory."""
FAR, HALVINGS, GRID = 1e5, 64, 256.0


@torch.no_grad()
def with_tables(module: nn.Module, changed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`changed` parameters of a module, by name, and what of its other tensors follows from them.

    A bottleneck's outer quantiles are solved and its tables built from its changed density; its median, which is the
    offset of rounding that latents were found with, stays.  The tables of other entropy models are built as well; other
    modules have none.  All is computed in floating point, in float64 and on the CPU, with quantiles on a grid, so that
    two machines all but never disagree; if they do, the checksum of symbols tells.
    Raises CorruptStream where the parameters allow no tables.
    """
    if not isinstance(module, (EntropyBottleneck, SymbolModel)):
        return dict(changed)
    model = deepcopy(module).to("cpu", torch.float64)
    for name, tensor in changed.items():
        model.get_parameter(name).data = tensor.detach().to("cpu", torch.float64)
    try:
        if isinstance(model, EntropyBottleneck):
            model.quantiles.data = _quantiles(model)
            model.update(force=True)
            Tables.of(model)
        else:
            model.update()
    except (OptionError, ValueError) as error:
        raise CorruptStream(f"adapter: its entropy model has no tables: {error}") from None
    found = dict(model.named_buffers(recurse=False))
    if isinstance(model, EntropyBottleneck):
        found["quantiles"] = model.quantiles.data
    device = next(iter(changed.values())).device
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {**changed, **{name: value.to(device, own[name].dtype) for name, value in found.items()}}


def _quantiles(model: EntropyBottleneck) -> Tensor:
    """Where the cumulative logits are those of the tails, by bisection, and the median as it is, [C, 1, 3]."""
    low = torch.full_like(model.quantiles, -FAR)
    high = torch.full_like(model.quantiles, FAR)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        short = model._logits_cumulative(middle, stop_gradient=True) < model.target
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    found = torch.round(high * GRID) / GRID
    found[..., 1] = model.quantiles[..., 1]
    if not bool((found.amax(-1) - found.amin(-1) <= SPREAD).all()):
        raise CorruptStream(f"adapter: an entropy model whose values spread over more than {SPREAD}")
    return found
