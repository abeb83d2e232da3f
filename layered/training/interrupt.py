"""Interruptions that wait for the end of a step, so that what is saved is a whole step."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Deferred"]


class Deferred:
    """While entered, the first Ctrl-C or SIGTERM is only noted; one that comes ECHO seconds later acts at once.

    The caller asks `pending` at points where it can stop, saves, and calls `deliver`.  Outside the main thread,
    where Python delivers no signals, it does nothing; a signal that is ignored, as Ctrl-C is by what a script
    starts in the background, stays ignored.
    """

    ECHO = 1.0  # launchers pass on to their processes what a terminal has sent to all of them

    def __init__(self) -> None:
        self.pending: int | None = None
        self._noted = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Deferred:
        if threading.current_thread() is threading.main_thread():
            heard = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def deliver(self, number: int) -> None:
        """Let the signal that this or another process has noted act as it would have."""
        self._restore()
        signal.raise_signal(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pending is None:
            self.pending, self._noted = number, time.monotonic()
        elif time.monotonic() - self._noted > self.ECHO:
            self.deliver(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
