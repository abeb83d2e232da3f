"""The results page: runs are published with what makes them checkable, and a check finds what has changed."""

from __future__ import annotations

import csv
import json
import lzma
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from baselines.classical import PillowCodec
from experiments.bdrate import Curve, bd_rate
from experiments.page.__main__ import main
from experiments.page.index import RESULTS, Published, chosen, published
from experiments.page.items import FILE, read_items
from experiments.page.kept import read_table
from experiments.page.recheck import sampled
from experiments.page.take import take
from experiments.recipe import Recipe, load_recipe
from experiments.runs import load_results
from experiments.tables import RULES
from experiments.words import ladder_label, quality_text
from layered.errors import CorruptStream, LayeredError, OptionError, RecipeError
from layered.image import Image8, layer_sizes
from tests.experiments.small_run import values, write_pictures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, a recipe, and a page with one run of it."""
    folder = tmp_path_factory.mktemp("made")
    write_pictures(folder / "pictures")
    (folder / "small.yaml").write_text(yaml.safe_dump(values(Path("nowhere"))))
    (folder / "page").mkdir()
    entry = {"recipe": str(folder / "small.yaml"), "set": ["name=tiny", "data.source=$PICTURES"]}
    (folder / "page" / "index.yaml").write_text(yaml.safe_dump([entry]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PICTURES", str(folder / "pictures"))
        assert main(["--folder", str(folder / "page"), "run", "--out", str(folder / "out"), "--workers", "0"]) == 0
    return folder


@pytest.fixture
def page(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that page, beside one of the run."""
    monkeypatch.setenv("PICTURES", str(made / "pictures"))
    for name in ("page", "out"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path / "page"


def changed(page: Path, word: bytes, other: bytes) -> None:
    """The page after one word of its items was replaced."""
    path = page / "tiny" / FILE
    data = lzma.decompress(path.read_bytes())
    assert word in data
    path.write_bytes(lzma.compress(data.replace(word, other)))


def test_a_published_run_holds_its_tables_its_items_and_how_it_was_made(page: Path) -> None:
    assert {path.name for path in (page / "tiny").iterdir()} == {
        "points.csv", "bd_rate.csv", "figure.svg", FILE, "made.json"
    }  # fmt: skip
    made = json.loads((page / "tiny" / "made.json").read_text())
    assert (made["images"], made["records"]) == (2, 16) and made["machines"] and made["commits"]
    items = read_items(page / "tiny" / FILE)
    assert len(items) == 16 and all(len(layers) == 2 for layers in items.values())


def test_a_sample_of_a_run_that_nothing_has_changed_is_equal(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(page), "check", "--items", "5"]) == 0
    assert "5 items of 1 run: 5 equal, 0 differs, 0 failed, 0 skipped" in capsys.readouterr().out


