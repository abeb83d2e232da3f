"""The kinds of adapters, by name: which numbers one has at a site, and how they change the tensors there.

What is more than one addition is computed in float64 and rounded once, so that adapted weights are the same on every
machine: products of numbers on a grid are exact there, in whatever order they are added. Of `mix`, whose products are
with the weights themselves, a sum taken in another order rounds to another float32 all but never.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import prod

import torch
from compressai.entropy_models import EntropyBottleneck
from torch import Tensor, nn

from adapters.sites import encoding_parameters, own_parameters, sites
from layered.base.site import Site
from layered.errors import OptionError

__all__ = ["KINDS", "Bias", "Channel", "Full", "Kind", "LowRank", "Mix", "changes", "kind_of"]

_DENSE = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


class Kind(ABC):
    """groups: of tensors that are coded alike; the j-th tensor of a site is of group j, or of the last one."""

    groups = 1

    @abstractmethod
    def suits(self, module: nn.Module) -> bool:
        """Whether there is such an adapter for the module."""

    @abstractmethod
    def shapes(self, module: nn.Module, rank: int) -> tuple[tuple[int, ...], ...]:
        """Of the adapter's tensors at a module that it suits."""

    def start(self, module: nn.Module, rank: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Tensors that change nothing yet, on the module's device; at a Site, which has none, on the generator's."""
        return tuple(torch.zeros(shape, device=_device(module, generator)) for shape in self.shapes(module, rank))

    @abstractmethod
    def changed(self, module: nn.Module, values: Sequence[Tensor]) -> dict[str, Tensor]:
        """The tensors of the module, by their names in it, as the adapter leaves them; differentiable."""


class LowRank(Kind):
    """W + B A with A [r, in * kh * kw] and B [out, r]; at a Site W = B A, [C, C].

    For a convolution this is one with r outputs and the same window beside it, and a 1x1 convolution behind that.
    The rank r is cut to the matrix's own.  A starts at random with variance 1 / (in * kh * kw), B at zero.  Source: Hu
    et al. (ICLR 2022); at a Site the two 1x1 convolutions of Tsubota et al. (WACV 2023), 2 r C numbers.
    """

    groups = 2

    def suits(self, module: nn.Module) -> bool:
        return _is_dense(module)

    def shapes(self, module: nn.Module, rank: int) -> tuple[tuple[int, ...], ...]:
        rows, columns = _matrix(module)
        inner = min(rank, rows, columns)
        return (inner, columns), (rows, inner)

    def start(self, module: nn.Module, rank: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        (inner, columns), after = self.shapes(module, rank)
        a = torch.randn(inner, columns, generator=generator, device=generator.device) / columns**0.5
        device = _device(module, generator)
        return a.to(device), torch.zeros(after, device=device)

    def changed(self, module: nn.Module, values: Sequence[Tensor]) -> dict[str, Tensor]:
        a, b = values
        product = b.double() @ a.double()
        weight = module.weight
        if not isinstance(weight, nn.Parameter):
            return {"weight": product.to(a.dtype)}
        if isinstance(module, nn.ConvTranspose2d):  # whose weight is [in, out, kh, kw]
            inputs, outputs, *window = weight.shape
            product = product.reshape(outputs, inputs, *window).transpose(0, 1)
        return {"weight": (weight.double() + product.reshape(weight.shape)).to(weight.dtype)}


class Mix(LowRank):
    """y + B A y for the outputs y = W x + b, with A [r, out] and B [out, r]: two 1x1 convolutions behind the module.

    It is folded into weight and bias.  At a Site it is the same as `LowRank`.  Source: Tsubota et al. (WACV 2023).
    """

    def shapes(self, module: nn.Module, rank: int) -> tuple[tuple[int, ...], ...]:
        rows, _ = _matrix(module)
        inner = min(rank, rows)
        return (inner, rows), (rows, inner)

    def changed(self, module: nn.Module, values: Sequence[Tensor]) -> dict[str, Tensor]:
        if isinstance(module, Site):
            return super().changed(module, values)
        a, b = values
        product, axis = b.double() @ a.double(), int(isinstance(module, nn.ConvTranspose2d))

        def mixed(tensor: Tensor) -> Tensor:
            outputs = tensor.double().movedim(axis if tensor.ndim > 1 else 0, 0)
            more = (product @ outputs.reshape(len(outputs), -1)).reshape(outputs.shape)
            return (outputs + more).movedim(0, axis if tensor.ndim > 1 else 0).to(tensor.dtype)

        return {name: mixed(tensor) for name, tensor in own_parameters(module).items()}


class Bias(Kind):
    """Differences of a module's bias.  Source: Lam et al. (ACM MM 2020), who send all biases of the decoder."""

    def suits(self, module: nn.Module) -> bool:
        return "bias" in own_parameters(module)

    def shapes(self, module: nn.Module, rank: int) -> tuple[tuple[int, ...], ...]:
        return (tuple(own_parameters(module)["bias"].shape),)

    def changed(self, module: nn.Module, values: Sequence[Tensor]) -> dict[str, Tensor]:
        return {"bias": _sum(own_parameters(module)["bias"], values[0])}


class Channel(Kind):
    """y + w y for each output channel of y = W x + b; at a Site x + w x.  Source: Zou et al. (2021), at one place."""

    def suits(self, module: nn.Module) -> bool:
        return _is_dense(module)

    def shapes(self, module: nn.Module, rank: int) -> tuple[tuple[int, ...], ...]:
        return ((_matrix(module)[0],),)

    def changed(self, module: nn.Module, values: Sequence[Tensor]) -> dict[str, Tensor]:
        (w,) = values
        if isinstance(module, Site):
            return {"weight": torch.diag(w)}
        factor, axis = 1 + w.double(), int(isinstance(module, nn.ConvTranspose2d))
        tensors = own_parameters(module)
        shape = [-1 if k == axis else 1 for k in range(tensors["weight"].ndim)]
        factors = {"weight": factor.reshape(shape), "bias": factor}
        return {name: (tensor.double() * factors[name]).to(tensor.dtype) for name, tensor in tensors.items()}


class Full(Kind):
    """Differences of all parameters of a module that a decoder reads, as of van Rozendaal et al. (ICLR 2021).

    A bottleneck's quantiles are not among them: the outer ones follow from the others, see `adapters.tables`.
    """

    def suits(self, module: nn.Module) -> bool:
        return bool(_free(module))

    def shapes(self, module: nn.Module, rank: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(tensor.shape) for tensor in _free(module).values())

    def changed(self, module: nn.Module, values: Sequence[Tensor]) -> dict[str, Tensor]:
        return {name: _sum(tensor, v) for (name, tensor), v in zip(_free(module).items(), values, strict=True)}


KINDS: dict[str, Kind] = {"low-rank": LowRank(), "bias": Bias(), "channel": Channel(), "full": Full(), "mix": Mix()}
"""A stream stores a kind as its place in this order."""


def kind_of(name: str) -> Kind:
    """The kind of that name.  Raises OptionError listing the valid ones."""
    if name not in KINDS:
        raise OptionError(f"no kind of adapter is called {name!r}; use one of {', '.join(KINDS)}")
    return KINDS[name]


def changes(layer: nn.Module, kind: str, values: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    """The tensors of `layer`, by name, as adapters of one kind with values at several sites leave them."""
    places, chosen = sites(layer), kind_of(kind)
    return {
        f"{site}.{name}" if site else name: tensor
        for site, adapter in values.items()
        for name, tensor in chosen.changed(places[site], adapter).items()
    }


def _is_dense(module: nn.Module) -> bool:
    """A Site, or a linear map whose weight is one matrix: not in groups."""
    return isinstance(module, Site) or (isinstance(module, _DENSE) and getattr(module, "groups", 1) == 1)


def _matrix(module: nn.Module) -> tuple[int, int]:
    """Rows (outputs) and columns (inputs, at each place of the window) of the module's map."""
    if isinstance(module, Site):
        return module.channels, module.channels
    shape = own_parameters(module)["weight"].shape
    rows = int(shape[1] if isinstance(module, nn.ConvTranspose2d) else shape[0])
    return rows, prod(shape) // rows


def _free(module: nn.Module) -> dict[str, nn.Parameter]:
    bound = {"quantiles"} if isinstance(module, EntropyBottleneck) else encoding_parameters(module).keys()
    return {name: tensor for name, tensor in own_parameters(module).items() if name not in bound}


def _sum(tensor: Tensor, difference: Tensor) -> Tensor:
    return tensor + difference.to(tensor.dtype)


def _device(module: nn.Module, generator: torch.Generator) -> torch.device:
    first = next(iter(own_parameters(module).values()), None)
    return first.device if first is not None else generator.device
