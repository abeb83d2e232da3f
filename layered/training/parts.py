"""What of a codec each phase of training trains, and what that begins as."""

from __future__ import annotations

import zlib
from copy import deepcopy

import torch
from torch import nn

from layered.base.blocks import InstanceNorm
from layered.base.initialise import initialise, require_transforms
from layered.codec import LayeredCodec
from layered.enhancement.resample import Bicubic
from layered.errors import OptionError, RecipeError
from layered.layer import Layer
from layered.training.data import CropSource, downscale
from layered.training.recipe import Phase

__all__ = ["instance_norms", "prepare", "require_fit", "residual_of", "select_trained", "trained_parts"]

_STARTED = {"base": ("default", "wavelet"), "residual": ("default", "wavelet", "base"), "joint": ("base",),
            "all": ("base",)}  # fmt: skip
"""The initialisations that phases of a kind may ask for, besides leaving all as it is."""


def trained_parts(codec: LayeredCodec, phase: Phase) -> tuple[nn.Module, ...]:
    """The modules that a phase trains.  Raises RecipeError where the codec or the phase's scales do not suit it."""
    alone, layers = phase.kind in ("base", "predictor", "adversarial"), len(phase.scales) - 1
    if alone and layers:
        raise RecipeError(f"phase {phase.name!r} takes one scale range, not {len(phase.scales)}")
    if phase.kind == "base" or (phase.kind == "adversarial" and phase.adversarial.trains == "all"):
        return (codec.base,)
    try:
        if phase.kind == "adversarial":
            return (codec.base.part(phase.adversarial.trains),)
        codec.layer(max(1, layers))
        if phase.kind in ("residual", "predictor"):
            pieces = tuple(upper.part(phase.kind) for upper in codec.uppers)
        else:
            pieces = (codec.base, *codec.uppers) if phase.kind == "all" else codec.uppers
    except OptionError as error:
        raise RecipeError(f"phase {phase.name!r}: {error}") from None
    if not alone and layers < 1:
        raise RecipeError(f"phase {phase.name!r} needs a scale range for the base and for each enhancement layer")
    if not alone and layers < len(codec.uppers):
        there = len(codec.uppers)
        raise RecipeError(f"phase {phase.name!r}: scales for {layers} enhancement layers, the model has {there}")
    return pieces


def select_trained(codec: LayeredCodec, phase: Phase, parts: tuple[nn.Module, ...]) -> None:
    """Let what a phase trains of its parts take gradients, and nothing else.

    Raises RecipeError for a frozen name that none of them has, and where nothing is left to train.
    """
    chosen = {parameter for part in parts for parameter in part.parameters()}
    names = {name for name, parameter in codec.named_parameters() if parameter in chosen}
    for start in phase.frozen:
        if not any(_below(name, start) for name in names):
            raise RecipeError(f"phase {phase.name!r}: frozen: it trains nothing that is called {start}")
    for name, parameter in codec.named_parameters():
        held = name.endswith("quantiles") or any(_below(name, start) for start in phase.frozen)
        parameter.requires_grad_(name in names and not held)
    if not any(parameter.requires_grad for parameter in chosen):
        told = "all that it would train is frozen" if phase.frozen else f"what {_asked(phase)} trains has no parameters"
        raise RecipeError(f"phase {phase.name!r} has nothing to train: {told}; freeze less, or leave the phase out")


def _asked(phase: Phase) -> str:
    return f"trains: {phase.adversarial.trains}" if phase.kind == "adversarial" else f"kind: {phase.kind}"


def _below(name: str, start: str) -> bool:
    return name == start or name.startswith(start + ".")


def instance_norms(codec: LayeredCodec, phase: Phase) -> tuple[InstanceNorm, ...]:
    """Those within what a phase trains, which an adversarial one's `fixed_statistics` is about.

    Raises RecipeError where it asks for fixed ones and there are none.
    """
    norms = [each for part in trained_parts(codec, phase) for each in part.modules() if isinstance(each, InstanceNorm)]
    if phase.adversarial.fixed_statistics and not norms:
        told = "what it trains has no instance normalisation; leave it out, or give the base layer norm: instance"
        raise RecipeError(f"phase {phase.name!r}: fixed_statistics: {told}")
    return tuple(norms)


def residual_of(codec: LayeredCodec) -> Layer:
    """The residual module that a phase of kind `residual` trains."""
    residual = codec.uppers[0].part("residual")
    assert isinstance(residual, Layer)
    return residual


def require_fit(codec: LayeredCodec, phase: Phase) -> None:
    """Raises RecipeError where `phase` could not begin: something that it asks for does not suit the codec.

    So a run tells at once what would else stop it hours later.
    """
    select_trained(codec, phase, trained_parts(codec, phase))
    instance_norms(codec, phase)
    if phase.init == "keep":
        return
    if phase.init not in _STARTED.get(phase.kind, ()):
        raise RecipeError(f"phase {phase.name!r}: init {phase.init!r} is not for phases of kind {phase.kind}")
    try:
        if phase.init == "base":
            copy = deepcopy(codec)
            for upper in copy.uppers:
                upper.start_from(copy.base)
        else:
            require_transforms(codec.base if phase.kind == "base" else residual_of(codec), phase.init)
    except OptionError as error:
        raise RecipeError(f"phase {phase.name!r}: init {phase.init}: {error}") from None


def prepare(codec: LayeredCodec, phase: Phase, source: CropSource, seed: int) -> None:
    """Give the layers that `phase` trains the initialisation that it names; see `require_fit`."""
    if phase.init == "keep":
        return
    if phase.init == "base":
        for upper in codec.uppers:
            upper.start_from(codec.base)
        return
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{phase.name}/init".encode()))
    crops = source.draw(generator, 32, phase.patch)
    if phase.kind == "base":
        initialise(codec.base, phase.init, crops.cpu(), generator)
    else:
        small = downscale(crops, phase.patch // 2, phase.patch // 2)
        residuals = crops - Bicubic()(small, phase.patch, phase.patch)
        initialise(residual_of(codec), phase.init, residuals.cpu(), generator, centre=0.0)
