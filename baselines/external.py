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

import hashlib
import importlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from baselines.fingerprint import source_digest
from baselines.protocol import Encoded, Quality
from layered.errors import LayeredError, OptionError
from layered.files import read_bytes
from layered.image import Image8, check_image

__all__ = ["ANY_QUALITY", "ExternalLayered", "ExternalPicture", "Options", "is_class_name", "option_pairs"]

Options: TypeAlias = tuple[tuple[str, Any], ...]
"""Keyword arguments in order of their names; values are plain, or tuples of plain ones."""

ANY_QUALITY = (-sys.float_info.max, sys.float_info.max)
_SOURCES = ("baselines/external.py", "layered/image.py")


def is_class_name(words: str) -> bool:
    """Whether a recipe's words name a class rather than a codec of ours.  Raises OptionError if they are malformed."""
    place, colon, name = words.rpartition(":")
    if not colon:
        return False
    if not name.isidentifier() or not (_is_file(place) or all(part.isidentifier() for part in place.split("."))):
        raise OptionError(f"{words!r} names no class; write file.py:Class or package.module:Class")
    return True


def option_pairs(values: object) -> Options:
    """Keyword arguments as they stand in a recipe.  Raises ValueError for what cannot be written in one."""
    if not isinstance(values, Mapping | tuple):
        raise ValueError("options are a mapping, such as {level: 3}")
    pairs = dict(values)
    for name, value in pairs.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"{name!r} is no name of an argument")
        for part in value if isinstance(value, list | tuple) else (value,):
            if not (isinstance(part, bool | int | str | None) or (isinstance(part, float) and math.isfinite(part))):
                raise ValueError(f"{name}: give a finite number, text, true, false, null, or a list of these")
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in sorted(pairs.items()))


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
        place, _, name = self.words.rpartition(":")
        if not _is_file(place):
            return _make(self.words, place, name, None, self.options)
        path = str(Path(place).expanduser().absolute())
        return _make(self.words, path, name, read_bytes(path), self.options)

    def _fault(self, method: str, returned: str, wanted: str) -> LayeredError:
        return LayeredError(f"{self.words}: {method} returned {returned}, where {wanted}")

    def _check_bytes(self, data: object) -> bytes:
        if type(data) is not bytes:  # a subclass may lie about its length
            raise self._fault("encode", _kind(data), "the code of a picture or layer is `bytes`")
        return data

    def _check_picture(self, picture: Any) -> Image8:
        try:
            check_image(picture)
        except OptionError:
            raise self._fault("decode", _kind(picture), "a picture is an array of uint8 [H, W, 3]") from None
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
            raise self._fault("encode", _kind(made), "a list with one `bytes` a layer is needed")
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
            raise self._fault("decode", _kind(pictures), "a list with one picture a layer is needed")
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
    """The objects that encode and decode.  digest: of the source that they were made from."""

    def __init__(self, words: str, options: Options, make: Callable[[], Any], digest: str) -> None:
        self.words, self._make, self._digest = words, make, digest
        self._options = ", ".join(f"{key}={value}" for key, value in options)
        self.encoder = self._made()
        for method in ("encode", "decode"):
            if not callable(getattr(self.encoder, method, None)):
                raise OptionError(f"{words} has no method `{method}`")

    @cached_property
    def decoder(self) -> Any:
        return self._made()

    @cached_property
    def quality_range(self) -> tuple[float, float]:
        with _naming(self.words):
            given = getattr(self.encoder, "quality_range", ANY_QUALITY)
        try:
            low, high = (float(value) for value in given)
        except (TypeError, ValueError):
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise OptionError(f"{self.words}: quality_range is {given!r}; it must be two finite numbers, lower first")
        return low, high

    @cached_property
    def fingerprint(self) -> Mapping[str, str]:
        with _naming(self.words):
            told = self.encoder.fingerprint() if hasattr(self.encoder, "fingerprint") else {}
        if not isinstance(told, Mapping):
            raise OptionError(f"{self.words}: fingerprint returned {_kind(told)}; it must be a mapping of texts")
        own = {str(key): str(value) for key, value in told.items()}
        named = {"class": self.words, **({"options": self._options} if self._options else {})}
        return {**own, **named, "source": self._digest, "code": source_digest(*_SOURCES)}

    def _made(self) -> Any:
        with _naming(self.words):
            return self._make()


@lru_cache(maxsize=8)
def _make(words: str, place: str, name: str, source: bytes | None, options: Options) -> _Pair:
    """place: a module, or the path of a file.  source: what the file holds, so that a change makes a new pair."""
    with _naming(words):
        module = importlib.import_module(place) if source is None else _execute(source, place)
    if not callable(found := getattr(module, name, None)):
        raise OptionError(f"{words}: there is no class {name} in {place}")
    if source is None:
        # The module of the class, which may have come to `place` by an import.
        origin = getattr(sys.modules.get(getattr(found, "__module__", ""), module), "__file__", None)
        source = read_bytes(origin) if origin else b""
    arguments = {key: list(value) if isinstance(value, tuple) else value for key, value in options}
    return _Pair(words, options, lambda: found(**arguments), hashlib.sha256(source).hexdigest()[:16])


@lru_cache(maxsize=8)
def _execute(source: bytes, path: str) -> ModuleType:
    """The file as a module; not by an import, which may take an older compiled copy for it."""
    module = ModuleType(f"external_{hashlib.sha256(path.encode() + source).hexdigest()[:16]}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses look there
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


@contextmanager
def _naming(words: str) -> Iterator[None]:
    """Whatever somebody else's code raises becomes one line that says whose it is."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise OptionError(f"{words}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def _is_file(place: str) -> bool:
    return place.endswith(".py")


def _kind(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
