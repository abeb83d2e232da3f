"""Scores of single pictures: what they say, what records depend on, and where they are shown."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from experiments import item as items
from experiments.data import Picture
from experiments.harness import run
from experiments.html import write_html
from experiments.item import Item, Wanted, fingerprint_of, make_item, measure
from experiments.lpips import TRUNKS, load_lpips
from experiments.method import Method
from experiments.plan import plan
from experiments.recipe import Recipe
from experiments.record import Provenance, Record
from experiments.report import write_report
from experiments.runs import load_results
from experiments.scores import ScoreSpec, build_score, gradient
from experiments.tables import Tables
from layered.errors import LayeredError, OptionError, RecipeError
from layered.image import Image8
from tests.conftest import smooth_picture
from tests.experiments.html_runs import Elements
from tests.experiments.small_run import small_recipe, write_pictures

PROVENANCE = Provenance("tests", None, "Linux", 1)
JPEG = [{"name": "jpeg", "codec": "simulcast", "of": "jpeg", "qualities": [10, 90]}]
SHARPNESS = """
import numpy as np

class Sharpness:
    def __init__(self, power=1):
        self.power = power

    def __call__(self, decoded, original):
        assert decoded.shape == original.shape and decoded.dtype == np.uint8
        value = float(np.abs(decoded.astype(float) - original).mean()) ** self.power
        decoded[:], original[:] = 0, 0
        return value
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "my_scores.py").write_text(SHARPNESS)
    return write_pictures(tmp_path / "pictures", 1)


def recipe(pictures: Path, *scores: Any, **changes: Any) -> Recipe:
    return small_recipe(pictures, codecs=JPEG, anchors=[], scores=list(scores), **changes)


def own(pictures: Path) -> str:
    return f"{pictures.parent / 'my_scores.py'}:Sharpness"


def planned(pictures: Path, *scores: Any) -> tuple[Item, ...]:
    return plan(recipe(pictures, *scores), PROVENANCE).items


def weights(folder: Path, name: str, seed: int = 0) -> dict[str, str]:
    """Random files in the names of torchvision's trunk and the package's heads."""
    generator = torch.Generator().manual_seed(seed)
    stored: dict[str, torch.Tensor] = {}
    before = 3
    for number, (width, side) in TRUNKS[name].convolutions.items():
        bound = math.sqrt(2 / (before * side * side))
        weight = bound * torch.randn(width, before, side, side, generator=generator)
        stored |= {f"features.{number}.weight": weight, f"features.{number}.bias": torch.zeros(width) + 0.1}
        before = width
    stored["classifier.1.weight"] = torch.zeros(2, 2)  # other tensors of such a file are not looked at
    widths = [TRUNKS[name].convolutions[tap][0] for tap in TRUNKS[name].tapped]
    heads = {f"lin{k}.model.1.weight": torch.rand(1, w, 1, 1, generator=generator) for k, w in enumerate(widths)}
    torch.save(stored, folder / f"{name}.pth")
    torch.save(heads, folder / f"{name}-heads.pth")
    return {"path": str(folder / f"{name}.pth"), "heads": str(folder / f"{name}-heads.pth")}


# ---- Values -----------------------------------------------------------------------------------------------------


