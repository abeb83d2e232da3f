"""Other people's codecs as command lines."""

from __future__ import annotations

import os
import pickle
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.command import Command, CommandPicture
from experiments.harness import run
from experiments.plan import plan
from experiments.recipe import Recipe, make_recipe
from experiments.record import Provenance
from experiments.report import write_report
from experiments.runs import load_results
from layered.errors import LayeredError, OptionError, RecipeError
from tests.conftest import smooth_picture
from tests.experiments.small_run import small_recipe, values, write_pictures

PROVENANCE = Provenance("tests", None, "Linux", 1)
TOOL = """\
import os, sys, time
from PIL import Image
verb, source, target, *rest = [*sys.argv[1:], "", "", ""]
if verb == "version":
    print("\\ntool   1.0\\nbuilt today")
elif verb == "encode":
    Image.open(source).save(target, "JPEG", quality=int(float(rest[0])))
else:
    Image.open(source).save(target)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a space in its name, where temporary folders lie too, and the tool."""
    folder = tmp_path / "a place"
    write_pictures(folder / "pictures", 1)
    (folder / "my tool.py").write_text(TOOL)
    (folder / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(folder / "temporary"))
    monkeypatch.chdir(folder)
    return folder


def words(**changes: Any) -> dict[str, Any]:
    tool = f"{shlex.quote(sys.executable)} '{{here}}/my tool.py'"
    return {
        "encode": f"{tool} encode {{in}} {{out}} {{quality}}", "decode": f"{tool} decode {{in}} {{out}}",
        "suffix": ".jpg", **changes,
    }  # fmt: skip


def spec(name: str = "tool", qualities: tuple[float, ...] = (30, 90), **changes: Any) -> dict[str, Any]:
    return {"name": name, "codec": "single", "of": words(**changes), "qualities": list(qualities)}


def recipe(place: Path, *specs: dict[str, Any]) -> Recipe:
    return small_recipe(place / "pictures", codecs=list(specs), anchors=[])


def keys(place: Path, **changes: Any) -> set[str]:
    return {item.key for item in plan(recipe(place, spec(**changes)), PROVENANCE).items}


def codec(**changes: Any) -> CommandPicture:
    return CommandPicture(Command(**words(**changes)))


def python(code: str) -> str:
    """A command line that does this, the paths of what is read and written being arguments."""
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {{in}} {{out}}"


def test_two_command_lines_enter_the_tables(place: Path) -> None:
    pillow = {"name": "pillow", "codec": "single", "of": "jpeg", "qualities": [30, 90]}
    simulcast = {**spec("simulcast"), "codec": "simulcast"}
    results = run(recipe(place, spec(), simulcast, pillow), place / "out", workers=1, progress=False)
    assert not results.failures and len(results.records) == 6
    found = {(record.codec, record.quality): record.layers for record in results.records}
    tool = found["tool", 90.0]
    assert found["simulcast", 90.0][1].bytes == tool[0].bytes + tool[1].bytes
    assert tool[1].bytes > found["tool", 30.0][1].bytes and tool[1].psnr > found["tool", 30.0][1].psnr > 20
    assert "my tool.py encode" in write_report(results) + (results.folder / "report.md").read_text()
    assert not list((place / "temporary").glob("layered-*"))


@pytest.mark.parametrize("kind", ["png", "ppm"])
def test_the_file_that_the_program_wrote_is_what_counts(place: Path, kind: str) -> None:
    copy = python("import sys, shutil; shutil.copy(*sys.argv[1:])")
    made, image = codec(encode=copy, decode=copy, suffix=f".{kind}", format=kind), smooth_picture(20, 31)
    data = made.encode(image, 1)
    assert data.startswith({"png": b"\x89PNG", "ppm": b"P6"}[kind]) and np.array_equal(made.decode(data), image)


