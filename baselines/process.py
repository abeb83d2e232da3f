"""Programs that run to their end and not beyond: not past their time, nor past the death of who started them."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

from layered.errors import LayeredError

__all__ = ["run_program"]

TAIL = 2**16
"""Bytes of a program's output that are looked at."""

# A worker that is killed cannot end its program or remove its folder; this little process, which lives until it
# reads the end of its input, then does.
_GUARD = """
import os, shutil, signal, sys
running = {}
for line in sys.stdin.buffer:
    sign, group, folder = line.rstrip(b"\\n").split(b" ", 2)
    if sign == b"+":
        running[group] = folder
    else:
        running.pop(group, None)
for group, folder in running.items():
    try:
        os.killpg(int(group), signal.SIGKILL)
    except OSError:
        pass
    shutil.rmtree(folder, ignore_errors=True)
"""


def run_program(words: Sequence[str], folder: Path, timeout: float, hint: str = "") -> list[str]:
    """Run a program in `folder` and return what it printed, by lines; on standard error if nothing elsewhere.

    words: its path and arguments.  It and all that it started end with this call; if this process is killed they
    end too, and the folder is removed.  Raises LayeredError when it fails or takes longer than `timeout` seconds, with
    `hint` at the end of the message.
    """
    name = os.path.basename(words[0])
    # Files, not pipes: whoever reads a pipe waits for all that inherited it.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=folder, start_new_session=True
            )
        except OSError as error:
            raise LayeredError(f"{name} does not start: {(error.strerror or str(error)).lower()}") from None
        with _ended_after(process, folder):
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise LayeredError(f"{name} was not done after {timeout:g} s{hint}") from None
        printed, complaints = _lines(output), _lines(errors)
    if status:
        how = f"was killed by {_signal_name(-status)}" if status < 0 else f"failed with exit status {status}"
        raise LayeredError(": ".join([f"{name} {how}", *(complaints or printed)[-1:]]))
    return printed or complaints


@contextmanager
def _ended_after(process: subprocess.Popen[bytes], folder: Path) -> Iterator[None]:
    if not hasattr(os, "killpg"):
        try:
            yield
        finally:
            process.kill()
            process.wait()
        return
    guard, group = _guard(os.getpid()), str(process.pid).encode()
    try:
        _tell(guard, b"+ " + group + b" " + os.fsencode(folder) + b"\n")
        yield
    finally:
        with suppress(OSError):  # nothing is left of it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _tell(guard, b"- " + group + b" \n")


@lru_cache(maxsize=1)
def _guard(of: int) -> subprocess.Popen[bytes]:
    """The guard of this process, whose id is `of`: a fork needs another."""
    null = subprocess.DEVNULL
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARD],
        stdin=subprocess.PIPE, stdout=null, stderr=null, bufsize=0, start_new_session=True,
    )  # fmt: skip
    atexit.register(_dismiss, guard)
    return guard


def _tell(guard: subprocess.Popen[bytes], line: bytes) -> None:
    if guard.stdin is not None:
        with suppress(OSError):  # it was killed, which is no reason to fail
            guard.stdin.write(line)


def _dismiss(guard: subprocess.Popen[bytes]) -> None:
    if guard.stdin is not None:
        guard.stdin.close()
    guard.wait()


def _lines(file: IO[bytes]) -> list[str]:
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
    text = file.read().decode(errors="replace")
    return [line for words in text.splitlines() if (line := " ".join(words.split()))]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
