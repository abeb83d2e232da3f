"""Codecs of other people as programs: a recipe gives the command lines that encode and decode a picture.

    of:
      encode: "cjxl {in} {out} -q {quality}"
      decode: "djxl {in} {out}"
      suffix: .jxl                  # of the coded file; .bin by default
      format: png                   # of pictures given to `encode` and taken from `decode`: png (default) or ppm
      version: "cjxl --version"     # the first line it prints is part of what results depend on
      quality_range: [0, 100]       # any finite number by default
      timeout: 600                  # seconds for one picture; an hour by default

Also {width} and {height} of the picture for `encode`, and {here}, the current folder, for all; {{ and }} are braces.
A line is split into words as a shell would, then placeholders are filled in, so that paths may hold spaces; no shell
is involved unless it is named: `sh -c 'tool "$0" | pack > "$1"' {in} {out}`.

A command runs in a folder of its own, which is removed afterwards, with all that is left running then.  A program is
found on the PATH, or by a path, relative ones starting at the current folder; other files need {here}.  Programs and
files whose paths are words of their own are part of what results depend on, by their contents; for programs on the
PATH `version` must tell.

The rate is the size of the coded file; the decoded picture is read as every other.  Seconds include the start of the
program and the files in between.  A recipe runs programs with all your rights: run only those you trust.
"""

from __future__ import annotations

import hashlib
import math
import os
import shlex
import shutil
import string
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from baselines.external import ANY_QUALITY
from baselines.fingerprint import source_digest
from baselines.process import run_program
from layered.errors import LayeredError, OptionError
from layered.files import read_bytes
from layered.image import Image8, load_image, save_image
from layered.recipes import Strict

__all__ = ["Command", "CommandPicture"]

SHOWN = 60
"""Characters of a command line that stand for the codec where it has no name."""
VERSION_SECONDS = 60.0
_PLACES = {"encode": {"in", "out", "quality", "width", "height", "here"}, "decode": {"in", "out", "here"},
           "version": {"here"}}  # fmt: skip
_NEEDED = ("in", "out")


class Command(Strict):
    """A picture codec in a recipe's words; the module says what each is."""

    encode: str
    decode: str
    suffix: str = Field(".bin", pattern=r"^\.[A-Za-z0-9._-]+$")
    format: Literal["png", "ppm"] = "png"
    version: str | None = None
    quality_range: tuple[float, float] | None = None
    timeout: float = Field(3600.0, gt=0, allow_inf_nan=False)

    @field_validator("encode", "decode", "version")
    @classmethod
    def _sound(cls, line: str | None, info: ValidationInfo) -> str | None:
        if line is not None:
            _check_line(line, str(info.field_name))
        return line

    @field_validator("quality_range")
    @classmethod
    def _ordered(cls, given: tuple[float, float] | None) -> tuple[float, float] | None:
        if given is not None and not (all(map(math.isfinite, given)) and given[0] <= given[1]):
            raise ValueError("two finite numbers are needed, the lower first")
        return given

    def __str__(self) -> str:
        """The line that encodes, as far as it tells one codec from another: without folders, {in} and {out}."""
        words = [word for word in shlex.split(self.encode) if word not in ("{in}", "{out}")]
        line = " ".join(" ".join(os.path.basename(word) or word for word in words).split())
        return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."


def _check_line(line: str, kind: str) -> None:
    try:
        words = shlex.split(line)
        fields = [[part[1:] for part in string.Formatter().parse(word) if part[1] is not None] for word in words]
    except ValueError as error:
        raise ValueError(f"{line!r} is no command line: {error}") from None
    if not words:
        raise ValueError("a command line is needed")
    allowed, found = _PLACES[kind], {name for word in fields for name, _, _ in word if name is not None}
    if not found <= allowed or any(spec or how for word in fields for _, spec, how in word):
        wrong = ", ".join(f"{{{name}}}" for name in sorted(found - allowed)) or "what follows : or !"
        names = ", ".join(f"{{{name}}}" for name in sorted(allowed))
        raise ValueError(f"{wrong} has no meaning in {kind}; there are {names}, and {{{{ }}}} for braces")
    if any(name != "here" for name, _, _ in fields[0]):
        raise ValueError(f"{words[0]!r} is no program; the first word may have {{here}} in it and nothing else")
    for name in _NEEDED:
        if name in allowed and name not in found:
            raise ValueError(f"{{{name}}} is missing in {line!r}")


