"""What a codec is made of, as data: saved in every checkpoint, enough to build the codec again."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from layered.errors import OptionError
from layered.recipes import Strict, faults

if TYPE_CHECKING:
    from torch import nn

    from layered.base.transforms import TransformLayer
    from layered.codec import LayeredCodec
    from layered.layer import Enhancement, Layer

__all__ = ["BASE_LAYERS", "CodecSpec", "EnhancementSpec", "MeiSpec", "TransformSpec", "WacnnSpec", "build"]


_Width = Annotated[int, Field(ge=1, le=1024)]
_Window = Annotated[int, Field(ge=1, le=32)]


class TransformSpec(Strict):
    """A layer with its own transforms: name in BASE_LAYERS, width N, M latent channels."""

    name: str = "mean-scale"
    N: int = Field(default=128, ge=3, le=1024)
    M: int = Field(default=192, ge=3, le=1024)


class GcSpec(Strict):
    """Global generative compression, see `layered.base.gc.Gc`; by default as in the paper, but for the coding."""

    name: Literal["gc"]
    width: int = Field(default=960, ge=16, le=4096)
    channels: int = Field(default=8, ge=1, le=256)
    blocks: int = Field(default=9, ge=0, le=64)
    centres: tuple[float, ...] = (-2, -1, 0, 1, 2)
    entropy: str = "checkerboard"
    norm: str = "instance"
    noise: int = Field(default=0, ge=0, le=1024)
    shortcut: bool = False
    classes: tuple[str, ...] = Field(default=(), max_length=256)


class ScSpec(Strict):
    """Selective generative compression, see `layered.base.sc.Sc`.  classes: the names of what label maps number."""

    name: Literal["sc"]
    classes: tuple[str, ...] = Field(min_length=1, max_length=256)
    width: int = Field(default=960, ge=16, le=4096)
    channels: int = Field(default=8, ge=1, le=256)
    blocks: int = Field(default=9, ge=0, le=64)
    centres: tuple[float, ...] = (-2, -1, 0, 1, 2)
    entropy: str = "static"
    norm: str = "instance"
    shortcut: bool = False


class TunableSpec(Strict):
    """Tunable GAN compression, see `layered.base.tunable.TunableGc`."""

    name: Literal["tunable"]
    width: int = Field(default=960, ge=16, le=4096)
    channels: int = Field(default=8, ge=1, le=256)
    blocks: int = Field(default=9, ge=0, le=64)
    centres: tuple[float, ...] = (-2, -1, 0, 1, 2)
    entropy: str = "autoregressive"
    norm: str = "instance"
    shortcut: bool = False
    least: float = Field(default=1 / 6, gt=0, le=1)


class WacnnSpec(Strict):
    """Window attention and slices of latents, see `layered.base.wacnn.Wacnn`; by default as in the paper."""

    name: Literal["wacnn"]
    N: int = Field(default=192, ge=2, le=1024)
    M: int = Field(default=320, ge=4, le=1024)
    slices: int = Field(default=10, ge=1, le=64)
    support: int = Field(default=5, ge=0, le=64)
    hyper: tuple[_Width, _Width, _Width, _Width, _Width] = (320, 288, 256, 224, 192)
    context: tuple[_Width, ...] = Field(default=(224, 176, 128, 64), max_length=16)
    heads: int = Field(default=8, ge=1, le=64)
    windows: tuple[_Window, _Window] = (8, 4)


class EnhancementSpec(Strict):
    """COMPASS enhancement: a predictor by name with its options, and the residual module."""

    predictor: dict[str, Any] = Field(default={"name": "liff"})

    @field_validator("predictor")
    @classmethod
    def _named(cls, predictor: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(predictor.get("name"), str):
            raise ValueError("a predictor has a name, such as {name: liff}")
        return predictor

    residual: TransformSpec = TransformSpec()


class MeiSpec(Strict):
    """Enhancement in the latent domain (Mei et al.), a module of its own for each of so many layers.

    coder: factorized in the paper, mean-scale in the enhanced variant; its M is the base layer's.  width: see
    `layered.enhancement.mei.MeiEnhancement`.
    """

    name: Literal["mei"]
    coder: TransformSpec = TransformSpec(name="factorized", N=96, M=96)
    layers: int = Field(default=2, ge=1, le=16)
    width: int | None = Field(default=None, ge=1, le=1024)


class CodecSpec(Strict):
    """A base layer, optional enhancement above it, and the trained lambdas.

    base: a TransformSpec, or the name of a published model (see layered.base.zoo and stf), which brings its
    weights and its lambda along; a built codec's own specification never holds such a name.
    """

    base: TransformSpec | GcSpec | ScSpec | TunableSpec | WacnnSpec | str = TransformSpec()
    enhancement: EnhancementSpec | MeiSpec | None = None
    lambdas: tuple[float, ...] = (0.0067,)

    @field_validator("base", mode="before")
    @classmethod
    def _base_by_name(cls, value: Any) -> Any:
        return _by_name(value, _SPECS, TransformSpec)

    @field_validator("enhancement", mode="before")
    @classmethod
    def _enhancement_by_name(cls, value: Any) -> Any:
        return _by_name(value, {"mei": MeiSpec}, EnhancementSpec)


_SPECS: dict[str, type[Strict]] = {"gc": GcSpec, "sc": ScSpec, "tunable": TunableSpec, "wacnn": WacnnSpec}
"""Base layers whose options are others than a width and a number of channels."""


def _by_name(value: Any, named: Mapping[str, type[Strict]], otherwise: type[Strict]) -> Any:
    """The specification that a mapping's name asks for, so that a fault is told of the kind that was meant alone."""
    if not isinstance(value, dict):
        return value
    try:
        return named.get(str(value.get("name")), otherwise).model_validate(value)
    except ValidationError as error:
        raise ValueError(faults(error)) from None


