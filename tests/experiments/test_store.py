"""Records on disk."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.item import preview
from experiments.record import LayerRecord, Provenance, Record
from experiments.store import Store, digest_of

RECORD = Record(
    key="abc",
    codec="simulcast jpeg",
    quality=30.0,
    image="kodim01",
    image_sha256="0" * 64,
    scales=(0.5, 1.0),
    layers=(LayerRecord(24, 16, 100, 800 / 384, 31.5, None), LayerRecord(48, 32, 300, 1.5625, math.inf, 0.98)),
    encode_seconds=0.5,
    decode_seconds=0.25,
    decode_operations=None,
    files_sha256=("1" * 64, "2" * 64),
    fingerprint={"pillow": "12"},
    provenance=Provenance("layered bench", None, "Linux", 1),
)


@pytest.mark.parametrize("record", [RECORD, replace(RECORD, quality=(1.0, 2.5))])
def test_a_record_comes_back_as_it_was_lossless_layers_included(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path / "records")
    assert store.load("abc") is None
    store.save(record)
    assert store.load("abc") == record


def test_records_are_strict_json(tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    values = json.loads(RECORD.to_json(), parse_constant=refuse)
    assert values["layers"][1]["psnr"] == "inf" and values["layers"][0]["ms_ssim"] is None


def test_every_truncation_and_foreign_content_count_as_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole = RECORD.to_json().encode()
    other_schema = whole.replace(b'"schema": 2', b'"schema": 0')
    missing_field = whole.replace(b'"codec"', b'"kodek"')
    contradictory = whole.replace(b'"bytes": 300', b'"bytes": 1')
    edited = [
        whole.replace(b'"width": 24', b'"width": 0'),
        whole.replace(b'"ms_ssim": 0.98', b'"ms_ssim": "x"'),
        whole.replace(b'"ms_ssim": 0.98', b'"ms_ssim": NaN'),
        whole.replace(b'{\n  "pillow": "12"\n }', b"[]"),
        whole.replace(b'"' + b"2" * 64 + b'"', b"1"),
    ]
    assert all(content != whole for content in edited)
    contents = [whole[:size] for size in range(0, len(whole) - 2, 7)]
    strange = [b"[" * 100_000, b"[]", b"3", b"null", b"\xff\xfe"]
    for content in [*contents, other_schema, missing_field, contradictory, *edited, *strange]:
        store.path("abc").write_bytes(content)
        assert store.load("abc") is None, content


def test_a_record_under_another_ones_name_counts_as_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(RECORD)
    store.path("abc").rename(store.path("def"))
    assert store.load("def") is None


def test_a_failed_write_leaves_the_older_record_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.save(RECORD)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        store.save(replace(RECORD, encode_seconds=9.0))
    monkeypatch.undo()
    assert store.load("abc") == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["abc.json"]


def test_digests_depend_on_values_and_not_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": 1, "b": [1, 2]}) != digest_of({"a": 1, "b": [2, 1]})


def test_sweeping_removes_what_killed_runs_left_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path / "records")
    store.save(RECORD)
    old, young = store.folder / ".abc.json.01234567", store.folder / ".def.json.01234567"
    picture, half = store.decoded("abc"), store.decoded(".abc").with_suffix(".png.01234567")
    half.parent.mkdir()
    for path in (old, young, picture, half):
        path.touch()
    for path in (old, picture, half, store.path("abc")):
        os.utime(path, (0, 0))
    store.sweep()
    assert sorted(path.name for path in store.folder.iterdir()) == [young.name, "abc.json"]
    assert list(picture.parent.iterdir()) == [picture]


def test_a_picture_that_was_cut_short_counts_as_absent(tmp_path: Path) -> None:
    store = Store(tmp_path / "records")
    path = store.preview("0" * 32, 0)
    assert not store.has_picture(path)
    whole = preview(np.zeros((8, 8, 3), np.uint8))
    store.save_preview(path, whole)
    assert store.has_picture(path)
    for kept in range(len(whole)):
        store.save_preview(path, whole[:kept])
        assert not store.has_picture(path)
