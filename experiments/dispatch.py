"""Which worker does which item, and what is done when either fails."""

from __future__ import annotations

import pickle
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import cloudpickle

from experiments.work import Call, attempt, explain, one_line
from layered import __version__
from layered.errors import LayeredError

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Dispatcher", "Outcome"]

T = TypeVar("T")
R = TypeVar("R")
ATTEMPTS = 2
"""How often an item may raise before it counts as failed."""
DEATHS = 2
"""How many workers may die of an item before it counts as failed."""
AT_HAND = 2
"""Items a worker is given: one that it does and one to go on with meanwhile."""
LOOK_SECONDS = 1.0
"""How often to see which workers there are."""
FETCH_SECONDS = 30.0
"""How long a value may take to come."""


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """An item and what became of it.

    value: what the task returned.  reason: None for success, else one line.  trace: for developers.  worker: the
    address of who had it last, empty for this process.
    """

    item: T
    value: R | None
    reason: str | None = None
    trace: str = ""
    worker: str = ""


@dataclass(eq=False)
class _Job(Generic[T]):
    """An item that is not done.  avoid: the worker where it failed.  worker, future: who has it now."""

    item: T
    attempts: int = 0
    deaths: int = 0
    avoid: str = ""
    worker: str = ""
    future: Future[Any] | None = None


