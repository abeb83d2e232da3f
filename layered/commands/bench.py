"""`layered bench` and `layered report`: measure codecs by a recipe, and write up what was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layered.commands.failures import FAILED
from layered.commands.model import check_device
from layered.errors import OptionError

if TYPE_CHECKING:
    from experiments.runs import Results

__all__ = ["bench", "report"]


def _show_recipes(wanted: bool) -> None:
    if wanted:
        from experiments.recipe import bundled_recipes, load_recipe

        for name in bundled_recipes():
            first, *_ = re.split(r"\.\s+(?=[A-Z])", load_recipe(name).description)
            typer.echo(f"{name}\n    {first.removesuffix('.')}.")
        raise typer.Exit


def bench(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Bundled recipe by name, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Replace a setting; repeatable.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Results go into a folder of the recipe's name in it.")
    ] = Path("out"),
    workers: Annotated[int | None, typer.Option(min=0, help="Processes.  Default: one a core, or a GPU.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:PORT", help="Use the workers of a running Dask scheduler.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be measured, and how long it may take.")] = False,
    show_recipes: Annotated[
        bool, typer.Option("--list", callback=_show_recipes, is_eager=True, help="Name the bundled recipes.")
    ] = False,
) -> None:
    """Measure every codec of a recipe on every image, then report; resumes when started again."""
    from experiments.recipe import load_recipe

    settings = load_recipe(recipe, overrides or [])
    if settings.device != "cpu":  # with a scheduler too: here the codecs are tried before any work
        check_device(settings.device, "device")  # else it would be told once for each item, or never
    if dry_run and scheduler:
        raise OptionError("--dry-run tries the codecs here; say how many processes there are by --workers instead")
    if dry_run:
        from experiments.estimate import describe

        typer.echo(describe(settings, out, workers), nl=False)
        return
    from experiments.harness import run
    from experiments.report import write_report

    results = run(settings, out, workers=workers, scheduler=scheduler)
    typer.echo(write_report(results), nl=False)
    if settings.beside is not None:
        _write_sheets(results)
    if results.failures:
        raise typer.Exit(FAILED)


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder that `layered bench` wrote.")],
    parquet: Annotated[bool, typer.Option("--parquet", help="Write records.parquet too (needs polars).")] = False,
    sheets: Annotated[bool, typer.Option("--sheets", help="Contact sheets too, of a recipe with `beside`.")] = False,
    study: Annotated[
        tuple[str, str] | None,
        typer.Option("--2afc", metavar="A B", help="Write 2afc.html instead: which of two codecs do people prefer?"),
    ] = None,
    qualities: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="QA QB", help="Of the two codecs.  Default: those nearest to one another in rate."),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(metavar="K", help="Layer of --2afc, 0 (the base) and up, of the first scales.  Default: the top."),
    ] = None,
    traps: Annotated[
        int | None, typer.Option(min=0, help="Trials of --2afc with the original itself.  Default: up to 4.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the orders and sides of --2afc.  Default: 0.")] = None,
) -> None:
    """Write tables, curves and pages again from the records of a bench, or a page for a preference study."""
    if study is None and (qualities, layer, traps, seed) != (None,) * 4:
        raise OptionError("--qualities, --layer, --traps and --seed go with --2afc")
    if study is not None:
        from experiments.preference.page import write_study
        from experiments.preference.study import StudyOptions

        typer.echo(write_study(out, StudyOptions(study, qualities, layer, traps, seed or 0)), nl=False)
    else:
        from experiments.report import write_report

        typer.echo(write_report(out), nl=False)
    if parquet:
        from experiments.export import write_records_parquet
        from experiments.runs import load_results

        results = load_results(out)
        write_records_parquet(results, results.folder / "records.parquet")
    if sheets:
        from experiments.runs import load_results

        _write_sheets(load_results(out))


def _write_sheets(results: Results) -> None:
    from experiments.sheets import write_sheets

    for path in write_sheets(results):
        typer.echo(f"sheet: {path}")
