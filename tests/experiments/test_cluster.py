"""Work in processes and on clusters: nothing is lost, whoever dies, and nobody lingers."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import cloudpickle
import psutil
import pytest

from experiments import cluster, dispatch
from experiments.cluster import Outcome, Where, available_cpus, run_all, worker_environments
from experiments.work import THREAD_VARIABLES, work
from layered import __version__
from layered.errors import LayeredError, OptionError
from tests.experiments.dask_processes import Cluster, free_port, scheduler, wait_for, worker

ROOT = str(Path(__file__).parents[2])
Task = Callable[[Any], Any]


def square(number: int) -> int:
    return number * number


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def note(folder: Path, name: str) -> None:
    with (folder / name).open("a") as file:
        file.write(f"{os.getpid()}\n")


def notes(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text().split() if (folder / name).exists() else []


# What the items of the run that most tests look at are; each is done by the function of its name.


def fine(folder: Path) -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def refused(folder: Path) -> None:
    note(folder, "refused")
    raise LayeredError("two is\nnot allowed")


def broken(folder: Path) -> None:
    raise ValueError("two is\nbroken")


def leaves(folder: Path) -> None:
    sys.exit("enough")


def unsendable(folder: Path) -> threading.Lock:
    return threading.Lock()


def once_bitten(folder: Path) -> str:
    """Fails on the first worker that has it."""
    note(folder, "once_bitten")
    if len(notes(folder, "once_bitten")) == 1:
        raise ValueError("not me")
    return str(os.getpid())


def state(folder: Path) -> dict[str, Any]:
    process = psutil.Process()
    before = "torch" in sys.modules
    import torch

    return {
        "torch before": before,
        "threads": torch.get_num_threads(),
        "variables": [os.environ[name] for name in THREAD_VARIABLES],
        "ignores Ctrl-C": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "hears SIGTERM": not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGTERM},
        "listens": {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN},
        "ports": sum(c.status == psutil.CONN_LISTEN for c in process.net_connections()),
        "folder": process.cwd(),
    }


KINDS: dict[str, Task] = {
    "fine": fine, "refused": refused, "broken": broken, "leaves": leaves, "unsendable": unsendable,
    "once bitten": once_bitten, "state": state,
}  # fmt: skip


def by_kind(item: tuple[str, int], folder: Path) -> Any:
    time.sleep(0.02)  # so that both workers have their share
    return KINDS[item[0]](folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def mixed(place: Path) -> list[Outcome[tuple[str, int], Any]]:
    """A run of every kind of item on two local workers, as on a machine with two GPUs."""
    environment, before = dict(os.environ), set(psutil.Process().children())
    items = [*(("fine", number) for number in range(1, 30)), *((kind, 0) for kind in KINDS)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(cluster, "visible_gpus", lambda: ["4", "GPU-5"])
        outcomes = list(run_all(items, partial(by_kind, folder=place), Where(threads=1, device="cuda")))
    assert sorted(outcome.item for outcome in outcomes) == sorted(items)
    assert os.environ == environment
    assert len(set(psutil.Process().children()) - before) <= 1  # Python's resource tracker
    return outcomes


Mixed = list[Outcome[tuple[str, int], Any]]


def of(mixed: Mixed, kind: str) -> Outcome[tuple[str, int], Any]:
    return next(outcome for outcome in mixed if outcome.item == (kind, 0))


@pytest.fixture
def found(mixed: Mixed) -> dict[str, Any]:
    """What the item `state` saw of its worker."""
    return dict(of(mixed, "state").value or {})


def test_values_come_back_from_all_workers_each_with_its_gpu(mixed: Mixed) -> None:
    good = [outcome for outcome in mixed if outcome.item[0] == "fine"]
    assert all(o.reason is None and not o.trace and o.worker.startswith("tcp://127.0.0.1:") for o in good)
    assert sorted(str(gpu) for _, gpu in {(o.worker, o.value) for o in good}) == ["4", "GPU-5"]


def test_a_failing_item_says_why_in_one_line_and_stops_no_other(mixed: Mixed) -> None:
    assert of(mixed, "refused").reason == "two is not allowed"
    assert of(mixed, "broken").reason == "ValueError: two is broken"
    assert of(mixed, "leaves").reason == "SystemExit: enough"
    assert (of(mixed, "unsendable").reason or "").startswith("TypeError: cannot pickle")
    assert all("Traceback" in of(mixed, kind).trace for kind in ("refused", "broken", "leaves", "unsendable"))


def test_an_item_that_fails_is_tried_again_on_another_worker(mixed: Mixed, place: Path) -> None:
    first, second = notes(place, "once_bitten")
    assert first != second == of(mixed, "once bitten").value
    assert len(set(notes(place, "refused"))) == len(notes(place, "refused")) == 2


def test_threads_are_limited_before_torch_is_imported(found: dict[str, Any]) -> None:
    assert (found["torch before"], found["threads"], found["variables"]) == (False, 1, ["1"] * 3)


def test_workers_listen_on_loopback_alone_and_leave_ctrl_c_to_their_parent(found: dict[str, Any]) -> None:
    assert (found["listens"], found["ports"]) == ({"127.0.0.1"}, 1)
    assert found["ignores Ctrl-C"] and found["hears SIGTERM"]


@pytest.fixture
def own_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For what limits the threads of the tests' own process."""
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    yield
    sys.modules["torch"].set_num_threads(1)


