"""The command line: real files in and out, one-line errors, exit codes, quick answers."""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from layered import files, stream
from layered.cli import run
from layered.codec import LayeredCodec
from layered.commands.failures import explain
from layered.commands.options import ladder_of
from layered.errors import CorruptStream
from layered.image import load_image, resize8, save_image
from layered.recipes import bundled
from layered.spec import CodecSpec, build
from layered.weights.store import save_codec
from tests.conftest import smooth_picture

WIDTH, HEIGHT = 40, 28


@pytest.fixture(scope="session")
def weights(tiny_codec: LayeredCodec, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint file of the tiny codec."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_codec(tiny_codec, path, "tiny", half=False)
    return str(path)


@pytest.fixture(scope="session")
def encoded(tiny_codec: LayeredCodec) -> bytes:
    """The stream of a.png."""
    return tiny_codec.encode(smooth_picture(HEIGHT, WIDTH))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoded: bytes) -> Path:
    """The working directory, holding a.png and its stream a.lyr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAYERED_DEBUG", raising=False)
    save_image(smooth_picture(HEIGHT, WIDTH), "a.png")
    Path("a.lyr").write_bytes(encoded)
    return tmp_path


Errors = Callable[[], str]


@pytest.fixture
def error_line(capsys: pytest.CaptureFixture[str]) -> Errors:
    """The one line on standard error, checked to be one and to start with `error: `."""

    def read() -> str:
        text = capsys.readouterr().err
        assert text.startswith("error: ") and text.count("\n") == 1, text
        return text

    return read


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


# Quick answers


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["info", "a.lyr"], ["weights"], ["encode", "missing.png", "b.lyr"],
        ["adapt", "missing.png", "b.lyr"],
        ["encode", "a.png", "b.lyr", "--weights", "nobody"], ["adapt", "a.png", "b.lyr", "--weights", "nobody"],
        ["encode", "a.png", "b.lyr", "--weights", "no/such.safetensors"],
    ],
)  # fmt: skip
def test_what_needs_no_model_answers_without_loading_torch(place: Path, arguments: list[str]) -> None:
    heavy = {"torch", "compressai", "lightning", "pandas", "matplotlib"}
    seen = f"str({heavy} & sys.modules.keys())"
    script = f"import sys; from layered.cli import run; run({arguments}); sys.exit({seen})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "set()"


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("encode", "decode", "info", "train", "bench", "report", "weights"))


# encode and decode


def test_decoding_writes_the_pictures_of_the_python_api(
    place: Path, weights: str, tiny_codec: LayeredCodec
) -> None:
    picture = load_image("a.png")
    assert run(["encode", "a.png", "b.lyr", "--weights", weights, "--quality", "1,2,3"]) == 0
    data = Path("b.lyr").read_bytes()
    assert data == tiny_codec.encode(picture, quality=(1.0, 2.0, 3.0))
    assert run(["decode", "b.lyr", "all", "--layer", "all", "--weights", weights]) == 0
    for layer, expected in enumerate(tiny_codec.decode(data)):
        assert np.array_equal(load_image(f"all/b.layer{layer}.png"), expected)
    assert run(["decode", "b.lyr", "top.png", "--weights", weights]) == 0
    assert np.array_equal(load_image("top.png"), expected)
    assert run(["decode", "b.lyr", "base_{layer}.bmp", "--layer", "0", "--weights", weights]) == 0
    assert np.array_equal(load_image("base_0.bmp"), tiny_codec.decode(data)[0])


def test_pipes_carry_the_same_bytes_as_files(
    place: Path, weights: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    pipe(monkeypatch, Path("a.png").read_bytes())
    assert run(["encode", "-", "-", "--weights", weights]) == 0
    data = capfdbinary.readouterr().out
    assert data == Path("a.lyr").read_bytes()
    pipe(monkeypatch, data)
    assert run(["decode", "-", "-", "--weights", weights]) == 0
    shown = load_image(io.BytesIO(capfdbinary.readouterr().out))
    assert run(["decode", "a.lyr", "b.png", "--weights", weights]) == 0
    assert np.array_equal(shown, load_image("b.png"))


def test_a_target_size_is_kept(place: Path, weights: str) -> None:
    save_image(smooth_picture(48, 64), "big.png")
    assert run(["encode", "big.png", "low.lyr", "--weights", weights, "--quality", "1"]) == 0
    allowed = Path("low.lyr").stat().st_size + 60
    assert run(["encode", "big.png", "b.lyr", "--weights", weights, "--target-bytes", str(allowed)]) == 0
    assert Path("low.lyr").stat().st_size < Path("b.lyr").stat().st_size <= allowed
    bpp = (allowed + 0.5) * 8 / (48 * 64)
    assert run(["encode", "big.png", "c.lyr", "--weights", weights, "--target-bpp", str(bpp)]) == 0
    assert Path("c.lyr").read_bytes() == Path("b.lyr").read_bytes()


def test_exact_reaches_the_stream(place: Path, weights: str) -> None:
    assert (
        run(["encode", "a.png", "b.lyr", "--weights", weights, "--exact", "--scales", "1", "--no-verify"])
        == 0
    )
    header = stream.parse(Path("b.lyr").read_bytes()).header
    assert header.exact and header.layers == 1


@pytest.mark.parametrize(
    ("size", "warned"),
    [("40x28", False), ("13x9", False), ("3x2", False), ("57x39", False), ("57x41", True), ("28x40", True)],
)
def test_a_size_of_another_shape_is_warned_of(
    place: Path, weights: str, size: str, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["decode", "a.lyr", "b.png", "--size", size, "--weights", weights]) == 0
    assert (f"--size {size} distorts a picture of 40x28" in capsys.readouterr().err) is warned


def test_decoding_to_any_size_goes_beyond_the_top_layer(
    place: Path, weights: str, tiny_codec: LayeredCodec
) -> None:
    assert run(["decode", "a.lyr", "b.png", "--size", "61x45", "--weights", weights]) == 0
    shown = load_image("b.png")
    assert np.array_equal(shown, tiny_codec.render(Path("a.lyr").read_bytes(), 61, 45))
    assert np.mean(np.abs(shown.astype(int) - resize8(load_image("a.png"), 61, 45))) < 40


def test_a_folder_is_done_but_for_its_bad_files(
    place: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("in/one.png", "in/two.bmp", "in/two.png"):
        Path("in").mkdir(exist_ok=True)
        save_image(smooth_picture(16, 16), name)
    Path("in/bad.jpg").write_bytes(b"no picture")
    Path("in/notes.txt").write_text("not taken")
    assert run(["encode", "in", "streams", "--scales", "1", "--weights", weights]) == 1
    shown = capsys.readouterr().err
    assert "1 of 4 files failed" in shown and "in/bad.jpg: not an image" in shown.splitlines()[-1]
    names = ["one.lyr", "two.bmp.lyr", "two.png.lyr"]
    assert sorted(path.name for path in Path("streams").iterdir()) == names

    assert all(stream.parse(path.read_bytes()) for path in Path("streams").iterdir())
    assert run(["encode", "in", "more", "--scales", "1", "--quality", "9", "--weights", weights]) == 2
    assert capsys.readouterr().err.count("is outside 1 to 3") == 1 and not Path("more").exists()
    Path("streams/one.lyr").write_bytes(b"damaged")
    assert run(["decode", "streams", "out", "--weights", weights]) == 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["two.bmp.png", "two.png.png"]
    assert "streams/one.lyr" in capsys.readouterr().err.splitlines()[-1]


def test_a_damaged_tail_is_dropped_only_when_asked(
    place: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cut.lyr").write_bytes(Path("a.lyr").read_bytes()[:-3])
    assert run(["decode", "cut.lyr", "b.png", "--weights", weights]) == 2
    error = capsys.readouterr().err
    assert "error: cut.lyr: layer 2" in error and "--lenient writes what is whole (layers 0 to 1)" in error
    assert not Path("b.png").exists()
    assert run(["decode", "cut.lyr", "b.png", "--lenient", "--weights", weights]) == 0
    assert "warning: cut.lyr: the tail was dropped" in capsys.readouterr().err
    assert load_image("b.png").shape == (HEIGHT // 2, WIDTH // 2, 3)


# info


def test_info_reports_what_the_stream_holds(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Path("a.lyr").read_bytes()
    parsed = stream.parse(data)
    assert run(["info", "a.lyr", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [layer["accumulated"] for layer in facts["layers"]] == list(parsed.ends)
    assert (facts["width"], facts["height"], facts["file_bytes"]) == (WIDTH, HEIGHT, len(data))
    assert facts["model"] == parsed.header.digest.hex() and facts["weights"] is None

    Path("cut.lyr").write_bytes(data[: parsed.ends[0]])
    assert run(["info", "cut.lyr"]) == 0
    text = capsys.readouterr().out
    assert f"{WIDTH}x{HEIGHT} in 3 layers, cut after 1 of 3" in text
    assert text.splitlines()[-1].split()[:3] == ["0", str(WIDTH // 4), str(HEIGHT // 4)]


def test_info_tells_what_bytes_are_spent_on_where_the_weights_are_known(
    place: Path, weights: str, capsys: pytest.CaptureFixture[str], error_line: Errors
) -> None:
    assert run(["info", "a.lyr", "--parts", "--weights", weights, "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [list(layer["parts"]) for layer in layers] == [["hyper-latents", "latents", "adapter", "overhead"]] * 3
    assert [sum(layer["parts"].values()) for layer in layers] == [layer["bytes"] for layer in layers]
    assert run(["info", "a.lyr", "--parts", "--weights", weights]) == 0
    told = capsys.readouterr().out.splitlines()[-3:]
    assert [line.startswith(f"bytes of layer {k}: hyper-latents ") for k, line in enumerate(told)] == [True] * 3
    assert run(["info", "a.lyr", "--parts"]) == 2
    assert "not bundled here; give a checkpoint as --weights" in error_line()
    assert run(["info", "a.lyr", "--weights", weights]) == 2
    assert "--weights goes with --parts or --original" in error_line()


def test_info_measures_every_layer_against_the_original(
    place: Path, weights: str, tiny_codec: LayeredCodec, capsys: pytest.CaptureFixture[str], error_line: Errors
) -> None:
    command = ["info", "a.lyr", "--original", "a.png", "--weights", weights]
    assert run([*command, "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    for layer, picture in zip(layers, tiny_codec.decode(Path("a.lyr").read_bytes()), strict=True):
        error = picture.astype(float) - resize8(load_image("a.png"), layer["width"], layer["height"])
        assert layer["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)))
        assert layer["ms_ssim"] is None  # too small for it
    assert run(command) == 0
    rows = [line.split()[-2:] for line in capsys.readouterr().out.splitlines()[-4:]]
    assert rows == [["psnr", "ms_ssim"], *([f"{layer['psnr']:.3f}", "-"] for layer in layers)]
    save_image(smooth_picture(HEIGHT, WIDTH + 1), "b.png")
    assert run(["info", "a.lyr", "--original", "b.png", "--weights", weights]) == 2
    assert f"--original is a picture of {WIDTH + 1}x{HEIGHT}, and one of {WIDTH}x{HEIGHT} was coded" in error_line()


# train, bench, report


def test_what_was_trained_encodes_and_what_was_measured_is_reported_again(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pictures").mkdir()
    save_image(smooth_picture(48, 48), "pictures/p.png")
    Path("tiny.yaml").write_text(TRAINING)
    assert run(["train", "tiny.yaml", "--set", "phases.0.steps=2"]) == 0
    trained = capsys.readouterr().out.strip()
    assert run(["encode", "a.png", "b.lyr", "--weights", trained, "--scales", "1"]) == 0
    assert run(["decode", "b.lyr", "b.png", "--weights", trained]) == 0
    assert run(["decode", "b.lyr", "again.png", "--model", trained]) == 0
    assert Path("again.png").read_bytes() == Path("b.png").read_bytes()
    assert run(["info", "b.lyr", "--parts", "--model", trained]) == 0

    Path("measure.yaml").write_text(MEASURING)
    capsys.readouterr()
    assert run(["bench", "measure.yaml", "--workers", "0", "--set", "scales=[0.5, 1]"]) == 0
    shown = capsys.readouterr().out
    written = Path("out/measure/report.md").read_text()
    Path("out/measure/report.md").unlink()
    assert run(["report", "out/measure"]) == 0
    assert capsys.readouterr().out == shown
    assert Path("out/measure/report.md").read_text() == written

    Path("pictures/q.png").write_bytes(Path("pictures/p.png").read_bytes()[:-40])
    assert run(["bench", "measure.yaml", "--workers", "0", "--set", "scales=[0.5, 1]"]) == 1


def test_layers_that_no_training_has_reached_are_left_out_or_told(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pictures").mkdir()
    save_image(smooth_picture(48, 48), "pictures/p.png")
    residual = "{predictor: {name: bicubic}, residual: {name: mean-scale, N: 8, M: 8}}"
    Path("tiny.yaml").write_text(TRAINING.replace("M: 8}}", f"M: 8}}, enhancement: {residual}}}"))
    assert run(["train", "tiny.yaml", "--out", "runs/partly"]) == 0  # a path of its own: codecs are kept by path
    trained = capsys.readouterr().out.strip()
    assert run(["encode", "a.png", "one.lyr", "--weights", trained]) == 0
    assert stream.parse(Path("one.lyr").read_bytes()).header.layers == 1
    assert " bpp, 1 layer; no training has reached tiny's enhancement" in capsys.readouterr().err
    assert run(["encode", "a.png", "two.lyr", "--weights", trained, "--scales", "0.25,0.5"]) == 0
    told = capsys.readouterr().err
    assert " bpp of the full picture, 2 layers; no training has reached tiny's enhancement" in told


TRAINING = """
name: tiny
model: {base: {name: mean-scale, N: 8, M: 8}}
data: {folder: pictures}
phases: [{name: base, kind: base, steps: 1, batch: 1, patch: 32}]
accelerator: cpu
"""
MEASURING = """
name: measure
data: pictures
codecs: [{name: jpeg, codec: simulcast, of: jpeg, qualities: [20, 60]}]
ms_ssim: false
"""


# Failures


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("encode missing.png b.lyr", "missing.png: no such file"),
        ("encode a.lyr b.lyr", "not an image"),
        ("encode a.png b.lyr --weights nonesuch", "unknown weights 'nonesuch'"),
        ("encode a.png b.lyr --weights a.png", "a.png"),
        ("encode a.png b.lyr --scales 0.5,0.25", "must increase"),
        ("encode a.png b.lyr --scales 0.5,0.5", "must increase"),
        ("encode a.png b.lyr --scales 0,1", "above 0"),
        ("encode a.png b.lyr --scales 1,2", "at most 1"),
        ("encode a.png b.lyr --scales nan", "above 0"),
        ("encode a.png b.lyr --scales half", "--scales: 'half'"),
        ("encode a.png b.lyr --quality 1,2", "2 qualities for 3 layers"),
        ("encode a.png b.lyr --quality good", "--quality: 'good'"),
        ("encode a.png b.lyr --quality 1e9 --weights WEIGHTS", "is outside 1 to 3"),
        ("encode a.png b.lyr --quality nan --weights WEIGHTS", "is outside 1 to 3"),
        ("encode a.png b.lyr --quality 1 --target-bpp 1", "exclude one another"),
        ("encode a.png b.lyr --target-bytes 0", "--target-bytes must be at least 1"),
        ("encode a.png b.lyr --target-bpp -1", "--target-bpp must be above 0"),
        ("encode a.png b.lyr --target-bytes 20 --weights WEIGHTS", "the lowest quality already needs"),
        ("encode a.png b.lyr --device nonesuch --weights WEIGHTS", "--device nonesuch"),
        ("encode a.png a.png --weights WEIGHTS", "would replace the input"),
        ("encode empty b.lyr", "no file in this folder"),
        ("encode . a.png", "must be a folder"),
        ("encode a.png a.lyr/b.lyr", "is not a folder"),
        ("encode a.png b.lyr --device meta --weights WEIGHTS", "--device meta"),
        ("encode /dev/zero - --weights WEIGHTS", "/dev/zero: more than"),
        ("decode a.lyr a.png/x.png", "is not a folder"),
        ("decode . .", "a.png: exists beside a.lyr; choose another folder"),
        ("decode missing_model.lyr b.xyz", "unknown image ending '.xyz'"),
        ("encode a.png", "Missing argument 'OUT'"),
        ("encode a.png b.lyr --colour", "No such option"),
        ("decode a.lyr b.png", "written with weights"),
        ("decode a.png b.png", "a.png: not a layered stream"),
        ("decode missing.lyr b.png", "missing.lyr: no such file"),
        ("decode a.lyr b.xyz --weights WEIGHTS", "unknown image ending '.xyz'"),
        ("decode a.lyr b.png --layer 3 --weights WEIGHTS", "holds layers 0 to 2"),
        ("decode a.lyr b.png --layer top", "--layer: 'top'"),
        ("decode a.lyr b.png --layer all", "needs a folder"),
        ("decode a.lyr - --layer all", "needs a folder"),
        ("decode a.lyr b.png --size 10", "--size: '10'"),
        ("decode a.lyr b.png --size 0x9 --weights WEIGHTS", "size 0x9"),
        ("decode a.lyr b.png --size 9x9 --layer 0", "exclude one another"),
        ("info missing.lyr", "missing.lyr: no such file"),
        ("info empty", "empty: is a directory"),
        ("info a.png", "a.png: not a layered stream"),
        ("train nonesuch", "nonesuch"),
        ("train compass_small --set colour=green", "colour"),
        ("train compass_small --set phases.0.nonesuch=1", "nonesuch"),
        ("bench nonesuch", "nonesuch"),
        ("bench keys.yaml", "colour"),
        ("bench demo --set nonesuch=1", "nonesuch"),
        ("bench demo --set device=nonesuch", "device nonesuch"),
        ("bench demo --dry-run --scheduler tcp://127.0.0.1:1", "by --workers instead"),
        ("report empty", "empty"),
        ("report empty --2afc a b", "empty: no run here"),
        ("report empty --seed 1", "go with --2afc"),
        ("preferences missing.csv", "missing.csv: no such file"),
        ("weights describe nonesuch", "unknown weights 'nonesuch'"),
        ("weights export nonesuch b.safetensors", "unknown weights 'nonesuch'"),
        ("nonesuch", "No such command"),
    ],
)
def test_bad_input_gets_one_line_and_code_2(
    place: Path,
    weights: str,
    arguments: str,
    message: str,
    error_line: Errors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("empty").mkdir()
    Path("missing_model.lyr").write_bytes(b"not read: the ending of OUT is refused before")
    monkeypatch.setattr(files.read_limited, "__defaults__", (2**22,))  # 2 GiB take a while
    Path("keys.yaml").write_text("colour: green\n")
    held = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    assert run(arguments.replace("WEIGHTS", weights).split()) == 2
    assert message in error_line()
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()} == held


def test_debugging_shows_where(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERED_DEBUG", "1")
    with pytest.raises(CorruptStream):
        run(["info", "a.png"])


@pytest.mark.parametrize("arguments", ["encode a.png old.png", "decode a.lyr old.png"])
def test_a_full_disk_leaves_the_old_file_and_no_half_one(
    place: Path, weights: str, arguments: str, monkeypatch: pytest.MonkeyPatch, error_line: Errors
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Path("old.png").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", full)
    assert run([*arguments.split(), "--weights", weights]) == 1
    assert error_line() == f"error: {place.resolve() / 'old.png'}: no space left on device\n"
    assert Path("old.png").read_bytes() == b"old" and leftovers(place) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_full_device_is_reported_and_not_replaced(place: Path, weights: str, error_line: Errors) -> None:
    assert run(["encode", "a.png", "/dev/full", "--weights", weights]) == 1
    assert "no space left on device" in error_line()
    assert Path("/dev/full").is_char_device()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("skimage")
    assert "pip install -e '.[demo]'" in explain(caught.value)


def test_running_out_of_memory_is_one_line(
    place: Path, weights: str, monkeypatch: pytest.MonkeyPatch, error_line: Errors
) -> None:
    def greedy(*_: object, **__: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(LayeredCodec, "encode", greedy)
    assert run(["encode", "a.png", "b.lyr", "--weights", weights]) == 1
    assert error_line() == "error: out of memory\n"


def test_ctrl_c_while_writing_loses_nothing_and_gives_code_130(
    place: Path, weights: str, monkeypatch: pytest.MonkeyPatch, error_line: Errors
) -> None:
    Path("old.lyr").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", lambda *_: signal.raise_signal(signal.SIGINT))
    assert run(["encode", "a.png", "old.lyr", "--weights", weights]) == 130
    assert error_line() == "error: interrupted\n"
    assert Path("old.lyr").read_bytes() == b"old" and leftovers(place) == []


def test_a_reader_that_goes_away_is_no_error_message(place: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "layered", "info", "a.lyr"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `layered` is this project's command."""
    function = f'layered() {{ {sys.executable} -m layered "$@"; }}; {line}'
    return subprocess.run(["sh", "-c", function], capture_output=True, text=True, env={**os.environ, **environment})


