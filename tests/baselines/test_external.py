"""Other people's codecs as Python classes: what is taken, what is refused, and that all processes find them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.classes import loaded, option_pairs
from baselines.classical import CLASSICAL
from baselines.external import ANY_QUALITY, ExternalLayered, ExternalPicture
from baselines.protocol import Encoded
from experiments.harness import run
from experiments.item import measure
from experiments.method import Method
from experiments.metrics import psnr
from experiments.plan import Plan, plan
from experiments.recipe import Recipe, load_recipe
from experiments.record import Provenance
from experiments.report import write_report
from experiments.runs import load_results
from experiments.scores import ScoreSpec
from layered.errors import LayeredError, OptionError, RecipeError
from layered.image import resize8
from tests.experiments.small_run import small_recipe, write_pictures

PROVENANCE = Provenance("tests", None, "Linux", 1)
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
PICTURE = """
import zlib

import numpy as np

class MyPicture:
    quality_range = (1, 9)

    def __init__(self, level=1):
        self.level = level

    def encode(self, image, quality):
        step = int(20 - 2 * quality)
        levels = zlib.compress((image // step).tobytes(), self.level)
        return bytes([image.shape[0], image.shape[1], step]) + levels

    def decode(self, data):
        height, width, step = data[:3]
        levels = np.frombuffer(zlib.decompress(data[3:]), np.uint8).reshape(height, width, 3)
        return levels * step
"""
LAYERED = """
from baselines.classical import CLASSICAL
from layered.image import layer_sizes, resize8

class MyLayered:
    def encode(self, image, scales, quality):
        qualities = quality if isinstance(quality, tuple) else (quality,) * len(scales)
        sizes = layer_sizes(image.shape[1], image.shape[0], scales)
        return [CLASSICAL["jpeg"].encode(resize8(image, *size), q) for size, q in zip(sizes, qualities)]

    def decode(self, chunks):
        return [CLASSICAL["jpeg"].decode(chunk) for chunk in chunks]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures", 1)
    (tmp_path / "my_codecs.py").write_text(PICTURE + LAYERED)
    return tmp_path


@pytest.fixture
def external(tmp_path: Path) -> Callable[..., str]:
    """Writes a class Mine with these bodies of encode and decode, and names it."""

    def write(encode: str = "return b'x'", decode: str = "return None", more: str = "") -> str:
        path = tmp_path / "mine.py"
        path.write_text(
            "import numpy as np\nfrom baselines.protocol import Encoded\nclass Mine:\n"
            f"    def encode(self, image, *rest): {encode}\n    def decode(self, data): {decode}\n{more}"
        )
        return f"{path}:Mine"

    return write


def spec(place: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "mine", "codec": "single", "of": f"{place / 'my_codecs.py'}:MyPicture", "qualities": [1, 5], **changes,
    }  # fmt: skip


def recipe(place: Path, *specs: dict[str, Any], **changes: Any) -> Recipe:
    return small_recipe(place / "pictures", codecs=list(specs), anchors=[], **changes)


def planned(place: Path, *specs: dict[str, Any]) -> Plan:
    return plan(recipe(place, *specs), PROVENANCE)


def test_a_class_of_two_methods_enters_the_tables(place: Path) -> None:
    jpeg = {"name": "jpeg", "codec": "single", "of": "jpeg", "qualities": [10, 90]}
    file = f"{place / 'my_codecs.py'}:"
    codecs = [
        spec(place), spec(place, name="simulcast", codec="simulcast"),
        spec(place, name="layers", codec=f"{file}MyLayered", of=None, qualities=[50, [10, 90]]), jpeg,
    ]  # fmt: skip
    results = run(
        small_recipe(place / "pictures", codecs=codecs, anchors=["jpeg"]), place / "out", workers=1, progress=False
    )
    assert not results.failures and len(results.records) == 8
    found = {(record.codec, record.quality): record.layers for record in results.records}
    mine, simulcast = found["mine", 5.0], found["simulcast", 5.0]
    assert simulcast[1].bytes == mine[0].bytes + mine[1].bytes and mine[1].psnr > found["mine", 1.0][1].psnr > 15
    (picture,) = (item.picture.load() for item in planned(place, spec(place, qualities=[1])).items[:1])
    small = CLASSICAL["jpeg"].encode(resize8(picture, 24, 16), 10)
    large = CLASSICAL["jpeg"].encode(picture, 90)
    layers = found["layers", (10.0, 90.0)]
    assert [layer.bytes for layer in layers] == [len(small), len(small) + len(large)]
    assert layers[1].psnr == psnr(CLASSICAL["jpeg"].decode(large), picture)
    assert "layers" in write_report(results) and "my_codecs.py:MyPicture" in (results.folder / "report.md").read_text()


def test_options_are_arguments_of_the_class_and_part_of_its_results(place: Path) -> None:
    plain, packed = (planned(place, spec(place, **given)) for given in ({}, {"options": {"level": 9}}))
    assert not {item.key for item in plain.items} & {item.key for item in packed.items}
    assert packed.items[0].method.label == f"single {place / 'my_codecs.py'}:MyPicture level=9"
    sizes = [measure(made.items[-1]).record.layers[0].bytes for made in (plain, packed)]
    assert sizes[1] < sizes[0]
    again = Recipe.model_validate_json(recipe(place, spec(place, options={"level": 9})).model_dump_json())
    assert again.codecs[0].method == packed.items[0].method and hash(again.codecs[0].method)


def test_options_that_python_holds_for_equal_are_told_apart(place: Path) -> None:
    words = f"{place / 'my_codecs.py'}:MyPicture"
    found = [loaded(words, option_pairs({"level": level})) for level in (1, True, 1.0)]
    assert [repr(each.options[0][1]) for each in found] == ["1", "True", "1.0"]
    levels = (1, True, 1.0, 1)
    methods = [Method.model_validate({"codec": "single", "of": words, "options": {"level": at}}) for at in levels]
    scores = [ScoreSpec.model_validate({"name": words, "options": {"level": at}}) for at in levels]
    assert len(set(methods)) == len(set(scores)) == 3 and methods[0] == methods[3] != methods[1]


def test_lists_and_texts_pass_through_options() -> None:
    options = option_pairs({"words": ["a", 1, None], "fast": True})
    assert options == (("fast", True), ("words", ("a", 1, None)))
    for bad in ([1], {"a b": 1}, {"a": {"b": 1}}, {"a": float("nan")}, {1: 2}):
        with pytest.raises(ValueError, match=r"options|name|finite"):
            option_pairs(bad)


def test_a_changed_file_gives_new_keys_and_its_new_code_runs(place: Path) -> None:
    before = planned(place, spec(place))
    path = place / "my_codecs.py"
    path.write_text(path.read_text().replace("20 - 2", "21 - 2"))
    after = planned(place, spec(place))
    assert not {item.key for item in before.items} & {item.key for item in after.items}
    assert measure(after.items[0]).record.files_sha256
    with pytest.raises(LayeredError, match="than when the run began"):
        measure(before.items[0])


def test_what_the_class_tells_of_itself_is_part_of_the_fingerprint(external: Callable[..., str]) -> None:
    more = "    quality_range = [0, 2]\n    def fingerprint(self): return {'weights': 7, 'source': 'none'}\n"
    codec = ExternalPicture(external(more=more))
    assert codec.quality_range == (0.0, 2.0)
    made = codec.fingerprint()
    assert made["weights"] == "7" and len(made["source"]) == 16 and made["class"] == codec.words
    assert ExternalPicture(external()).quality_range == ANY_QUALITY


def test_both_objects_are_made_before_the_clock_runs(external: Callable[..., str]) -> None:
    codec = ExternalPicture(external())
    codec.fingerprint()
    assert "decoder" in vars(codec._pair())


def test_a_class_of_a_module_is_imported(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = place / "their_package_of_codecs"
    package.mkdir()
    (package / "__init__.py").write_text("from their_package_of_codecs.inner import MyPicture\n")
    (package / "inner.py").write_text(PICTURE)
    monkeypatch.syspath_prepend(place)
    outer, inner = (ExternalPicture(f"their_package_of_codecs{where}:MyPicture") for where in ("", ".inner"))
    assert outer.decode(outer.encode(IMAGE, 9)).shape == IMAGE.shape
    assert outer.fingerprint()["source"] == inner.fingerprint()["source"]
    assert "their_package_of_codecs" in sys.modules


def test_relative_files_start_at_the_current_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    Path("r.yaml").write_text(
        "name: r\ndata: pictures\ncodecs:\n"
        "  - {name: a, codec: single, of: my_codecs.py:MyPicture, options: {level: 3}, qualities: [1]}\n"
    )
    made = plan(load_recipe("r.yaml"), PROVENANCE)
    assert made.items[0].method.label == "single my_codecs.py:MyPicture level=3"
    assert measure(made.items[0]).record.codec == made.items[0].method.label
    assert load_recipe("r.yaml", ["codecs.a.options.level=9"]).codecs[0].options == (("level", 9),)


def test_the_decoder_has_nothing_but_the_bytes(external: Callable[..., str]) -> None:
    codec = ExternalPicture(external("self.kept = image; return b'x'", "return self.kept"))
    codec.encode(IMAGE, 1)
    with pytest.raises(AttributeError, match="kept"):
        codec.decode(b"x")


def test_a_layer_that_needs_the_bytes_above_it_is_told(place: Path, external: Callable[..., str]) -> None:
    late = ExternalLayered(external(
        "return [b'a', image.tobytes()]",
        "p = np.frombuffer(data[-1].ljust(1800, b'0')[:1800], np.uint8).reshape(20, 30, 3); return [p] * len(data)",
    ))  # fmt: skip
    made = late.encode(IMAGE, (0.5, 1), 5)
    with pytest.raises(LayeredError, match="another picture of layer 0 without the layers above"):
        late.check(made, late.decode(made))
    honest = ExternalLayered(f"{place / 'my_codecs.py'}:MyLayered")
    coded = honest.encode(IMAGE, (0.5, 1), 50)
    honest.check(coded, honest.decode(coded))


def test_what_the_codec_does_to_the_picture_stays_its_own(external: Callable[..., str]) -> None:
    image = IMAGE.copy()
    ExternalPicture(external("image[:] = 0; return b'x'")).encode(image, 1)
    ExternalLayered(external("image[:] = 0; return [b'x']")).encode(image, (1.0,), 1)
    assert np.array_equal(image, IMAGE)


@pytest.mark.parametrize(
    ("encode", "decode", "message"),
    [
        ("return 'text'", "return None", "encode returned str, where the code of a picture or layer is `bytes`"),
        ("return b''", "return None", "encode returned no bytes at all"),
        ("return b'x'", "return None", "decode returned NoneType, where a picture is an array of uint8"),
        ("return b'x'", "return np.zeros((4, 4, 3))", r"decode returned float64 \[4, 4, 3\]"),
        ("return b'x'", "return np.zeros((4, 4), np.uint8)", r"decode returned uint8 \[4, 4\]"),
    ],
)
def test_results_of_a_wrong_kind_are_told_in_one_line_that_names_the_codec(
    external: Callable[..., str], encode: str, decode: str, message: str
) -> None:
    codec = ExternalPicture(external(encode, decode))
    with pytest.raises(LayeredError, match=message) as caught:
        codec.decode(codec.encode(IMAGE, 1))
    assert codec.words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("encode", "decode", "message"),
    [
        ("return b'xy'", "return []", "encode returned bytes, where a list"),
        ("return [b'x']", "return []", r"layers of \[1\] bytes, where 2 sizes of 1 to 1"),
        ("return [b'', b'x']", "return []", r"layers of \[0, 1\] bytes"),
        ("return [b'x', 3]", "return []", "encode returned int"),
        ("return Encoded((b'x',), (1, 2))", "return []", r"layers of \[1, 2\] bytes, where 2 sizes of 1 to 1"),
        ("return [b'x', b'']", "return np.zeros((2, 4, 4, 3), np.uint8)", "decode returned uint8"),
        ("return [b'x', b'']", "return [np.zeros((4, 4, 3), int)] * 2", "decode returned int64"),
    ],
)
def test_layers_of_a_wrong_kind_are_told(external: Callable[..., str], encode: str, decode: str, message: str) -> None:
    codec = ExternalLayered(external(encode, decode))
    with pytest.raises(LayeredError, match=message):
        codec.decode(codec.encode(IMAGE, (0.5, 1.0), 1))


def test_layered_codecs_that_know_the_protocol_decode_what_they_encoded(external: Callable[..., str]) -> None:
    decode = "return [np.full((1, 1, 3), data.layer_bytes[0], np.uint8)]"
    codec = ExternalLayered(external("return Encoded((b'abc',), (2, 3))", decode))
    encoded = codec.encode(IMAGE, (0.5, 1.0), 1)
    assert encoded == Encoded((b"abc",), (2, 3)) and codec.decode(encoded)[0][0, 0, 0] == 2


def test_what_goes_wrong_with_an_image_is_a_failure_of_its_items_only(
    place: Path, external: Callable[..., str]
) -> None:
    of = external("raise RuntimeError('cannot\\n do that') if rest[0] > 3 else None; return b'x'")
    path = place / "wrong.py"
    path.write_text(
        "import numpy as np\nclass Wrong:\n"
        "    def encode(self, *given): return b'x'\n    def decode(self, data): return np.zeros((5, 5, 3), np.uint8)\n"
    )
    codecs = [spec(place), spec(place, name="raises", of=of), spec(place, name="wrong", of=f"{path}:Wrong")]
    results = run(recipe(place, *codecs), place / "out", workers=0, progress=False)
    assert {(r.codec, r.quality) for r in results.records} == {("mine", 1.0), ("mine", 5.0)}
    reasons = {(failure.codec, failure.quality): failure.reason for failure in results.failures}
    assert reasons["raises", 5.0] == "RuntimeError: cannot do that" and len(reasons) == 4
    assert f"single {path}:Wrong decoded layers of sizes ((5, 5),) where ((24, 16),)" in reasons["wrong", 1.0]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, {}, "no such file"),
        ("x = (", {}, "SyntaxError: "),
        ("import nonesuch_library", {}, "ModuleNotFoundError: No module named 'nonesuch_library'"),
        ("raise SystemExit(3)", {}, "SystemExit: 3"),
        ("x = 1", {}, "there is no class MyPicture in "),
        ("class MyPicture:\n def encode(self): pass", {}, "has no method `decode`"),
        (PICTURE, {"levle": 3}, "TypeError: .*unexpected keyword argument 'levle'"),
        (PICTURE.replace("(1, 9)", "(9, 1)"), {}, r"quality_range is \(9, 1\); it must be two finite numbers"),
        (PICTURE.replace("(1, 9)", "'all'"), {}, "quality_range is 'all'"),
        (PICTURE + "    def fingerprint(self): return 3", {}, "fingerprint returned int"),
        (PICTURE + "    def fingerprint(self): return 1 / 0", {}, "ZeroDivisionError: "),
        (PICTURE.replace("(1, 9)", "(2, 9)"), {}, "mine: quality 1 is outside 2 to 9"),
    ],
)
def test_what_is_wrong_with_a_class_shows_before_any_work(
    place: Path, text: str | None, options: dict[str, Any], message: str
) -> None:
    path = place / "my_codecs.py"
    path.unlink() if text is None else path.write_text(text)
    made = recipe(place, spec(place, options=options))
    with pytest.raises(OptionError, match=message) as caught:
        run(made, place / "out", progress=False)
    assert "\n" not in str(caught.value) and not (place / "out").exists()
    assert "my_codecs.py" in str(caught.value) or str(caught.value).startswith("mine: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"of": "jpegxs"}, "unknown picture codec 'jpegxs'; there are mean-scale.*your own is file.py:Class"),
        ({"of": "my codecs:My Picture"}, "'my codecs:My Picture' names no class; write file.py:Class"),
        ({"of": 3}, "of: give a name, or a mapping with the commands `encode` and `decode`"),
        ({"codec": "layred", "of": None}, "unknown codec 'layred'; there are layered.*your own is file.py:Class"),
        ({"codec": "a.py:B", "of": "jpeg"}, "`of: jpeg` has no meaning for a.py:B"),
        ({"codec": "a.py:B", "of": None, "weights": "w"}, "a.py:B takes no weights"),
        ({"of": "a.py:B", "weights": "w"}, "a.py:B takes no weights"),
        ({"of": "jpeg", "options": {"level": 3}}, r"options \(level\) have no meaning for jpeg"),
        ({"of": "mean-scale", "options": {"level": 3}}, "no meaning for mean-scale"),
        ({"codec": "layered", "of": None, "options": {"level": 3}}, "no meaning for layered"),
        ({"options": [3]}, "options: options are a mapping"),
        ({"options": {"level": {"deep": 1}}}, "options: level: give a finite number, text"),
    ],
)
def test_words_that_make_no_sense_are_refused_with_the_recipe(
    place: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        recipe(place, spec(place, **changes))
    assert "\n" not in str(caught.value)


def test_reading_a_recipe_or_a_report_runs_nothing_and_needs_no_codec(place: Path) -> None:
    results = run(recipe(place, spec(place)), place / "out", workers=0, progress=False)
    (place / "my_codecs.py").write_text("raise RuntimeError('must not run')")
    assert load_results(place / "out").records == results.records
    (place / "my_codecs.py").unlink()
    again = load_results(place / "out")
    assert again.recipe == results.recipe and again.records == results.records
    write_report(again)
