"""Interruptions that wait for the end of a step, so that what is saved is a whole step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Deferred"]


class Deferred:
    """While entered, the first Ctrl-C or SIGTERM is only noted; a second one acts at once.

    The caller asks `pending` at points where it can stop, saves, and calls `deliver`.  Outside the main thread,
    where Python delivers no signals, it does nothing; a signal that is ignored, as Ctrl-C is by what a script
    starts in the background, stays ignored.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
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

    def deliver(self) -> None:
        """Let the signal that was noted act as it would have."""
        self._restore()
        if self.pending is not None:
            signal.raise_signal(self.pending)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.pending = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