def test_numbers_are_filled_in_as_people_write_them(place: Path) -> None:
    code = "import sys; open(sys.argv[2], 'w').write(repr(sys.argv[3:]))"
    made = codec(encode=python(code) + " -q{quality} {width}x{height} '{{a b}}'")
    assert made.encode(smooth_picture(20, 31), 30.0) == b"['-q30', '31x20', '{a b}']"
    assert made.encode(smooth_picture(20, 31), 0.125).startswith(b"['-q0.125'")


def test_no_shell_is_involved_unless_it_is_named(place: Path) -> None:
    plain = codec(encode=python("import sys; open(sys.argv[2], 'w').write(repr(sys.argv[3:]))") + " '$HOME' ; '>' x")
    assert plain.encode(smooth_picture(8, 8), 1) == b"['$HOME', ';', '>', 'x']"
    piped = codec(encode="""sh -c 'cat "$0" | wc -c > "$1"' {in} {out}""", format="ppm")
    assert int(piped.encode(smooth_picture(8, 8), 1)) == 8 * 8 * 3 + len(b"P6\n8 8\n255\n")


def test_each_run_has_a_folder_of_its_own_which_is_gone_afterwards(place: Path) -> None:
    code = "import os, sys; open('stray', 'x'); open(sys.argv[2], 'w').write(os.getcwd())"
    made = codec(encode=python(code))
    folders = {made.encode(smooth_picture(8, 8), 1).decode() for _ in range(2)}
    assert len(folders) == 2 and all(folder.startswith(str(place / "temporary")) for folder in folders)
    assert not any(map(os.path.exists, folders)) and not list(place.glob("stray"))


def test_a_program_may_be_named_by_a_path_with_spaces(place: Path) -> None:
    program = place / "my program"
    program.write_text('#!/bin/sh\nexec cp "$1" "$2"\n')
    program.chmod(0o755)
    for name in ("'./my program'", "'{here}/my program'", shlex.quote(str(program))):
        made = codec(encode=f"{name} {{in}} {{out}}", decode=f"{name} {{in}} {{out}}", suffix=".png")
        assert made.quality_range[0] < 0 and made.decode(made.encode(smooth_picture(8, 9), 1)).shape == (8, 9, 3)
        before = made.fingerprint()
        program.write_text(program.read_text() + "#\n")
        assert made.fingerprint() != before


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit('bad\\nno such    mode')", "failed with exit status 1: no such mode$"),
        ("import sys; print('on output'); sys.exit(3)", "failed with exit status 3: on output$"),
        ("import sys; sys.exit(3)", "failed with exit status 3$"),
        ("import os; os.abort()", "was killed by SIGABRT$"),
        ("pass", "ended well but wrote nothing to {out}$"),
        ("import sys; open(sys.argv[2], 'w')", "ended well but wrote nothing to {out}$"),
        ("import sys, os; os.mkdir(sys.argv[2])", "ended well but wrote nothing to {out}$"),
    ],
)
def test_a_program_that_fails_is_told_in_one_line(place: Path, code: str, message: str) -> None:
    with pytest.raises(LayeredError, match=message) as caught:
        codec(encode=python(code)).encode(smooth_picture(8, 8), 1)
    assert str(caught.value).startswith(os.path.basename(sys.executable)) and "\n" not in str(caught.value)


def test_a_program_takes_its_time_but_no_more_and_neither_do_its_children(place: Path) -> None:
    code = (
        "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']);"
        f"open({str(place / 'pid')!r}, 'w').write(str(p.pid)); time.sleep(60)"
    )
    start = time.monotonic()
    with pytest.raises(LayeredError, match="was not done after 2 s; set `timeout` higher"):
        codec(encode=python(code), timeout=2).encode(smooth_picture(8, 8), 1)
    assert time.monotonic() - start < 20 and ended(int((place / "pid").read_text()))


