"""A recipe says what is measured: data, layer scales, codecs and their qualities, anchors.

    name: my_run                            # the folder of the results
    data: {source: kodak, limit: 8}         # or `samples`, or any folder
    scales: [0.25, 0.5, 1]                  # base layer first
    codecs:
      - {name: layered, codec: layered, weights: compass-small, qualities: [1, 2, 3, 4]}
      - {name: simulcast jpeg, codec: simulcast, of: jpeg, qualities: [10, 30, 50, 80]}
    anchors: [simulcast jpeg]               # BD-rates are against these

Learned codecs may be adapted to each picture (`adapters.adaptation.AdaptationSettings`), as rows of their own:
`adaptation: {method: universal, steps: 500}`.

Several sets of scales, each measured: `scales: [[0.25, 1], [0.5, 1]]`, or every combination of ratios to a base
layer, here EL1 at 0.3 or 0.5 and EL2 at 0.75 or 1: `scales: {base: 0.25, ratios: [[1.2, 2], [3, 4]]}`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from baselines.protocol import Quality, layer_qualities
from baselines.registry import SEPARATE
from experiments.method import CodecSpec, as_value_error
from experiments.published import published_rates
from experiments.scores import ScoreSpec
from experiments.words import ladder_label, quality_text
from layered.errors import OptionError
from layered.image import check_scales
from layered.recipes import Strict, bundled, check, read

__all__ = ["DataSpec", "Recipe", "bundled_recipes", "load_recipe", "make_recipe"]


class DataSpec(Strict):
    """Which images.  source: named set or folder.  limit: the first so many.  longest_side: shrink to it."""

    source: str
    limit: int | None = Field(None, ge=1)
    longest_side: int | None = Field(None, ge=1)


class Published(Strict):
    """Published BD-rates to stand beside ours.

    paper: a bundled file of them.  data: the data set, by the paper's name.  names: of our rows, as the paper
    names the methods.
    """

    paper: str
    data: str
    names: dict[str, str]

    @model_validator(mode="after")
    def _exists(self) -> Published:
        with as_value_error():
            published_rates(self.paper).check(self.data, self.names.values())
        return self


class Beside(Strict):
    """A codec at one of its qualities, beside which the others are shown at their nearest rates.

    quality: its first by default.  images: so many contact sheets, of the first images.
    """

    codec: str
    quality: Quality | None = None
    images: int = Field(6, ge=0)


class Recipe(Strict):
    """A whole experiment.

    scales: one or more ladders, each the scales of the layers relative to the image, increasing, in (0, 1].
    anchors: names of codecs.  bd_rate: interpolation of the curves.  ms_ssim: measure it too.  operations: count
    those of decoding.  previews: keep the decoded pictures, for the report.  scores: measures of the decoded pictures
    besides PSNR (`experiments.scores`).  published: results of others to compare with.  beside: a table, and contact
    sheets, of all codecs at the rate of one.  device: of the learned codecs and scores.  threads: per worker.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    data: DataSpec
    scales: tuple[tuple[float, ...], ...] = ((1.0,),)
    codecs: tuple[CodecSpec, ...] = Field(min_length=1)
    anchors: tuple[str, ...] = ()
    bd_rate: Literal["pchip", "cubic", "akima"] = "pchip"
    ms_ssim: bool = True
    operations: bool = False
    previews: bool = True
    scores: tuple[ScoreSpec, ...] = ()
    published: Published | None = None
    beside: Beside | None = None
    device: str = "cpu"
    threads: int = Field(1, ge=1)

    @field_validator("data", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("scores", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("a list is needed, such as [gradient]; leave the key out, or give [], for none")
        return value

    @field_validator("scales", mode="before")
    @classmethod
    def _ladders(cls, value: Any) -> Any:
        if isinstance(value, dict):
            if value.keys() != {"base", "ratios"}:
                raise ValueError("write scales as {base: 0.25, ratios: [[1.2, 2], [3, 4]]}, or as lists")
            base, ratios = value["base"], value["ratios"]
            if not isinstance(base, int | float) or not isinstance(ratios, list) or not all(
                isinstance(layer, list) and all(isinstance(ratio, int | float) for ratio in layer) for layer in ratios
            ):  # fmt: skip
                raise ValueError("base is a number, and ratios has a list of numbers for each layer above it")
            return [(base, *(round(base * ratio, 9) for ratio in chosen)) for chosen in product(*ratios)]
        if isinstance(value, list | tuple) and all(isinstance(entry, int | float) for entry in value):
            return [value]
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        with as_value_error():
            if not self.scales:
                raise OptionError("at least one set of scales is needed")
            for ladder in self.scales:
                check_scales(ladder)
                if list(map(ladder_label, self.scales)).count(ladder_label(ladder)) > 1:
                    raise OptionError(f"the scales {list(ladder)} are named twice, or are others in four digits")
                for spec in self.codecs:
                    for quality in spec.qualities:
                        layer_qualities(quality, len(ladder))
                    if spec.adaptation is not None and spec.codec not in SEPARATE:
                        spec.adaptation.check(len(ladder))
        names = [spec.name for spec in self.codecs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two codecs are named {name!r}")
        labels = [score.label for score in self.scores]
        if twice := next((label for label in labels if labels.count(label) > 1), None):
            raise ValueError(f"two scores are called {twice!r}; give one of them another `label:`")
        for anchor in self.anchors:
            if self.anchors.count(anchor) > 1:
                raise ValueError(f"the anchor {anchor!r} is named twice")
            if anchor not in names:
                raise ValueError(f"anchor {anchor!r} is not among the codecs; there are {', '.join(names)}")
        for name in self.published.names if self.published else ():
            if name not in names:
                raise ValueError(f"published.names: {name!r} is not among the codecs; there are {', '.join(names)}")
        if self.beside is not None:
            if self.beside.codec not in names:
                raise ValueError(f"beside: {self.beside.codec!r} is not among the codecs; there are {', '.join(names)}")
            compared, wanted = self.codecs[names.index(self.beside.codec)], self.beside.quality
            if wanted is not None and wanted not in compared.qualities:
                raise ValueError(f"beside: {compared.name} is not measured at quality {quality_text(wanted)}")
        return self

    def measuring(self) -> dict[str, Any]:
        """What its numbers depend on besides weights; of the place of the data the folder's name."""
        values = self.model_dump(mode="json", exclude={"description", "previews", "device", "threads"})
        values["data"]["source"] = Path(values["data"]["source"]).name
        for codec in values["codecs"]:
            del codec["weights"]
        return values

    @property
    def compared(self) -> tuple[str, Quality] | None:
        """The codec and quality that the others are beside."""
        if self.beside is None:
            return None
        spec = next(spec for spec in self.codecs if spec.name == self.beside.codec)
        return spec.name, spec.qualities[0] if self.beside.quality is None else self.beside.quality


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
    return check(Recipe, values, [_with_data_as_mapping(override) for override in overrides], source)


def _with_data_as_mapping(override: str) -> str:
    key, _, value = override.partition("=")
    plain = key.strip() == "data" and value and not value.lstrip().startswith("{")
    return f"data={{source: {json.dumps(value)}}}" if plain else override
