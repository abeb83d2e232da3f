"""A recipe says what is measured: data, layer scales, codecs and their qualities, anchors.

    name: my_run                            # the folder of the results
    data: {source: kodak, limit: 8}         # or `samples`, or any folder
    scales: [0.25, 0.5, 1]                  # base layer first
    codecs:
      - {name: layered, codec: layered, weights: compass-small, qualities: [1, 2, 3, 4]}
      - {name: simulcast jpeg, codec: simulcast, of: jpeg, qualities: [10, 30, 50, 80]}
    anchors: [simulcast jpeg]               # BD-rates are against these
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from baselines.protocol import Quality, layer_qualities
from baselines.registry import build
from layered.errors import LayeredError, RecipeError
from layered.image import check_scales

__all__ = ["CodecSpec", "DataSpec", "Recipe", "bundled_recipes", "load_recipe", "make_recipe"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        valid = list(cls.model_fields)
        for key in values if isinstance(values, dict) else ():
            if key not in valid:
                close = difflib.get_close_matches(str(key), valid, 1)
                hint = f", did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"unknown key {str(key)!r}{hint} valid keys are {', '.join(valid)}")
        return values


class DataSpec(_Strict):
    """Which images.  source: named set or folder.  limit: the first so many.  longest_side: shrink to it."""

    source: str
    limit: int | None = Field(None, ge=1)
    longest_side: int | None = Field(None, ge=1)


class CodecSpec(_Strict):
    """One row of the tables.  qualities: one real number, or a list with one per layer, for each point."""

    name: str = Field(min_length=1)
    codec: str
    of: str | None = None
    weights: str | None = None
    qualities: tuple[Quality, ...] = Field(min_length=1)

    @field_validator("qualities")
    @classmethod
    def _no_repetition(cls, values: tuple[Quality, ...]) -> tuple[Quality, ...]:
        if len(set(values)) < len(values):
            raise ValueError("a quality is named twice")
        return values

    @model_validator(mode="after")
    def _exists(self) -> CodecSpec:
        with _as_value_error():
            build(self.codec, self.of, self.weights)
        return self


class Recipe(_Strict):
    """A whole experiment.

    scales: of the layers, relative to the image, increasing, in (0, 1].  anchors: names of codecs.
    bd_rate: interpolation of the curves.  ms_ssim: measure it too.  device: of the learned codecs.
    threads: per worker.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    data: DataSpec
    scales: tuple[float, ...] = (1.0,)
    codecs: tuple[CodecSpec, ...] = Field(min_length=1)
    anchors: tuple[str, ...] = ()
    bd_rate: Literal["pchip", "cubic", "akima"] = "pchip"
    ms_ssim: bool = True
    device: str = "cpu"
    threads: int = Field(1, ge=1)

    @field_validator("data", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        with _as_value_error():
            check_scales(self.scales)
            for spec in self.codecs:
                for quality in spec.qualities:
                    layer_qualities(quality, len(self.scales))
        names = [spec.name for spec in self.codecs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two codecs are named {name!r}")
        for anchor in self.anchors:
            if anchor not in names:
                raise ValueError(f"anchor {anchor!r} is not among the codecs; there are {', '.join(names)}")
        return self


class _as_value_error:
    """pydantic collects ValueErrors only; this turns our own errors into such."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, LayeredError):
            raise ValueError(str(error)) from None


def bundled_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    folder = resources.files("experiments") / "recipes"
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe: a YAML file, or the name of a bundled one; then apply overrides such as `data.limit=4`.

    Raises RecipeError, in one line that names every fault.
    """
    path = Path(source)
    if path.is_file():
        text = path.read_text(encoding="utf-8")
    elif str(source) in bundled_recipes():
        text = (resources.files("experiments") / "recipes" / f"{source}.yaml").read_text(encoding="utf-8")
    else:
        raise RecipeError(f"{source}: no such file; bundled recipes are {', '.join(bundled_recipes())}")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{source}: a recipe is a mapping of keys such as name, data, codecs")
    return make_recipe(values, overrides, str(source))


def make_recipe(values: dict[str, Any], overrides: Sequence[str] = (), source: str = "recipe") -> Recipe:
    """A checked recipe from plain values, which stay as they are; overrides are as in `load_recipe`."""
    values = deepcopy(values)
    if isinstance(values.get("data"), str):
        values["data"] = {"source": values["data"]}
    for override in overrides:
        _set(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{source}: " + "; ".join(_fault(fault) for fault in error.errors())) from None


def _fault(fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _set(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"--set {override}: write it as key=value, for example data.limit=4")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise RecipeError(f"--set {override}: {text!r} is not a YAML value") from None
    node: Any = values
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(node, list):
            index = _position(node, key, override)
            if last:
                node[index] = value
            node = node[index]
        elif isinstance(node, dict) and (last or key in node):
            if last:
                node[key] = value
            node = node[key]
        else:
            has = f"; keys there are {', '.join(map(str, node))}" if isinstance(node, dict) else ""
            raise RecipeError(f"--set {override}: there is no {'.'.join(keys[: depth + 1])!r}{has}")


def _position(entries: list[Any], key: str, override: str) -> int:
    """Entries of a list are addressed by their `name` or by their number from 0."""
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    if key in names:
        return names.index(key)
    if key.isdigit() and int(key) < len(entries):
        return int(key)
    known = [str(name) for name in names if name is not None]
    hint = f"; names are {', '.join(known)}" if known else ""
    raise RecipeError(f"--set {override}: {key!r} is neither a name nor a number below {len(entries)}{hint}")
