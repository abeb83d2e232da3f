"""`layered bench` and `layered report`: measure codecs by a recipe, and write up what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layered.commands.failures import FAILED
from layered.commands.model import check_device

__all__ = ["bench", "report"]


def bench(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Bundled recipe by name, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Replace a setting; repeatable.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Results go into a folder of the recipe's name in it.")
    ] = Path("out"),
    workers: Annotated[int | None, typer.Option(min=0, help="Processes.  Default: one a core.")] = None,
) -> None:
    """Measure every codec of a recipe on every image, then report; resumes when started again."""
    from experiments.recipe import load_recipe

    settings = load_recipe(recipe, overrides or [])
    if settings.device != "cpu":
        check_device(settings.device, "device")  # else it would be told once for each item, or never
    from experiments.harness import run
    from experiments.report import write_report
    from experiments.store import Store

    Store(out / settings.name / "records").sweep()
    results = run(settings, out, workers=workers)
    typer.echo(write_report(results), nl=False)
    if results.failures:
        raise typer.Exit(FAILED)


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder that `layered bench` wrote.")],
) -> None:
    """Write tables and curves again from the records of a bench."""
    from experiments.report import write_report

    typer.echo(write_report(out), nl=False)
