"""Where a layer can be adapted: its modules with parameters of their own, and the places made for adapters."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase

import torch
from torch import nn

from layered.base.site import Site
from layered.errors import OptionError
from layered.layer import Context, Latents, Layer

__all__ = ["chosen", "own_parameters", "sites", "used_sites"]

_LISTS = (nn.ParameterList, nn.ParameterDict)


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that a module holds itself or in lists, which nobody calls; not those of other modules in it."""
    found = dict(module.named_parameters(recurse=False))
    for name, child in module.named_children():
        if isinstance(child, _LISTS):
            found.update({f"{name}.{key}": value for key, value in child.named_parameters()})
    return found


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
    """The sites whose modules are called when these latents are synthesised, in the order of their first call.

    predicted: those that a prediction from the layer below takes are among them.
    """
    context = context.sealed(context.seal)
    if not predicted:
        layer.synthesise(latents, context)
    called: dict[str, None] = {}
    with ExitStack() as hooks:
        for name, module in sites(layer).items():

            def note(module: nn.Module, inputs: object, name: str = name) -> None:
                called.setdefault(name)

            hooks.callback(module.register_forward_pre_hook(note).remove)
        layer.synthesise(latents, context)
    return tuple(called)


def chosen(layer: nn.Module, patterns: Sequence[str], used: Sequence[str]) -> tuple[str, ...]:
    """Those of the sites `used` that shell patterns name, in that order; `!pattern` takes away what others named.

    Raises OptionError, listing the sites, for a pattern that names none, and where none is left.
    """
    unknown = set(used) - sites(layer).keys()
    if unknown:
        raise OptionError(f"this layer has no sites {', '.join(sorted(unknown))}")
    kept: set[str] = set()
    for pattern in patterns:
        matching = {name for name in used if fnmatchcase(name, pattern.removeprefix("!"))}
        if not matching:
            raise OptionError(f"no site of this layer is called {pattern!r}; it has {', '.join(used)}")
        kept = kept - matching if pattern.startswith("!") else kept | matching
    if not kept:
        raise OptionError(f"{' '.join(patterns)!r} leaves no site; this layer has {', '.join(used)}")
    return tuple(name for name in used if name in kept)
