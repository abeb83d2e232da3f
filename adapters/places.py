"""Which sites of a layer an adapter is for, by words that hold for any layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

import torch
from torch import Tensor, nn

from adapters.kinds import kind_of
from adapters.sites import sites, used_sites
from adapters.upwards import upwards
from layered.base.site import Site
from layered.codec import LayeredCodec
from layered.errors import OptionError
from layered.guide import Guide
from layered.layer import Context, Layer
from layered.rounding import Hard

__all__ = ["WORDS", "Named", "encoder_sites", "named", "named_in_layers", "places", "require"]

WORDS = ("@attention", "@synthesis", "@decoder")
_SHOWN = 3


@dataclass(frozen=True)
class Named:
    """What patterns name in a layer.

    names: of sites that suit the kind, each once.  matching: the patterns that name some site, whether it suits or not.
    there: what could be named, in words.
    """

    names: tuple[str, ...]
    matching: tuple[str, ...]
    there: str


@torch.no_grad()
def named(layer: Layer, kind: str, patterns: Sequence[str], original: Tensor, context: Context) -> Named:
    """The sites of a layer that the patterns name and the kind suits; there may be none.

    patterns: shell patterns of the names of modules that the synthesis runs, `!pattern` to take away from what was
    named before, or one of these words.  `@attention`: the last place for adapters that the synthesis has, in WACNN
    behind its last attention, at a quarter of the picture's size; most layers have none.  `@synthesis`: all that it
    runs behind the latents, and so not what predicts from the layer below.  `@decoder`: that too, and what only entropy
    coding runs.  original: any picture of the context's size, [1, 3, H, W].  Raises OptionError for other words.
    """
    every, suits = sites(layer), kind_of(kind).suits
    coded = layer.code(layer.analyse(original, context), context, Hard(exact=False)).latents
    used = used_sites(layer, coded, context)
    behind = used_sites(layer, coded, context, predicted=False)
    words: dict[str, tuple[str, ...]] = {
        "@attention": tuple(name for name in behind if isinstance(every[name], Site))[-1:], "@synthesis": behind,
    }  # fmt: skip
    if "@decoder" in patterns:
        encoder = encoder_sites(layer, original, context)
        words["@decoder"] = tuple(name for name in every if name not in encoder)
    found: list[str] = []
    matching = []
    for pattern in patterns:
        if pattern.startswith("@") and pattern not in WORDS:
            raise OptionError(f"no word for sites is {pattern!r}; there are {', '.join(WORDS)}")
        if pattern.startswith("!"):
            these = tuple(name for name in found if fnmatchcase(name, pattern[1:]))
            found = [name for name in found if name not in these]
        else:
            these = words[pattern] if pattern in words else tuple(name for name in used if fnmatchcase(name, pattern))
            found += these
        if these:
            matching.append(pattern)
    suiting = [name for name in used if suits(every[name])] or list(used)
    if len(suiting) > _SHOWN + 1:
        suiting = [*suiting[:_SHOWN], "...", suiting[-1]]
    groups = [word for word in WORDS if words.get(word, True)]
    names = tuple(dict.fromkeys(name for name in found if suits(every[name])))
    return Named(names, tuple(matching), f"{', '.join(groups)} and the modules {', '.join(suiting)}")


def require(kind: str, patterns: Sequence[str], layers: Mapping[str, Named]) -> None:
    """Raise OptionError, with what there is, for a pattern that names nothing in any layer, and if no site is left.

    layers: by what each is called.
    """
    texts: dict[str, list[str]] = {}
    for called, found in layers.items():
        texts.setdefault(found.there, []).append(called)
    there = "; ".join(f"{', '.join(who)} {'has' if len(who) == 1 else 'have'} {what}" for what, who in texts.items())
    for pattern in patterns:
        if not any(pattern in found.matching for found in layers.values()):
            raise OptionError(f"no site is called {pattern!r}: {there}")
    if not any(found.names for found in layers.values()):
        raise OptionError(f"no site of {' '.join(patterns)!r} suits an adapter of kind {kind}: {there}")


def places(
    layer: Layer, kind: str, patterns: Sequence[str] | None, original: Tensor, context: Context
) -> tuple[str, ...]:
    """The sites that the patterns name and the kind suits, see `named`.

    None: `@attention`, or `@synthesis` where a layer has no such place.  Raises OptionError, with what there is, for a
    pattern that names nothing and where no site is left.
    """
    for tried in (patterns,) if patterns is not None else (("@attention",), ("@synthesis",)):
        found = named(layer, kind, tried, original, context)
        if found.matching:
            break
    require(kind, tried, {"this layer": found})
    return found.names


def named_in_layers(
    codec: LayeredCodec, originals: Sequence[Tensor], qualities: Sequence[float], guide: Guide | None,
    layers: Sequence[int], kind: str, patterns: Sequence[str],
) -> dict[int, tuple[str, ...]]:  # fmt: skip
    """Of each of these layers of a picture the patterns that name some site there; none where no site is left.

    originals: of all layers, [1, 3, H_k, W_k], base first.  Raises OptionError, with what there is, for a pattern that
    names nothing in any of them, and where no layer has a site.
    """
    found = {
        k: named(layer, kind, patterns, originals[k], context)
        for k, (layer, context, _) in enumerate(upwards(codec, originals, qualities, guide))
        if k in layers
    }
    require(kind, patterns, {f"layer {k}": each for k, each in found.items()})
    return {k: each.matching if each.names else () for k, each in found.items()}


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
