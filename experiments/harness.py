"""Runs a recipe: every item once, in as many processes as told, never twice."""

from __future__ import annotations

from collections.abc import Sequence
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

from experiments.cluster import Where, run_all
from experiments.data import Picture
from experiments.item import Item, measure, preview
from experiments.plan import plan
from experiments.provenance import command_line, commit, machine
from experiments.recipe import Recipe, load_recipe
from experiments.record import Provenance
from experiments.runs import Results, load_results, save_run
from experiments.store import Store
from layered.errors import LayeredError, OptionError
from layered.image import layer_sizes, resize8

__all__ = ["pending_items", "run"]


def run(
    recipe: Recipe | str | Path,
    out: str | Path,
    workers: int | None = None,
    scheduler: str | None = None,
    command: str | None = None,
    progress: bool = True,
) -> Results:
    """Measure what has no record yet and return everything, failures included.

    recipe: or the file or bundled name of one.  out: results go to the folder of the recipe's name in it.
    workers: processes, by default as many as CPUs or GPUs allow; 0 runs all in this process.  scheduler: address
    of a running Dask scheduler whose workers are used instead; they must see the data and weights under the same
    paths.  command: noted in the records.  progress: show a bar on standard error.

    Every record is on disk when its item ends: a run that was killed or interrupted goes on from there.
    Raises LayeredError before any work for what is wrong with the recipe, or when the scheduler is lost;
    KeyboardInterrupt when interrupted.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    where = Where(workers, recipe.threads, scheduler, recipe.device)
    provenance = Provenance(command or command_line(), commit(), machine(recipe.device), recipe.threads)
    if Path(out).is_file():
        raise OptionError(f"{out} is a file; results need a folder")
    folder = Path(out) / recipe.name
    planned = plan(recipe, provenance)
    store = Store(folder / "records")
    store.sweep()
    pending = pending_items(planned.items, store)
    failed: dict[str, tuple[str, str]] = {}
    save_run(folder, recipe, provenance, planned.entries, failed)
    try:
        _work(planned.items, pending, store, where, progress, failed)
    finally:
        save_run(folder, recipe, provenance, planned.entries, failed)
    if recipe.previews:
        _keep_originals(planned.pictures, recipe, store)
    return load_results(folder)


def pending_items(items: Sequence[Item], store: Store) -> list[Item]:
    """The items that lack their record, or a picture that is to be kept, picture by picture.

    What else a machine does changes from hour to hour; all codecs meet it alike, and their seconds can be compared.
    """
    place = {picture: number for number, picture in enumerate(dict.fromkeys(item.picture for item in items))}
    pending = [
        item
        for item in items
        if store.load(item.key) is None
        or (item.wanted.previews and not _has_previews(item, store))
    ]
    return sorted(pending, key=lambda item: place[item.picture])


def _has_previews(item: Item, store: Store) -> bool:
    return all(store.has_picture(store.preview(item.key, layer)) for layer in range(len(item.scales)))


def _work(
    items: Sequence[Item],
    pending: Sequence[Item],
    store: Store,
    where: Where,
    progress: bool,
    failed: dict[str, tuple[str, str]],
) -> None:
    """Do the pending items.  failed: is given the reason and trace of those that fail, by key."""
    done = len(items) - len(pending)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not progress) as bar:
        task = bar.add_task("measuring", total=len(items), completed=done)
        try:
            for outcome in run_all(pending, measure, where):
                if outcome.value is None:
                    failed[outcome.item.key] = (outcome.reason or "no reason given", outcome.trace)
                else:
                    for layer, picture in enumerate(outcome.value.previews):
                        store.save_preview(store.preview(outcome.item.key, layer), picture)
                    store.save(outcome.value.record)
                    done += 1
                bar.update(task, advance=1, description=outcome.item.method.label)
        except KeyboardInterrupt:
            bar.stop()
            console.print(f"interrupted: {done} of {len(items)} items are done; the same command goes on")
            raise


def _keep_originals(pictures: Sequence[Picture], recipe: Recipe, store: Store) -> None:
    scales = dict.fromkeys(scale for ladder in recipe.scales for scale in ladder)
    for picture in pictures:
        try:
            digest = picture.digest()
            missing = [scale for scale in scales if not store.has_picture(store.original(digest, scale))]
            image = picture.load() if missing else None
        except LayeredError:
            continue  # its items have failed and said why, or it went away after the last of them
        if image is None:
            continue
        for scale in missing:
            ((width, height),) = layer_sizes(image.shape[1], image.shape[0], (scale,))
            store.save_preview(store.original(digest, scale), preview(resize8(image, width, height)))
