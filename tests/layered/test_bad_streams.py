"""A sample of the bad streams of tests/torture/bad_streams.py, in this process; the script decodes all of them."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import asdict
from multiprocessing.connection import Connection
from unittest import mock

import numpy as np
import pytest
import torch

from layered.base.transforms import rebuild_tables
from layered.codec import LayeredCodec
from layered.errors import CorruptStream
from layered.image import Image8
from layered.spec import CodecSpec, build
from layered.weights.store import digest_of
from tests.torture.bad_streams import Row
from tests.torture.damage import KINDS, streams_of
from tests.torture.judging import Verdict, Worker, judge
from tests.torture.kit import LEAST, LEAST_FLIPS, Bad, Kit

EACH = 22
FEW = 20  # of the payloads that are decoded to be sealed
SEALED = "payload damage, sealed*"
BAD = Bad("", 2, b"", "plain")


@pytest.fixture(scope="module")
def kit(tiny_codec: LayeredCodec) -> Kit:
    return Kit.of(tiny_codec)


@pytest.fixture(scope="module")
def streams(kit: Kit) -> dict[str, list[Bad]]:
    with mock.patch("tests.torture.damage.SEALED", FEW):
        return {kind: streams_of(kit, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def maps() -> Kit:
    """Of an sc base layer, whose payloads hold label maps and heatmaps."""
    base = {"name": "sc", "classes": tuple("abcde"), "width": 16, "channels": 2, "blocks": 0, "norm": "channel"}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        codec = build(CodecSpec.model_validate({"base": base}))
    rebuild_tables(codec)
    codec.digest = digest_of(codec.spec, codec.state_dict())
    with mock.patch("tests.torture.kit.LEAST_FLIPS", 0):  # small pictures are enough here
        return Kit.of(codec.requires_grad_(False).eval())


@pytest.mark.parametrize("kind", ["fields*", "payload damage*", "strings of payloads*", SEALED, "forged adapters"])
def test_bad_streams_of_label_maps_raise_or_give_pictures_that_are_right(
    maps: Kit, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.torture.damage.SEALED", FEW)
    made = streams_of(maps, kind)
    for bad in random.Random(1).sample(made, min(EACH, len(made))):
        outcome, wrong, _ = judge(maps.codec.decode, bad, maps.files[bad.file], True)
        assert outcome != "bad", f"{wrong}: {bad.data.hex()}"
    assert made


@pytest.mark.parametrize("kind", KINDS)
def test_bad_streams_raise_or_give_right_pictures(kit: Kit, streams: dict[str, list[Bad]], kind: str) -> None:
    most = EACH // 2 if kind.startswith("forged") else EACH  # those are decoded twice as often
    for bad in random.Random(1).sample(streams[kind], min(most, len(streams[kind]))):
        for strict in (True, False):
            outcome, wrong, _ = judge(kit.codec.decode, bad, kit.files[bad.file], strict)
            assert outcome != "bad", f"{'strict' if strict else 'lenient'}: {wrong}: {bad.data.hex()}"


def test_the_script_makes_as_many_streams_as_promised(kit: Kit, streams: dict[str, list[Bad]]) -> None:
    counts = {kind: len(made) for kind, made in streams.items()}
    assert sum(counts.values()) >= LEAST and counts["flipped bits"] >= LEAST_FLIPS
    assert counts["truncations"] == sum(len(file.data) for file in kit.files)


def test_fields_put_together_again_give_the_file(kit: Kit) -> None:
    for file in (*kit.files, *kit.others):
        assert file.put() == file.data == file.put(repair=False)


def test_the_judge_lets_nothing_wrong_pass(kit: Kit) -> None:
    file = kit.files[2]
    whole, cut = file.data, file.data[: file.ends[1]]
    off = [picture ^ np.uint8(k == 1) for k, picture in enumerate(file.pictures)]

    def refuse(data: bytes, strict: bool) -> list[Image8]:
        raise CorruptStream("no")

    def fail(data: bytes, strict: bool) -> list[Image8]:
        raise IndexError("no")

    def give(count: int) -> list[Image8]:
        return list(file.pictures[:count])

    def outcome(data: bytes, found: list[Image8] | None, strict: bool = True, rule: str = "plain") -> str:
        decode = refuse if found is None else lambda data, strict: found
        return judge(decode, Bad("", 2, data, rule), file, strict)[0]  # type: ignore[arg-type]

    assert outcome(whole, give(3)) == outcome(cut, give(2)) == outcome(cut + b"x", give(2), strict=False) == "legal"
    assert outcome(whole, None) == outcome(whole, give(2)) == outcome(cut, give(3)) == "bad"
    assert outcome(cut + b"x", give(2)) == outcome(cut + b"x", None, strict=False) == "bad"
    assert outcome(b"", None) == outcome(b"x", None, rule="repaired") == "raised"
    assert outcome(b"", []) == outcome(b"x", [], rule="repaired") == "bad"
    assert outcome(b"x", off, rule="repaired") == outcome(b"x", give(1)[::-1] * 2, rule="repaired") == "bad"
    assert outcome(b"x", off, rule="exact") == "other" and outcome(whole, off, rule="forged") == "other"
    assert outcome(b"x", [picture ^ np.uint8(2) for picture in file.pictures], rule="exact") == "bad"
    assert outcome(cut, off, rule="forged") == "bad"
    assert judge(fail, BAD, file, True)[:2] == ("bad", "IndexError: no")


def test_the_judge_counts_slow_answers_as_bad(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.torture.judging.SLOW", 0.0)
    good = Bad("", 0, kit.files[0].data, "plain")
    outcome, wrong, seconds = judge(kit.codec.decode, good, kit.files[0], True)
    assert outcome == "bad" and "took" in wrong and seconds > 0


def test_the_report_counts_outcomes_and_keeps_bad_streams() -> None:
    row = Row("noise", 3)
    row.add(BAD, Verdict(("raised", "raised"), seconds=0.5))
    row.add(Bad("", 0, b"\x89", "plain"), Verdict(("raised", "bad"), "lenient: no", 0.25))
    held = json.loads(json.dumps(asdict(row)))
    assert held["strict"] == {"raised": 2, "legal": 0, "other": 0, "bad": 0}
    assert held["lenient"] == {"raised": 1, "legal": 0, "other": 0, "bad": 1}
    assert (held["bad"], held["slowest"], held["examples"]) == (1, 0.5, [{"wrong": "lenient: no", "hex": "89"}])


def _crash(connection: Connection) -> None:
    connection.send(0)
    connection.recv()
    os.kill(os.getpid(), signal.SIGKILL)


def _hang(connection: Connection) -> None:
    connection.send(0)
    time.sleep(60)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork to start at once")
@pytest.mark.parametrize(("serve", "timeout", "wrong"), [(_crash, 30, "exit code -9"), (_hang, 0.1, "no answer")])
def test_a_crash_and_a_hang_are_bad_and_the_worker_goes_on(serve: object, timeout: float, wrong: str) -> None:
    worker = Worker(serve, timeout=timeout, method="fork")  # type: ignore[arg-type]
    for _ in range(2):
        verdict = worker.judge(BAD)
        assert verdict.outcomes == ("bad", "bad") and wrong in verdict.wrong
    worker.close()
