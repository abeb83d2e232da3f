"""Writes the numbers in the tables of the README and its page of results anew, from what was measured.

Words, and what papers have published, stay as they are.  A table is found by its header; what its rows are of is read
from their first cells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from difflib import ndiff
from functools import cached_property
from pathlib import Path
from statistics import mean

from experiments.page.models import MADE, replaced
from experiments.page.numbers import Measured, shown
from experiments.recipe import load_recipe
from experiments.tables import RULES
from experiments.words import ladder_label
from layered.errors import RecipeError
from layered.files import write_bytes_atomic

__all__ = ["fill", "filled"]

ANCHORS = ("simulcast mean-scale", "single mean-scale")
DOMAINS = ("vector", "comic", "line")
REPLACED = "Measured with weights that have been replaced since: "
FIGURE = re.compile(r"\]\((\w+)/figure\.svg\)$")
ORIGINS = "| recipe | commit | measured | besides |"


def fill(page: Path, folder: Path) -> list[str]:
    """Fill the tables of the file `page` from the runs in `folder`, and return the lines that differ, as in a diff.

    Raises RecipeError where a run, or the page, is not there.
    """
    try:
        before = page.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RecipeError(f"{page}: {error}") from None
    after = filled(before, folder)
    if after != before:
        write_bytes_atomic(page, after.encode())
    return [line for line in ndiff(before.splitlines(), after.splitlines()) if line.startswith(("- ", "+ "))]


def filled(text: str, folder: Path) -> str:
    """The text of a page with the numbers of the runs in `folder`.

    Raises RecipeError where one is not there, or a row is of something that it has not measured.
    """
    lines, runs = text.splitlines(), Runs(folder)
    for number, line in enumerate(lines):
        if line not in TABLES:
            continue
        for below in range(number + 2, len(lines)):
            if not lines[below].startswith("|"):
                break
            row = [cell.strip() for cell in lines[below].strip("|").split("|")]
            try:
                lines[below] = f"| {' | '.join(TABLES[line](row, runs))} |"
            except (LookupError, ValueError, StopIteration) as error:
                told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                raise RecipeError(f"line {below + 1}, {row[0]!r}: not a row of this table ({told})") from None
    if ORIGINS in lines:
        lines = _below_figures(lines, runs.replaced)
    return "\n".join(lines) + "\n"


class Runs:
    """The runs in a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

        self._read: dict[str, Measured] = {}

    def __call__(self, name: str) -> Measured:
        return self._read.setdefault(name, Measured(self.folder / name))

    @cached_property
    def replaced(self) -> dict[str, tuple[str, ...]]:
        """Of every run, the weights among its that have been replaced since."""
        return replaced(self.folder)


def _three_layers(row: list[str], runs: Runs) -> list[str]:
    names = [name.lower().replace("single-layer", "single").replace("jpeg 2000", "jpeg2000") for name in row[:2]]
    return [*row[:2], *(runs("kodak_3layer").told(names[0], names[1], layer) for layer in range(3))]


def _all_methods(row: list[str], runs: Runs) -> list[str]:
    base, first, second = (runs("compass_table_bl_el1").told("layered", row[0], layer) for layer in range(3))
    return [row[0], base, row[2], first, row[4], second]


def _pairs_of_scales(row: list[str], runs: Runs) -> list[str]:
    run = runs("compass_table_el2")
    labels = [ladder_label(scales) for scales in load_recipe("compass_table_el2").scales]
    found = [rate for label in labels if (rate := run.rate("layered", row[0], 2, label)) is not None]
    if len(found) < len(labels):
        raise RecipeError(f"compass_table_el2: {row[0]}: {len(labels) - len(found)} pairs of scales have no BD-rate")
    return [row[0], *map(shown, (min(found), mean(found), max(found))), *row[4:]]


def _beyond(row: list[str], runs: Runs) -> list[str]:
    label = ladder_label([ratio / float(row[0]) for ratio in (1, 2, float(row[0]))])
    simulcast, single = (runs("out_of_distribution").told("layered", anchor, 2, label) for anchor in ANCHORS)
    return [row[0], simulcast, row[2], single, row[4]]


def _many_layers(row: list[str], runs: Runs) -> list[str]:
    labels = {str(len(scales)): ladder_label(scales) for scales in load_recipe("many_layers").scales}
    top, label = int(row[0]) - 1, labels[row[0]]
    return [row[0], *(runs("many_layers").told("layered", anchor, top, label) for anchor in ANCHORS)]


def _everyday(row: list[str], runs: Runs) -> list[str]:
    return [row[0], runs("classical_kodak").told(row[0], "mean-scale")]


