"""Weights files come back as they were written, packed or not, and bad ones are named."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from layered.errors import OptionError
from layered.weights import container
from layered.weights.container import packed, read_tensors, unpacked, write_tensors

TENSORS = {"a": torch.randn(40, 40, generator=torch.Generator().manual_seed(0)).half(), "b": torch.arange(5)}


@pytest.mark.parametrize("name", ["w.safetensors", "w.safetensors.xz"])
def test_tensors_and_metadata_come_back(name: str, tmp_path: Path) -> None:
    write_tensors(tmp_path / name, TENSORS, {"spec": "x"})
    metadata, tensors = read_tensors(tmp_path / name)
    assert metadata == {"spec": "x"} and tensors.keys() == TENSORS.keys()
    assert all(tensors[key].dtype == TENSORS[key].dtype and torch.equal(tensors[key], TENSORS[key]) for key in TENSORS)


@given(st.binary(max_size=99))
def test_any_bytes_are_unpacked_as_they_were(data: bytes) -> None:
    assert unpacked(packed(data)) == data


def test_float16_packs_to_less(tmp_path: Path) -> None:
    for name in ("w.safetensors", "w.safetensors.xz"):
        write_tensors(tmp_path / name, TENSORS, {})
    assert (tmp_path / "w.safetensors.xz").stat().st_size < 0.95 * (tmp_path / "w.safetensors").stat().st_size


@pytest.mark.parametrize("name", ["w.safetensors", "w.safetensors.xz"])
@pytest.mark.parametrize("kept", [0, 5, 8, 30, 1000])
def test_a_cut_file_is_refused(name: str, kept: int, tmp_path: Path) -> None:
    write_tensors(tmp_path / name, TENSORS, {})
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])
    with pytest.raises(OptionError, match="not a weights file"):
        read_tensors(tmp_path / name)


def test_what_follows_the_packed_data_is_told(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors.xz"
    write_tensors(path, TENSORS, {})
    whole = path.read_bytes()
    for more in (b"JUNK", whole):
        path.write_bytes(whole + more)
        with pytest.raises(OptionError, match=r"bytes follow the packed data"):
            read_tensors(path)


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_LIMIT", 1 << 24)
    (tmp_path / "bomb.xz").write_bytes(lzma.compress(bytes(1 << 25), preset=0))
    with pytest.raises(OptionError, match="more than 16777216 bytes"):
        read_tensors(tmp_path / "bomb.xz")
