"""Which sites of a layer an adapter is for, by words that hold for any layer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn

from adapters.kinds import kind_of
from adapters.sites import chosen, sites, used_sites
from layered.base.site import Site
from layered.errors import OptionError
from layered.layer import Context, Layer
from layered.rounding import Hard

__all__ = ["WORDS", "encoder_sites", "places"]

WORDS = ("@attention", "@synthesis", "@decoder")


@torch.no_grad()
def places(layer: Layer, kind: str, patterns: Sequence[str], original: Tensor, context: Context) -> tuple[str, ...]:
    """The sites that the patterns name and the kind suits, each once.

    patterns: shell patterns of the names of modules that the synthesis runs, `!pattern` to take away from what was
    named before, or one of these words.  `@attention`: the last place for adapters that the synthesis has, in WACNN
    behind its last attention, at a quarter of the picture's size; of layers that have none all modules of the
    synthesis.  `@synthesis`: all that it runs behind the latents, and so not what predicts from the layer below.
    `@decoder`: that too, and what only entropy coding runs.  original: any picture of the context's size,
    [1, 3, H, W].  Raises OptionError, listing the sites, where none is left.
    """
    every, suits = sites(layer), kind_of(kind).suits
    coded = layer.code(layer.analyse(original, context), context, Hard(exact=False)).latents
    used = used_sites(layer, coded, context)
    behind = used_sites(layer, coded, context, predicted=False)
    found: list[str] = []
    for pattern in patterns:
        if pattern == "@attention":
            found += [name for name in behind if isinstance(every[name], Site)][-1:] or behind
        elif pattern == "@synthesis":
            found += behind
        elif pattern == "@decoder":
            encoder = encoder_sites(layer, original, context)
            found += [name for name in every if name not in encoder]
        elif pattern.startswith("@"):
            raise OptionError(f"no word for sites is {pattern!r}; there are {', '.join(WORDS)}")
        elif pattern.startswith("!"):
            away = chosen(layer, (pattern[1:],), found)
            found = [name for name in found if name not in away]
        else:
            found += chosen(layer, (pattern,), used)
    fitting = tuple(dict.fromkeys(name for name in found if suits(every[name])))
    if not fitting:
        named = " ".join(patterns)
        raise OptionError(f"no site of {named!r} suits an adapter of kind {kind}; there are {', '.join(used)}")
    return fitting


@torch.no_grad()
def encoder_sites(layer: Layer, original: Tensor, context: Context) -> tuple[str, ...]:
    """The sites that `analyse` runs, and neither `code` nor `synthesise` does."""
    called: set[str] = set()
    with ExitStack() as hooks:
        for name, module in sites(layer).items():
            hooks.callback(module.register_forward_pre_hook(partial(_note, called, name)).remove)
        latents = layer.analyse(original, context.sealed(context.seal))
        analysing = set(called)
        called.clear()
        layer.synthesise(layer.code(latents, context, Hard(exact=False)).latents, context.sealed(context.seal))
    return tuple(name for name in sites(layer) if name in analysing - called)


def _note(called: set[str], name: str, module: nn.Module, inputs: object) -> None:
    called.add(name)
