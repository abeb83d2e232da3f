"""Work in processes: nothing is lost, not even when a worker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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


SLOW_START = """
import sys, time
from pathlib import Path
if __name__ == "__mp_main__":
    Path("starting").touch()
    time.sleep(0.5)
from experiments.pool import run_all
if __name__ == "__main__":
    try:
        list(run_all([1], print, 1, 1))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_ctrl_c_while_workers_start_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW_START)
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "slow.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root},
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        while process.poll() is None and not (tmp_path / "starting").exists():
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        shown = process.communicate(timeout=60)[1]
    assert (process.returncode, shown) == (130, b"")
