"""Connections to Dask: a cluster of this machine's own processes, or one that is running elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import Client, Nanny, Scheduler, Security, SpecCluster, Worker
from distributed.comm.core import connect
from distributed.utils import LoopRunner

from experiments.work import THREAD_VARIABLES
from layered.errors import LayeredError, OptionError
from layered.training.interrupt import Deferred

__all__ = ["local_client", "remote_client"]

NOISY = ("asyncio", "distributed", "tornado")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
CLOSE_SECONDS = 10.0
CONFIG = {
    "distributed.deploy.lost-worker-timeout": "1 hour",  # a busy machine may take its time to start one again
    "distributed.diagnostics.nvml": False,
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.scheduler.worker-ttl": None,  # a machine may sleep
    "distributed.worker.multiprocessing-method": "spawn",  # torch does not survive a fork
    "distributed.worker.profile.enabled": False,
}


class QuietScheduler(Scheduler):
    """A scheduler without an HTTP port."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        pass


class QuietWorker(Worker):
    """A worker without an HTTP port and without logs, that leaves Ctrl-C to its parent."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        _silence()
        super().__init__(*arguments, **options)

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        pass


@contextmanager
def local_client(environments: Sequence[Mapping[str, str]]) -> Iterator[Client]:
    """A client of one worker process for each environment; processes that die are started again.

    environments: each with its THREAD_VARIABLES.  On exit workers are killed, at work or not; if this process is
    killed, they exit by themselves.
    """
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="layered-", ignore_cleanup_errors=True))
        stack.enter_context(dask.config.set({**CONFIG, "temporary-directory": folder}))
        stack.enter_context(_environment({name: environments[0][name] for name in THREAD_VARIABLES}))
        nanny = {
            "nthreads": 1, "memory_limit": 0, "host": "127.0.0.1", "dashboard": False, "worker_class": QuietWorker,
        }  # fmt: skip
        resource_tracker.ensure_running()  # its start would let signals through to what starts next
        with _interrupts_held():
            try:
                cluster = SpecCluster(
                    scheduler={"cls": QuietScheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}},
                    workers={
                        name: {"cls": Nanny, "options": {**nanny, "env": dict(environment)}}
                        for name, environment in enumerate(environments)
                    },
                )
            except RuntimeError as error:
                raise LayeredError(f"worker processes do not start ({error}); does the script that runs "
                                   'have `if __name__ == "__main__"`?') from error  # fmt: skip
            client = stack.enter_context(_closing(Client(cluster, set_as_default=False), cluster))
        yield client


@contextmanager
def remote_client(address: str, timeout: float) -> Iterator[Client]:
    """A client of the scheduler at an address such as tcp://host:8786.  Raises OptionError, LayeredError."""
    with _quiet(), _closing(_call(address, timeout)) as client:
        yield client


def _call(address: str, timeout: float) -> Client:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on versions: items have a check of their own
        try:
            parts = urlsplit(address if "://" in address else f"tcp://{address}")
            if not parts.hostname or not parts.port:
                raise ValueError
            _knock(address, timeout)
            return Client(address, timeout=timeout, set_as_default=False)
        except ValueError as error:
            raise OptionError(f"{address}: not an address of a scheduler, such as tcp://host:8786") from error
        except Exception as error:  # of any kind where something else answers
            raise LayeredError(f"no Dask scheduler answers at {address}; is it running?") from error


def _knock(address: str, timeout: float) -> None:
    """Raise if no scheduler answers; a client would wait for ever for one that takes the call and says nothing."""

    async def knock() -> None:
        arguments = Security().get_connection_args("client")
        comm = await asyncio.wait_for(connect(address, timeout, **arguments), timeout)
        await comm.close()

    runner = LoopRunner()
    runner.start()
    try:
        runner.run_sync(knock)
    finally:
        runner.stop()


@contextmanager
def _closing(client: Client, cluster: SpecCluster | None = None) -> Iterator[Client]:
    try:
        yield client
    finally:
        with _interrupts_held(), suppress(OSError, asyncio.TimeoutError):
            try:
                client.close(timeout=CLOSE_SECONDS)
            finally:
                if cluster is not None:
                    _kill(cluster)
                    cluster.close(timeout=CLOSE_SECONDS)


def _kill(cluster: SpecCluster) -> None:
    """Workers at work would be waited for."""
    for nanny in cluster.workers.values():
        nanny.close_gracefully()  # which is only to tell it not to start another
        if nanny.pid:
            os.kill(nanny.pid, signal.SIGKILL)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait: neither a half-started cluster nor a half-closed one can be closed.

    Threads and processes that start meanwhile do not hear them at all, so that a Ctrl-C while workers import is no
    traceback of theirs; `QuietWorker` listens again.
    """
    deferred = Deferred()
    try:
        with deferred, _signals_blocked():
            yield
    finally:
        if deferred.pending is not None:
            signal.raise_signal(deferred.pending)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that processes have from their start: what a Nanny sets comes after the script's own imports."""
    set_by_dask = ("DASK_PARENT", "PYTHONHASHSEED", "__DASK_PARENT_PID")
    before = {name: os.environ.get(name) for name in (*values, *set_by_dask)}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """What goes wrong with workers is told by outcomes and errors, not by Dask's logs."""
    levels = _silence()
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def _silence() -> dict[logging.Logger, int]:
    """Returns the levels that the loggers had."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in NOISY]
    levels = {logger: logger.level for logger in map(logging.getLogger, {*names, *NOISY})}
    for logger in levels:
        logger.setLevel(logging.CRITICAL + 1)
    return levels
