"""A training recipe: everything that decides the outcome, as one file, saved in every checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from layered.adversarial.settings import AdversarialSettings
from layered.recipes import Strict, check, read
from layered.spec import CodecSpec
from layered.weights.precision import ALL_BITS

__all__ = ["DataSettings", "Phase", "PriorRecipe", "TrainingRecipe", "load_recipe"]

_Bits = Annotated[int, Field(ge=2, le=ALL_BITS)]


class DataSettings(Strict):
    """Where the pictures are: a folder, read whole into memory; limit: use only the first so many.

    layout: `folder` for any pictures below it, or how a data set lies there (`layered.training.folders`).  labels: of
    any pictures a folder of label maps, grey PNGs under their names, where a layer needs them.  longest_side: pictures
    are shrunk to it (antialiased bicubic, their maps by the nearest class).  filter: `open-images` leaves out what the
    GC paper does, pictures hardly shrunk, and very saturated or bright ones.
    """

    folder: str
    layout: Literal["folder", "cityscapes-34", "cityscapes-19", "ade20k"] = "folder"
    labels: str | None = None
    longest_side: int | None = Field(default=None, ge=16)
    filter: Literal["open-images"] | None = None
    limit: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _goes_together(self) -> DataSettings:
        if self.filter and not self.longest_side:
            raise ValueError("filter: open-images goes with longest_side, 768 in the paper")
        if self.labels and self.layout != "folder":
            raise ValueError(f"labels: the layout {self.layout} says where they are")
        return self


class Phase(Strict):
    """One phase of training.

    kind: `base` (rate and distortion of the base layer), `residual` (of all enhancement layers, on bicubic
    prediction), `predictor` (the prediction from a downscaled picture, by L1; see decoded), `joint` (all that the
    enhancement layers are made of), `all` (the base layer with them), `adversarial` (the base layer against a
    discriminator, by the settings of that name).  patch: side of the crops at full scale.  scales: base layer's
    scale ranges first, one (low, high) a layer, relative to the patch; drawn anew for each batch.  The learning
    rate follows `schedule`: constant, cosine to zero, or multiplied by `decay` every `decay_every` steps.  init:
    initialisation of the transforms that this phase trains, by name; `base` lets the enhancement layers begin with
    the base layer's weights.  clip: largest norm of the gradient.  preserve: with label maps, what of a crop is to be
    kept, drawn anew for each: a box, a quarter of the classes, or one or the other.  frozen: beginnings of the names of
    parameters, as in `enhancement.residual.g_a`, that stay as they are.  significant: the phase sees its weights as
    `experiments.bundle --significant` packs them, and learns to do with so many bits, or as many as tensors below a
    name have (`{h_s: 4, g_s: 9}`); not of kind `predictor` or `adversarial`.  decoded: a phase of kind `predictor`
    predicts from what the base layer makes of the downscaled picture at the step's quality, as the first enhancement
    layer does in coding, and minimises the mean squared error.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    kind: Literal["base", "residual", "predictor", "joint", "all", "adversarial"]
    steps: int = Field(ge=1)
    batch: int = Field(default=8, ge=1)
    patch: int = Field(default=128, ge=16)
    scales: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    lr: float = Field(default=1e-4, gt=0, allow_inf_nan=False)
    schedule: Literal["constant", "cosine", "step"] = "constant"
    decay: float = Field(default=0.5, gt=0, le=1)
    decay_every: int = Field(default=1000, ge=1)
    clip: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    init: Literal["keep", "default", "wavelet", "base"] = "keep"
    preserve: Literal["boxes", "classes", "either"] = "either"
    frozen: tuple[str, ...] = ()
    significant: _Bits | dict[str, _Bits] | None = None
    decoded: bool = False
    adversarial: AdversarialSettings = AdversarialSettings()

    @field_validator("scales")
    @classmethod
    def _in_range(cls, scales: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if not scales or not all(0 < low <= high <= 1 for low, high in scales):
            raise ValueError(f"each range is (low, high) with 0 < low <= high <= 1, got {scales}")
        if any(b[0] < a[0] or b[1] < a[1] for a, b in pairwise(scales)):
            raise ValueError(f"ranges must not fall from the base layer up, got {scales}")
        return scales

    @model_validator(mode="after")
    def _packed(self) -> Phase:
        if self.significant is not None and self.kind in ("predictor", "adversarial"):
            raise ValueError(f"significant: a phase of kind {self.kind} cannot see packed weights")
        return self

    @model_validator(mode="after")
    def _used(self) -> Phase:
        """A setting that would do nothing is a mistake."""
        default = {name: field.default for name, field in Phase.model_fields.items()}
        useless = {
            "adversarial": self.kind != "adversarial" and "a phase of that kind",
            "decay": self.schedule != "step" and "schedule: step",
            "decay_every": self.schedule != "step" and "schedule: step",
        }
        for name, needed in useless.items():
            if needed and getattr(self, name) != default[name]:
                raise ValueError(f"{name} goes with {needed}")
        return self

    @model_validator(mode="after")
    def _predicting(self) -> Phase:
        if self.decoded and self.kind != "predictor":
            raise ValueError(f"decoded: of a phase of kind predictor alone, not {self.kind}")
        return self


class TrainingRecipe(Strict):
    """The codec to train, its data, and the phases in order.

    start: parts of the model, as in `base` or `enhancement.predictor`, or `all`, and the state.pt, weights file or
    bundled weights that each is taken from before training; `{enhancement: {predictor: FILE}}` is the same as
    `{enhancement.predictor: FILE}`.  only: names of the phases to run, all by default.  precision: Lightning Fabric's
    name, for example 32-true or bf16-mixed; entropy models stay in float32.  devices, nodes, strategy, accelerator: as
    Fabric takes them.  threads: torch threads of each process, 0 leaves torch's own choice.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    model: CodecSpec
    data: DataSettings
    phases: tuple[Phase, ...] = Field(min_length=1)
    start: dict[str, str] = Field(default={})
    only: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0, lt=2**63)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    accelerator: str = "auto"
    devices: int | str = 1
    nodes: int = Field(default=1, ge=1)
    strategy: str = "auto"
    threads: int = Field(default=0, ge=0, le=1024)
    checkpoint_seconds: float = Field(default=120, gt=0, allow_inf_nan=False)
    log_every: int = Field(default=50, ge=1)
    tensorboard: bool = False

    @field_validator("start", mode="before")
    @classmethod
    def _by_parts(cls, start: Any) -> Any:
        return _flat(start) if isinstance(start, dict) else start

    @model_validator(mode="after")
    def _consistent(self) -> TrainingRecipe:
        names = [phase.name for phase in self.phases]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two phases are named {name!r}")
        labelled = self.data.labels is not None or self.data.layout != "folder"
        for phase in self.phases:
            if phase.preserve != "either" and not labelled:
                raise ValueError(f"phase {phase.name!r}: preserve goes with label maps, by data.labels or data.layout")
        for name in self.only:
            if name not in names:
                raise ValueError(f"only: there is no phase {name!r}; there are {', '.join(names)}")
        return self

    def runs(self, phase: Phase) -> bool:
        """Whether one of its phases is to be run."""
        return not self.only or phase.name in self.only


class PriorRecipe(Strict):
    """A prior over the codes of trained weights, and how it is trained (Gulrajani et al. 2017).

    weights: a file, or the name of bundled ones.  crops: so many of the training pictures are coded once, `side` codes
    high and wide; quality: at which, the middle of the weights' range by default.  steps: of the prior, with
    critic_steps of its critic before each.  penalty: weight of the gradient's.  noise, width, doublings: see
    `layered.adversarial.prior.PriorSpec`.  critic_width: channels of the critic's first layer.  threads: torch threads,
    0 leaves torch's own choice.
    """

    weights: str
    data: DataSettings
    crops: int = Field(default=2048, ge=1, le=2**20)
    side: int = Field(default=16, ge=4, le=256)
    quality: float | None = Field(default=None, allow_inf_nan=False)
    steps: int = Field(default=2000, ge=1)
    batch: int = Field(default=16, ge=1, le=4096)
    critic_steps: int = Field(default=5, ge=1, le=100)
    penalty: float = Field(default=10, ge=0, allow_inf_nan=False)
    lr: float = Field(default=1e-4, gt=0, allow_inf_nan=False)
    noise: int = Field(default=16, ge=1, le=256)
    width: int = Field(default=32, ge=1, le=256)
    doublings: int = Field(default=2, ge=0, le=4)
    critic_width: int = Field(default=32, ge=1, le=256)
    seed: int = Field(default=0, ge=0, lt=2**63)
    threads: int = Field(default=1, ge=0, le=1024)
    checkpoint_seconds: float = Field(default=60, gt=0, allow_inf_nan=False)
    log_every: int = Field(default=20, ge=1)


def _flat(start: dict[Any, Any], depth: int = 0) -> dict[Any, Any]:
    """Nested mappings as one, with dots between their keys.  Raises ValueError for a part that is there twice."""
    if depth > 8:
        raise ValueError("mappings within mappings; a part is named as enhancement.predictor")
    flat: dict[Any, Any] = {}
    for part, held in start.items():
        below = _flat(held, depth + 1) if isinstance(held, dict) else None
        found = {part: held} if below is None else {f"{part}.{name}": value for name, value in below.items()}
        if twice := flat.keys() & found.keys():
            raise ValueError(f"{min(twice)} is given twice")
        flat |= found
    return flat


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> TrainingRecipe:
    """The recipe in the file `name`, or the bundled one of that name, after `a.b=c` overrides.

    Raises RecipeError naming what is wrong.
    """
    return check(TrainingRecipe, read(name, "layered.training"), overrides, str(name))
