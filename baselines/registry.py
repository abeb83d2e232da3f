"""Codecs by the names that recipes use; other people's by the place of their class, or by their commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from baselines.classes import Options, is_class_name
from baselines.classical import CLASSICAL
from baselines.command import Command, CommandPicture
from baselines.external import ExternalLayered, ExternalPicture
from baselines.family import LayeredFamily, PictureFamily
from baselines.hevc import HEVC
from baselines.jpegxl import JPEGXL
from baselines.learned import LAYERED, LEARNED, BasePicture, LayeredFile
from baselines.protocol import Codec, PictureCodec
from baselines.shvc.engines import shvc
from baselines.simulcast import Simulcast
from baselines.single import SingleLayer
from baselines.vvc import VVC
from layered.errors import OptionError

if TYPE_CHECKING:
    from adapters.adaptation import AdaptationSettings

__all__ = ["METHODS", "PICTURES", "SEPARATE", "Weights", "build", "picture_codec"]

_FIXED: Mapping[str, PictureCodec] = {**CLASSICAL, **JPEGXL, **HEVC, **VVC}
_WITH_WEIGHTS = [name for name, weights in LEARNED.items() if weights is None]
PICTURES: tuple[str, ...] = (*(name for name in LEARNED if name not in _WITH_WEIGHTS), *_FIXED)
"""Picture codecs that need nothing but their name."""
_OF_PICTURES: dict[str, type[Simulcast | SingleLayer]] = {"simulcast": Simulcast, "single": SingleLayer}
METHODS: tuple[str, ...] = ("layered", *_OF_PICTURES, "shvc")
SEPARATE = {"simulcast": True, "single": False}
"""Methods whose layers are files of their own; the value: whether a layer counts the files of those below."""

Weights: TypeAlias = str | tuple[str, ...]
"""A name or a file, or one for each quality."""

_CLASS = "file.py:Class or package.module:Class"
_OWN_PICTURE = f"your own is {_CLASS}, or a mapping with the commands `encode` and `decode`"


def picture_codec(
    of: str | Command,
    weights: Weights | None = None,
    device: str = "cpu",
    *,
    options: Options = (),
    adaptation: AdaptationSettings | None = None,
) -> PictureCodec:
    """A picture codec by name, by class or by commands; nobody else's code or program is looked for yet.

    weights: of learned codecs, one or one for each quality (`baselines.family`).  adaptation: to each picture, of these
    as well.  Raises OptionError for an unknown name, or weights, options or an
    adaptation where none are used.
    """
    if isinstance(of, str) and of in LEARNED:
        _no_options(of, options)
        chosen = weights or LEARNED[of]
        if chosen is None:
            raise OptionError(f"{of} has no bundled weights; name a file of them in `weights:`")
        if not isinstance(chosen, str):
            return PictureFamily(tuple(_base_picture(of, one, device, adaptation) for one in chosen))
        return _base_picture(of, chosen, device, adaptation)
    if isinstance(of, str) and is_class_name(of):
        _no_weights(of, weights)
        _no_adaptation(of, adaptation)
        return ExternalPicture(of, options)
    if isinstance(of, str) and of not in _FIXED:
        raise OptionError(f"unknown picture codec {of!r}; there are {_known()}; {_OWN_PICTURE}")
    _no_weights(str(of), weights)
    _no_options(str(of), options)
    _no_adaptation(str(of), adaptation)
    return CommandPicture(of) if isinstance(of, Command) else _FIXED[of]


def build(
    codec: str,
    of: str | Command | None = None,
    weights: Weights | None = None,
    device: str = "cpu",
    *,
    options: Options = (),
    adaptation: AdaptationSettings | None = None,
) -> Codec:
    """A codec by a recipe's words: `layered`, `shvc`, a class, or `simulcast` or `single` with a picture codec in `of`.

    options: for `shvc`, or the class that `codec` or `of` names.  adaptation: to each picture, of our own learned
    codecs.  Raises OptionError for an unknown name, a missing `of`, or words that have no meaning here.
    """
    if codec in _OF_PICTURES:
        if of is None:
            raise OptionError(f"{codec} needs `of:`, one of {_known()}; {_OWN_PICTURE}")
        return _OF_PICTURES[codec](picture_codec(of, weights, device, options=options, adaptation=adaptation))
    own = is_class_name(codec)
    if codec not in METHODS and not own:
        raise OptionError(f"unknown codec {codec!r}; there are {', '.join(METHODS)}; your own is {_CLASS}")
    if of is not None:
        name = "the layered codec" if codec == "layered" else codec
        raise OptionError(f"`of: {of}` has no meaning for {name}; leave it out")
    if own:
        _no_weights(codec, weights)
        _no_adaptation(codec, adaptation)
        return ExternalLayered(codec, options)
    if codec == "shvc":
        _no_weights(codec, weights)
        _no_adaptation(codec, adaptation)
        return shvc(options)
    _no_options(codec, options)
    if isinstance(weights, tuple):
        return LayeredFamily(tuple(_layered_file(one, device, adaptation) for one in weights))
    return _layered_file(weights or LAYERED, device, adaptation)


def _base_picture(of: str, weights: str, device: str, adaptation: AdaptationSettings | None) -> BasePicture:
    if adaptation is None:
        return BasePicture(of, weights, device)
    from baselines.adapted import AdaptedPicture  # loads torch

    return AdaptedPicture(of, weights, device, adaptation)


def _layered_file(weights: str, device: str, adaptation: AdaptationSettings | None) -> LayeredFile:
    if adaptation is None:
        return LayeredFile(weights, device)
    from baselines.adapted import AdaptedFile

    return AdaptedFile(weights, device, adaptation)


def _known() -> str:
    return f"{', '.join(PICTURES)}; with weights of your own {', '.join(_WITH_WEIGHTS)}"


def _no_weights(name: str, weights: Weights | None) -> None:
    if weights is not None:
        given = weights if isinstance(weights, str) else ", ".join(weights)
        raise OptionError(f"{name} takes no weights; leave {given} out")


def _no_options(name: str, options: Options) -> None:
    if options:
        given = ", ".join(key for key, _ in options)
        raise OptionError(f"options ({given}) have no meaning for {name}; only shvc and a class of your own take them")


def _no_adaptation(name: str, adaptation: AdaptationSettings | None) -> None:
    if adaptation is not None:
        adapted = f"the layered codec, and {', '.join(LEARNED)} as picture codecs"
        raise OptionError(f"`adaptation:` has no meaning for {name}; what can be adapted to a picture is {adapted}")
