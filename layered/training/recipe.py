"""A training recipe: everything that decides the outcome, as one file, saved in every checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from layered.errors import RecipeError
from layered.spec import CodecSpec, explain

__all__ = ["DataSettings", "Phase", "TrainingRecipe", "load_recipe"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(_Strict):
    """Where the pictures are: a folder, read whole into memory; limit: use only the first so many."""

    folder: str
    limit: int | None = Field(default=None, ge=1)


class Phase(_Strict):
    """One phase of training.

    kind: `base` (rate and distortion of the base layer), `residual` (of all enhancement layers, on bicubic
    prediction), `predictor` (L1 of the prediction from a clean downscaled picture), `joint` (predictor and
    residual module together).  patch: side of the crops at full scale.  scales: base layer's scale ranges
    first, one (low, high) a layer, relative to the patch; drawn anew for each batch.  The learning rate
    follows `schedule`: constant, cosine to zero, or multiplied by `decay` every `decay_every` steps.
    init: initialisation of the transforms that this phase trains, by name; `base` copies the base layer's
    weights into the residual module.  clip: largest norm of the gradient.
    """

    name: str
    kind: Literal["base", "residual", "predictor", "joint"]
    steps: int = Field(ge=1)
    batch: int = Field(default=8, ge=1)
    patch: int = Field(default=128, ge=16)
    scales: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    lr: float = Field(default=1e-4, gt=0)
    schedule: Literal["constant", "cosine", "step"] = "constant"
    decay: float = Field(default=0.5, gt=0, le=1)
    decay_every: int = Field(default=1000, ge=1)
    clip: float = Field(default=1.0, gt=0)
    init: Literal["keep", "default", "wavelet", "base"] = "keep"


class TrainingRecipe(_Strict):
    """The codec to train, its data, and the phases in order.

    start: checkpoints or weights files whose tensors of the same names are taken first.  only: names of the
    phases to run, all by default.  precision: Lightning Fabric's name, for example 32-true or bf16-mixed;
    entropy models stay in float32.  devices, nodes, strategy, accelerator: as Fabric takes them.  threads:
    torch threads of each process, 0 leaves torch's own choice.
    """

    name: str
    model: CodecSpec
    data: DataSettings
    phases: tuple[Phase, ...] = Field(min_length=1)
    start: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    seed: int = 0
    precision: Literal["32-true", "bf16-mixed", "64-true"] = "32-true"
    accelerator: str = "auto"
    devices: int | str = 1
    nodes: int = Field(default=1, ge=1)
    strategy: str = "auto"
    threads: int = Field(default=0, ge=0)
    checkpoint_seconds: float = Field(default=120, gt=0)
    log_every: int = Field(default=50, ge=1)
    tensorboard: bool = False


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> TrainingRecipe:
    """The recipe in the file `name`, or the bundled one of that name, after `a.b=c` overrides.

    Values of overrides are YAML; a number indexes a list.  Raises RecipeError naming the key that is wrong.
    """
    values = _read(name)
    for override in overrides:
        _override(values, override)
    try:
        recipe = TrainingRecipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{name}: {explain(error)}") from None
    names = [phase.name for phase in recipe.phases]
    unknown = [phase for phase in recipe.only if phase not in names]
    if unknown or len(set(names)) < len(names):
        raise RecipeError(f"{name}: `only` and the phases must have names from {names}, each once; got {unknown}")
    return recipe


def _read(name: str | Path) -> dict[str, Any]:
    path = Path(name)
    bundled = resources.files("layered.training") / "recipes" / f"{name}.yaml"
    if not path.is_file() and not bundled.is_file():
        known = sorted(r.name[:-5] for r in (resources.files("layered.training") / "recipes").iterdir()
                       if r.name.endswith(".yaml"))  # fmt: skip
        raise RecipeError(f"{name}: no such recipe file, nor one of the bundled: {', '.join(known)}")
    try:
        values = yaml.safe_load((path if path.is_file() else bundled).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{name}: not readable as YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{name}: a recipe is a mapping of keys to values")
    return values


def _override(values: dict[str, Any], override: str) -> None:
    key, found, text = override.partition("=")
    if not found:
        raise RecipeError(f"--set {override}: expected key=value")
    *path, last = key.split(".")
    target: Any = values
    for part in path:
        try:
            target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
        except (ValueError, IndexError, AttributeError):
            raise RecipeError(f"--set {override}: there is no {part!r} in the recipe") from None
    try:
        value = yaml.safe_load(text)
        target[int(last) if isinstance(target, list) else last] = value
    except (yaml.YAMLError, ValueError, IndexError, TypeError):
        raise RecipeError(f"--set {override}: cannot set {last!r} there") from None
