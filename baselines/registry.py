"""Codecs by the names that recipes use."""

from __future__ import annotations

from baselines.classical import CLASSICAL
from baselines.learned import LEARNED, BasePicture, LayeredFile
from baselines.protocol import Codec, PictureCodec
from baselines.simulcast import Simulcast
from baselines.single import SingleLayer
from layered.errors import OptionError

__all__ = ["METHODS", "PICTURES", "build", "picture_codec"]

PICTURES: tuple[str, ...] = (*LEARNED, *CLASSICAL)
_OF_PICTURES: dict[str, type[Simulcast | SingleLayer]] = {"simulcast": Simulcast, "single": SingleLayer}
METHODS: tuple[str, ...] = ("layered", *_OF_PICTURES)


def picture_codec(name: str, weights: str | None = None, device: str = "cpu") -> PictureCodec:
    """A picture codec by name.  Raises OptionError for an unknown name, or weights where none are used."""
    if name in LEARNED:
        return BasePicture(weights or LEARNED[name], device)
    if name not in CLASSICAL:
        raise OptionError(f"unknown picture codec {name!r}; there are {', '.join(PICTURES)}")
    if weights is not None:
        raise OptionError(f"{name} takes no weights; leave {weights!r} out")
    return CLASSICAL[name]


def build(codec: str, of: str | None = None, weights: str | None = None, device: str = "cpu") -> Codec:
    """A codec by a recipe's words: `layered`, or `simulcast` or `single` with a picture codec in `of`.

    Raises OptionError for an unknown name, a missing `of`, or an `of` that has no meaning.
    """
    if codec not in METHODS:
        raise OptionError(f"unknown codec {codec!r}; there are {', '.join(METHODS)}")
    if codec == "layered":
        if of is not None:
            raise OptionError(f"`of: {of}` has no meaning for the layered codec; leave it out")
        return LayeredFile(weights, device) if weights else LayeredFile(device=device)
    if of is None:
        raise OptionError(f"{codec} needs `of:`, one of {', '.join(PICTURES)}")
    return _OF_PICTURES[codec](picture_codec(of, weights, device))
