"""Makes the results page again, or checks a sample of it.

    python -m experiments.page run [NAME ...]      every run, or those named: measure, resume, report, publish
    python -m experiments.page check [NAME ...]    measure some items of each again and compare
    python -m experiments.page take OUT/NAME ...   publish runs that `layered bench` has finished
    python -m experiments.page draw [NAME ...]     draw the figures again from the tables that are there
    python -m experiments.page fill [PAGE ...]     write the numbers in the page's tables from those that are there
"""

from __future__ import annotations

import argparse
import reprlib
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from experiments.harness import run as measure_all
from experiments.page.figure import draw
from experiments.page.fill import fill
from experiments.page.index import RESULTS, chosen
from experiments.page.items import FILE
from experiments.page.models import earlier
from experiments.page.recheck import Verdict, recheck, sampled
from experiments.page.take import take
from experiments.report import write_report
from experiments.runs import load_results
from experiments.words import quantity
from layered.errors import LayeredError

__all__ = ["main"]

README = RESULTS.parents[1] / "README.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 1 where an item failed or differs, or none could be checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=RESULTS, help="of the page")
    commands = parser.add_subparsers(dest="command", required=True)
    repeat = commands.add_parser("run")
    repeat.add_argument("names", nargs="*", metavar="NAME")
    repeat.add_argument("--out", type=Path, default=Path("out"))
    repeat.add_argument("--workers", type=int)
    check = commands.add_parser("check")
    check.add_argument("names", nargs="*", metavar="NAME")
    check.add_argument("--items", type=_some, default=3, help="of each run")
    check.add_argument("--seed", type=int, default=0, help="which items")
    check.add_argument("--adapted", action="store_true", help="those too that take minutes of per-image adaptation")
    taken = commands.add_parser("take")
    taken.add_argument("runs", nargs="+", type=Path, metavar="OUT/NAME")
    drawn = commands.add_parser("draw")
    drawn.add_argument("names", nargs="*", metavar="NAME")
    written = commands.add_parser("fill")
    written.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="default: the folder's, and README.md")
    given = parser.parse_args(arguments)
    try:
        if given.command == "run":
            return _run(given.names, given.out, given.workers, given.folder)
        if given.command == "check":
            return _check(given.names, given.items, given.seed, given.adapted, given.folder)
        if given.command == "fill":
            own = (README,) if given.folder.resolve() == RESULTS else ()
            for page in given.pages or (given.folder / README.name, *own):
                for line in fill(page, given.folder) or (f"{page}: nothing has changed",):
                    print(line)
            return 0
        if given.command == "draw":
            for run in chosen(given.names, given.folder):
                if not given.names and not (given.folder / run.name).is_dir():
                    continue  # not measured yet
                print(draw(run.load(), given.folder / run.name))
            return 0
        for folder in given.runs:
            print(take(load_results(folder), given.folder))
        return 0
    except LayeredError as error:
        parser.exit(2, f"error: {error}\n")


def _some(text: str) -> int:
    """A number of items, of `--items`."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{reprlib.repr(text)} is not a number of items, which is 1 or more")
    return int(text)


def _run(names: Sequence[str], out: Path, workers: int | None, folder: Path) -> int:
    status = 0
    for entry in chosen(names, folder):
        try:
            results = measure_all(entry.load(), out, workers=workers)
            write_report(results)
            print(f"{entry.name}: {take(results, folder)}")
        except LayeredError as error:
            print(f"{entry.name}: {error}", file=sys.stderr)
            status = 1
    return status


def _check(names: Sequence[str], count: int, seed: int, adapted: bool, folder: Path) -> int:
    runs = [run for run in chosen(names, folder) if names or (folder / run.name / FILE).is_file()]
    wanted = {run: sampled(run, count, seed, adapted, folder) for run in runs}
    for run in runs:
        if replaced := earlier(run, folder):
            print(f"{run.name}: not checked where it is of weights replaced since, {', '.join(replaced)}")
    verdicts: list[Verdict] = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("measuring again", total=sum(map(len, wanted.values())))
        for run, keys in wanted.items():
            for verdict in recheck(run, keys, folder):
                verdicts.append(verdict)
                item = verdict.item
                what = f"{item.codec}, quality {item.quality}, {item.image}, {item.scales}"
                told = f" ({verdict.told})" if verdict.told else ""
                bar.console.print(f"{verdict.run}: {what}: {verdict.outcome}{told}", markup=False, highlight=False)
                bar.advance(task)
    outcomes = [verdict.outcome for verdict in verdicts]
    counts = ", ".join(f"{outcomes.count(word)} {word}" for word in ("equal", "differs", "failed", "skipped"))
    print(f"{quantity(len(verdicts), 'item')} of {quantity(len(runs), 'run')}: {counts}")
    return int("differs" in outcomes or "failed" in outcomes or "equal" not in outcomes)


if __name__ == "__main__":
    sys.exit(main())
