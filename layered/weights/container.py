"""The bytes of a weights file: safetensors, packed by xz where the file's name ends in .xz."""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from layered.errors import OptionError
from layered.files import write_bytes_atomic

__all__ = ["packed", "read_tensors", "unpacked", "write_tensors"]

_XZ = b"\xfd7zXZ\x00"
_FILTERS = ({"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0},)
_LIMIT = 2**30


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write them to `path`, atomically; packed, losslessly, if its name ends in .xz."""
    data = save(dict(tensors), dict(metadata))
    write_bytes_atomic(path, packed(data) if path.suffix == ".xz" else data)


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a file of either kind.  Raises OptionError for any other."""
    try:
        data = unpacked(path.read_bytes())
        tensors = load(data)
    except FileNotFoundError:
        raise OptionError(f"{path}: no such file") from None
    except (SafetensorError, OSError, lzma.LZMAError) as error:
        raise OptionError(f"{path}: not a weights file ({error})") from None
    # safetensors gives metadata of files alone; a header that it accepts is a length and JSON.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header.get("__metadata__") or {}, tensors


def packed(data: bytes) -> bytes:
    """Any bytes as xz: those at even places first, then those at odd ones.

    In float16 the latter hold sign and exponent, which are far from uniform; the others are nearly noise.
    """
    return lzma.compress(data[0::2] + data[1::2], lzma.FORMAT_XZ, filters=_FILTERS)


def unpacked(data: bytes) -> bytes:
    """What was packed, and anything else as it is.  Raises lzma.LZMAError."""
    if not data.startswith(_XZ):
        return data
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LIMIT)
    result = decompressor.decompress(data, _LIMIT)
    if decompressor.unused_data:
        raise lzma.LZMAError(f"{len(decompressor.unused_data)} bytes follow the packed data")
    if not decompressor.eof:
        raise lzma.LZMAError(f"cut short, or more than {_LIMIT} bytes when unpacked")
    joined, half = bytearray(len(result)), -(-len(result) // 2)
    joined[0::2], joined[1::2] = result[:half], result[half:]
    return bytes(joined)
