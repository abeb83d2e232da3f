"""Where items run.  Everything else sees an iterator, so that another executor can take this one's place."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Generic, TypeVar

from layered.errors import LayeredError

__all__ = ["Outcome", "available_cpus", "make_executor", "run_all"]

T = TypeVar("T")
ROUNDS = 2
"""How often an item may be in a pool whose worker died, before it counts as failed."""
STOPPING = (signal.SIGINT, signal.SIGTERM)


class Outcome(Generic[T]):
    """An item and what became of it.  reason: None for success, else one line; trace: for developers."""

    def __init__(self, item: T, reason: str | None = None, trace: str = "") -> None:
        self.item, self.reason, self.trace = item, reason, trace


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_executor(workers: int, threads: int) -> Executor:
    """Processes that start fresh (torch does not survive a fork) and keep to `threads` threads each."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker, initargs=(threads,))


def run_all(
    items: Sequence[T], task: Callable[[T], None], workers: int, threads: int
) -> Iterator[Outcome[T]]:
    """Do `task` for every item and yield outcomes as they come; a failed item never stops the others.

    workers: processes; 0 works in this process, one item after the other, and limits its threads.  Items lost
    because a worker died go to a fresh pool once.  When the caller is interrupted, items at work are
    finished, the others dropped.
    """
    if workers == 0:
        _limit_threads(threads)
        for item in items:
            yield _attempt(task, item)
        return
    pending = list(items)
    for _ in range(ROUNDS):
        lost: list[T] = []
        executor = make_executor(min(workers, max(1, len(pending))), threads)
        try:
            with _interrupts_held():
                futures = {executor.submit(_attempt, task, item): item for item in pending}
            for future in as_completed(futures):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    lost.append(futures[future])
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
        pending = lost
        if not pending:
            return
    for item in pending:
        yield Outcome(item, "its worker process died twice (out of memory, or killed)")


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the workers are started: a half-started one cannot be shut down.

    Workers inherit that until `_start_worker`, so that a Ctrl-C while they import is no traceback of theirs.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _attempt(task: Callable[[T], None], item: T) -> Outcome[T]:
    try:
        task(item)
    except LayeredError as error:
        return Outcome(item, " ".join(str(error).split()), traceback.format_exc())
    except Exception as error:
        return Outcome(item, " ".join(f"{type(error).__name__}: {error}".split()), traceback.format_exc())
    return Outcome(item)


def _start_worker(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    _limit_threads(threads)
    warnings.filterwarnings("ignore", category=FutureWarning)  # torch's and CompressAI's own affairs
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    """A worker whose parent was killed would wait for work for ever."""
    wait([sentinel])
    os._exit(1)


def _limit_threads(threads: int) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)  # read when torch is imported, which is later
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