@dataclass(frozen=True)
class CommandPicture:
    """A picture codec made of two command lines.

    Methods raise LayeredError when a program is missing, fails, takes too long, or writes nothing.
    """

    command: Command

    @property
    def quality_range(self) -> tuple[float, float]:
        for line in self._lines():
            _program(shlex.split(line)[0])
        return self.command.quality_range or ANY_QUALITY

    def encode(self, image: Image8, quality: float) -> bytes:
        shown = repr(int(quality)) if quality == int(quality) else repr(float(quality))
        values = {"quality": shown, "width": str(image.shape[1]), "height": str(image.shape[0])}
        with _folder() as folder:
            save_image(image, folder / f"in.{self.command.format}")
            self._run(self.command.encode, folder, f"in.{self.command.format}", f"out{self.command.suffix}", values)
            return read_bytes(folder / f"out{self.command.suffix}")

    def decode(self, data: bytes) -> Image8:
        with _folder() as folder:
            (folder / f"in{self.command.suffix}").write_bytes(data)
            self._run(self.command.decode, folder, f"in{self.command.suffix}", f"out.{self.command.format}", {})
            return load_image(folder / f"out.{self.command.format}")

    def fingerprint(self) -> Mapping[str, str]:
        made = {"encode": self.command.encode, "decode": self.command.decode}
        for line in self._lines():
            made.update((name, _digest(path, *_stamp(path))) for name, path in _files(line).items())
        if self.command.version is not None:
            words = _words(self.command.version, {})
            stamps = tuple(_stamp(word) for word in words if os.path.isfile(word))
            made["version"] = _version(words, stamps, min(VERSION_SECONDS, self.command.timeout))
        return {**made, "code": source_digest("baselines/command.py", "baselines/process.py", "layered/image.py")}

    def _lines(self) -> list[str]:
        return [line for line in (self.command.encode, self.command.decode, self.command.version) if line]

    def _run(self, line: str, folder: Path, source: str, target: str, values: Mapping[str, str]) -> None:
        words = _words(line, {"in": str(folder / source), "out": str(folder / target), **values})
        run_program(words, folder, self.command.timeout, "; set `timeout` higher")
        if not (folder / target).is_file() or not (folder / target).stat().st_size:
            raise LayeredError(f"{os.path.basename(words[0])} ended well but wrote nothing to {{out}}")


def _words(line: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """A line's words, filled in; the first is the program's path.  Raises OptionError when there is none."""
    program, *rest = shlex.split(line)
    return (_program(program), *(word.format(**values, here=os.getcwd()) for word in rest))


def _program(word: str) -> str:
    name = word.format(here=os.getcwd())
    found = shutil.which(name)
    if found is None:
        where = "program" if os.path.dirname(name) else "program on the PATH"
        raise OptionError(f"{name}: no such {where}; install it, or name it by its path")
    return os.path.abspath(found)


def _files(line: str) -> dict[str, str]:
    """The files that a line names by their path, by that name."""
    found = {}
    for index, word in enumerate(shlex.split(line)):
        named = word.replace("{here}", os.getcwd())
        if os.path.isfile(named) and (os.path.isabs(named) or (index == 0 and os.path.dirname(named))):
            found[word] = os.path.abspath(named)
    return found


def _stamp(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=64)
def _digest(path: str, changed: int, size: int) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while part := file.read(2**20):
                digest.update(part)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise OptionError(f"{path}: {why}; results depend on what it holds") from None
    return digest.hexdigest()[:16]


@lru_cache(maxsize=64)
def _version(words: tuple[str, ...], stamps: tuple[tuple[int, int], ...], timeout: float) -> str:
    """The first line that is printed; asked for again when one of the files, whose stamps these are, changes."""
    with _folder() as folder:
        printed = run_program(words, folder, timeout)
    if not printed:
        raise OptionError(f"{shlex.join(words)} printed no version")
    return printed[0]


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="layered-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
