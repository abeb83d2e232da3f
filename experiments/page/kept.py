"""Tables of the results page as they are kept: CSV, and compressed where they are large."""

from __future__ import annotations

import csv
import io
import lzma
from collections.abc import Iterable, Sequence
from pathlib import Path

from experiments.export import csv_bytes
from layered.errors import RecipeError
from layered.files import write_bytes_atomic

__all__ = ["LARGEST", "compressed", "read_table", "write_table"]

LARGEST = 2**16
"""Bytes of a table that is kept as it is; a larger one has `.xz` behind its name."""


def compressed(data: bytes) -> bytes:
    """As an .xz file, by the settings that make it smallest."""
    return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write printable cells as a CSV table, `path`.xz where that is larger than LARGEST, instead of what was there.

    Killed in between, it leaves either the old table or the new one, or none: never one beside another.
    """
    data = csv_bytes(header, rows)
    packed = path.with_name(f"{path.name}.xz")
    kept, other, stored = (packed, path, compressed(data)) if len(data) > LARGEST else (path, packed, data)
    other.unlink(missing_ok=True)
    write_bytes_atomic(kept, stored)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of what `write_table` wrote for `path`, by column.  Raises RecipeError where that is not there."""
    packed = path.with_name(f"{path.name}.xz")
    try:
        data = lzma.decompress(packed.read_bytes()) if packed.is_file() else path.read_bytes()
        return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror}") from None
    except (lzma.LZMAError, ValueError, csv.Error) as error:
        raise RecipeError(f"{path}: {error}") from None
