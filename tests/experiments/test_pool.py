"""Work in processes: nothing is lost, not even when a worker dies."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

from experiments.pool import make_executor, run_all


def touch(number: int, folder: Path) -> None:
    if number == 2:
        raise ValueError("two is\nnot allowed")
    (folder / str(number)).touch()


def die_once(number: int, folder: Path) -> None:
    if number == 1 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / str(number)).touch()


def die_always(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def thread_limit(_: int) -> str:
    return os.environ["OMP_NUM_THREADS"]


def test_a_failing_item_is_reported_and_stops_no_other(tmp_path: Path) -> None:
    for workers in (0, 1):
        folder = tmp_path / str(workers)
        folder.mkdir()
        outcomes = {o.item: o for o in run_all(range(5), partial(touch, folder=folder), workers, 1)}
        assert sorted(outcomes) == [0, 1, 2, 3, 4]
        assert outcomes[2].reason == "ValueError: two is not allowed" and "Traceback" in outcomes[2].trace
        assert all(outcomes[number].reason is None for number in (0, 1, 3, 4))
        assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "3", "4"]


def test_items_of_a_killed_worker_are_done_by_another(tmp_path: Path) -> None:
    outcomes = list(run_all(range(4), partial(die_once, folder=tmp_path), 1, 1))
    assert sorted(outcome.item for outcome in outcomes) == [0, 1, 2, 3]
    assert all(outcome.reason is None for outcome in outcomes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "died"]


def test_an_item_that_kills_every_worker_is_reported() -> None:
    outcomes = list(run_all([7], die_always, 1, 1))
    assert [(o.item, "worker process died" in (o.reason or "")) for o in outcomes] == [(7, True)]


def test_workers_keep_to_their_threads() -> None:
    with make_executor(1, 3) as executor:
        assert executor.submit(thread_limit, 0).result() == "3"