def test_what_a_program_leaves_running_ends_with_it(place: Path) -> None:
    code = "import subprocess, sys; open(sys.argv[2], 'w').write(str(subprocess.Popen(['sleep', '60']).pid))"
    assert ended(int(codec(encode=python(code)).encode(smooth_picture(8, 8), 1)))


def ended(pid: int) -> bool:
    """Whether a process is gone, or soon is."""
    return waited(lambda: not Path(f"/proc/{pid}").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text())


def waited(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if what():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")
def test_a_killed_worker_leaves_no_program_and_no_folder_behind(place: Path) -> None:
    code = f"import os, time; open({str(place / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = (
        "from baselines.command import Command, CommandPicture\nimport numpy as np\n"
        f"command = Command(encode={python(code)!r}, decode={python('')!r})\n"
        "CommandPicture(command).encode(np.zeros((8, 8, 3), np.uint8), 1)\n"
    )
    root = Path(__file__).resolve().parents[2]
    worker = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(root)})
    assert waited(lambda: (place / "pid").is_file() and bool((place / "pid").read_text()))
    assert list((place / "temporary").glob("layered-*"))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert ended(int((place / "pid").read_text()))
    assert waited(lambda: not list((place / "temporary").glob("layered-*")))


def test_what_goes_wrong_is_a_failure_of_its_items_only(place: Path) -> None:
    picky = python("import sys, shutil; sys.exit('too good') if sys.argv[3] == '90' else shutil.copy(*sys.argv[1:3])")
    shrink = python("import sys; from PIL import Image; Image.new('RGB', (5, 6)).save(sys.argv[2])")
    deep = python("import sys; from PIL import Image; Image.new('I;16', (48, 32)).save(sys.argv[2])")
    copy = python("import sys, shutil; shutil.copy(*sys.argv[1:])")
    codecs = [
        spec("picky", encode=picky + " {quality}", decode=copy), spec("shrinks", decode=shrink),
        spec("deep", (30,), decode=deep),
    ]  # fmt: skip
    results = run(recipe(place, *codecs), place / "out", workers=0, progress=False)
    assert {(record.codec, record.quality) for record in results.records} == {("picky", 30.0)}
    reasons = {(failure.codec, failure.quality): failure.reason for failure in results.failures}
    assert reasons["picky", 90.0].endswith("failed with exit status 1: too good") and len(reasons) == 4
    assert "decoded layers of sizes ((5, 6),) where ((24, 16),)" in reasons["shrinks", 30.0]
    assert "more than 8 bits a sample" in reasons["deep", 30.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decode": "nonesuch-decoder {in} {out}"}, "nonesuch-decoder: no such program on the PATH; install it"),
        ({"encode": "./nonesuch {in} {out}"}, "./nonesuch: no such program; install it"),
        ({"version": "nonesuch --version"}, "nonesuch: no such program on the PATH"),
        ({"version": "false"}, "false failed with exit status 1"),
        ({"version": "true"}, "true printed no version"),
        ({"quality_range": [40, 100]}, "tool: quality 30 is outside 40 to 100"),
    ],
)
def test_what_is_missing_shows_before_any_work(place: Path, changes: dict[str, Any], message: str) -> None:
    made = recipe(place, spec(**changes))
    with pytest.raises(LayeredError, match=message) as caught:
        run(made, place / "out", progress=False)
    assert "\n" not in str(caught.value) and not (place / "out").exists()


def test_the_first_line_of_the_version_is_part_of_what_results_depend_on(place: Path) -> None:
    tool = f"{shlex.quote(sys.executable)} '{{here}}/my tool.py'"
    asked = codec(version=f"{tool} version")
    assert asked.fingerprint()["version"] == "tool 1.0"
    (place / "my tool.py").write_text(TOOL.replace("1.0", "1.1"))
    assert asked.fingerprint()["version"] == "tool 1.1"