def test_a_check_finds_a_number_that_has_changed(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, layers = next(iter(read_items(page / "tiny" / FILE).items()))
    assert key.codec == "simulcast jpeg"
    changed(page, f"0,{layers[0][0]},{layers[0][1]}".encode(), f"0,{layers[0][0] + 1},{layers[0][1]}".encode())
    assert main(["--folder", str(page), "check", "tiny", "--items", "16"]) == 1
    told = capsys.readouterr()
    assert "15 equal, 1 differs" in told.out
    assert f"layer 0: {layers[0][0]} bytes instead of {layers[0][0] + 1}" in " ".join(told.err.split())


def test_pictures_that_are_gone_are_no_proof_that_all_is_equal(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PICTURES", str(write_pictures(tmp_path / "fewer", 1)))
    changed(page, b",p0,", b",p7,")
    assert main(["--folder", str(page), "check"]) == 1
    assert "0 equal, 0 differs, 0 failed, 3 skipped" in capsys.readouterr().out


@pytest.mark.parametrize("error", [CorruptStream("a flipped bit"), OSError("a full disk")], ids=lambda e: str(e))
def test_a_codec_that_fails_when_it_is_checked_is_told_and_fails_the_check(
    error: Exception, page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = PillowCodec.decode

    def decode(codec: PillowCodec, data: bytes) -> Image8:
        if codec.format == "JPEG":
            raise error
        return whole(codec, data)

    monkeypatch.setattr(PillowCodec, "decode", decode)
    assert main(["--folder", str(page), "check", "--items", "16"]) == 1
    told = capsys.readouterr()
    assert "8 equal, 0 differs, 8 failed, 0 skipped" in told.out
    assert f"{error})" in told.err and "jpeg, quality 30, p1, x0.5 x1: failed (" in " ".join(told.err.split())


def test_items_are_drawn_by_the_seed_alone(page: Path) -> None:
    (run,) = published(page)
    first = sampled(run, 4, 0, adapted=False, folder=page)
    assert first == sampled(run, 4, 0, adapted=False, folder=page)
    assert first != sampled(run, 4, 1, adapted=False, folder=page)


def test_a_run_with_failures_is_not_published(page: Path, tmp_path: Path) -> None:
    next((tmp_path / "out" / "tiny" / "records").glob("*.json")).unlink()
    with pytest.raises(RecipeError, match="cannot be published"):
        take(load_results(tmp_path / "out" / "tiny"), page)


def test_a_trial_of_part_of_a_recipe_is_not_published_as_the_whole(page: Path, tmp_path: Path) -> None:
    results = load_results(tmp_path / "out" / "tiny")
    held = {path.name: path.read_bytes() for path in (page / "tiny").iterdir()}
    for changed, told in (
        ({"data": results.recipe.data.model_copy(update={"limit": 1})}, "data"),
        ({"scales": ((1.0,),)}, "scales"),
        ({"codecs": results.recipe.codecs[:1]}, "codecs"),
        ({"bd_rate": "akima"}, "bd_rate"),
    ):
        trial = replace(results, recipe=results.recipe.model_copy(update=changed))
        with pytest.raises(RecipeError, match=f"tiny: other {told} than in the page.s recipe of that name; "):
            take(trial, page)
        assert {path.name: path.read_bytes() for path in (page / "tiny").iterdir()} == held
    take(replace(results, recipe=results.recipe.model_copy(update={"previews": False, "threads": 2})), page)


def test_what_a_run_has_no_longer_goes_when_it_is_published_again(page: Path, tmp_path: Path) -> None:
    (page / "tiny" / "nearest.csv").write_text("old")
    (tmp_path / "out" / "tiny" / "points.csv").write_text("of an earlier report")
    held = (page / "tiny" / "points.csv").read_bytes()
    take(load_results(tmp_path / "out" / "tiny"), page)
    assert not (page / "tiny" / "nearest.csv").exists() and (page / "tiny" / "points.csv").read_bytes() == held
    assert [path.name for path in page.iterdir() if path.name.startswith(".")] == []


def test_numbers_are_kept_with_nine_digits_seconds_with_four_and_words_as_they_are(page: Path) -> None:
    with (page / "tiny" / "points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"simulcast jpeg", "single webp"} == {row["codec"] for row in rows}
    for wanted, names in ((9, ("bpp", "psnr")), (4, ("encode_seconds", "decode_seconds"))):
        cells = [row[name].partition("e")[0].replace(".", "").lstrip("0") for row in rows for name in names]
        assert max(map(len, cells)) == wanted


def test_commands_of_a_page_name_no_folder_of_the_machine(page: Path, tmp_path: Path) -> None:
    results = load_results(tmp_path / "out" / "tiny")
    places = f"--out {tmp_path} --folder {tmp_path} --set data.source={tmp_path}/vector"
    command = f"layered bench small {places} --workers 2"
    take(replace(results, provenance=replace(results.provenance, command=command)), page)
    made = json.loads((page / "tiny" / "made.json").read_text())
    assert made["command"] == "layered bench small --set data.source=vector --workers 2"


HEADER = b"codec,quality,image,scales,layer,bytes,psnr\n"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", ""),
        (b"hello", ""),
        (b"\xfd7zXZ\x00", ""),
        (lzma.compress(b"codec,quality\n"), r"columns \['codec', 'quality'\]"),
        (lzma.compress(HEADER), "a header and no item"),
        (lzma.compress(HEADER + b"a" * 200_000 + b",1,p0,1,0,9,30.000\n"), "field larger"),
        (lzma.compress(HEADER + b"jpeg,1,p0,1,0,9,much\n"), "'much'"),
        (lzma.compress(HEADER + b"jpeg,1,p0,1,0,9,nan\n"), "a PSNR of nan"),
        (lzma.compress(HEADER + b"jpeg,1,p0,1,0,few,30.000\n"), "'few'"),
        (lzma.compress(HEADER + b"jpeg,1,p0,1,0,9,30.000\njpeg,1,p0,1,2,9,30.000\n"), "layer 2 of jpeg, p0, where 1"),
    ],
)
def test_files_that_hold_no_items_are_refused(
    data: bytes, told: str, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (page / "tiny" / FILE).write_bytes(data)
    with pytest.raises(RecipeError, match=f"not a file of items \\(.*{told}"):
        read_items(page / "tiny" / FILE)
    assert _status(page, "check") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {page / 'tiny' / FILE}: not a file") and error.count("\n") == 1


def test_an_infinite_psnr_is_that_of_a_picture_without_a_loss(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(lzma.compress(HEADER + b"png,1,p0,1,0,9,inf\n"))
    assert list(read_items(tmp_path / FILE).values()) == [((9, "inf"),)]


def _status(page: Path, *words: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["--folder", str(page), *words])
    return ended.value.code


@pytest.mark.parametrize("count", ["-1", "0", "some", "1" * 5000])
def test_a_check_of_no_items_is_refused(count: str, page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _status(page, "check", f"--items={count}") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "argument --items: '" in line and line.endswith("is not a number of items, which is 1 or more")


@pytest.mark.parametrize("data", [b"- {recipe: caf\xe9}", b"- {recipe: [", b"- 2026-99-99", b"[" * 20_000])
def test_an_index_that_is_no_yaml_is_told_in_one_line(
    data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.yaml").write_bytes(data)
    assert _status(tmp_path, "check") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'index.yaml'}: ") and error.count("\n") == 1


def test_an_unknown_run_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OptionError, match="there are kodak_3layer"):
        chosen(["nothing"])
    with pytest.raises(SystemExit):
        main(["check", "kodak_3layr"])
    assert "did you mean 'kodak_3layer'?" in capsys.readouterr().err


def test_data_are_found_without_the_environment_where_recipes_find_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAYERED_DATA", raising=False)
    (tmp_path / "here").mkdir()
    place = write_pictures(tmp_path / "shared" / "data" / "ood" / "line")
    monkeypatch.chdir(tmp_path / "here")
    (run,) = chosen(["universal_line"])
    assert Path(run.load().data.source).resolve() == place


def test_every_run_of_the_page_loads_and_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERED_DATA", "/data")
    runs = published()
    assert len({run.name for run in runs}) == len(runs)
    for run in runs:
        assert run.load().name == run.name


@pytest.mark.parametrize("run", published(), ids=lambda run: run.name)
def test_what_is_published_is_what_the_index_would_measure(run: Published) -> None:
    recipe = run.load()
    wanted = {(spec.name, quality_text(quality)) for spec in recipe.codecs for quality in spec.qualities}
    rows = read_table(RESULTS / run.name / "points.csv")
    assert {(row["codec"], row["quality"]) for row in rows} == wanted
    assert {row["scales"] for row in rows} == {ladder_label(scales) for scales in recipe.scales}
    if recipe.data.limit is not None:
        assert {row["images"] for row in rows} == {str(recipe.data.limit)}


WITH_ITEMS = sorted(path.parent for path in RESULTS.glob("*/made.json"))


@pytest.mark.parametrize("folder", WITH_ITEMS, ids=lambda folder: folder.name)
def test_the_items_of_the_page_average_to_its_points(folder: Path) -> None:
    items = read_items(folder / FILE)
    for row in read_table(folder / "points.csv"):
        found = [
            float(layers[int(row["layer"])][1]) for key, layers in items.items()
            if (key.codec, key.quality, key.scales) == (row["codec"], row["quality"], row["scales"])
        ]  # fmt: skip
        assert len(found) == int(row["images"])
        assert sum(found) / len(found) == pytest.approx(float(row["psnr"]), abs=1e-3)


WITH_RATES = sorted(path.parent for path in RESULTS.glob("*/bd_rate.csv*"))


@pytest.mark.parametrize("folder", WITH_RATES, ids=lambda folder: folder.name)
def test_the_rates_of_the_page_are_those_of_its_points(folder: Path) -> None:
    points: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for row in read_table(folder / "points.csv"):
        points.setdefault((row["scales"], row["layer"], row["codec"]), []).append(
            (float(row["bpp"]), float(row["psnr"]))
        )
    curves = {key: Curve(*map(tuple, zip(*pairs, strict=True))) for key, pairs in points.items()}
    compared = 0
    for row in read_table(folder / "bd_rate.csv"):
        if row["rule"] == RULES[0] and row["bd_rate_percent"] and not row["notes"]:
            anchor, test = (curves[row["scales"], row["layer"], row[of]] for of in ("anchor", "codec"))
            assert bd_rate(anchor, test) == pytest.approx(float(row["bd_rate_percent"]), abs=1e-5, rel=1e-6)
            compared += 1
    assert compared or folder.name.startswith("low_rate")


RECIPES = {run.name: run.load() for run in published()}


def recipe_of(folder: Path) -> Recipe:
    """Of a published run; those that the index lacks have a bundled recipe's name."""
    return RECIPES.get(folder.name) or load_recipe(folder.name)


def of_whole_kodak(folder: Path) -> bool:
    """Whether the pictures of a published run are known to have 768x512 pixels."""
    data = recipe_of(folder).data
    return data.source == "kodak" and data.longest_side is None


OF_WHOLE_KODAK = [path for path in WITH_ITEMS if of_whole_kodak(path)]


@pytest.mark.parametrize("folder", OF_WHOLE_KODAK, ids=lambda folder: folder.name)
def test_the_rates_of_points_are_the_bytes_of_items(folder: Path) -> None:
    items, ladders = read_items(folder / FILE), {ladder_label(scales): scales for scales in recipe_of(folder).scales}
    for row in read_table(folder / "points.csv"):
        layer = int(row["layer"])
        width, height = layer_sizes(768, 512, ladders[row["scales"]])[layer]
        sizes = [
            layers[layer][0] for key, layers in items.items()
            if (key.codec, key.quality, key.scales) == (row["codec"], row["quality"], row["scales"])
        ]  # fmt: skip
        assert 8 * sum(sizes) / len(sizes) / (width * height) == pytest.approx(float(row["bpp"]), rel=1e-6)


def test_an_index_with_a_setting_that_sets_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.yaml").write_text("- {recipe: demo, set: [data.limit]}")
    with pytest.raises(LayeredError, match="key=value"):
        published(tmp_path)
