"""Writes a study as one HTML file: the pictures, the trials, the orders, and a script that asks and counts."""

from __future__ import annotations

from html import escape
from pathlib import Path

from rich.console import Console
from rich.progress import track

from experiments.html.choice import LADDER
from experiments.html.parts import copy_scripts, fill, json_text, static
from experiments.preference.remade import Remade
from experiments.preference.study import Study, StudyOptions, plan_study
from experiments.record import Record
from experiments.runs import Results, load_results
from experiments.tables import Tables
from experiments.words import printable, quantity
from layered.files import write_bytes_atomic

__all__ = ["write_study"]

PAGE = "2afc.html"


def write_study(out: str | Path | Results, options: StudyOptions, progress: bool = True) -> str:
    """Write `2afc.html` into the folder of a run; what was written, in words, for the terminal.

    out: a run's results, its folder, or a folder that holds one run.  progress: show a bar on standard error.
    Pictures already made stay in the folder `2afc` beside the page when it is interrupted.  Raises LayeredError
    for options that do not fit the run, and where a picture cannot be made again as it was measured.
    """
    results = out if isinstance(out, Results) else load_results(out)
    tables = Tables(results)
    study = plan_study(tables, options)
    remade, copies = Remade(results, study.layer), _Copies()
    trials = []
    console = Console(stderr=True)
    for trial in track(study.trials, "pictures", console=console, disable=not progress):
        records = [side.record for side in trial.sides if side.record is not None]
        reference = copies.add(remade.original(records[0]))
        shown = [_picture(side.record, reference, remade, copies) for side in trial.sides]
        labels = [side.label for side in trial.sides]
        trials.append({"image": trial.image, "labels": labels, "pictures": [reference, *shown], "trap": trial.trap})
    values = {
        "study": study.digest,
        "name": results.recipe.name,
        "seed": study.seed,
        "trials": trials,
        "orders": [[[number, int(exchanged)] for number, exchanged in order] for order in study.orders],
    }
    parts = {name: static(f"2afc.{name}") for name in ("css", "js")}
    parts |= {
        "title": escape(results.recipe.name), "values": json_text(values), "copies": copy_scripts(copies.files),
    }  # fmt: skip
    path = results.folder / PAGE
    write_bytes_atomic(path, fill(static("2afc.html"), parts).encode())
    return _told(study, tables, path)


class _Copies:
    """Picture files, equal ones once."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def add(self, file: bytes) -> int:
        return self._numbers.setdefault(file, len(self._numbers))

    @property
    def files(self) -> list[bytes]:
        return list(self._numbers)


def _picture(record: Record | None, reference: int, remade: Remade, copies: _Copies) -> int:
    return reference if record is None else copies.add(remade.decoded(record))


def _told(study: Study, tables: Tables, path: Path) -> str:
    first, second = study.contenders
    more = f"{100 * (second.bpp / first.bpp - 1):+.0f}%"
    who = f"{first.label} ({first.bpp:.3f} bpp) against {second.label} ({second.bpp:.3f} bpp, {more})"
    traps = sum(trial.trap for trial in study.trials)
    images = quantity(len(study.trials) - traps, "image")
    lines = [f"{who}, {tables.ladders[LADDER].layers[study.layer]}: {images}, {quantity(traps, 'trap')}"]
    if study.missing:
        lines.append(f"left out, because a record is missing: {', '.join(study.missing)}")
    size = path.stat().st_size / 1e6
    lines.append(f"study {study.digest[:8]}: {printable(str(path))}, {size:.1f} MB; open it in a browser")
    return "".join(f"{line}\n" for line in lines)