def _base_layers(row: list[str], runs: Runs) -> list[str]:
    return [row[0], runs("base_layers").told(row[0].split(" (")[0].lower(), "mean-scale")]


def _at_one_rate(row: list[str], runs: Runs) -> list[str]:
    return list(next(found for found in runs("low_rate_kodak").nearest() if found["codec"] == row[0]).values())


def _tunable(row: list[str], runs: Runs) -> list[str]:
    point = runs("low_rate_kodak").points()["tunable GC", row[0], 0]
    return [row[0], f"{float(point['bpp']):.4f}", f"{float(point['psnr']):.2f}", f"{float(point['ms_ssim']):.4f}"]


def _steps(row: list[str], runs: Runs) -> list[str]:
    run, steps = runs("adaptation_steps"), row[0].split(",")[0].rsplit(" ", 1)[1]
    codec = f"{'universal' if 'adapters' in row[0] else 'refine'} {steps}"
    return [row[0], *(run.told(codec, "plain", rule=rule) for rule in RULES), f"{run.seconds(codec):.0f}"]


def _domains(row: list[str], runs: Runs) -> list[str]:
    found = [runs(f"universal_{domain}") for domain in DOMAINS]
    gains = [run.more_db(row[0], "plain") for run in found]
    rates = [run.told(row[0], "plain") for run in found]
    return [row[0], *rates, *("-" if gain is None else f"{gain:+.2f}" for gain in gains)]


def _adapted_alike(row: list[str], runs: Runs) -> list[str]:
    return [*row[:2], *(runs("adaptation_anchors").told(row[0], row[1], layer) for layer in range(3))]


def _stacks(row: list[str], runs: Runs) -> list[str]:
    run, plain = runs("adaptation_layers"), "GC plain" if row[0].startswith("GC") else "plain"
    return [row[0], *(run.told(row[0], plain, layer) for layer in range(3)), f"{run.seconds(row[0]):.0f}"]


def _origins(row: list[str], runs: Runs) -> list[str]:
    """Commits, extent and machine of a run that has noted them, and its earlier weights; other words stay."""
    name, (commits, extent, besides) = row[0].strip("`"), row[1:]
    path = runs(name).folder / MADE
    if path.is_file():
        made = json.loads(path.read_text(encoding="utf-8"))
        commits = ", ".join(f"{commit[:7]}{'+' * commit.endswith('+')}" for commit in made["commits"])
        machines = " and ".join(machine.split(", ")[1] for machine in made["machines"])
        extent = f"{made['images']} images, {made['records']:,} records, {made['coding_seconds'] / 60:.0f} minutes"
        extent += f" of coding on {machines.replace('(R)', '').removesuffix(' Processor')}"
    told = [besides.partition("of earlier ")[0].removesuffix("; ")] if besides else []
    if weights := runs.replaced.get(name):
        told.append(f"of earlier {', '.join(f'`{name}`' for name in weights)}")
    return [row[0], commits, extent, "; ".join(filter(None, told))]


TABLES: Mapping[str, Callable[[list[str], Runs], list[str]]] = {
    "| codec | against | BL 1/4 | EL1 1/2 | EL2 full |": _three_layers,
    "| layered against | BL 1/4 | the paper | EL1 1/2 | the paper | EL2 full |": _all_methods,
    "| layered against | lowest | mean | highest | the paper's mean |": _pairs_of_scales,
    "| EL2 / BL | against simulcast | the paper | against single-layer | the paper |": _beyond,
    "| layers | against simulcast | against single-layer |": _many_layers,
    "| codec | BD-rate |": _everyday,
    "| base layer | BD-rate |": _base_layers,
    "| codec | bpp | times GC's | PSNR | MS-SSIM | gradient energy |": _at_one_rate,
    "| quality | bpp | PSNR | MS-SSIM |": _tunable,
    "| steps | BD-rate | mean of images | seconds |": _steps,
    "| method | vector | comic | line | vector, dB | comic, dB | line, dB |": _domains,
    "| adapted | BL | EL1 | EL2 | seconds |": _stacks,
    "| adapted or not | against | BL 1/4 | EL1 1/2 | EL2 full |": _adapted_alike,
    ORIGINS: _origins,
}
"""By the header of a table, what makes its rows."""


def _below_figures(lines: list[str], of_runs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The lines with a note of its replaced weights below the figure of every run that has some, and no other notes."""
    told: list[str] = []
    for line in lines:
        if line.startswith(REPLACED) and told[-1:] == [""]:
            del told[-1]
            continue
        told.append(line)
        figure = FIGURE.search(line)
        if figure and (weights := of_runs.get(figure[1])):
            told += ["", f"{REPLACED}{', '.join(f'`{name}`' for name in weights)}."]
    return told