def test_errors_do_not_go_into_the_pipe_when_standard_error_is_closed(place: Path) -> None:
    done = shell("layered info missing.lyr 2>&-")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("layered info - <&-", "standard input is closed"),
        ("layered encode a.png - >&-", "standard output is closed"),
    ],
)
def test_a_closed_stream_is_no_pipe(place: Path, line: str, message: str) -> None:
    done = shell(line)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


def test_a_name_that_the_terminal_cannot_show_is_no_failure(place: Path) -> None:
    Path("a.lyr").rename("\u65e5.lyr")
    done = shell("layered info \u65e5.lyr", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0 and "?.lyr: " in done.stdout


@pytest.mark.parametrize("module", ["typer", "layered.stream"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_modules_load_ends_in_one_line(place: Path, module: str, number: int, code: int) -> None:
    script = f"""if True:
    import signal, sys
    class Finder:
        def find_spec(self, name, *rest):
            if name == {module!r}:
                signal.raise_signal({int(number)})
    sys.meta_path.insert(0, Finder())
    sys.argv = ["layered", "info", "a.lyr"]
    from layered.cli import main
    main()
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "error: interrupted\n")


def test_a_link_is_written_through_and_long_names_are_written(place: Path) -> None:
    Path("link").symlink_to("kept")
    long = "\u65e5" * 80
    for name in ("link", long):
        files.write_bytes_atomic(name, b"new")
    assert Path("link").is_symlink() and Path("kept").read_bytes() == b"new" == Path(long).read_bytes()
    assert leftovers(place) == []


def test_two_inputs_never_share_an_output(place: Path, error_line: Errors) -> None:
    Path("in").mkdir()
    Path("out").mkdir()
    for name in ("a", "b"):
        Path(f"in/{name}.lyr").write_bytes(b"")
    Path("out/a.png").symlink_to("b.png")
    assert run(["decode", "in", "out"]) == 2
    assert "would be written for both in/a.lyr and in/b.lyr" in error_line()


def test_an_endless_budget_takes_the_best_quality_and_says_so(
    place: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    size = Path("a.lyr").stat().st_size
    assert run(["encode", "a.png", "b.lyr", "--target-bytes", str(size), "--weights", weights]) == 0
    assert "the highest quality" not in capsys.readouterr().err
    assert run(["encode", "a.png", "b.lyr", "--target-bpp", "1e308", "--weights", weights]) == 0
    assert "the target allowed more than the highest quality" in capsys.readouterr().err
    assert run(["encode", "a.png", "c.lyr", "--quality", "3", "--weights", weights]) == 0
    assert Path("b.lyr").read_bytes() == Path("c.lyr").read_bytes()


def test_no_bundled_weights_are_said_to_be_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("layered.weights.catalogue", lambda: ())
    assert run(["weights"]) == 0
    assert "no weights are bundled" in capsys.readouterr().err


def test_bench_recipes_are_named_each_with_a_whole_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert tuple(lines[::2]) == bundled("experiments")
    assert all(re.fullmatch(r"    [A-Z0-9].{15,}\.", line) and line.count("`") % 2 == 0 for line in lines[1::2])


def test_training_recipes_are_named_each_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert tuple(lines[::2]) == bundled("layered.training")
    assert all(re.fullmatch(r"    [A-Z].{15,}\.", line) for line in lines[1::2])


@pytest.mark.parametrize("layers", [1, 2])
def test_the_scales_that_are_taken_by_themselves_are_those_the_weights_have_layers_for(layers: int) -> None:
    spec = CodecSpec.model_validate(
        {"base": {"name": "factorized", "N": 4, "M": 4},
         "enhancement": {"name": "mei", "coder": {"name": "factorized", "N": 4, "M": 4}, "width": 2, "layers": layers}}
    )  # fmt: skip
    assert ladder_of(None, build(spec)) == (0.25, 0.5, 1.0)[-layers - 1 :]
    assert ladder_of((0.1, 0.2), build(spec)) == (0.1, 0.2)