def test_a_changed_tool_and_other_words_change_the_keys_but_a_longer_timeout_does_not(place: Path) -> None:
    before = keys(place)
    assert keys(place, timeout=7) == keys(place, quality_range=[0, 100]) == before
    others = [keys(place, format="ppm"), keys(place, decode=words()["decode"] + " -x")]
    (place / "my tool.py").write_text(TOOL + "# changed\n")
    assert not any(before & other for other in (*others, keys(place)))


def test_a_codec_is_called_by_what_tells_it_from_others(place: Path) -> None:
    made = recipe(place, spec(encode="/opt/jxl/cjxl {in}   {out} -q {quality} -e 9")).codecs[0]
    assert made.method.label == "single cjxl -q {quality} -e 9"
    long = recipe(place, spec(encode="cjxl {in} {out} " + "--option " * 30)).codecs[0]
    assert len(long.method.label) < 80 and long.method.label.endswith("...")


def test_a_recipe_with_commands_survives_being_saved_and_sent(place: Path) -> None:
    made = recipe(place, spec())
    again = Recipe.model_validate_json(made.model_dump_json())
    assert again == made and hash(again.codecs[0].method) == hash(made.codecs[0].method)
    assert pickle.loads(pickle.dumps(made.codecs[0].method)) == again.codecs[0].method


def test_overrides_reach_the_commands(place: Path) -> None:
    made = make_recipe(values(place, codecs=[spec()], anchors=[]), ["codecs.tool.of.timeout=5"]).codecs[0].of
    assert made == Command(**words(timeout=5))


def test_results_are_read_without_the_tool(place: Path) -> None:
    results = run(recipe(place, spec(qualities=(30,))), place / "out", workers=0, progress=False)
    (place / "my tool.py").unlink()
    assert load_results(place / "out").records == results.records


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encod": "x"}, "of: unknown key 'encod', did you mean 'encode'"),
        ({"encode": "tool {in} {quality}"}, r"encode: \{out\} is missing in 'tool \{in\} \{quality\}'"),
        ({"encode": "tool {in} {out} {qualty}"}, r"\{qualty\} has no meaning in encode; there are \{height\}, "),
        ({"decode": "tool {in} {out} {quality}"}, r"\{quality\} has no meaning in decode; there are \{here\}, \{in\}"),
        ({"encode": "tool {in} {out} {quality:g}"}, "what follows : or ! has no meaning"),
        ({"encode": "tool {in} {out} }"}, "is no command line: Single"),
        ({"encode": "tool {in} {out} 'x"}, "is no command line: No closing quotation"),
        ({"encode": "{in} {out}"}, r"'\{in\}' is no program"),
        ({"version": ""}, "version: a command line is needed"),
        ({"suffix": "/../x"}, "suffix: "),
        ({"format": "raw"}, "format: Input should be 'png' or 'ppm'"),
        ({"timeout": 0}, "timeout: "),
        ({"quality_range": [3, 1]}, "quality_range: two finite numbers are needed, the lower first"),
    ],
)
def test_words_that_make_no_sense_are_refused_with_the_recipe(
    place: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        recipe(place, spec(**changes))
    assert "\n" not in str(caught.value)


def test_commands_take_neither_weights_nor_options(place: Path) -> None:
    for extra in ({"weights": "w"}, {"options": {"level": 3}}):
        with pytest.raises(RecipeError, match=r"takes no weights|have no meaning for python"):
            recipe(place, {**spec(), **extra})


def test_a_program_that_does_not_start_is_told(place: Path) -> None:
    program = place / "broken"
    program.write_bytes(b"\x7fELF no more")
    program.chmod(0o755)
    with pytest.raises(LayeredError, match="broken does not start: exec format error"):
        codec(encode="./broken {in} {out}").encode(smooth_picture(8, 8), 1)


def test_a_file_that_results_depend_on_must_be_readable(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "my tool.py").write_text(TOOL + "# unseen\n")

    def refuse(*arguments: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(OptionError, match="permission denied; results depend on what it holds"):
        codec().fingerprint()
