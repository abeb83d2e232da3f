"""Other people's classes, named by file or by module, from which their codecs and measures are made.

Relative paths start at the current folder.  Reading a name runs nothing; `loaded` runs the file with all the user's
rights, and makes the class anew when the file has changed.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from layered.errors import OptionError
from layered.files import read_bytes
from layered.recipes import Strict

__all__ = ["Loaded", "Options", "WithOptions", "is_class_name", "kind", "loaded", "naming", "option_pairs"]

Options: TypeAlias = tuple[tuple[str, Any], ...]
"""Keyword arguments in order of their names; values are plain, or tuples of plain ones."""


@dataclass(frozen=True)
class Loaded:
    """A class with its options.

    words: the class, as in a recipe.  make: a new object of it.  digest: of the source (16 hex digits).
    """

    words: str
    options: Options
    make: Callable[[], Any]
    digest: str

    def new(self) -> Any:
        """A new object.  Raises OptionError that names the class for whatever it raises."""
        with naming(self.words):
            return self.make()

    def fingerprint(self, made: Any) -> Mapping[str, str]:
        """What results of an object depend on: its class, options and source, and what its `fingerprint` tells."""
        with naming(self.words):
            told = made.fingerprint() if hasattr(made, "fingerprint") else {}
        if not isinstance(told, Mapping):
            raise OptionError(f"{self.words}: fingerprint returned {kind(told)}; it must be a mapping of texts")
        own = {str(key): str(value) for key, value in told.items()}
        options = ", ".join(f"{key}={value}" for key, value in self.options)
        named = {"class": self.words, **({"options": options} if options else {})}
        return {**own, **named, "source": self.digest}


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


class WithOptions(Strict):
    """Words of a recipe that hold options: equal where they are written alike.

    To Python 1 is 1.0 and true; to a class they may be different options, and so to caches.
    """

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def loaded(words: str, options: Options = ()) -> Loaded:
    """The class that these words name.  Raises OptionError where there is none."""
    place, _, name = words.rpartition(":")
    if not _is_file(place):
        return _load(words, place, name, None, options, repr(options))
    path = str(Path(place).expanduser().absolute())
    return _load(words, path, name, read_bytes(path), options, repr(options))


@lru_cache(maxsize=8)
def _load(words: str, place: str, name: str, source: bytes | None, options: Options, written: str) -> Loaded:
    """place: a module, or the path of a file.  source: what the file holds, so that a change makes another class.

    written: the options as text, by which the cache tells 1 from 1.0 and true, which are equal to Python.
    """
    with naming(words):
        module = importlib.import_module(place) if source is None else _execute(source, place)
    if not callable(found := getattr(module, name, None)):
        raise OptionError(f"{words}: there is no class {name} in {place}")
    if source is None:
        # The module of the class, which may have come to `place` by an import.
        origin = getattr(sys.modules.get(getattr(found, "__module__", ""), module), "__file__", None)
        source = read_bytes(origin) if origin else b""
    arguments = {key: list(value) if isinstance(value, tuple) else value for key, value in options}
    return Loaded(words, options, lambda: found(**arguments), hashlib.sha256(source).hexdigest()[:16])


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
def naming(words: str) -> Iterator[None]:
    """Whatever somebody else's code raises becomes one line that says whose it is."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise OptionError(f"{words}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def _is_file(place: str) -> bool:
    return place.endswith(".py")


def kind(value: object) -> str:
    """What somebody's result is, for messages: the type, or the type of numbers and sides of an array."""
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
