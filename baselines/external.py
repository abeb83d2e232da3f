"""Codecs of other people as Python classes, named in a recipe by file or by module.

    of: my_codecs.py:MyPicture              # of a file; relative paths start at the current folder, as data do
    of: my_package.my_module:MyPicture      # of a module that Python can import
    codec: my_codecs.py:MyLayered           # a layered method of its own

    class MyPicture:
        quality_range = (0, 9)              # optional; any finite number by default
        def __init__(self, level=1): ...    # from `options: {level: 3}`
        def encode(self, image, quality): ...    # uint8 [H, W, 3] and a float -> bytes
        def decode(self, data): ...              # bytes -> uint8 [H, W, 3]
        def fingerprint(self): ...               # optional, see below

    class MyLayered:
        def encode(self, image, scales, quality): ...    # -> one `bytes` a layer, layer k needing those of 0 to k
        def decode(self, chunks): ...                    # these `bytes` -> one picture a layer, the base first

Layers have the sizes of `layered.image.layer_sizes`.  Where layers need other bytes than those before them, `encode`
gives a `baselines.protocol.Encoded`, and `decode` is given it.  quality is as in the recipe: a number, or a tuple of
one per layer.

Results are measured again when the class's own source file changes.  What else they depend on, such as weights or
libraries, is for `fingerprint` to tell: a mapping of short texts, asked for once in each process.

Files are read and classes made when a run is planned, in every process that measures, never by loading a recipe or a
report.  Each process makes two objects, one to encode and one to decode, of one class and module: what these keep, the
decoder may find, and results are as honest as the class.  A recipe runs other people's code with all your rights: run
only those you trust.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from baselines.classes import Loaded, Options, kind, loaded, naming
from baselines.fingerprint import source_digest
from baselines.protocol import Encoded, Quality
from layered.errors import LayeredError, OptionError
from layered.image import Image8, check_image

__all__ = ["ANY_QUALITY", "ExternalLayered", "ExternalPicture"]

ANY_QUALITY = (-sys.float_info.max, sys.float_info.max)
_SOURCES = ("baselines/classes.py", "baselines/external.py", "layered/image.py")


@dataclass(frozen=True)
class _External:
    """words: the class, as in a recipe.  options: keyword arguments for it."""

    words: str
    options: Options = ()

    @property
    def quality_range(self) -> tuple[float, float]:
        """Loads the class.  Raises OptionError when that fails or its range makes no sense."""
        return self._pair().quality_range

    def fingerprint(self) -> Mapping[str, str]:
        return self._pair().fingerprint

    def _pair(self) -> _Pair:
        return _pair(loaded(self.words, self.options))

    def _fault(self, method: str, returned: str, wanted: str) -> LayeredError:
        return LayeredError(f"{self.words}: {method} returned {returned}, where {wanted}")

    def _check_bytes(self, data: object) -> bytes:
        if type(data) is not bytes:  # a subclass may lie about its length
            raise self._fault("encode", kind(data), "the code of a picture or layer is `bytes`")
        return data

    def _check_picture(self, picture: Any) -> Image8:
        try:
            check_image(picture)
        except OptionError:
            raise self._fault("decode", kind(picture), "a picture is an array of uint8 [H, W, 3]") from None
        return np.array(picture)


@dataclass(frozen=True)
class ExternalPicture(_External):
    """A picture codec by somebody else.

    Methods raise LayeredError for results of a wrong kind, and whatever the class raises.
    """

    def encode(self, image: Image8, quality: float) -> bytes:
        # A copy, because what the codec does to it must not reach the original that it is compared with.
        data = self._check_bytes(self._pair().encoder.encode(image.copy(), quality))
        if not data:
            raise self._fault("encode", "no bytes at all", "a picture takes one or more")
        return data

    def decode(self, data: bytes) -> Image8:
        return self._check_picture(self._pair().decoder.decode(data))


@dataclass(frozen=True)
class _Chunks(Encoded):
    """One file a layer, as codecs give and take them that do not know `Encoded`."""


@dataclass(frozen=True)
class ExternalLayered(_External):
    """A layered method by somebody else; raises as `ExternalPicture` does."""

    def encode(self, image: Image8, scales: Sequence[float], quality: Quality) -> Encoded:
        made = self._pair().encoder.encode(image.copy(), tuple(scales), quality)
        if not isinstance(made, Encoded | list | tuple):
            raise self._fault("encode", kind(made), "a list with one `bytes` a layer is needed")
        files = tuple(self._check_bytes(file) for file in (made.files if isinstance(made, Encoded) else made))
        # Made anew, so that nothing but files and sizes reaches the decoder.
        given = Encoded(files, tuple(made.layer_bytes)) if isinstance(made, Encoded) else None
        encoded = given or _Chunks(files, tuple(accumulate(map(len, files))))
        total, sizes = sum(map(len, files)), encoded.layer_bytes
        if len(sizes) != len(scales) or not all(isinstance(size, int) and 0 < size <= total for size in sizes):
            wanted = f"{len(scales)} sizes of 1 to {total} bytes are needed, one a layer"
            raise self._fault("encode", f"layers of {list(sizes)} bytes", wanted)
        return encoded

    def decode(self, encoded: Encoded) -> tuple[Image8, ...]:
        pictures = self._pair().decoder.decode(encoded.files if isinstance(encoded, _Chunks) else encoded)
        if not isinstance(pictures, list | tuple):
            raise self._fault("decode", kind(pictures), "a list with one picture a layer is needed")
        return tuple(self._check_picture(picture) for picture in pictures)

    def check(self, encoded: Encoded, pictures: Sequence[Image8]) -> None:
        """Raise LayeredError unless each layer comes from the bytes that are counted for it.

        That can be told of codecs with one file a layer: the layers above are taken away.
        """
        if not isinstance(encoded, _Chunks):
            return
        for k in range(1, len(encoded.files)):
            files = encoded.files[:k]
            found = self.decode(_Chunks(files, encoded.layer_bytes[:k]))
            if len(found) != k or not np.array_equal(found[-1], pictures[k - 1]):
                raise self._fault("decode", f"another picture of layer {k - 1} without the layers above", "it is alike")


class _Pair:
    """The objects that encode and decode."""

    def __init__(self, own: Loaded) -> None:
        self.own = own
        self.encoder = own.new()
        for method in ("encode", "decode"):
            if not callable(getattr(self.encoder, method, None)):
                raise OptionError(f"{own.words} has no method `{method}`")

    @cached_property
    def decoder(self) -> Any:
        return self.own.new()

    @cached_property
    def quality_range(self) -> tuple[float, float]:
        with naming(self.own.words):
            given = getattr(self.encoder, "quality_range", ANY_QUALITY)
        try:
            low, high = (float(value) for value in given)
        except (TypeError, ValueError):
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            wanted = "it must be two finite numbers, lower first"
            raise OptionError(f"{self.own.words}: quality_range is {given!r}; {wanted}")
        return low, high

    @cached_property
    def fingerprint(self) -> Mapping[str, str]:
        _ = self.decoder  # made before the clock of decoding runs
        return {**self.own.fingerprint(self.encoder), "code": source_digest(*_SOURCES)}


@lru_cache(maxsize=8)
def _pair(own: Loaded) -> _Pair:
    return _Pair(own)
