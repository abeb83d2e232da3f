"""`layered adapt`: streams that are adapted to their pictures, folders that are gone on with, one-line errors."""

from __future__ import annotations

import builtins
import errno
import io
import multiprocessing
import os
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from adapters.adaptation import AdaptationSettings, PerImage
from layered.cli import run
from layered.codec import LayeredCodec
from layered.commands.adapt import _reported
from layered.commands.journal import Journal, digest_of
from layered.commands.steps import Steps
from layered.errors import OptionError
from layered.image import load_image, save_image
from layered.weights.store import save_codec
from tests.conftest import smooth_picture

FEW = ["--method", "refine", "--steps", "2", "--scales", "1"]


@pytest.fixture(scope="module")
def weights(tiny_codec: LayeredCodec, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_codec(tiny_codec, path, "tiny", half=False)
    return str(path)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, holding in/a.png and in/b.png."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAYERED_DEBUG", raising=False)
    Path("in").mkdir()
    for number, name in enumerate("ab"):
        save_image(smooth_picture(24, 32, number), f"in/{name}.png")
    return tmp_path


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray[Any, Any]]:
    """The pictures that are encoded from now on."""
    seen: list[np.ndarray[Any, Any]] = []
    plain = LayeredCodec.encode

    def encode(self: LayeredCodec, image: np.ndarray[Any, Any], *rest: Any, **options: Any) -> bytes:
        seen.append(image)
        return plain(self, image, *rest, **options)

    monkeypatch.setattr(LayeredCodec, "encode", encode)
    return seen


def _refuse(patch: pytest.MonkeyPatch, part: str, mode: str, number: int) -> None:
    """Let files whose path has this in it not be opened in that mode, as by permissions, which do not bind a root."""
    plain = io.open

    def opened(file: Any, how: str = "r", *rest: Any, **options: Any) -> Any:
        if how[0] == mode and part in str(file):
            raise OSError(number, os.strerror(number), str(file))
        return plain(file, how, *rest, **options)

    for module in (io, builtins):
        patch.setattr(module, "open", opened)