@pytest.mark.usefixtures("own_threads")
def test_threads_are_limited_where_torch_is_there_already() -> None:
    threads = min(2, available_cpus())
    answer = work(cloudpickle.dumps((lambda _: sys.modules["torch"].get_num_threads(), None)), threads, __version__)
    assert pickle.loads(answer) == (threads, None, "")


@pytest.mark.usefixtures("own_threads")
def test_in_this_process_each_is_done_once(tmp_path: Path) -> None:
    items = [(kind, 0) for kind in ("fine", "refused", "broken")]
    outcomes = list(run_all(items, partial(by_kind, folder=tmp_path), Where(workers=0)))
    assert [o.item for o in outcomes] == items and not any(o.worker for o in outcomes)
    assert [o.reason for o in outcomes] == [None, "two is not allowed", "ValueError: two is broken"]
    assert outcomes[0].value == os.environ.get("CUDA_VISIBLE_DEVICES")
    assert notes(tmp_path, "refused") == [str(os.getpid())]


def test_no_items_need_no_workers() -> None:
    assert list(run_all([], square, Where(scheduler="tcp://127.0.0.1:1"))) == []


def die_of_some(number: int, folder: Path) -> int:
    note(folder, str(number))
    if number == 1 or (number == 2 and len(notes(folder, "2")) == 1):
        time.sleep(0.3)  # so that the next is waiting behind
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_an_item_that_kills_its_workers_is_given_up_and_takes_no_other_with_it(tmp_path: Path) -> None:
    outcomes = {o.item: o for o in run_all(range(8), partial(die_of_some, folder=tmp_path), Where(workers=2))}
    assert sorted(outcomes) == list(range(8))
    assert [o.item for o in outcomes.values() if o.reason is not None] == [1]
    assert outcomes[1].reason == "2 worker processes died while they had it (out of memory, or killed)"
    assert len(notes(tmp_path, "1")) == 2 and len(notes(tmp_path, "2")) in (2, 3)
    assert all(outcomes[number].value == number for number in range(8) if number != 1)


def test_where_refuses_what_makes_no_sense() -> None:
    with pytest.raises(OptionError, match="workers: 0 for this process"):
        Where(workers=-1)
    with pytest.raises(OptionError, match="at least one"):
        Where(threads=0)
    with pytest.raises(OptionError, match="cpu or cuda"):
        Where(device="tpu")
    with pytest.raises(OptionError, match="not both"):
        Where(workers=2, scheduler="tcp://127.0.0.1:8786")


