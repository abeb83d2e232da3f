"""What the user sees of a failure: one line and an exit code."""

from __future__ import annotations

import os

from layered.errors import LayeredError, install

__all__ = ["BAD_INPUT", "FAILED", "INTERRUPTED", "TERMINATED", "debugging", "exit_code", "explain"]

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143

EXTRAS = {"skimage": "demo", "tensorboard": "tensorboard"}  # optional packages and the extra that brings each


def debugging() -> bool:
    """Whether LAYERED_DEBUG asks for tracebacks."""
    return os.environ.get("LAYERED_DEBUG", "") not in ("", "0")


def exit_code(error: BaseException) -> int:
    """2 for bad usage or bad input, 130 for Ctrl-C, 1 for anything else."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return BAD_INPUT
    # The base class alone is raised where the input was not to blame.
    return BAD_INPUT if isinstance(error, LayeredError) and type(error) is not LayeredError else FAILED


def explain(error: BaseException) -> str:
    """One line for a user: what was wrong and where."""
    text = " ".join(str(error).split())
    if isinstance(error, LayeredError):
        return text or type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, MemoryError):
        return f"out of memory{': ' + text if text else ''}"
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror.lower()
        return f"{error.filename}: {reason}" if error.filename else reason
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        return f"this needs an optional package: {install(EXTRAS[error.name])}"
    return f"unexpected {type(error).__name__}: {text} (LAYERED_DEBUG=1 shows where)"
