"""Measures of one decoded picture beside its original, which a recipe asks for by name in `scores:`.

    scores: [gradient]
    scores: [gradient, {name: lpips, path: alexnet.pth, heads: alex.pth}, my_scores.py:Sharpness]
    scores: [{name: my_scores.py:Sharpness, options: {radius: 2}, label: sharpness at 2}]

    class Sharpness:                              # in my_scores.py
        def __init__(self, radius=1): ...         # from `options`
        def __call__(self, decoded, original): ...    # uint8 [H, W, 3] twice -> a number, or None where there is none
        def fingerprint(self): ...                # optional: what its values depend on besides its own source

Records are measured again when the class's file, a weights file or the code of a measure changes.  Reading a recipe
runs nobody's code; a measure is made when a run is planned, in every process that measures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, PlainSerializer, model_validator

from baselines.classes import Options, WithOptions, is_class_name, kind, loaded, option_pairs
from baselines.fingerprint import source_digest
from layered.errors import LayeredError, OptionError
from layered.image import Image8
from layered.recipes import hint

__all__ = ["NOTES", "Score", "ScoreSpec", "build_score", "gradient", "score_all", "scores_fingerprint"]

NOTES: Mapping[str, str] = {
    "gradient": "energy of luma's finite differences relative to the original's: 1 is as sharp, less is blurred",
    "lpips": "LPIPS (Zhang et al. 2018), a distance: 0 for the same picture",
}
"""The measures of our own, and what they say."""

_LUMA = np.array([0.299, 0.587, 0.114])
_TAKES: Mapping[str, tuple[str, ...]] = {"gradient": (), "lpips": ("path", "heads")}
_COLUMNS = ("codec", "quality", "images", "bpp", "bytes", "times its rate", "psnr", "psnr db", "ms-ssim", "ms_ssim")
"""Those of the tables in which scores stand, and of the others that tell of the same pictures, in lower case."""


class ScoreSpec(WithOptions):
    """A measure in the words of a recipe.

    name: of `NOTES`, or `file.py:Class`.  path, heads: files of weights, for lpips.  options: for a class.  label:
    what tables call it, by default the name or the class's.
    """

    name: str
    path: str | None = None
    heads: str | None = None
    options: Annotated[Options, BeforeValidator(option_pairs), PlainSerializer(dict)] = ()
    label: str = ""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        given = {"name": values} if isinstance(values, str) else values
        name = given.get("name") if isinstance(given, dict) else None
        return {"label": name.rpartition(":")[2], **given} if isinstance(name, str) else given

    @model_validator(mode="after")
    def _consistent(self) -> ScoreSpec:
        try:
            own = is_class_name(self.name)
        except OptionError as error:
            raise ValueError(str(error)) from None
        if not own and self.name not in NOTES:
            known = f"there are {', '.join(NOTES)}; your own is file.py:Class"
            raise ValueError(f"unknown score {self.name!r}{hint(self.name, NOTES)} {known}")
        if not self.label or not self.label.isprintable():
            raise ValueError(f"{self.label!r} is not one line of text")
        if self.label.lower() in _COLUMNS:
            raise ValueError(f"{self.label!r} is a column of the tables already; give the score another `label:`")
        takes = ("options",) if own else _TAKES[self.name]
        for key in ("path", "heads", "options"):
            if getattr(self, key) and key not in takes:
                raise ValueError(f"{self.name} takes no {key}; leave it out")
            if not getattr(self, key) and key in takes and key != "options":
                raise ValueError(f"{self.name} needs {' and '.join(takes)}, files of weights that you have")
        return self


@dataclass(frozen=True)
class Score:
    """A measure that is ready.

    of: (decoded, original), uint8 [H, W, 3] of one size -> a finite number, or None where it is not defined.
    fingerprint: all that its values depend on, in a line.
    """

    label: str
    of: Callable[[Image8, Image8], float | None]
    fingerprint: str


def gradient(decoded: Image8, original: Image8) -> float | None:
    """Mean squared finite differences of luma (BT.601), relative to the original's; None where that is flat."""
    energy, reference = _energy(decoded), _energy(original)
    return energy / reference if reference else None


def _energy(image: Image8) -> float:
    luma = image @ _LUMA
    return sum(float(np.square(np.diff(luma, axis=axis)).sum()) for axis in (0, 1))


def build_score(spec: ScoreSpec, device: str = "cpu") -> Score:
    """The measure of these words.  Raises OptionError where its files or its class are missing or wrong."""
    files = tuple(path for path in (spec.path, spec.heads) if path is not None)
    # Another file under the same name is another measure; a class looks after its own.
    changed = tuple(Path(path).stat().st_mtime_ns if Path(path).is_file() else 0 for path in files)
    own = loaded(spec.name, spec.options).digest if is_class_name(spec.name) else ""
    return _build(spec, device, (*changed, own))


@lru_cache(maxsize=8)
def _build(spec: ScoreSpec, device: str, version: tuple[object, ...]) -> Score:
    """version: changes where the files do."""
    if is_class_name(spec.name):
        return _of_class(spec)
    code = f"code {source_digest('experiments/scores.py')}"
    if spec.name == "gradient":
        return Score(spec.label, gradient, f"gradient, {code}")
    from experiments.lpips import load_lpips

    assert spec.path is not None and spec.heads is not None
    measure = load_lpips(spec.path, spec.heads, device)
    return Score(spec.label, measure.score, f"lpips, {measure.fingerprint}, {code}")


def _of_class(spec: ScoreSpec) -> Score:
    own = loaded(spec.name, spec.options)
    made = own.new()
    if not callable(made):
        raise OptionError(f"{spec.name} has no method `__call__`, which takes the decoded picture and the original")

    def measure(decoded: Image8, original: Image8) -> float | None:
        # Copies, because what it does to them must not reach what others measure.
        found = made(decoded.copy(), original.copy())
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float | np.number) or not math.isfinite(found):
            told = found if isinstance(found, float) else kind(found)
            raise LayeredError(f"{spec.name} returned {told}, where a finite number or None is needed")
        return float(found)

    return Score(spec.label, measure, ", ".join(f"{key} {value}" for key, value in own.fingerprint(made).items()))


def score_all(
    specs: Sequence[ScoreSpec], decoded: Image8, original: Image8, device: str = "cpu"
) -> dict[str, float | None]:
    """The value of every measure by its label.  Raises LayeredError, and whatever somebody's class raises."""
    return {spec.label: build_score(spec, device).of(decoded, original) for spec in specs}


def scores_fingerprint(specs: Sequence[ScoreSpec], device: str = "cpu") -> dict[str, str]:
    """What the values depend on, by measure; empty where none is asked for."""
    return {f"score {spec.label}": build_score(spec, device).fingerprint for spec in specs}