def test_each_gpu_has_a_worker() -> None:
    threads = dict.fromkeys(THREAD_VARIABLES, "4")
    where = Where(threads=4, device="cuda")
    assert worker_environments(where, ["0", "GPU-5"]) == [
        {**threads, "CUDA_VISIBLE_DEVICES": "0"}, {**threads, "CUDA_VISIBLE_DEVICES": "GPU-5"},
    ]  # fmt: skip
    assert len(worker_environments(Where(workers=1, device="cuda"), ["0", "1"])) == 1
    assert worker_environments(Where(workers=2, threads=4), []) == [threads, threads]
    assert len(worker_environments(Where(threads=10_000), [])) == 1
    with pytest.raises(OptionError, match="no GPU"):
        worker_environments(where, [])
    with pytest.raises(OptionError, match="3 workers on 2 visible GPUs"):
        worker_environments(Where(workers=3, device="cuda"), ["0", "1"])


# Scripts, for what happens to whole processes.

SCRIPT = """
import os, signal, sys, time
from dataclasses import dataclass
from pathlib import Path
if __name__ == "__mp_main__":
    Path("starting").touch()
    time.sleep(0.3)
from experiments.cluster import Where, run_all

@dataclass(frozen=True)
class Place:
    seconds: float

def work(place):
    Path(f"at-work-{os.getpid()}").touch()
    time.sleep(place.seconds)
    return Place(place.seconds + 1)

def stop(number, frame):
    raise KeyboardInterrupt

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    try:
        for outcome in run_all([Place(float(sys.argv[1]))] * 4, work, Where(workers=2)):
            print(outcome.value == Place(float(sys.argv[1]) + 1), outcome.reason, flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
"""
Start = Callable[[float], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start SCRIPT with so many seconds an item, in a folder of its own that is its temporary folder too."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "tmp").mkdir()
    started = []

    def begin(seconds: float) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "script.py", str(seconds)], cwd=tmp_path, start_new_session=True, text=True,
            env={**os.environ, "PYTHONPATH": ROOT, "TMPDIR": str(tmp_path / "tmp")},
            stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def at_work(folder: Path) -> list[int]:
    return [int(path.name.rpartition("-")[2]) for path in folder.glob("at-work-*")]


def test_what_a_script_defines_may_be_task_item_and_value(start: Start, tmp_path: Path) -> None:
    process = start(0)
    assert process.communicate(timeout=60) == ("True None\n" * 4, "")
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("sign", ["starting", "at-work-*"])
def test_ctrl_c_ends_all_quickly_without_a_traceback(start: Start, tmp_path: Path, sign: str) -> None:
    process = start(60)
    wait_for(lambda: list(tmp_path.glob(sign)))
    pressed = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.communicate(timeout=60) == ("", "") and process.returncode == 130
    assert time.monotonic() - pressed < 15
    assert not list((tmp_path / "tmp").iterdir()) and not any(map(psutil.pid_exists, at_work(tmp_path)))


def test_sigterm_ends_all_quickly_without_a_traceback(start: Start, tmp_path: Path) -> None:
    process = start(60)
    wait_for(lambda: at_work(tmp_path))
    process.terminate()
    assert process.communicate(timeout=15) == ("", "") and process.returncode == 130
    assert not any(map(psutil.pid_exists, at_work(tmp_path)))


@pytest.mark.parametrize("sign", ["starting", "at-work-*"])
def test_workers_end_when_their_parent_is_killed(start: Start, tmp_path: Path, sign: str) -> None:
    process = start(60)
    wait_for(lambda: list(tmp_path.glob(sign)))
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert len(family) >= 2 and not psutil.wait_procs(family, timeout=15)[1]


# Schedulers and workers that are started by hand.

@dataclass(frozen=True)
class Done:
    number: int
    pid: int
    began: float
    ended: float


def slowly(number: int) -> Done:
    began = time.monotonic()
    time.sleep(0.1)
    return Done(number, os.getpid(), began, time.monotonic())


def exactly(outcomes: Sequence[Outcome[int, Done]], count: int) -> bool:
    good = all(o.reason is None and o.value is not None and o.value.number == o.item for o in outcomes)
    return good and sorted(o.item for o in outcomes) == list(range(count))


