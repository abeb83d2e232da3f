"""IN and OUT of a command: a file, a folder or a pipe; one bad file of a folder does not stop the rest."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import typer

from layered.commands.failures import FAILED, debugging, explain
from layered.commands.steps import Steps
from layered.errors import CorruptStream, LimitExceeded, OptionError, UnsupportedVersion, WrongModel
from layered.files import read_bytes, read_limited, write_bytes_atomic

__all__ = [
    "PIPE", "STREAM_ENDING", "Job", "NotKept", "is_folder", "keeping", "naming", "plan", "read_input", "run",
    "write_output",
]  # fmt: skip

PIPE = "-"
STREAM_ENDING = ".lyr"


class NotKept(OSError):
    """What took long to make could not be written: the rest of a folder is not begun, which would be lost as well."""


@dataclass(frozen=True)
class Job:
    """One input and the output made from it; either is a path or `-`."""

    source: str
    target: str

    @property
    def name(self) -> str:
        """The source as it is called in messages."""
        return "standard input" if self.source == PIPE else self.source


def is_folder(path: str) -> bool:
    """Whether a path is meant as a folder: it is one, or ends in a separator."""
    return path != PIPE and (Path(path).is_dir() or path.endswith(("/", os.sep)))


def plan(source: str, target: str, accepts: Callable[[Path], bool], ending: str) -> list[Job]:
    """The jobs that IN and OUT stand for.

    accepts: which files of a folder are taken.  ending: of the files made in a folder, dot included.
    Raises OptionError when IN is missing, a folder has nothing to take, OUT cannot be written, or would
    replace IN, a file of its folder that is no stream, or another output.
    """
    if source == PIPE or not Path(source).is_dir():
        if source != PIPE and not Path(source).exists():
            raise OptionError(f"{source}: no such file or folder")
        stem = "stdin" if source == PIPE else Path(source).stem
        jobs = [Job(source, str(Path(target) / (stem + ending)) if is_folder(target) else target)]
    else:
        found = sorted(p for p in Path(source).iterdir() if p.is_file() and p.name[0] != "." and accepts(p))
        if not found:
            raise OptionError(f"{source}: no file in this folder can be taken")
        if target == PIPE or Path(target).is_file():
            raise OptionError(f"{target}: the output for a folder must be a folder")
        shared = Counter(path.stem for path in found)
        names = [path.name if shared[path.stem] > 1 else path.stem for path in found]
        if len(set(names)) < len(names):
            names = [path.name for path in found]
        jobs = [Job(str(p), str(Path(target) / (n + ending))) for p, n in zip(found, names, strict=True)]
    named = not is_folder(target)
    written: dict[str, str] = {}
    for job in jobs:
        if job.target == PIPE:
            _binary(sys.stdout, "standard output", "writes to")
            continue
        if job.source != PIPE:
            if _same(job.source, job.target):
                raise OptionError(f"{job.target}: the output would replace the input")
            beside = _same(Path(job.source).parent, Path(job.target).parent)
            if beside and not named and ending != STREAM_ENDING and _taken(job.target):
                raise OptionError(f"{job.target}: exists beside {job.source}; choose another folder as OUT")
        _check_writable(job.target)
        first = written.setdefault(os.path.normcase(os.path.realpath(job.target)), job.source)
        if first != job.source:
            raise OptionError(f"{job.target}: would be written for both {first} and {job.source}")
    return jobs


def _same(source: str | Path, target: str | Path) -> bool:
    return os.path.exists(target) and os.path.samefile(source, target)


def _taken(target: str) -> bool:
    return bool(glob.glob(glob.escape(target).replace("{layer}", "*")))


def _check_writable(target: str) -> None:
    """Raise OptionError where writing `target`, or making its folder, must fail: before any work is done."""
    if Path(target).is_dir():
        raise OptionError(f"{target}: is a folder")
    if Path(target).exists() and not Path(target).is_file():
        held, needed = Path(target), os.W_OK  # a pipe or device is written itself
    else:
        held, needed = Path(os.path.realpath(target)).parent, os.W_OK | os.X_OK
        while not held.exists():
            held = held.parent
        if not held.is_dir():
            raise OptionError(f"{target}: {held} is not a folder")
    if not os.access(held, needed):
        raise OptionError(f"{target}: {held} may not be written")


def _binary(stream: Any, name: str, verb: str) -> IO[bytes]:
    """The bytes of a standard stream.  Raises OptionError for a terminal or a closed stream."""
    # The command line puts the null device in the place of a closed stream.
    if stream is None or getattr(stream, "name", None) == os.devnull:
        raise OptionError(f"- {verb} a pipe, but {name} is closed")
    if stream.isatty():
        raise OptionError(f"- {verb} a pipe, but {name} is a terminal")
    binary: IO[bytes] = stream.buffer
    return binary


def run(jobs: Sequence[Job], work: Callable[[Job], str], verb: str, steps: Steps | None = None) -> None:
    """Do `work` for each job and show what it returns on standard error, which leaves pipes clean.

    steps: of a job, to be shown too.  A single job's exception goes to the caller.  Of many jobs, failures are listed
    at the end and the exit code is 1; NotKept is the end of them all.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )  # fmt: skip

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    if len(jobs) == 1:
        waiting = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        counting = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) if steps else ()
        columns = (*waiting, *counting)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            if steps is None:
                progress.add_task(f"{verb} {jobs[0].name}", total=None)
            else:
                steps.show_in(progress)
            told = work(jobs[0])
        print(told, file=sys.stderr)
        return
    failures: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        if steps is not None:
            steps.show_in(progress)
        for job in progress.track(jobs, description=verb):
            try:
                console.print(work(job))
            except Exception as error:
                if debugging() or isinstance(error, NotKept):
                    raise
                message = explain(error)
                failures.append(message if job.source in message else f"{job.source}: {message}")
                console.print(f"error: {failures[-1]}")
    if failures:
        print(f"error: {len(failures)} of {len(jobs)} files failed:", *failures, sep="\n  ", file=sys.stderr)
        raise typer.Exit(FAILED)


@contextmanager
def keeping() -> Iterator[None]:
    """Raise NotKept for what the system refuses to write."""
    try:
        yield
    except OSError as error:
        raise NotKept(error.errno, error.strerror, error.filename) from error


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Put the file's name in front of what is wrong with the stream in it."""
    try:
        yield
    except (CorruptStream, LimitExceeded, UnsupportedVersion, WrongModel) as error:
        raise type(error)(f"{source}: {error}") from error


def read_input(source: str) -> bytes:
    """All bytes of a file, or of standard input for `-`.  Raises OptionError, LimitExceeded."""
    if source != PIPE:
        return read_bytes(source)
    return read_limited(_binary(sys.stdin, "standard input", "reads from"), "standard input")


def write_output(target: str, data: bytes) -> None:
    """Write a file whole or not at all, making its folder, or to standard output for `-`.

    Raises OptionError, OSError.
    """
    if target != PIPE:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(target, data)
        return
    pipe = _binary(sys.stdout, "standard output", "writes to")
    pipe.write(data)
    pipe.flush()
