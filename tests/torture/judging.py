"""Decoding a bad stream and judging the outcome, in a process that may crash or hang without harm."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

import layered
from layered import stream
from layered.codec import LayeredCodec
from layered.errors import CorruptStream, LimitExceeded, UnsupportedVersion, WrongModel
from layered.image import Image8
from tests.conftest import make_codec, tiny_spec
from tests.torture.kit import Bad, File

__all__ = ["Outcome", "Verdict", "Worker", "judge", "load", "serve"]

REFUSALS = (CorruptStream, UnsupportedVersion, WrongModel, LimitExceeded)
SLOW = 5.0  # CPU seconds: what an idle machine would take, however busy this one is
TIMEOUT = 60.0  # seconds for both decodings of a stream; beyond it, the process hangs

Outcome: TypeAlias = Literal["raised", "legal", "other", "bad"]


def judge(decode: Callable[..., list[Image8]], bad: Bad, file: File, strict: bool) -> tuple[Outcome, str, float]:
    """What decoding gives, measured against the rule of `bad`, in words what is wrong with it, and CPU seconds."""
    start = time.process_time()
    outcome, wrong = _outcome(decode, bad, file, strict)
    seconds = time.process_time() - start
    return ("bad", f"took {seconds:.1f} s", seconds) if seconds > SLOW else (outcome, wrong, seconds)


def _outcome(decode: Callable[..., list[Image8]], bad: Bad, file: File, strict: bool) -> tuple[Outcome, str]:
    intact = sum(end <= _common(bad.data, file.data) for end in file.ends)
    if strict and not (len(bad.data) in file.ends and file.data.startswith(bad.data)):
        intact = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            found = decode(bad.data, strict=strict)
            again = decode(bad.data, strict=strict) if bad.rule == "forged" else found
    except REFUSALS as error:
        if bad.rule == "plain" and intact:
            return "bad", f"{intact} layers are whole, but: {error}"
        return ("bad", f"not one line: {error}") if "\n" in str(error) else ("raised", "")
    except Exception as error:
        return "bad", f"{type(error).__name__}: {error}"
    if bad.rule == "plain" and len(found) != intact:
        return "bad", f"{len(found)} pictures where {intact} layers are whole"
    right = file.pictures[: len(found)]
    if found and len(found) == len(right) and all(np.array_equal(a, b) for a, b in zip(found, right, strict=True)):
        return "legal", ""
    if bad.rule == "forged" and all(np.array_equal(a, b) for a, b in zip(found, again, strict=True)):
        sizes = [(picture.shape[1], picture.shape[0]) for picture in found]
        wanted = [(chunk.width, chunk.height) for chunk in stream.parse(bad.data).chunks]
        return ("other", "") if sizes == wanted else ("bad", f"sizes {sizes} instead of {wanted}")
    if bad.rule == "forged":
        return "bad", "decoding the same bytes twice gave different pictures"
    worst = max((_difference(a, b) for a, b in zip(found, right, strict=False)), default=256)
    if bad.rule == "exact" and len(found) == len(right) and worst <= 1:
        return "other", ""
    return "bad", f"{len(found)} pictures of a file of {len(file.pictures)}, those in common up to {worst} levels off"


def _common(a: bytes, b: bytes) -> int:
    """How many bytes `a` and `b` start with in common."""
    return next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _difference(a: Image8, b: Image8) -> int:
    return int(np.abs(a.astype(int) - b).max()) if a.shape == b.shape else 256


@dataclass(frozen=True)
class Verdict:
    """The outcomes of strict and lenient decoding, what is wrong, CPU seconds of the slower, peak memory in bytes."""

    outcomes: tuple[Outcome, Outcome]
    wrong: str = ""
    seconds: float = 0.0
    peak: int = 0


class Worker:
    """A process that judges streams; one that dies, or needs longer than `timeout` seconds, is replaced."""

    def __init__(self, serve: Callable[..., None], *given: Any, timeout: float = TIMEOUT, method: str = "spawn"):
        self.serve, self.given, self.timeout = serve, given, timeout
        self.context: Any = multiprocessing.get_context(method)
        self.first_peak = self._start()

    def judge(self, bad: Bad) -> Verdict:
        """The verdict on one stream, bad if the process crashed or hung."""
        try:
            self.connection.send(bad)
            if self.connection.poll(self.timeout):
                verdict: Verdict = self.connection.recv()
                return verdict
            wrong = f"no answer in {self.timeout:g} s"
        except (EOFError, OSError):
            self.process.join()
            wrong = f"the process died with exit code {self.process.exitcode}"
        self.close()
        self._start()
        return Verdict(("bad", "bad"), wrong, self.timeout)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _start(self) -> int:
        self.connection, theirs = self.context.Pipe()
        self.process = self.context.Process(target=self.serve, args=(theirs, *self.given), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        peak: int = self.connection.recv()
        return peak


def serve(connection: Connection, weights: str, files: Sequence[File]) -> None:
    """The worker's loop: its peak memory once it has decoded the good files, then a verdict for each stream."""
    codec = load(weights)
    for file in files:
        codec.decode(file.data)
    connection.send(peak_memory())
    while True:
        bad: Bad = connection.recv()
        strictly, leniently = (judge(codec.decode, bad, files[bad.file], strict) for strict in (True, False))
        wrong = f"strict: {strictly[1]}; lenient: {leniently[1]}"
        outcomes, seconds = (strictly[0], leniently[0]), max(strictly[2], leniently[2])
        connection.send(Verdict(outcomes, wrong, seconds, peak_memory()))


def peak_memory() -> int:
    """Bytes this process has had in memory at most; from /proc, where getrusage would count a parent's as well."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def load(weights: str) -> LayeredCodec:
    """The codec of these weights, or the tests' small one, on one thread."""
    torch.set_num_threads(1)
    return make_codec(tiny_spec()) if weights == "tiny" else layered.load(weights)