def test_a_run_outlives_its_workers_and_a_second_run_its_scheduler(dask: Cluster) -> None:
    port = free_port()
    address, master = scheduler(dask, port)
    first = worker(dask, address, "--nthreads", "3")
    second = worker(dask, address, "--nthreads", "1")

    outcomes = []
    for outcome in run_all(range(20), slowly, Where(scheduler=address)):
        outcomes.append(outcome)
        if len(outcomes) == 6:
            second.kill()
    assert exactly(outcomes, 20)
    done = [o.value for o in outcomes if o.value]
    assert {value.pid for value in done[:6]} == {first.pid, second.pid}
    of_first = sorted((value.began, value.ended) for value in done if value.pid == first.pid)
    assert all(before[1] <= after[0] for before, after in pairwise(of_first)), "one at a time, for all its threads"

    seen = []
    with pytest.raises(LayeredError, match=f"connection to the scheduler at {address} is lost; start it") as lost:
        for outcome in run_all(range(20), slowly, Where(scheduler=address)):
            seen.append(outcome)
            if len(seen) == 3:
                master.kill()
    assert "\n" not in str(lost.value) and len(seen) < 20
    first.kill()

    address, _ = scheduler(dask, port)
    worker(dask, address, "--nthreads", "1")
    assert exactly(list(run_all(range(5), slowly, Where(scheduler=address))), 5)


def test_workers_of_another_version_or_without_our_libraries_are_named(
    dask: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = scheduler(dask, free_port())
    old = worker(dask, address)
    with monkeypatch.context() as newer:
        newer.setattr(dispatch, "__version__", "99.0")
        with pytest.raises(LayeredError, match=f"has layered {__version__} where 99.0 is needed; install that there"):
            list(run_all(range(5), square, Where(scheduler=address)))
    old.kill()
    (tmp_path / "other" / "experiments").mkdir(parents=True)
    (tmp_path / "other" / "experiments" / "__init__.py").touch()
    (tmp_path / "other" / "experiments" / "work.py").write_text("import a_library_of_ours")
    worker(dask, address, path=str(tmp_path / "other"))
    with pytest.raises(
        LayeredError, match=r"the worker at tcp://\S+ cannot do items \(ModuleNotFoundError: .*needs layered"
    ):
        list(run_all(range(5), square, Where(scheduler=address)))


hoard: list[bytearray] = []


def fill_memory(number: int) -> int:
    if number == 0:
        hoard.append(bytearray(b"1") * 400_000_000)
        time.sleep(1)  # meanwhile the worker sees it
    return number


def test_items_behind_one_that_fills_the_memory_are_done_by_others(dask: Cluster) -> None:
    address, _ = scheduler(dask, free_port())
    for _ in range(2):
        worker(dask, address, "--nthreads", "1", "--memory-limit", "500MB")
    outcomes = list(run_all(range(8), fill_memory, Where(scheduler=address)))
    assert sorted(o.item for o in outcomes) == list(range(8)) and not any(o.reason for o in outcomes)


def test_a_scheduler_without_workers_is_given_up(dask: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 1.0)
    address, _ = scheduler(dask, free_port())
    with pytest.raises(LayeredError, match=f"no worker at {address} took items for 1 s"):
        list(run_all(range(5), square, Where(scheduler=address)))


def test_an_address_where_no_scheduler_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(LayeredError, match=f"no Dask scheduler answers at {address}"):
        list(run_all([1], square, Where(scheduler=address)))
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(LayeredError, match="no Dask scheduler answers"):
            list(run_all([1], square, Where(scheduler=f"127.0.0.1:{mute.getsockname()[1]}")))


@pytest.mark.parametrize(
    "address", ["", "host", "tcp://host", "tcp://:8786", "tcp://host:port", "no://host:1", "a:1:2"]
)
def test_what_is_no_address_is_bad_usage(address: str) -> None:
    with pytest.raises(OptionError, match="not an address of a scheduler, such as tcp://host:8786"):
        list(run_all([1], square, Where(scheduler=address)))
