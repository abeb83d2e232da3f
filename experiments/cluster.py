"""Where items run: in this process, in worker processes of this machine, or on a Dask cluster of several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from experiments.dispatch import Dispatcher, Outcome
from experiments.work import THREAD_VARIABLES, attempt, limit_threads
from layered.errors import OptionError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Outcome", "Where", "available_cpus", "run_all", "visible_gpus", "worker_environments"]

T = TypeVar("T")
R = TypeVar("R")
CONNECT_SECONDS = 10.0
"""How long a scheduler may take to answer."""
PATIENCE_SECONDS = 60.0
"""How long there may be no worker at all before a run gives up."""


@dataclass(frozen=True)
class Where:
    """Where items run.

    workers: processes on this machine, None for as many as CPUs allow (or GPUs), 0 for this process.
    threads: of torch and OpenMP, per worker.  scheduler: address of a running Dask scheduler, such as
    tcp://host:8786, whose workers to use instead.  device: "cpu", or "cuda" for one local worker a visible
    GPU, each seeing only its own.  Raises OptionError.
    """

    workers: int | None = None
    threads: int = 1
    scheduler: str | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise OptionError(f"{self.workers} workers: 0 for this process, or a number of processes")
        if self.threads < 1:
            raise OptionError(f"{self.threads} threads: each worker needs at least one")
        if self.device not in ("cpu", "cuda"):
            raise OptionError(f"device {self.device}: workers run on cpu or cuda")
        if self.scheduler is not None and self.workers is not None:
            raise OptionError("workers are either local (their number) or a scheduler's (its address), not both")


def run_all(items: Sequence[T], task: Callable[[T], R], where: Where) -> Iterator[Outcome[T, R]]:
    """Do `task` for every item and yield one outcome for each as they come; nothing is lost silently.

    A worker does one item at a time, however many threads it has.  An item whose task raises is tried once more,
    by another worker if there is one; in this process (workers=0) each is tried once.  An item whose worker dies
    goes to another; if that dies too, the outcome says so.  When the caller is interrupted, local workers are
    stopped at once, and those of a scheduler finish what they have at hand.

    task, items and values are pickled; what `__main__` defines may be among them.  Local workers import the
    script that runs, which must therefore have `if __name__ == "__main__"`.  While they live, this process has
    their thread limits in its environment.

    Raises LayeredError if the scheduler cannot be reached or is lost, has no workers, or has workers with another
    version of this package.
    """
    if where.workers == 0:
        limit_threads(where.threads)
        for item in items:
            yield Outcome(item, *attempt(task, item))
    elif items:
        with _connect(where, len(items)) as client:
            yield from Dispatcher(client, items, task, where.threads, where.scheduler, PATIENCE_SECONDS).outcomes()


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, named as in CUDA_VISIBLE_DEVICES."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [str(number) for number in range(count)] if named is None else named.replace(" ", "").split(",")[:count]


def worker_environments(where: Where, gpus: Sequence[str]) -> list[dict[str, str]]:
    """Environment variables of each local worker to be started.  gpus: see `visible_gpus`.  Raises OptionError."""
    threads = dict.fromkeys(THREAD_VARIABLES, str(where.threads))
    if where.device == "cpu":
        return [dict(threads) for _ in range(where.workers or max(1, available_cpus() // where.threads))]
    if not gpus:
        raise OptionError("device cuda: no GPU is visible here")
    if where.workers is not None and where.workers > len(gpus):
        raise OptionError(f"{where.workers} workers on {len(gpus)} visible GPUs: each worker needs one of its own")
    return [{**threads, "CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus[: where.workers]]


def _connect(where: Where, items: int) -> AbstractContextManager[Client]:
    from experiments.dask_client import local_client, remote_client

    if where.scheduler is not None:
        return remote_client(where.scheduler, CONNECT_SECONDS)
    gpus = visible_gpus() if where.device == "cuda" else ()
    return local_client(worker_environments(where, gpus)[:items])