def _cut_short(patch: pytest.MonkeyPatch, path: str, most: int) -> None:
    """Let a file take so many bytes of what is appended to it, as on a disk that is all but full."""
    plain = io.open

    class Cut(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(data[:most])

    def opened(file: Any, how: str = "r", *rest: Any, **options: Any) -> Any:
        return Cut(file, how) if str(file) == path and how[0] == "a" else plain(file, how, *rest, **options)

    patch.setattr(builtins, "open", opened)


def test_options_reach_the_adaptation(
    place: Path, weights: str, tiny_codec: LayeredCodec, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--method", "universal", "--steps", "3", "--adapter-steps", "2", "--layers", "1", "--lambda", "0.1", "--rank",
        "1", "--sites", "@synthesis", "--seed", "5", "--schedule", "sga+", "--scales", "0.5,1", "--quality", "1,2",
        "--exact",
    ]  # fmt: skip
    arguments = ["adapt", "in/a.png", "a.lyr", "--weights", weights, *options]
    assert run([*arguments, "--sites", "!nowhere"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "no site is called '!nowhere': layer 1 has @synthesis, @decoder" in told
    assert run(arguments) == 0
    settings = AdaptationSettings(
        steps=3, adapter_steps=2, layers=(1,), lam=0.1, rank=1, sites=("@synthesis",), seed=5, schedule="sga+"
    )
    adaptation = PerImage(settings)
    data = tiny_codec.encode(
        load_image("in/a.png"), (0.5, 1.0), (1.0, 2.0), exact=True, verify=False, adaptation=adaptation
    )
    assert Path("a.lyr").read_bytes() == data
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"in/a.png -> a.lyr: {len(data)} bytes, {8 * len(data) / (24 * 32):.3f} bpp")
    (report,) = adaptation.reports
    assert lines[1].startswith(f"  layer 1: cost {report.before:.4f} -> {report.after:.4f} (")
    assert _reported(replace(report, adapter_bytes=7)).endswith("%), adapter 7 bytes")
    assert _reported(replace(report, adapter_bytes=0)).endswith("%), no adapter")
    assert lines[1] == _reported(report)
    assert run(["decode", "a.lyr", "a.png", "--weights", weights]) == 0
    assert np.array_equal(load_image("a.png"), tiny_codec.decode(data)[-1])


def test_a_folder_is_gone_on_with_and_only_what_would_differ_is_made_again(
    place: Path, weights: str, encoded: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["adapt", "in", "out", "--weights", weights, "--no-verify", *FEW]
    assert run(command) == 0 and len(encoded) == 2
    made = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert made.keys() == {"a.lyr", "b.lyr", "adapt.jsonl"}
    assert run(command) == 0 and len(encoded) == 2
    assert capsys.readouterr().err.count("made before") == 2

    Path("out/a.lyr").unlink()
    save_image(smooth_picture(24, 32, 7), "in/b.png")
    assert run(command) == 0 and len(encoded) == 4
    assert Path("out/a.lyr").read_bytes() == made["a.lyr"] and Path("out/b.lyr").read_bytes() != made["b.lyr"]
    assert run([*command, "--seed", "1"]) == 0 and len(encoded) == 6
    assert run([*command, "--seed", "1", "--quality", "1"]) == 0 and len(encoded) == 8


@pytest.mark.parametrize("folder", ["out", "out/"])
def test_a_file_that_was_not_made_here_is_never_replaced(
    place: Path, weights: str, encoded: list[Any], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in/a.png").unlink()  # one picture is a folder all the same
    command = ["adapt", "in", folder, "--weights", weights, "--no-verify", *FEW]
    assert run(command) == 0 == run([*command, "--seed", "1"]) and len(encoded) == 2
    made = Path("out/b.lyr").read_bytes()
    for foreign, options in ((made[:-1], []), (b"mine", ["--seed", "2"])):
        Path("out/b.lyr").write_bytes(foreign)
        capsys.readouterr()
        assert run([*command, *options]) == 2 and Path("out/b.lyr").read_bytes() == foreign
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and told.startswith("error: out/b.lyr: ") and "choose another folder" in told
    Path("out/b.lyr").write_bytes(made)
    Path("out/adapt.jsonl").unlink()
    assert run(command) == 2 and run(["adapt", "in/b.png", "out", "--weights", weights, *FEW]) == 2
    assert len(encoded) == 2 and Path("out/b.lyr").read_bytes() == made


@pytest.mark.parametrize("written", [False, True])
def test_what_an_interrupted_writing_leaves_may_be_replaced(
    place: Path, weights: str, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["adapt", "in", "out", "--weights", weights, "--no-verify", *FEW]
    assert run(command) == 0
    before = Path("out/a.lyr").read_bytes()

    def interrupted(target: str, data: bytes) -> None:
        if written:
            Path(target).write_bytes(data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("layered.commands.adapt.write_output", interrupted)
        assert run([*command, "--quality", "1"]) == 130
    assert (Path("out/a.lyr").read_bytes() == before) != written
    assert run(command) == 0 and Path("out/a.lyr").read_bytes() == before


def test_every_layer_of_a_stack_that_is_adapted_together_is_told(
    place: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--method", "layered-joint", "--steps", "1", "--scales", "0.25,0.5,1", "--no-verify"]
    assert run(["adapt", "in/a.png", "a.lyr", "--weights", weights, *options]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": cost")[0] for line in lines[1:]] == ["  layer 0", "  layer 1", "  layer 2"]


def test_what_was_done_before_an_interruption_stays_and_is_not_done_again(
    place: Path, weights: str, encoded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["adapt", "in", "out", "--weights", weights, "--no-verify", *FEW]
    counted = LayeredCodec.encode

    def interrupted(self: LayeredCodec, *rest: Any, **options: Any) -> bytes:
        if encoded:
            raise KeyboardInterrupt
        return counted(self, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(LayeredCodec, "encode", interrupted)
        assert run(command) == 130
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.lyr", "adapt.jsonl"]
    assert run(command) == 0
    assert [image.tobytes() for image in encoded] == [load_image(f"in/{name}.png").tobytes() for name in "ab"]


def test_a_single_file_is_made_each_time_and_leaves_nothing_beside_it(
    place: Path, weights: str, encoded: list[Any]
) -> None:
    for _ in range(2):
        assert run(["adapt", "in/a.png", "alone.lyr", "--weights", weights, "--no-verify", *FEW]) == 0
    assert len(encoded) == 2 and sorted(path.name for path in place.iterdir()) == ["alone.lyr", "in"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "refin"], "--method: no method of adaptation is called 'refin'; use one of refine, universal, "),
        (["--schedule", "slow"], "--schedule: no schedule is called 'slow'; use one of fast, "),
        (["--distortion", "l1"], "--distortion: no distortion is called 'l1'"),
        (["--method", "refine", "--rank", "2"], "--rank has no meaning for the method refine"),
        (["--last-steps", "3"], "--last-steps has no meaning for the method universal"),
        (["--method", "rozendaal", "--patience", "3"], "--patience has no meaning for the method rozendaal"),
        (["--method", "layered-joint", "--layers", "0"], "--layers has no meaning for the method layered-joint"),
        (["--layer-weights", "1,1,1"], "--layer-weights has no meaning for the method universal"),
        (["--method", "layered-joint", "--layer-weights", "1,1"], "--layer-weights: 3 numbers are needed"),
        (["--method", "layered-joint", "--layer-weights", "a"], "--layer-weights: 'a' is not a number"),
        (["--layers", "base"], "--layers: 'base' is neither all nor numbers of layers"),
        (["--layers", "1" * 5000], "--layers: '111111111111...1111111111111' is neither all nor numbers of layers"),
        (["--layers", "1000"], "--layers: '1000' is neither all nor"),
        (["--layers", "\u0661"], "--layers: '\u0661' is neither all nor numbers of layers"),
        (["--layers", "1,0,01"], "--layers: 1 is given twice"),
        (["--layers", "0,3"], "--layers: there is no layer 3 in a stream of 3 layers"),
        (["--method", "layered-joint", "--layer-weights", "nan,1,1"], "--layer-weights: each is 0 to 1000000"),
        (["--method", "layered-joint", "--layer-weights", "1,inf,1"], "--layer-weights: each is 0 to 1000000"),
        (["--method", "layered-joint", "--layer-weights", "1,1,1e300"], "--layer-weights: each is 0 to 1000000"),
        (["--method", "layered-joint", "--layer-weights", "-1,1,1"], "--layer-weights: each is 0 to 1000000"),
        *((["--lambda", value], "Invalid value for '--lambda': ") for value in ("1e300", "inf", "nan", "1000001")),
        (["--lambda", "0"], "--lambda: Input should be greater than 0"),
        (["--seconds", "-1"], "--seconds: Input should be greater than 0"),
        (["--steps", "-1"], "--steps"),
        (["--scales", "1,0.5"], "must increase"),
        (["--quality", "9"], "is outside 1 to 3"),
        (["--labels", "map.png"], "take no label map"),
    ],
)
def test_options_that_do_not_go_together_are_told_in_one_line(
    place: Path, weights: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["adapt", "in/a.png", "out.lyr", "--weights", weights, *options]) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ") and text.count("\n") == 1 and message in text
    assert not Path("out.lyr").exists()


def test_lambda_and_weights_at_their_most_are_coded(place: Path, weights: str) -> None:
    options = ["--method", "layered-joint", "--steps", "2", "--scales", "0.25,0.5,1", "--lambda", "1e6"]
    command = ["adapt", "in/a.png", "a.lyr", "--weights", weights, *options, "--layer-weights", "1e6,1e6,1e6"]
    assert run(command) == 0


def test_a_note_is_believed_only_of_the_very_file_and_origin(tmp_path: Path) -> None:
    journal, target = Journal(tmp_path), tmp_path / "a.lyr"
    journal.note(target, "x", b"whole")
    assert not journal.has(target, "x")  # noted, and not there yet
    target.write_bytes(b"whole")
    Journal(tmp_path).note(tmp_path / "b.lyr", "y", b"other")
    assert journal.has(target, "x") and not journal.has(target, "y")
    assert not journal.has(tmp_path / "b.lyr", "y")
    journal.begin([target])
    journal.note(target, "z", b"whole")
    assert journal.has(target, "z") and not journal.has(target, "x")
    target.write_bytes(b"who")
    assert not journal.has(target, "x")
    with pytest.raises(OptionError, match=r"a\.lyr: is not as this command made it"):
        journal.note(target, "x", b"whole")


def test_lines_that_say_nothing_are_passed_over(tmp_path: Path) -> None:
    journal, target = Journal(tmp_path), tmp_path / "a.lyr"
    journal.begin([])
    header = (tmp_path / "adapt.jsonl").read_bytes()
    target.write_bytes(b"whole")
    odd = (b"{", b"[]", b"3", b'{"file": 3}', b'{"file": "a.lyr", "from": "x", "sha256": []}', b"\xff", b"[" * 9999)
    for damaged in odd:
        (tmp_path / "adapt.jsonl").write_bytes(header + damaged + b"\n")
        assert not journal.has(target, "x")
        with pytest.raises(OptionError, match="remove it"):
            journal.begin([target])
    target.unlink()
    journal.note(target, "x", b"whole")
    target.write_bytes(b"whole")
    assert journal.has(target, "x")


def test_a_line_that_was_cut_anywhere_takes_no_other_with_it(tmp_path: Path) -> None:
    path, names = tmp_path / "adapt.jsonl", ("a.lyr", "b.lyr", "c.lyr")
    for name in names[:2]:
        Journal(tmp_path).note(tmp_path / name, "x", b"whole")
        (tmp_path / name).write_bytes(b"whole")
    whole = path.read_bytes()
    first = whole.index(b"\n", whole.index(b"a.lyr")) + 1
    for cut in (*range(9), *range(first, len(whole), 7), len(whole) - 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        journal = Journal(tmp_path)
        assert journal.has(tmp_path / "a.lyr", "x") == (cut >= first)
        assert journal.has(tmp_path / "b.lyr", "x") == (cut == len(whole) - 1)  # but for the line's end
        journal.note(tmp_path / "c.lyr", "y", b"more")
        assert path.read_bytes().startswith(whole[: max(cut, whole.index(b"\n") + 1)])
        (tmp_path / "c.lyr").write_bytes(b"more")
        assert journal.has(tmp_path / "c.lyr", "y") and journal.has(tmp_path / "a.lyr", "x") == (cut >= first)
        (tmp_path / "c.lyr").unlink()


def _note_many(folder: Path, who: str, together: Barrier) -> None:
    journal = Journal(folder)
    for number in range(25):
        together.wait(20)
        journal.note(folder / f"{who}{number}.lyr", "x", b"whole")


def test_processes_that_share_a_folder_keep_each_others_notes(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    together = fork.Barrier(3)
    processes = [fork.Process(target=_note_many, args=(tmp_path, who, together)) for who in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    names = [f"{who}{number}.lyr" for who in "abc" for number in range(25)]
    for name in names:
        (tmp_path / name).write_bytes(b"whole")
    assert all(Journal(tmp_path).has(tmp_path / name, "x") for name in names)


def test_what_another_run_noted_in_between_is_no_strangers(tmp_path: Path) -> None:
    target = tmp_path / "a.lyr"
    first, second = Journal(tmp_path), Journal(tmp_path)
    first.note(target, "x", b"first")
    second.note(target, "y", b"second")
    target.write_bytes(b"second")
    target.write_bytes(b"first")
    first.begin([target])
    assert first.has(target, "x")


@pytest.mark.parametrize("foreign", [b"mine", b'{"format": "of somebody else"}\n', b'{"a.lyr": {"from": "x"}}', None])
def test_a_journal_of_somebody_else_stays_and_stops_before_the_first_picture(
    place: Path, weights: str, encoded: list[Any], foreign: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    journal = Path("out/adapt.jsonl")
    if foreign is None:
        journal.mkdir()
    else:
        journal.write_bytes(foreign)
    assert run(["adapt", "in", "out", "--weights", weights, "--no-verify", *FEW]) == 2 and not encoded
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith("error: out/adapt.jsonl: is no journal of this command")
    assert journal.is_dir() if foreign is None else journal.read_bytes() == foreign


@pytest.mark.parametrize("name", ["b.lyr", "adapt.jsonl"])
def test_a_file_that_cannot_be_read_is_not_taken_for_none(
    place: Path, weights: str, encoded: list[Any], name: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command = ["adapt", "in", "out", "--weights", weights, "--no-verify", *FEW]
    assert run(command) == 0
    del encoded[:]
    made = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    _refuse(monkeypatch, f"out/{name}", "r", errno.EACCES)
    capsys.readouterr()
    assert run([*command, "--seed", "1"]) == 2 and not encoded
    assert capsys.readouterr().err == f"error: out/{name}: permission denied\n"
    monkeypatch.undo()
    monkeypatch.chdir(place)
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == made


def test_a_journal_that_cannot_be_written_is_found_before_the_first_picture(
    place: Path, weights: str, encoded: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _refuse(monkeypatch, "out/adapt.jsonl", "a", errno.EROFS)
    assert run(["adapt", "in", "out", "--weights", weights, "--no-verify", *FEW]) == 2 and not encoded
    told = capsys.readouterr().err
    assert told == "error: out/adapt.jsonl: what is made cannot be noted there: read-only file system\n"


@pytest.mark.parametrize("name", ["a.lyr", "adapt.jsonl"])
def test_a_full_disk_ends_the_command_and_not_one_picture(
    place: Path, weights: str, encoded: list[Any], name: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command = ["adapt", "in", "out", "--weights", weights, "--no-verify", *FEW]
    with monkeypatch.context() as patch:
        if name == "a.lyr":
            _refuse(patch, "out/.a.lyr.", "w", errno.ENOSPC)
        else:
            Journal(Path("out")).begin([])
            _cut_short(patch, "out/adapt.jsonl", 9)
        assert run(command) == 1 and len(encoded) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.endswith(f"out/{name}: no space left on device\n")
    assert not Path("out/a.lyr").exists()
    assert run(command) == 0 == run(command) and len(encoded) == 3


def test_digests_tell_parts_apart() -> None:
    values = [digest_of(b"ab"), digest_of(b"a", b"b"), digest_of(b"", b"ab"), digest_of({"a": 1}), digest_of({"a": 2})]
    assert len(set(values)) == 5 and digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_one_bar_shows_the_stage_at_hand() -> None:
    steps = Steps()
    steps.begin("nowhere")(1, 2)  # nothing shows bars
    progress = Progress(console=Console(file=io.StringIO()))
    steps.show_in(progress)
    steps.begin("layer 0: latents")(3, 5)
    tell = steps.begin("layer 0: adapters")
    tell(1, 4)
    (task,) = progress.tasks
    assert (task.description, task.completed, task.total) == ("layer 0: adapters", 1, 4)
