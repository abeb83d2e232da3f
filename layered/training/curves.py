"""Learning curves: one JSON line a logged step, and TensorBoard where asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from layered.errors import OptionError, install
from layered.files import write_bytes_atomic

__all__ = ["Curves"]


class Curves:
    """The file `path`, appended to; `cut` takes it back to where a resumed run goes on.

    tensorboard: folder for event files, or None.  Raises OptionError where TensorBoard is not installed.
    """

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        self.path = path
        self.lines = 0
        self._writer: Any = None
        if tensorboard is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise OptionError(f"tensorboard: true needs TensorBoard: {install('tensorboard')}") from None
            self._writer = SummaryWriter(tensorboard)

    def cut(self, lines: int) -> None:
        """Keep the first `lines` lines only: later steps were not saved and are done again."""
        if self.path.is_file():
            kept = self.path.read_bytes().splitlines(keepends=True)[:lines]
            write_bytes_atomic(self.path, b"".join(kept))
            self.lines = len(kept)

    def add(self, values: dict[str, Any]) -> None:
        """One line; `values` has at least phase and step."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
        self.lines += 1
        if self._writer is not None:
            for name, value in values.items():
                if isinstance(value, float):
                    self._writer.add_scalar(f"{values['phase']}/{name}", value, values["step"])
            self._writer.flush()
