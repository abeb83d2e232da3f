"""The state of a run on disk, replaced whole, from which it resumes to the bit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from layered.base.transforms import load_resized
from layered.codec import LayeredCodec
from layered.errors import LayeredError, OptionError, RecipeError
from layered.recipes import Strict
from layered.training.recipe import TrainingRecipe
from layered.weights.store import load

__all__ = ["RunState", "State", "load_state", "read_state", "save_state", "take_start"]


# Settings that may change when a run is taken up again: where it runs, where its pictures lie, what it tells.
# To the bit the outcome stays the same only on the same devices and threads.  A prior compares its weights itself.
_FREE = {
    "data", "devices", "nodes", "strategy", "accelerator", "threads", "checkpoint_seconds", "log_every", "tensorboard",
    "weights",
}  # fmt: skip


class State(Protocol):
    """A dataclass of what torch.load takes safely; pictures: the digest of those that it is trained on."""

    @property
    def pictures(self) -> str: ...


AnyState = TypeVar("AnyState", bound=State)


@dataclass(frozen=True)
class RunState:
    """Where a run stands: index of the phase, steps done in it, seconds and lines logged in all, pictures, tensors.

    critic: the discriminator's weights, where a phase has trained one.  reached: names of the parameters that training
    has given values, here or before `start` took them.
    """

    phase: int
    step: int
    seconds: float
    logged: int
    pictures: str
    model: dict[str, torch.Tensor]
    optimiser: dict[str, Any] | None
    critic: dict[str, torch.Tensor] | None = None
    reached: tuple[str, ...] = ()


def save_state(path: Path, recipe: Strict, state: State) -> None:
    """Write aside, then rename: a run killed while saving keeps its last state."""
    aside = path.with_suffix(".new")
    try:
        torch.save({"recipe": recipe.model_dump_json(), **vars(state)}, aside)
        os.replace(aside, path)
    except RuntimeError as error:  # torch's way to say that the disk is full
        raise LayeredError(f"{path}: cannot be written ({str(error).splitlines()[0]})") from None
    finally:
        aside.unlink(missing_ok=True)


def load_state(path: Path, recipe: TrainingRecipe, pictures: str) -> RunState | None:
    """The saved state of a codec's training, see `read_state`."""
    return read_state(path, recipe, pictures, RunState)


def read_state(path: Path, recipe: Strict, pictures: str, kind: type[AnyState]) -> AnyState | None:
    """The saved state, or None where there is none.

    Raises RecipeError if another recipe wrote it, or the training pictures are others.
    """
    if not path.is_file():
        return None
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        written = type(recipe).model_validate_json(stored.pop("recipe"))
        state = kind(**stored)
    except Exception as error:
        name = type(error).__name__
        raise RecipeError(f"{path}: not a training state ({name}); remove it to start afresh") from error
    before, now = written.model_dump(exclude=_FREE), recipe.model_dump(exclude=_FREE)
    if changed := [name for name in now if before[name] != now[name]]:
        others = ", ".join(changed)
        raise RecipeError(f"{path} belongs to a run with other settings ({others}); choose another --out or remove it")
    if state.pictures != pictures:
        raise RecipeError(f"{path} belongs to a run on other pictures; choose another --out or remove it")
    return state


def take_start(codec: LayeredCodec, recipe: TrainingRecipe) -> set[str]:
    """Copy into the codec the parts that `recipe.start` names, and say which parameters training has reached by that.

    Raises RecipeError where one does not fit.
    """
    reached: set[str] = set()
    for part, name in recipe.start.items():
        if Path(name).suffix == ".pt" and not Path(name).is_file():
            raise RecipeError(f"start.{part}: {name}: no such file")
        try:
            if Path(name).suffix == ".pt":
                state = torch.load(name, map_location="cpu", weights_only=True)
                stored = state["model"]
                known = stored.keys() & state.get("reached", stored.keys())
            else:
                source = load(name)
                stored = source.state_dict()
                known = {key for key in stored if key.split(".")[0] not in source.untrained}
        except OptionError as error:
            raise RecipeError(f"start.{part}: {error}") from None
        except Exception as error:
            raise RecipeError(f"start.{part}: {name}: not a checkpoint ({type(error).__name__})") from error
        prefix = "" if part == "all" else f"{part}."
        own = codec.state_dict()
        wanted = {key for key in own if key.startswith(prefix)}
        if not wanted:
            raise RecipeError(f"start.{part}: the model has no such part; use base, enhancement.residual, ... or all")
        if not wanted <= stored.keys():
            raise RecipeError(f"start.{part}: {name} lacks {min(wanted - stored.keys())}")
        try:
            load_resized(codec, {**own, **{key: stored[key] for key in wanted}})
        except RuntimeError as error:
            raise RecipeError(f"start.{part}: {name}: {str(error).splitlines()[-1].strip()}") from None
        reached |= wanted & known
    return reached