def blurred(image: Image8, radius: float) -> Image8:
    return np.array(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def test_the_gradient_of_the_same_picture_is_1_and_blurring_lowers_it() -> None:
    image = smooth_picture(40, 56)
    values = [gradient(blurred(image, radius), image) or 0 for radius in (0, 0.7, 1.5, 3)]
    assert values[0] == 1 and values == sorted(values, reverse=True) and len({0, *values}) == 5
    sharper = np.clip(128 + 1.2 * (image.astype(float) - 128), 0, 255).astype(np.uint8)
    assert (gradient(sharper, image) or 0) > 1


def test_the_gradient_is_that_of_hand_made_luma_and_a_flat_original_has_none() -> None:
    original, decoded = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    original[:, 1] = 100  # two horizontal steps of 100
    decoded[1, 1] = 50  # one horizontal and one vertical step of 50
    assert gradient(decoded, original) == pytest.approx((2 * 50**2) / (2 * 100**2))
    assert gradient(original, np.zeros_like(original)) is None


def by_hand(picture: Image8, stored: dict[str, torch.Tensor], strides: dict[int, int], pools: dict[int, int]) -> Any:
    """Unit-normalised features after each ReLU, layer by layer of torchvision's numbering."""
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    x = torch.from_numpy((picture / 255 * 2 - 1 - shift) / scale).permute(2, 0, 1)[None].float()
    found = {}
    for number in range(31):
        if number in pools:
            x = torch.nn.MaxPool2d(pools[number], 2)(x)
        if f"features.{number}.weight" in stored:
            weight = stored[f"features.{number}.weight"]
            padding = 2 if weight.shape[-1] == 11 else weight.shape[-1] // 2
            patches = torch.nn.functional.unfold(x, weight.shape[-1], 1, padding, strides.get(number, 1))
            side = [(n + 2 * padding - weight.shape[-1]) // strides.get(number, 1) + 1 for n in x.shape[-2:]]
            flat = weight.flatten(1) @ patches[0] + stored[f"features.{number}.bias"][:, None]
            x = flat.clamp(min=0).view(1, len(weight), *side)
            units = x[0].numpy().astype(np.float64)
            found[number] = units / np.sqrt((units**2).sum(0))
    return found


@pytest.mark.parametrize(
    ("name", "strides", "pools", "taps"),
    [
        ("AlexNet", {0: 4}, {2: 3, 5: 3}, (0, 3, 6, 8, 10)),
        ("VGG-16", {}, {4: 2, 9: 2, 16: 2, 23: 2}, (2, 7, 14, 21, 28)),
    ],
)
def test_lpips_is_what_a_plain_computation_gives(
    tmp_path: Path, name: str, strides: dict[int, int], pools: dict[int, int], taps: tuple[int, ...]
) -> None:
    files = weights(tmp_path, name)
    measure = load_lpips(**files)
    first, second = smooth_picture(37, 45, 1), smooth_picture(37, 45, 2)
    stored, heads = (torch.load(files[key]) for key in ("path", "heads"))
    ours, theirs = (by_hand(picture, stored, strides, pools) for picture in (first, second))
    wanted = 0.0
    for k, tap in enumerate(taps):
        weight = heads[f"lin{k}.model.1.weight"].numpy().reshape(-1, 1, 1)
        wanted += float(((ours[tap] - theirs[tap]) ** 2 * weight).sum(0).mean())
    assert measure.score(first, second) == pytest.approx(wanted, rel=1e-4) and wanted > 0.01
    assert measure.score(first, first) == 0
    assert measure.score(first[:15], second[:15]) is None


def test_lpips_says_which_file_is_missing_or_wrong(tmp_path: Path) -> None:
    files, vgg = weights(tmp_path, "AlexNet"), tmp_path / "vgg19.pth"
    other = {f"features.{k}.weight": torch.zeros(1) for k in (2, 5)} | {"features.0.weight": torch.zeros(64, 3, 3, 3)}
    torch.save(other, vgg)
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    (tmp_path / "text.pth").write_text("words")
    for changes, message in [
        ({"path": str(tmp_path / "no.pth")}, r"lpips: path: .*no\.pth: no such file.*nothing is downloaded"),
        ({"heads": str(tmp_path / "no.pth")}, r"lpips: heads: .*no\.pth: no such file"),
        ({"path": str(tmp_path / "text.pth")}, r"path: .*text\.pth: not a file of weights"),
        ({"path": str(tmp_path / "a.pth")}, r"no weights of AlexNet or VGG-16 .*no features\.0\.weight"),
        ({"path": str(vgg)}, r"no weights of VGG-16; features\.0\.bias is missing"),
        ({"heads": files["path"]}, r"no heads for AlexNet; lin0\.model\.1\.weight is missing"),
    ]:
        with pytest.raises(OptionError, match=message) as caught:
            load_lpips(**{**files, **changes})
        assert "\n" not in str(caught.value)


# ---- Recipes and keys -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ("gradient", "a list is needed, such as [gradient]"),
        (["gradent"], "unknown score 'gradent', did you mean 'gradient'? there are gradient, lpips"),
        ([{"name": "lpips", "path": "a.pth"}], "lpips needs path and heads"),
        ([{"name": "gradient", "heads": "a.pth"}], "gradient takes no heads"),
        ([{"name": "gradient", "size": 1}], "unknown key 'size'"),
        ([{"name": "a.py:B", "path": "a.pth"}], "takes no path"),
        (["a.py:9"], "names no class"),
        (["gradient", "gradient"], "two scores are called 'gradient'; give one of them another `label:`"),
        ([{"name": "gradient", "label": "a\nb"}], "is not one line of text"),
        ([{"name": "gradient", "label": "bpp"}], "'bpp' is a column of the tables already; give the score another"),
        (["my.py:Quality"], "scores.0: 'Quality' is a column of the tables already"),
        (None, "scores: a list is needed, such as [gradient]; leave the key out"),
    ],
)
def test_faults_of_scores_are_named_in_one_line(pictures: Path, scores: Any, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        small_recipe(pictures, scores=scores)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_score_is_a_name_or_a_mapping_and_may_have_another_label(pictures: Path) -> None:
    given = ["gradient", {"name": "gradient", "label": "again"}, "a.py:Sharp", {"name": "a.b:C", "options": {"r": [1]}}]
    made = recipe(pictures, *given)
    assert [score.label for score in made.scores] == ["gradient", "again", "Sharp", "C"]
    assert made.scores[3].options == (("r", (1,)),)
    assert Recipe.model_validate(made.model_dump(mode="json")) == made


class Stub:
    """A codec of which only the fingerprint is asked for."""

    def fingerprint(self) -> dict[str, str]:
        return {"model": "3"}


def test_items_without_scores_keep_the_keys_that_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.__version__", "1")
    monkeypatch.setattr("numpy.__version__", "1")
    monkeypatch.setattr(items, "source_digest", lambda *sources: "2")
    monkeypatch.setattr(items, "version", lambda library: "1")
    monkeypatch.setattr(items, "_torch", lambda: "1")
    monkeypatch.setattr(items, "codec_of", lambda method, device: Stub())

    def key(of: Method, quality: Any, scales: tuple[float, ...], wanted: Wanted) -> str:
        place = (Picture("p0", Path("p0.png")), "0" * 64, scales, "cpu")
        return make_item(of, fingerprint_of(of, "cpu", wanted), quality, *place, wanted, PROVENANCE).key

    single, both = Method(codec="single", of="jpeg"), Method(codec="simulcast", of="jpeg")
    assert key(single, 30.0, (0.5,), Wanted(ms_ssim=True)) == "0c776bc5b04084ef388c70caa76d7836"
    assert key(both, (30.0, 40.0), (0.5, 1.0), Wanted(False, True, True)) == "610f98972e375f82214724247c7a3837"
    scored = Wanted(ms_ssim=True, scores=(ScoreSpec(name="gradient"),))
    assert key(single, 30.0, (0.5,), scored) != "0c776bc5b04084ef388c70caa76d7836"


def test_keys_depend_on_which_scores_there_are_and_on_all_that_these_depend_on(pictures: Path) -> None:
    files = weights(pictures.parent, "AlexNet")
    lpips = {"name": "lpips", **files}
    seen = [planned(pictures, *scores)[0].key for scores in ([], ["gradient"], [lpips], [own(pictures)])]
    seen.append(planned(pictures, {"name": own(pictures), "options": {"power": 2}})[0].key)
    (pictures.parent / "my_scores.py").write_text(SHARPNESS + "# another file\n")
    seen.append(planned(pictures, own(pictures))[0].key)
    Path(files["heads"]).write_bytes(Path(weights(pictures.parent, "AlexNet", seed=1)["heads"]).read_bytes())
    seen.append(planned(pictures, lpips)[0].key)
    assert len(set(seen)) == len(seen)


def test_a_score_that_changes_during_the_run_is_caught(pictures: Path) -> None:
    item = planned(pictures, own(pictures))[0]
    (pictures.parent / "my_scores.py").write_text(SHARPNESS + "# another file\n")
    with pytest.raises(LayeredError, match="than when the run began"):
        measure(item)


def test_what_is_missing_for_a_score_shows_before_any_work(pictures: Path) -> None:
    for score, message in [
        ({"name": "lpips", "path": "no.pth", "heads": "no.pth"}, r"no\.pth: no such file"),
        (f"{pictures.parent / 'my_scores.py'}:Nobody", "there is no class Nobody"),
        ({"name": own(pictures), "options": {"radius": 1}}, "unexpected keyword argument"),
    ]:
        with pytest.raises(OptionError, match=message):
            planned(pictures, score)


# ---- Records and reports ----------------------------------------------------------------------------------------


def test_records_hold_the_scores_of_every_layer(pictures: Path) -> None:
    item = planned(pictures, "gradient", own(pictures))[1]
    (layer,) = measure(item).record.layers
    assert 0 < (layer.scores["gradient"] or 0) < 1 and (layer.scores["Sharpness"] or 0) > 1
    record = measure(item).record
    assert Record.from_json(record.to_json()).layers == record.layers
    assert any(name == "score gradient" for name in record.fingerprint)


def test_records_without_scores_are_read_and_scores_that_are_no_numbers_are_not(pictures: Path) -> None:
    record = measure(planned(pictures)[0]).record
    assert record.layers[0].scores == {}
    old = record.to_json().replace(',\n   "scores": {}', "")
    assert "scores" not in old and Record.from_json(old) == record
    strange = replace(record, layers=(replace(record.layers[0], scores={"a": 1.5}),)).to_json().replace("1.5", "NaN")
    with pytest.raises(ValueError, match="score"):
        Record.from_json(strange)


@pytest.mark.parametrize("value", ["float('nan')", "True", "'a'", "decoded"])
def test_a_class_that_returns_no_number_costs_its_items_and_is_named(pictures: Path, value: str) -> None:
    lines = "class Sharpness:", "    def __call__(self, decoded, original):", f"        return {value}"
    (pictures.parent / "my_scores.py").write_text("\n".join(lines))
    with pytest.raises(LayeredError, match=r"Sharpness returned .* where a finite number or None"):
        measure(planned(pictures, own(pictures))[0])


def test_a_class_may_say_that_it_has_no_value(pictures: Path) -> None:
    (pictures.parent / "my_scores.py").write_text("class Sharpness:\n    def __call__(self, *pictures): return None\n")
    assert measure(planned(pictures, own(pictures))[0]).record.layers[0].scores == {"Sharpness": None}
    (pictures.parent / "my_scores.py").write_text("class Sharpness: pass\n")
    with pytest.raises(OptionError, match="no method `__call__`"):
        build_score(ScoreSpec(name=own(pictures)))


def test_scores_stand_in_every_table_of_a_run_and_need_no_class_there(pictures: Path) -> None:
    wanted_tables = recipe(pictures, "gradient", own(pictures), beside={"codec": "jpeg", "quality": 90})
    results = run(wanted_tables, pictures.parent / "out", workers=0, progress=False)
    (pictures.parent / "my_scores.py").unlink()
    results = load_results(results.folder)
    write_report(results)
    with (results.folder / "records.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = [layer.scores["gradient"] for record in results.records for layer in record.layers]
    assert [float(row["score_gradient"]) for row in rows] == wanted and "score_Sharpness" in rows[0]
    with (results.folder / "points.csv").open(newline="") as file:
        top = [row for row in csv.DictReader(file) if row["layer"] == "1"]
    assert [float(row["score_gradient"]) for row in top] == [wanted[1], wanted[3]]
    text = (results.folder / "report.md").read_text()
    assert "## Scores" in text and "| codec | quality | bpp | gradient | Sharpness |" in text
    assert "1 is as sharp" in text
    assert "| MS-SSIM | gradient | Sharpness |\n" in text and text.count(f"| {wanted[3]:.4g} |") == 2
    write_html(Tables(results), results.folder / "page.html")
    (grid,) = Elements((results.folder / "page.html").read_text(encoding="utf-8")).values["scores"]
    assert grid["header"][3:] == ["gradient", "Sharpness"] and grid["rows"][1][3] == f"{wanted[3]:.4g}"
