"""The command line: which commands there are, and how their failures become one line and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from layered import __version__
from layered.commands.bench import bench, report
from layered.commands.decode import decode
from layered.commands.encode import encode
from layered.commands.failures import BAD_INPUT, FAILED, INTERRUPTED, debugging, exit_code, explain
from layered.commands.info import info
from layered.commands.train import train
from layered.commands.weights import weights

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="layered",
    help="Layered learned image compression: encode, decode, train, measure.",
    epilog="Exit codes: 0 done, 2 bad usage or bad input, 1 any other failure, 130 interrupted.",
    add_completion=False,
    no_args_is_help=False,
)
for command in (encode, decode, info, train, bench, report):
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
    """Layered learned image compression: encode, decode, train, measure."""


def main() -> None:
    """Entry point of the `layered` command."""
    if not debugging():
        # Notices to developers of the libraries below say nothing to a user; worker processes inherit this.
        os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
        warnings.filterwarnings("ignore", category=FutureWarning)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing is raised unless LAYERED_DEBUG=1."""
    command = typer.main.get_command(app)
    try:
        outcome = command.main(list(arguments) or ["--help"], prog_name="layered", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as in `layered info f | head -1`; nothing must write there at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, typer.Abort):
            error = KeyboardInterrupt()
        usage = getattr(error, "format_message", None)  # Click's usage errors, whichever Click it is
        if debugging() and usage is None:
            raise
        print(f"error: {' '.join(usage().split()) if usage else explain(error)}", file=sys.stderr)
        return BAD_INPUT if usage else exit_code(error)
    if outcome == INTERRUPTED:
        print("error: interrupted", file=sys.stderr)
    return outcome if isinstance(outcome, int) else 0
