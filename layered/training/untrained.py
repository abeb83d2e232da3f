"""Which parts of a codec a training run leaves as they were drawn."""

from __future__ import annotations

from layered.codec import LayeredCodec
from layered.training.phases import select_trained, trained_parts
from layered.training.recipe import TrainingRecipe

__all__ = ["untrained_parts"]


def untrained_parts(codec: LayeredCodec, recipe: TrainingRecipe) -> tuple[str, ...]:
    """Those of `base` and `enhancement` with weights that neither `start` nor a phase of the run gave a value.

    Leaves the codec's parameters taking gradients as the last phase had them.
    """
    names = {name for name, _ in codec.named_parameters() if not name.endswith("quantiles")}
    given = tuple("" if part == "all" else f"{part}." for part in recipe.start)
    left = {name for name in names if not name.startswith(given)} if given else names
    for phase in recipe.phases:
        if not recipe.only or phase.name in recipe.only:
            select_trained(codec, phase, trained_parts(codec, phase))
            left -= {name for name, parameter in codec.named_parameters() if parameter.requires_grad}
    return tuple(sorted({name.split(".")[0] for name in left}))