BASE_LAYERS: dict[str, str] = {
    "mean-scale": "layered.base.mean_scale:MeanScale",
    "factorized": "layered.base.factorized:Factorized",
    "aedc": "layered.base.aedc:Aedc",
    "gc": "layered.base.gc:Gc",
    "sc": "layered.base.sc:Sc",
    "tunable": "layered.base.tunable:TunableGc",
    "wacnn": "layered.base.wacnn:Wacnn",
}
"""Where each is, by name; a class takes the options of its specification, and `lambdas`."""


def build(spec: CodecSpec | Mapping[str, Any]) -> LayeredCodec:
    """The codec that `spec` describes, freshly initialised.  Raises OptionError for unknown names or options."""
    from layered.base.zoo import load_zoo
    from layered.codec import LayeredCodec

    if not isinstance(spec, CodecSpec):
        try:
            spec = CodecSpec.model_validate(spec)
        except ValidationError as error:
            raise OptionError(f"codec specification: {faults(error)}") from None
    if isinstance(spec.base, str):
        base, concrete, lam = load_zoo(spec.base)
        spec = spec.model_copy(update={"base": _by_name(concrete, _SPECS, TransformSpec), "lambdas": (lam,)})
    else:
        base = _layer(spec.base, spec.lambdas)
    return LayeredCodec(spec, base, _enhancement(spec, base))


def _enhancement(spec: CodecSpec, base: Layer) -> Enhancement | nn.ModuleList | None:
    from layered.base.transforms import TransformLayer

    if isinstance(spec.enhancement, EnhancementSpec):
        from layered.enhancement.predictor import build_predictor
        from layered.enhancement.residual import ResidualEnhancement

        # The predictor first: what is drawn for it, and so what a seed trains, depends on the order.
        predictor = build_predictor(**spec.enhancement.predictor)
        message = "{} cannot be a residual module; mean-scale or factorized can"
        return ResidualEnhancement(predictor, _coder(spec.enhancement.residual, spec.lambdas, message))
    if spec.enhancement is None:
        return None
    if not isinstance(base, TransformLayer):
        raise OptionError("enhancement mei needs a base layer on CompressAI's transforms: mean-scale or factorized")
    return _mei_layers(spec.enhancement, spec)


def _mei_layers(mei: MeiSpec, spec: CodecSpec) -> nn.ModuleList:
    from torch import nn

    from layered.enhancement.mei import MeiEnhancement

    assert isinstance(spec.base, TransformSpec | WacnnSpec)
    if mei.coder.M != spec.base.M:
        raise OptionError(f"enhancement mei: coder.M is {mei.coder.M}, but the base layer's M is {spec.base.M}")
    layers, carried = nn.ModuleList(), spec.base.M
    for _ in range(mei.layers):
        coder = _coder(mei.coder, spec.lambdas, "enhancement mei: {} cannot be a coder; mean-scale or factorized can")
        layer = MeiEnhancement(coder, carried, mei.width)
        layers.append(layer)
        carried = layer.carries
    return layers


def _coder(spec: TransformSpec, lambdas: tuple[float, ...], message: str) -> TransformLayer:
    """A layer on CompressAI's transforms.  Raises OptionError with the message, into which the name is put."""
    from layered.base.transforms import TransformLayer

    layer = None if spec.name in _SPECS else _layer(spec, lambdas)
    if not isinstance(layer, TransformLayer):
        raise OptionError(message.format(spec.name))
    return layer


def _layer(spec: TransformSpec | GcSpec | ScSpec | TunableSpec | WacnnSpec, lambdas: tuple[float, ...]) -> Layer:
    if spec.name not in BASE_LAYERS:
        raise OptionError(f"unknown layer {spec.name!r}; choose one of {', '.join(BASE_LAYERS)}")
    module, name = BASE_LAYERS[spec.name].split(":")
    layer: Layer = getattr(import_module(module), name)(**spec.model_dump(exclude={"name"}), lambdas=lambdas)
    return layer
