"""`layered adapt`: streams that are adapted to their pictures, folders that are gone on with, one-line errors."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from adapters.adaptation import AdaptationSettings, PerImage
from layered.cli import run
from layered.codec import LayeredCodec
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
    assert lines[1].endswith(f"adapter {report.weights} bytes")
    assert run(["decode", "a.lyr", "a.png", "--weights", weights]) == 0
    assert np.array_equal(load_image("a.png"), tiny_codec.decode(data)[-1])


def test_a_folder_is_gone_on_with_and_only_what_would_differ_is_made_again(
    place: Path, weights: str, encoded: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["adapt", "in", "out", "--weights", weights, "--no-verify", *FEW]
    assert run(command) == 0 and len(encoded) == 2
    made = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert made.keys() == {"a.lyr", "b.lyr", "adapt.json"}
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
    Path("out/adapt.json").unlink()
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
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.lyr", "adapt.json"]
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
        (["--layers", "0,3"], "--layers: there is no layer 3 in a stream of 3 layers"),
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


def test_a_note_is_believed_only_of_the_very_file_and_origin(tmp_path: Path) -> None:
    journal, target = Journal(tmp_path), tmp_path / "a.lyr"
    journal.note(target, "x", b"whole")
    assert not journal.has(target, "x")  # noted, and not there yet
    target.write_bytes(b"whole")
    Journal(tmp_path).note(tmp_path / "b.lyr", "y", b"other")
    assert journal.has(target, "x") and not journal.has(target, "y")
    assert not journal.has(tmp_path / "b.lyr", "y")
    journal.require_own(target)
    target.write_bytes(b"who")
    assert not journal.has(target, "x")
    with pytest.raises(OptionError, match=r"a\.lyr: is not as this command made it"):
        journal.note(target, "x", b"whole")
    target.write_bytes(b"whole")
    for damaged in (b"{", b"[]", b'{"a.lyr": 3}', b"\xff"):
        (tmp_path / "adapt.json").write_bytes(damaged)
        assert not journal.has(target, "x")
        with pytest.raises(OptionError, match="remove it"):
            journal.require_own(target)
    target.unlink()
    journal.note(target, "x", b"whole")
    target.write_bytes(b"whole")
    assert json.loads((tmp_path / "adapt.json").read_text()).keys() == {"a.lyr"} and journal.has(target, "x")


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
