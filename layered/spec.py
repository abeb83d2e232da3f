"""What a codec is made of, as data: saved in every checkpoint, enough to build the codec again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, field_validator

from layered.errors import OptionError
from layered.recipes import Strict, faults

if TYPE_CHECKING:
    from layered.codec import LayeredCodec
    from layered.layer import Layer

__all__ = ["BASE_LAYERS", "CodecSpec", "EnhancementSpec", "TransformSpec", "build"]


class TransformSpec(Strict):
    """A layer with its own transforms: name in BASE_LAYERS, width N, M latent channels."""

    name: str = "mean-scale"
    N: int = Field(default=128, ge=3, le=1024)
    M: int = Field(default=192, ge=3, le=1024)


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


class CodecSpec(Strict):
    """A base layer, an optional enhancement module that all upper layers share, and the trained lambdas.

    base: a TransformSpec, or the name of a CompressAI zoo model (see layered.base.zoo), which brings its
    weights and its lambda along; a built codec's own specification never holds such a name.
    """

    base: TransformSpec | str = TransformSpec()
    enhancement: EnhancementSpec | None = None
    lambdas: tuple[float, ...] = (0.0067,)


def _mean_scale(spec: TransformSpec, lambdas: tuple[float, ...]) -> Layer:
    from layered.base.mean_scale import MeanScale

    return MeanScale(spec.N, spec.M, lambdas)


def _factorized(spec: TransformSpec, lambdas: tuple[float, ...]) -> Layer:
    from layered.base.factorized import Factorized

    return Factorized(spec.N, spec.M, lambdas)


BASE_LAYERS: dict[str, Callable[[TransformSpec, tuple[float, ...]], Layer]] = {
    "mean-scale": _mean_scale,
    "factorized": _factorized,
}


def build(spec: CodecSpec | Mapping[str, Any]) -> LayeredCodec:
    """The codec that `spec` describes, freshly initialised.  Raises OptionError for unknown names or options."""
    from layered.base.zoo import load_zoo
    from layered.codec import LayeredCodec
    from layered.enhancement.predictor import build_predictor
    from layered.enhancement.residual import ResidualEnhancement

    if not isinstance(spec, CodecSpec):
        try:
            spec = CodecSpec.model_validate(spec)
        except ValidationError as error:
            raise OptionError(f"codec specification: {faults(error)}") from None
    if isinstance(spec.base, str):
        base, concrete, lam = load_zoo(spec.base)
        spec = spec.model_copy(update={"base": TransformSpec(**concrete), "lambdas": (lam,)})
    else:
        base = _layer(spec.base, spec.lambdas)
    enhancement = None
    if spec.enhancement is not None:
        predictor = build_predictor(**spec.enhancement.predictor)
        enhancement = ResidualEnhancement(predictor, _layer(spec.enhancement.residual, spec.lambdas))
    return LayeredCodec(spec, base, enhancement)


def _layer(spec: TransformSpec, lambdas: tuple[float, ...]) -> Layer:
    if spec.name not in BASE_LAYERS:
        raise OptionError(f"unknown layer {spec.name!r}; choose one of {', '.join(BASE_LAYERS)}")
    return BASE_LAYERS[spec.name](spec, lambdas)
