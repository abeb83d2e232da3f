"""The command line: how signals, closed streams and failures of a command become one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType

from layered.commands.failures import BAD_INPUT, FAILED, INTERRUPTED, TERMINATED, debugging, exit_code, explain

__all__ = ["main", "run"]


def main() -> None:
    """Entry point of the `layered` command."""
    terminated = []

    def stop(number: int, frame: FrameType | None) -> None:
        terminated.append(number)
        raise KeyboardInterrupt  # what is half written goes, as on Ctrl-C

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, stop)
    _mend_streams()
    if not debugging() and not sys.warnoptions:
        # Notices to developers of the libraries below say nothing to a user; worker processes inherit this.
        os.environ["PYTHONWARNINGS"] = "ignore"
        warnings.simplefilter("ignore")
    code = run(sys.argv[1:])
    sys.exit(TERMINATED if terminated and code == INTERRUPTED else code)


def _mend_streams() -> None:
    """Closed streams become the null device; what the terminal's encoding lacks is shown as `?`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # print() would take standard output for a standard error that is None
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
        elif mode == "w" and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing is raised unless LAYERED_DEBUG=1."""
    try:
        from typer.main import get_command  # here, so that Ctrl-C while it loads is no traceback

        from layered.commands.app import app

        command = get_command(app)
        outcome = command.main(list(arguments) or ["--help"], prog_name="layered", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as in `layered info f | head -1`; nothing must write there at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Exception, KeyboardInterrupt) as error:
        if type(error).__name__ == "Abort":  # Typer's, whichever Click it is
            error = KeyboardInterrupt()
        usage = getattr(error, "format_message", None)  # Click's usage errors
        if debugging() and usage is None:
            raise
        print(f"error: {' '.join(usage().split()) if usage else explain(error)}", file=sys.stderr)
        return BAD_INPUT if usage else exit_code(error)
    if outcome == INTERRUPTED:
        print("error: interrupted", file=sys.stderr)
    return outcome if isinstance(outcome, int) else 0
