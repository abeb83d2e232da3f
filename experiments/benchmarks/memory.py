"""Peak memory of a task in a process of its own, which has done nothing before but import."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.material import picture
from experiments.benchmarks.measure import Goal, Row, Setting

__all__ = ["METHOD", "Peak", "peak_of", "rows"]

METHOD = "peak of resident memory of a fresh process (VmHWM, reset before; ru_maxrss where there is no /proc)"
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Peak:
    """Bytes: the process's peak, and how far it rose above what the process held before the task."""

    total: int
    risen: int


def peak_of(prepare: Callable[..., Callable[[], object]], *arguments: Any) -> Peak:
    """The peak while the function that `prepare(*arguments)` makes runs once; making it is not counted."""
    kinds = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in kinds else "spawn")
    if "forkserver" in kinds:
        context.set_forkserver_preload(["experiments.benchmarks.liff", "layered.enhancement.predictor"])
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sending, torch.get_num_threads(), prepare, arguments))
    process.start()
    sending.close()
    try:
        peak: Peak = receiving.recv()
    except EOFError:
        process.join()
        raise MemoryError(f"a process that measured memory ended with code {process.exitcode}") from None
    process.join()
    return peak


def _measure(sending: Connection, threads: int, prepare: Callable[..., Callable[[], object]], arguments: Any) -> None:
    torch.set_num_threads(threads)
    with torch.inference_mode():
        task = prepare(*arguments)
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
        before = _peak()
        task()
        after = _peak()
    sending.send(Peak(after, after - before))


def _peak() -> int:
    if _STATUS.is_file():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def encoding(height: int, width: int, scales: tuple[float, ...]) -> Callable[[], object]:
    """Encodes a picture with the bundled weights, verification included."""
    import layered

    codec, image = layered.load("compass-small"), picture(height, width)
    return lambda: codec.encode(image, scales, 2.5)


def rows(setting: Setting) -> Iterator[Row]:
    """Peak memory of encoding a 4K picture in three layers."""
    height, width = (96, 128) if setting.quick else (2160, 3840)
    tries = range(min(setting.repeats, 2))  # a peak hardly varies, and at 4K a try takes minutes
    samples = tuple(peak_of(encoding, height, width, (0.25, 0.5, 1.0)).total / 1e9 for _ in tries)
    yield Row("memory", f"peak of a 3-layer encode, {width}x{height}", "GB", samples, Goal(6.0), None, METHOD)
