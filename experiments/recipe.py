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

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from baselines.protocol import Quality, layer_qualities
from baselines.registry import build
from layered.errors import LayeredError
from layered.image import check_scales
from layered.recipes import Strict, bundled, check, read

__all__ = ["CodecSpec", "DataSpec", "Recipe", "bundled_recipes", "load_recipe", "make_recipe"]


class DataSpec(Strict):
    """Which images.  source: named set or folder.  limit: the first so many.  longest_side: shrink to it."""

    source: str
    limit: int | None = Field(None, ge=1)
    longest_side: int | None = Field(None, ge=1)


class CodecSpec(Strict):
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


class Recipe(Strict):
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
    return bundled("experiments")


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe: a YAML file, or the name of a bundled one; then apply overrides such as `data.limit=4`.

    Raises RecipeError, in one line that names every fault.
    """
    return make_recipe(read(source, "experiments"), overrides, str(source))


def make_recipe(values: dict[str, Any], overrides: Sequence[str] = (), source: str = "recipe") -> Recipe:
    """A checked recipe from plain values, which stay as they are; overrides are as in `load_recipe`."""
    if isinstance(values.get("data"), str):
        values = {**values, "data": {"source": values["data"]}}  # so that data.limit=4 finds its place
    return check(Recipe, values, overrides, source)
