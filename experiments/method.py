"""A row of a recipe: a codec by its words, and the qualities at which it is measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError, field_validator, model_validator

from baselines.classes import Options, WithOptions, option_pairs
from baselines.command import Command
from baselines.protocol import Quality
from baselines.registry import Weights, build
from experiments.words import quality_text
from layered.errors import LayeredError
from layered.recipes import faults

if TYPE_CHECKING:
    from adapters.adaptation import AdaptationSettings
else:
    AdaptationSettings = Any  # it comes with torch, which a recipe without one does not need

__all__ = ["CodecSpec", "Method", "as_value_error"]


class as_value_error:
    """pydantic collects ValueErrors only; this turns our own errors into such."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, LayeredError):
            raise ValueError(str(error)) from None


class Method(WithOptions):
    """A codec in the words of `baselines.registry.build`.

    codec, of: names, or `file.py:Class`; `of` may be commands too.  weights: of our own learned codecs, a name or a
    file, or a list with one for each quality.  options: for that class.  adaptation: to each
    picture, of our own learned codecs.  Only our own names must exist here: other people's files and programs are
    looked for when a run is planned, and run then.
    """

    codec: str
    of: str | Command | None = None
    weights: Weights | None = None
    options: Annotated[Options, BeforeValidator(option_pairs), PlainSerializer(dict)] = ()
    adaptation: AdaptationSettings | None = None

    @field_validator("of", mode="before")
    @classmethod
    def _name_or_commands(cls, value: Any) -> Any:
        if isinstance(value, dict):
            try:
                return Command.model_validate(value)
            except ValidationError as error:
                raise ValueError(faults(error)) from None
        if value is not None and not isinstance(value, str | Command):
            raise ValueError("give a name, or a mapping with the commands `encode` and `decode`")
        return value

    @field_validator("weights")
    @classmethod
    def _one_at_least(cls, value: Weights | None) -> Weights | None:
        if value is not None and not isinstance(value, str) and len(set(value)) != max(1, len(value)):
            raise ValueError("give a name or a file, or a list of different ones, one for each quality")
        return value

    @field_validator("adaptation", mode="before")
    @classmethod
    def _settings(cls, value: Any) -> Any:
        if value is None:
            return None
        from adapters.adaptation import AdaptationSettings

        try:
            settings = AdaptationSettings.model_validate(value)
        except ValidationError as error:
            raise ValueError(faults(error)) from None
        if settings.seconds is not None:
            raise ValueError("seconds: files would depend on the speed of the machine; give steps")
        return settings

    @model_validator(mode="after")
    def _exists(self) -> Method:
        with as_value_error():
            build(self.codec, self.of, self.weights, options=self.options, adaptation=self.adaptation)
        return self

    @property
    def picture(self) -> str:
        """The picture codec in words; empty where there is none."""
        return str(self.of or "")

    @property
    def model(self) -> str:
        """The weights in words; empty where none are named."""
        return self.weights or "" if isinstance(self.weights, str | None) else ", ".join(self.weights)

    @property
    def words(self) -> dict[str, Any]:
        """All of it that results depend on, as plain values."""
        words = self.model_dump(mode="json", exclude={"of": {"quality_range", "timeout"}})
        if self.adaptation is None:
            del words["adaptation"]  # so that records which are older than adaptation are found
        return words

    @property
    def label(self) -> str:
        """What it is called where it has no name of its own."""
        options = [f"{name}={value}" for name, value in self.options]
        if self.adaptation is not None:
            given = self.adaptation.model_dump(exclude_defaults=True, exclude={"method"})
            options += [self.adaptation.method, *(f"{name}={value}" for name, value in given.items())]
        return " ".join(word for word in (self.codec, self.picture, self.model, *options) if word)


class CodecSpec(Method):
    """One row of the tables.  qualities: one real number, or a list with one per layer, for each point."""

    name: str = Field(min_length=1)
    qualities: tuple[Quality, ...] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError(f"{value!r} is not one line of text")
        return value

    @field_validator("qualities")
    @classmethod
    def _finite_and_different(cls, values: tuple[Quality, ...]) -> tuple[Quality, ...]:
        flat = (number for value in values for number in (value if isinstance(value, tuple) else (value,)))
        if (wrong := next((number for number in flat if not math.isfinite(number)), None)) is not None:
            raise ValueError(f"{wrong} is not a quality; give finite numbers")
        if len(set(map(quality_text, values))) < len(values):
            raise ValueError("a quality is named twice, or two are the same in six digits")
        return values

    @property
    def method(self) -> Method:
        """The codec without the row's name and qualities."""
        return Method(**{name: getattr(self, name) for name in Method.model_fields})
