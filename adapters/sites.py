"""Where a layer can be adapted: its modules with parameters of their own, and the places made for adapters."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import nn

from layered.base.gain import RateGains
from layered.base.site import Site
from layered.layer import Context, Latents, Layer

__all__ = ["encoding_parameters", "own_parameters", "sites", "used_sites"]

_LISTS = (nn.ParameterList, nn.ParameterDict)


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that a module holds itself or in lists, which nobody calls; not those of other modules in it."""
    found = dict(module.named_parameters(recurse=False))
    for name, child in module.named_children():
        if isinstance(child, _LISTS):
            found.update({f"{name}.{key}": value for key, value in child.named_parameters()})
    return found


def encoding_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Those of a module that only an encoder reads, though a decoder runs the module as well."""
    only = {"log_gain"} if isinstance(module, RateGains) else set()
    return {name: tensor for name, tensor in own_parameters(module).items() if name in only}


def sites(layer: nn.Module) -> dict[str, nn.Module]:
    """Every module that holds parameters, and every `layered.base.site.Site`, by name.

    The order is that of `named_modules`; a stream stores indexes into it.
    """
    return {
        name: module
        for name, module in layer.named_modules()
        if isinstance(module, Site) or (not isinstance(module, _LISTS) and own_parameters(module))
    }


@torch.no_grad()
def used_sites(layer: Layer, latents: Latents, context: Context, predicted: bool = True) -> tuple[str, ...]:
    """The sites that take part when these latents are synthesised, in the order of the first call of each.

    Modules that are called and, in the place of the one that does so, those whose weights a called one reads for
    itself, as LIFF does.  predicted: those that a prediction from the layer below takes are among them.
    """
    context = context.sealed(context.seal)
    if not predicted:
        layer.synthesise(latents, context)
    called: dict[str, None] = {}
    with ExitStack() as hooks:
        for name, module in layer.named_modules():

            def note(module: nn.Module, inputs: object, name: str = name) -> None:
                called.setdefault(name)

            hooks.callback(module.register_forward_pre_hook(note).remove)
        layer.synthesise(latents, context)
    readers = {name: name if name in called else _around(layer, name) for name in sites(layer)}
    return tuple(name for module in called for name, reader in readers.items() if reader == module)


def _around(layer: nn.Module, name: str) -> str:
    """The module that a module is part of, but for lists, which nobody calls."""
    above = name.rpartition(".")[0]
    return _around(layer, above) if isinstance(layer.get_submodule(above), nn.ModuleList | nn.ModuleDict) else above
