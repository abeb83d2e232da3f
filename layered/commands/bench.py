"""`layered bench` and `layered report`: measure codecs by a recipe, and write up what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["bench", "report"]


def bench(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Bundled recipe by name, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Replace a setting; repeatable.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Records and report.  Default: out/RECIPE.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.  Default: one a core.")] = None,
) -> None:
    """Measure every codec of a recipe on every image, then report; resumes when started again."""
    from experiments.harness import run
    from experiments.report import write_report

    folder = out or Path("out") / Path(recipe).stem
    run(recipe, folder, overrides=overrides or [], workers=workers)
    typer.echo(write_report(folder))


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder that `layered bench` wrote.")],
) -> None:
    """Write tables and curves again from the records of a bench."""
    from experiments.report import write_report

    typer.echo(write_report(out))