class Dispatcher(Generic[T, R]):
    """Does `task` for all items on the workers of a client.

    Dask could queue and place the items itself, but would then run several at once on workers with several threads,
    and blame the death of a worker on all that it had been given.  threads: of each worker.  scheduler: its address,
    None for workers of this machine.  patience: for how many seconds there may be no workers.
    """

    def __init__(
        self,
        client: Client,
        items: Sequence[T],
        task: Callable[[T], R],
        threads: int,
        scheduler: str | None,
        patience: float,
    ) -> None:
        self.client, self.task, self.threads = client, task, threads
        self.scheduler, self.patience = scheduler, patience
        self.fresh = deque(_Job(item) for item in items)
        self.again: list[_Job[T]] = []
        self.given: dict[str, list[_Job[T]]] = {}
        self.workers: dict[str, int] = {}
        self.finished: SimpleQueue[Future[Any]] = SimpleQueue()
        self.look_next = 0.0
        self.last_seen = time.monotonic()

    def outcomes(self) -> Iterator[Outcome[T, R]]:
        """One for each item, as they come.  Raises LayeredError."""
        while self.fresh or self.again or any(self.given.values()):
            yield from self._look()
            yield from self._hand_out()
            yield from self._collect()

    def _look(self) -> Iterator[Outcome[T, R]]:
        """See which workers there are, and which are gone."""
        now = time.monotonic()
        if now < self.look_next:
            return
        self.look_next = now + LOOK_SECONDS
        known = self.client.scheduler_info(n_workers=-1).get("workers", {})
        self._check_connection()
        self.workers = {name: info["nthreads"] for name, info in known.items() if info["status"] == "running"}
        for gone in self.given.keys() - known.keys():
            for job in self._pending(gone):
                yield from self._died(job)
        for worker in self.given.keys() & known.keys():
            info = known[worker]
            if info["status"] == "paused" and not info["metrics"].get("task_counts", {}).get("executing"):
                for job in self._pending(worker):  # short of memory, it begins nothing more
                    self._take_back(job)
                    self.again.append(job)
        if self.workers or any(self.given.values()):
            self.last_seen = now
        elif now - self.last_seen > self.patience:
            if self.scheduler is None:
                raise LayeredError(f"all worker processes died, and in {self.patience:.0f} s no others came")
            raise LayeredError(
                f"no worker at {self.scheduler} took items for {self.patience:.0f} s; start some, "
                "and the same command goes on"
            )

    def _pending(self, worker: str) -> list[_Job[T]]:
        return [job for job in self.given[worker] if job.future is not None and not job.future.done()]

    def _hand_out(self) -> Iterator[Outcome[T, R]]:
        # Towards the end none should wait behind another while a worker has nothing to do.
        many = len(self.fresh) > len(self.workers)
        for load in range(AT_HAND if many else 1):
            for worker, threads in self.workers.items():
                given = self.given.setdefault(worker, [])
                if len(given) == load and (load == 0 or (threads == 1 and not given[0].deaths)):
                    yield from self._give(worker, load)

    def _give(self, worker: str, load: int) -> Iterator[Outcome[T, R]]:
        while (job := self._next(worker, load)) is not None:
            try:
                call = pickle.dumps(Call(cloudpickle.dumps((self.task, job.item)), self.threads, __version__))
            except Exception as error:
                yield Outcome(job.item, None, *explain(error))
                continue
            job.future = self.client.submit(
                pickle.loads, call, key=f"layered-{uuid.uuid4().hex}", pure=False,
                workers=[worker], allow_other_workers=False,
            )  # fmt: skip
            job.worker = worker
            self.given[worker].append(job)
            job.future.add_done_callback(self.finished.put)
            return

    def _next(self, worker: str, load: int) -> _Job[T] | None:
        """An item whose worker died has a worker of its own: if that dies too, the item is to blame."""
        for job in self.again:
            if (load == 0 or not job.deaths) and (job.avoid != worker or len(self.workers) == 1):
                self.again.remove(job)
                return job
        return self.fresh.popleft() if self.fresh else None

    def _collect(self) -> Iterator[Outcome[T, R]]:
        try:
            future = self.finished.get(timeout=LOOK_SECONDS)
        except Empty:
            return
        job = next((job for given in self.given.values() for job in given if job.future is future), None)
        if job is None:  # that of a worker which was given up
            return
        if future.status == "finished":
            yield from self._fetch(job, future)
        elif future.status == "error":
            self._judge(job.worker, future.exception())
            yield from self._died(job)
        else:
            self._check_connection()
            self._take_back(job)  # the scheduler forgot it, as it does when the connection breaks
            self.again.append(job)

    def _fetch(self, job: _Job[T], future: Future[Any]) -> Iterator[Outcome[T, R]]:
        try:
            answer = future.result(timeout=FETCH_SECONDS)
        except Exception:
            self._check_connection()
            yield from self._died(job)  # the value went with its worker
            return
        worker = self._take_back(job)
        found, *failure = attempt(pickle.loads, answer)
        value, reason, trace = found or (None, *failure)
        job.attempts += 1
        if reason is not None and job.attempts < ATTEMPTS:
            job.avoid = worker
            self.again.append(job)
            return
        yield from self._hand_out()  # before the caller has its time with the outcome
        yield Outcome(job.item, value, reason, trace, worker)

    def _died(self, job: _Job[T]) -> Iterator[Outcome[T, R]]:
        worker = self._take_back(job)
        self.workers.pop(worker, None)
        job.deaths += 1
        if job.deaths < DEATHS:
            self.again.append(job)
        else:
            reason = f"{DEATHS} worker processes died while they had it (out of memory, or killed)"
            yield Outcome(job.item, None, reason, worker=worker)

    def _take_back(self, job: _Job[T]) -> str:
        worker = job.worker
        self.given[worker].remove(job)
        if job.future is not None:
            job.future.release()
        job.worker, job.future = "", None
        return worker

    def _judge(self, worker: str, error: BaseException | None) -> None:
        """Raise unless the worker died; what tasks raise is among the values."""
        from distributed import KilledWorker

        if isinstance(error, LayeredError):
            raise error
        if not isinstance(error, KilledWorker):
            raise LayeredError(
                f"the worker at {worker} cannot do items ({one_line(error)}); it needs layered {__version__} "
                "and the same libraries as here"
            )

    def _check_connection(self) -> None:
        if self.client.status != "running":
            raise LayeredError(
                f"the connection to the scheduler{f' at {self.scheduler}' if self.scheduler else ''} is lost; "
                "start it and its workers again, and the same command goes on"
            )
