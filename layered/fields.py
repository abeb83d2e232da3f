"""Binary headers declared as data: integers of fixed size and LEB128 varints, some present only by flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layered.errors import CorruptStream

__all__ = ["VARINT", "Field", "read_fields", "write_fields"]

VARINT = 0
VARINT_MAX_BYTES = 5


@dataclass(frozen=True)
class Field:
    """One integer of the format: `size` bytes, or a varint; present if `flags & mask == value`."""

    name: str
    size: int
    mask: int = 0
    value: int = 0


def write_fields(fields: Sequence[Field], values: Mapping[str, int]) -> bytes:
    """The bytes of those fields that `values["flags"]` calls for, in order."""
    out = bytearray()
    for field in fields:
        if field.mask and values["flags"] & field.mask != field.value:
            continue
        value = int(values[field.name])
        if field.size != VARINT:
            out += value.to_bytes(field.size, "little")
            continue
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out)


def read_fields(fields: Sequence[Field], data: bytes, at: int, where: str) -> tuple[dict[str, int], int]:
    """The inverse of `write_fields` from offset `at`: values by name, and where the fields end.

    Raises CorruptStream, naming `where`, when bytes are missing or a varint is not in its shortest form.
    """
    values: dict[str, int] = {}
    for field in fields:
        if field.mask and values["flags"] & field.mask != field.value:
            continue
        size = field.size if field.size != VARINT else _varint_size(data, at, f"{where}: {field.name}")
        piece = data[at : at + size]
        if len(piece) < size:
            raise CorruptStream(f"{where}: truncated at field {field.name}")
        if field.size == VARINT:
            values[field.name] = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(piece))
        else:
            values[field.name] = int.from_bytes(piece, "little")
        at += size
    return values, at


def _varint_size(data: bytes, at: int, where: str) -> int:
    for size in range(1, VARINT_MAX_BYTES + 1):
        if at + size > len(data):
            raise CorruptStream(f"{where} is truncated")
        if data[at + size - 1] < 0x80:
            if size > 1 and data[at + size - 1] == 0:
                raise CorruptStream(f"{where} is not in its shortest form")
            return size
    raise CorruptStream(f"{where} is longer than {VARINT_MAX_BYTES} bytes")
