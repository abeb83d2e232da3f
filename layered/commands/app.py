"""Which commands there are."""

from __future__ import annotations

from typing import Annotated

import typer

from layered import __version__
from layered.commands.adapt import adapt
from layered.commands.bench import bench, report
from layered.commands.decode import decode
from layered.commands.encode import encode
from layered.commands.info import info
from layered.commands.preferences import preferences
from layered.commands.prior import prior
from layered.commands.sample import sample
from layered.commands.train import train
from layered.commands.weights import weights

__all__ = ["app"]

app = typer.Typer(
    name="layered",
    help="Layered learned image compression: encode, adapt, decode, train, measure.",
    epilog="Exit codes: 0 done, 2 bad usage or bad input, 1 any other failure, 130 interrupted, 143 terminated.",
    add_completion=False,
    no_args_is_help=False,
)
for command in (encode, adapt, decode, info, sample, train, prior, bench, report, preferences):
    app.command()(command)
app.add_typer(weights, name="weights")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"layered {__version__}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Layered learned image compression: encode, adapt, decode, train, measure."""
