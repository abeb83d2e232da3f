"""Runs a recipe: every item once, in as many processes as told, never twice."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from experiments.item import Item, measure, plan
from experiments.pool import available_cpus, run_all
from experiments.recipe import Recipe, load_recipe
from experiments.record import Provenance
from experiments.results import Failure, Results, load_results, save_run
from experiments.store import Store

__all__ = ["run"]


def run(
    recipe: Recipe | str | Path,
    out: str | Path,
    workers: int | None = None,
    command: str | None = None,
    progress: bool = True,
) -> Results:
    """Measure what has no record yet and return everything, failures included.

    recipe: or the file or bundled name of one.  out: results go to the folder of the recipe's name in it.
    workers: processes, by default as many as CPUs allow; 0 runs all in this process.  command: noted in the
    records.  progress: show a bar on standard error.

    Every record is on disk when its item ends: a run that was killed or interrupted goes on from there.
    Raises LayeredError before any work for what is wrong with the recipe, KeyboardInterrupt when interrupted.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    provenance = _provenance(recipe, command if command is not None else _command())
    folder = Path(out) / recipe.name
    items = plan(recipe, provenance)
    store = Store(folder / "records")
    pending = [item for item in items if store.load(item.key) is None]
    save_run(folder, recipe, provenance, items, ())
    if workers is None:
        workers = max(1, available_cpus() // recipe.threads)
    failures = _work(items, pending, store, workers, recipe.threads, progress)
    save_run(folder, recipe, provenance, items, failures)
    return load_results(folder)


def _work(
    items: Sequence[Item], pending: Sequence[Item], store: Store, workers: int, threads: int, progress: bool
) -> list[Failure]:
    failures: list[Failure] = []
    done = len(items) - len(pending)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not progress) as bar:
        task = bar.add_task("measuring", total=len(items), completed=done)
        try:
            for outcome in run_all(pending, partial(_measure_and_save, store=store), workers, threads):
                if outcome.reason is not None:
                    failures.append(Failure.of(outcome.item, outcome.reason, outcome.trace))
                done += outcome.reason is None
                bar.update(task, advance=1, description=outcome.item.spec.name)
        except KeyboardInterrupt:
            bar.stop()
            console.print(f"interrupted: {done} of {len(items)} items are done; the same command goes on")
            raise
    return failures


def _measure_and_save(item: Item, store: Store) -> None:
    store.save(measure(item))


def _provenance(recipe: Recipe, command: str) -> Provenance:
    return Provenance(command, _commit(), _machine(recipe.device), recipe.threads)


def _command() -> str:
    """The command line as a user would type it, without the place of the program."""
    program = Path(sys.argv[0])
    return " ".join([program.parent.name if program.name == "__main__.py" else program.name, *sys.argv[1:]])


def _commit() -> str | None:
    """The commit of the checkout that this code lies in, with "+" where files differ from it."""
    root = Path(__file__).resolve().parent.parent
    try:
        # An installed copy may lie inside somebody else's repository, whose commit would say nothing.
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return None
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        return _git(root, "rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ("git", "-C", str(root), *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()


def _machine(device: str) -> str:
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    kind = f"{platform.system()} {platform.machine()}, {name}, {available_cpus()} CPUs"
    if device.startswith("cuda"):
        import torch

        kind += f", {torch.cuda.get_device_name(device)}"
    return kind
