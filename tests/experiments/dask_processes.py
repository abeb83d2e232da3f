"""Schedulers and workers that a test starts by hand, as people do on several machines."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

ROOT = str(Path(__file__).parents[2])
Cluster = Callable[..., "subprocess.Popen[bytes]"]


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def dask_processes(tmp_path: Path) -> Iterator[Cluster]:
    """Starts `dask scheduler ...` and `dask worker ...`; returns when the last word to stand in its log is there."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str, until: str, path: str = ROOT) -> subprocess.Popen[bytes]:
        log = tmp_path / f"{arguments[0]}-{len(started)}.log"
        file: IO[bytes]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, "--no-dashboard"], cwd=tmp_path, stdout=file, stderr=file,
                env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
            )  # fmt: skip
        started.append(process)
        wait_for(lambda: until in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def scheduler(dask: Cluster, port: int) -> tuple[str, subprocess.Popen[bytes]]:
    process = dask("scheduler", "--host", "127.0.0.1", "--port", str(port), until="Scheduler at:")
    return f"tcp://127.0.0.1:{port}", process


def worker(dask: Cluster, address: str, *options: str, path: str = ROOT) -> subprocess.Popen[bytes]:
    return dask("worker", address, "--no-nanny", *options, until="Registered to:", path=path)
