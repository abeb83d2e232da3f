"""What a worker does with an item, and how it tells what came of it."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import cloudpickle

from experiments.words import reason_text
from layered import __version__
from layered.errors import LayeredError

__all__ = ["THREAD_VARIABLES", "Call", "attempt", "explain", "limit_threads", "one_line", "work"]

T = TypeVar("T")
R = TypeVar("R")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Call:
    """Becomes what `work` returns when it is unpickled.

    A Dask worker that cannot import the function it is sent breaks off its connection; one that fails to unpickle
    this, an argument of a function that it has, says why.
    """

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return work, self.arguments


def work(payload: bytes, threads: int, version: str) -> bytes:
    """What a worker does: a pickled task and item to a pickled value, reason and trace."""
    if version != __version__:
        raise LayeredError(f"a worker has layered {__version__} where {version} is needed; install that there")
    warnings.filterwarnings("ignore", category=FutureWarning)  # torch's and CompressAI's own affairs
    limit_threads(threads)

    def answer(payload: bytes) -> bytes:
        task, item = pickle.loads(payload)
        limit_threads(threads)  # unpickling may have imported torch
        pickled: bytes = cloudpickle.dumps((task(item), None, ""))
        return pickled

    pickled, reason, trace = attempt(answer, payload)
    return pickle.dumps((None, reason, trace)) if pickled is None else pickled


def attempt(task: Callable[[T], R], item: T) -> tuple[R | None, str | None, str]:
    """The value of a task, or the reason and trace of its failure."""
    try:
        return task(item), None, ""
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return None, *explain(error)


def limit_threads(threads: int) -> None:
    """Of torch and OpenMP, whether torch is imported already or later."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def explain(error: BaseException) -> tuple[str, str]:
    """Reason and trace of a failure."""
    try:
        trace = "".join(traceback.format_exception(error))
        return reason_text(str(error)) if isinstance(error, LayeredError) else one_line(error), trace
    except Exception:  # an error may fail even to say what it is
        return type(error).__name__, ""


def one_line(error: BaseException | None) -> str:
    """Its kind and message."""
    return reason_text(f"{type(error).__name__}: {error}")
