"""Per-image adaptation end to end: files that decode, never cost more where that is promised, and differ in nothing
that was not asked for."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapters.adaptation import AdaptationSettings, PerImage
from adapters.cost import Cost
from adapters.filed import filed
from adapters.layer import adapt_layer
from adapters.methods import METHODS, Method, method_of
from adapters.refine import Refined
from adapters.schedule import Schedule
from adapters.section import read_section
from layered import stream
from layered.base.gain import lambda_at
from layered.codec import LayeredCodec
from layered.errors import CorruptStream, LayeredError, OptionError, WrongModel
from layered.image import Image8
from layered.layer import Latents
from tests.adapters.codecs import base_codec, case, guide_for, stack_codec
from tests.adapters.kit import Scattered, with_site
from tests.conftest import make_codec, smooth_picture, tiny_spec

SIZE = (20, 28)
PICTURE = smooth_picture(*SIZE)
GUARDED = [name for name, each in METHODS.items() if each.plan is None or each.plan.optional]


def per_image(method: str, steps: int = 2, **options: Any) -> PerImage:
    given: dict[str, Any] = {"method": method, "steps": steps, **options}
    own = METHODS[method]
    if own.plan is not None and (own.first or own.last):
        given.setdefault("adapter_steps", steps)
    return PerImage(AdaptationSettings(**given))


def costs(codec: LayeredCodec, data: bytes, originals: list[Image8], lam: float) -> list[float]:
    """What each layer costs by its bytes in the file."""
    parsed, found = stream.parse(data), []
    for chunk, original, decoded in zip(parsed.chunks, originals, codec.decode(data), strict=True):
        error = np.square(original.astype(float) - decoded).mean()
        found.append(8 * (len(chunk.payload) + len(chunk.adapter)) / decoded[..., 0].size + lam * float(error))
    return found


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_file_that_decodes(method: str) -> None:
    codec = base_codec("mean-scale")
    adaptation = per_image(method)
    data = codec.encode(PICTURE, (1.0,), adaptation=adaptation)
    plain = codec.encode(PICTURE, (1.0,))
    lam = lambda_at(codec.base.lambdas, 2.0)
    ours, theirs = (costs(codec, each, [PICTURE], lam)[0] for each in (data, plain))
    if method in GUARDED:
        assert ours <= theirs * (1 + 1e-6)
    for report in adaptation.reports:
        chunk = stream.parse(data).chunks[0]
        assert report.adapter_bytes == len(chunk.adapter)
        lengths = 8 * (1 + bool(chunk.adapter) * (1 + (len(chunk.adapter) > 127))) / PICTURE[..., 0].size
        assert report.after == pytest.approx(ours + lengths, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_of_one_pixel_is_borne(method: str) -> None:
    codec = base_codec("factorized")
    data = codec.encode(smooth_picture(1, 1), (1.0,), adaptation=per_image(method, 1))
    assert codec.decode(data)[0].shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("name", "method"),
    [*((name, "universal-joint") for name in ("gc", "tunable", "sc", "aedc", "mei")), ("gc", "rozendaal"),
     ("residual", "rozendaal")],
)  # fmt: skip
def test_codecs_of_every_kind_may_be_adapted(name: str, method: str) -> None:
    stack = name in ("residual", "mei")
    codec, scales = (stack_codec(name), (0.5, 1.0)) if stack else (base_codec(name), (1.0,))
    adaptation = per_image(method, 1)
    data = codec.encode(PICTURE, scales, guide=guide_for(name, *SIZE), adaptation=adaptation)
    assert codec.decode(data)[-1].shape == PICTURE.shape and len(adaptation.reports) == len(scales)
    assert method not in GUARDED or all(report.after <= report.before for report in adaptation.reports)


@pytest.mark.parametrize("picture", [
    smooth_picture(1, 40), smooth_picture(40, 1), np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8),
    np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8),
], ids=["row", "column", "black", "white", "noise"])  # fmt: skip
def test_pictures_of_any_kind_are_borne(picture: Image8) -> None:
    codec = stack_codec()
    data = codec.encode(picture, (0.05, 1.0), (1.0, 3.0), adaptation=per_image("universal-joint", 1))
    assert [chunk.width for chunk in stream.parse(data).chunks][-1] == picture.shape[1]
    assert codec.decode(data)[-1].shape == picture.shape


_DECODE = """
import hashlib, sys
from pathlib import Path
from tests.adapters.codecs import stack_codec
for path in sys.argv[1:]:
    pictures = stack_codec().decode(Path(path).read_bytes())
    print(hashlib.sha256(b"".join(each.tobytes() for each in pictures)).hexdigest())
"""


def test_another_process_decodes_the_encoders_pictures(tmp_path: Path) -> None:
    codec, wanted, paths = stack_codec(), [], []
    for exact in (False, True):
        adaptation = per_image("universal-paper", sites=("predictor.*", "@synthesis"))
        data = codec.encode(PICTURE, (0.5, 1.0), exact=exact, adaptation=PerImage(
            adaptation.settings.model_copy(update={"layers": (1,)})))  # fmt: skip
        paths.append(tmp_path / f"{exact}.lyr")
        paths[-1].write_bytes(data)
        wanted.append(hashlib.sha256(b"".join(each.tobytes() for each in codec.decode(data))).hexdigest())
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _DECODE, *map(str, paths)], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == wanted


def test_a_file_says_which_weights_it_needs_and_damage_to_adapters_is_told() -> None:
    codec = base_codec("factorized")
    data = codec.encode(PICTURE, (1.0,), adaptation=per_image("zou"))
    with pytest.raises(WrongModel):
        base_codec("mean-scale").decode(data)
    parsed = stream.parse(data)
    section = parsed.chunks[0].adapter
    for at in (0, len(section) // 2, len(section) - 1):
        bad = section[:at] + bytes([section[at] ^ 4]) + section[at + 1 :]
        with pytest.raises(CorruptStream):
            codec.decode(data.replace(section, bad))


def test_adapters_alone_leave_the_latents_as_they_were() -> None:
    codec = base_codec("mean-scale")
    method = METHODS["universal-paper"]
    plain = stream.parse(codec.encode(PICTURE, (1.0,))).chunks[0]
    layer, original, context = case("mean-scale", *SIZE)
    alone = Method(plan=method.plan and method.plan.model_copy(update={"steps": 2}))
    found = adapt_layer(layer, original, context, Cost(0.01), alone, torch.Generator())
    with torch.no_grad():
        encoded = layer.analyse(original, context)
    assert found.weights and all(torch.equal(a, b) for a, b in zip(found.latents.parts, encoded.parts, strict=True))
    data = codec.encode(PICTURE, (1.0,), adaptation=per_image("universal-paper", 0))
    chunk = stream.parse(data).chunks[0]
    assert chunk.adapter and chunk.payload[4:] == plain.payload[4:]  # but for the checksum, which seals the adapter


def test_a_layer_that_is_not_named_keeps_its_bytes() -> None:
    codec = stack_codec()
    plain = stream.parse(codec.encode(PICTURE, (0.5, 1.0))).chunks
    adapted = stream.parse(codec.encode(PICTURE, (0.5, 1.0), adaptation=per_image("zou", layers=(1,)))).chunks
    assert adapted[0] == plain[0] and adapted[1].adapter and not plain[1].adapter


def test_the_same_seed_gives_the_same_file_and_the_codec_stays_as_it_was() -> None:
    codec = make_codec(tiny_spec())
    before = {key: value.clone() for key, value in codec.state_dict().items()}
    state = torch.random.get_rng_state()
    plain = codec.encode(PICTURE, (1.0,))
    files = [
        codec.encode(PICTURE, (1.0,), adaptation=per_image("universal-joint", 4, seed=seed, lam=20.0))
        for seed in (3, 3, 4)
    ]  # fmt: skip
    assert files[0] == files[1] != files[2] and plain not in files
    assert plain == codec.encode(PICTURE, (1.0,))
    assert all(torch.equal(value, before[key]) for key, value in codec.state_dict().items())
    assert not any("forward" in vars(module) or module._forward_pre_hooks for module in codec.modules())
    assert torch.equal(state, torch.random.get_rng_state())


def test_one_adaptation_serves_many_pictures() -> None:
    codec, adaptation = base_codec("factorized"), per_image("refine")
    first = codec.encode(PICTURE, (1.0,), adaptation=adaptation)
    codec.encode(PICTURE[::-1].copy(), (1.0,), adaptation=adaptation)
    assert codec.encode(PICTURE, (1.0,), adaptation=adaptation) == first and len(adaptation.reports) == 1


@pytest.mark.parametrize("method", ["universal-joint", "layered-joint"])
def test_inference_mode_of_the_caller_does_not_matter(method: str) -> None:
    codec = base_codec("mean-scale")
    wanted = codec.encode(PICTURE, (1.0,), adaptation=per_image(method))
    with torch.inference_mode():
        assert codec.encode(PICTURE, (1.0,), adaptation=per_image(method)) == wanted


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("method", "sites"), [("universal-paper", ("predictor.*",)), ("rozendaal", ("@decoder",))])
def test_no_prediction_of_other_weights_reaches_the_file(method: str, sites: tuple[str, ...], exact: bool) -> None:
    """`verify` compares the encoder's pictures with the decoder's, which knows the adapted prediction alone."""
    codec = stack_codec()
    adaptation = per_image(method, 1, layers=(1,), sites=sites)
    data = codec.encode(PICTURE, (0.5, 1.0), exact=exact, adaptation=adaptation, verify=True)
    assert stream.parse(data).chunks[1].adapter


def test_a_refinement_that_loses_by_the_true_bits_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, original, context = case("mean-scale")

    def flattered(layer: Any, original: Any, *given: Any, **options: Any) -> Refined:
        start = given[4]
        worse = Latents(tuple(part + 3 for part in start.parts))
        return Refined(worse, torch.ones(1), torch.zeros(1), 1, 0.0)

    monkeypatch.setattr("adapters.layer.refine", flattered)
    found = adapt_layer(layer, original, context, Cost(0.01), Method(first=Schedule(steps=1)), torch.Generator())
    with torch.no_grad():
        encoded = layer.analyse(original, context)
    assert found.after == found.before and torch.equal(found.latents.parts[0], encoded.parts[0])
    assert filed(layer, encoded, b"", original, context, Cost(0.01)).cost == found.before


def test_weights_that_are_no_numbers_are_told() -> None:
    original, context = case("mean-scale")[1:]
    for key, method in (("g_a.0.weight", "refine"), ("h_s.0.weight", "universal-swapped"), ("g_s.0.bias", "rozendaal")):
        layer = make_codec(tiny_spec()).base
        layer.get_parameter(key).data.fill_(float("nan"))
        with pytest.raises(LayeredError, match="NaN"):
            adapt_layer(layer, original, context, Cost(1.0), METHODS[method], torch.Generator())


def test_progress_is_told_stage_by_stage() -> None:
    told: list[tuple[int, str, int, int]] = []

    def tell(layer: int, stage: str) -> Any:
        return lambda done, most: told.append((layer, stage, done, most))

    settings = AdaptationSettings(method="universal", steps=1, adapter_steps=2)
    stack_codec().encode(PICTURE, (0.5, 1.0), adaptation=PerImage(settings, tell))
    assert told == [
        (k, *rest) for k in (0, 1) for rest in (("latents", 1, 1), ("adapters", 1, 2), ("adapters", 2, 2))
    ]  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        {"method": "refine", "rank": 2},
        {"method": "refine", "sites": ("*",)},
        {"method": "refine", "rate": True},
        {"method": "refine", "adapter_steps": 3},
        {"method": "universal", "last_steps": 3},
        {"method": "universal", "weights": (1.0,)},
        {"method": "rozendaal", "schedule": "fast"},
        {"method": "rozendaal", "patience": 3},
        {"method": "rozendaal", "steps": 3, "adapter_steps": 4},
        {"method": "universal-swapped", "steps": 3, "last_steps": 4},
        {"method": "lam-fair", "rank": 2},
        {"method": "zou", "rate": True},
        {"method": "layered-joint", "layers": (0,)},
        {"method": "layered-joint", "sites": ("*",)},
    ],
)
def test_a_setting_without_a_meaning_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="has no meaning for the method"):
        AdaptationSettings(**given).resolved()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "magic"}, "refine, universal, universal-joint"),
        ({"schedule": "slow"}, "fast, reference, universal"),
        ({"distortion": "psnr"}, "mse, ms-ssim"),
        ({"stepps": 3}, "valid keys are method, layers, steps"),
        ({"steps": -1}, "steps"),
        ({"lam": 0.0}, "lam"),
        ({"layers": ()}, "layers"),
        ({"rank": 65}, "rank"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_settings_are_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as told:
        AdaptationSettings(**given)
    assert "\n" not in str(told.value)
    with pytest.raises(OptionError, match="layered-joint"):
        method_of("magic")


def test_settings_replace_those_of_the_method() -> None:
    given = AdaptationSettings(
        method="universal", steps=7, adapter_steps=9, schedule="soft-round", seconds=1.5, patience=2, rank=3,
        sites=("g_s.*",), rate=False,
    ).resolved()  # fmt: skip
    assert given.first is not None and given.plan is not None
    assert (given.first.rounding, given.first.steps, given.first.seconds, given.first.patience) == (
        "soft-round", 7, 1.5, 2)  # fmt: skip
    assert (given.plan.steps, given.plan.rank, given.plan.sites, given.plan.rate) == (9, 3, ("g_s.*",), False)
    assert given.plan.seconds == 1.5
    assert AdaptationSettings(method="rozendaal", steps=5).resolved().plan == AdaptationSettings(
        method="rozendaal", adapter_steps=5
    ).resolved().plan
    alone = AdaptationSettings(method="rozendaal", seconds=1.5).resolved()
    assert alone.plan is not None and alone.plan.seconds == 1.5
    swapped = AdaptationSettings(method="universal-swapped", steps=5).resolved()
    assert swapped.last is not None and swapped.last.steps == 5


def test_a_layer_that_is_not_there_is_told() -> None:
    for layers in ((0, 2), (-1,)):
        with pytest.raises(OptionError, match="there is no layer"):
            stack_codec().encode(PICTURE, (0.5, 1.0), adaptation=per_image("refine", layers=layers))


def test_sites_that_one_adapted_layer_has_leave_the_others_without_an_adapter() -> None:
    codec = with_site()
    chunks = stream.parse(codec.encode(PICTURE, (0.5, 1.0), adaptation=per_image("zou", sites=("@attention",)))).chunks
    assert read_section(codec.base, chunks[0].adapter).sites == ("g_s.3",) and not chunks[1].adapter
    adaptation = per_image("zou", sites=("residual.g_s.0", "g_s.2", "!g_s.9*", "!g_s.2", "g_s.0"))
    with pytest.raises(OptionError, match=r"'!g_s\.9\*'"):
        codec.encode(PICTURE, (0.5, 1.0), adaptation=adaptation)
    adaptation = per_image("zou", sites=("residual.g_s.0", "g_s.2", "!g_s.2", "g_s.0"))
    chunks = stream.parse(codec.encode(PICTURE, (0.5, 1.0), adaptation=adaptation)).chunks
    sites = [read_section(codec.layer(k), chunk.adapter).sites for k, chunk in enumerate(chunks)]
    assert sites == [("g_s.0",), ("residual.g_s.0",)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"'@attention': layer 0 has @synthesis, @decoder .* g_s\.0, .*; layer 1, layer 2 have .*predictor"),
        ({"layers": (0,)}, r"'@attention': layer 0 has @synthesis, @decoder and the modules g_s\.0, [^;]*$"),
    ],
)
def test_named_sites_that_no_adapted_layer_has_are_told_before_anything_is_adapted(
    given: dict[str, Any], message: str
) -> None:
    told: list[str] = []

    def tell(layer: int, stage: str) -> Any:
        told.append(stage)

    adaptation = PerImage(per_image("universal", sites=("@attention",), **given).settings, tell)
    with pytest.raises(OptionError, match=message):
        stack_codec().encode(PICTURE, (0.25, 0.5, 1.0), adaptation=adaptation)
    assert not told
    fallen_back = stream.parse(stack_codec().encode(PICTURE, (0.5, 1.0), adaptation=per_image("zou")))
    assert all(chunk.adapter for chunk in fallen_back.chunks)


def test_threads_share_a_codec_while_it_is_adapted_and_while_it_decodes_adapted_files() -> None:
    codec, files = base_codec("factorized"), []
    before = {name: tensor.clone() for name, tensor in codec.state_dict().items()}
    plain = codec.encode(PICTURE, (1.0,))
    adapted = codec.encode(PICTURE, (1.0,), adaptation=Scattered(kind="mix", deviation=0.1))
    wanted = [codec.decode(file)[0] for file in (plain, adapted)]
    assert not np.array_equal(wanted[0], wanted[1])
    searched = codec.encode(PICTURE, (1.0,), adaptation=per_image("universal-joint"))

    def meanwhile(layer: int, stage: str) -> Any:
        def tell(done: int, most: int) -> None:
            files.append(other.submit(codec.encode, PICTURE, (1.0,)).result())

        return tell

    def decoded(number: int) -> bool:
        return np.array_equal(codec.decode((plain, adapted)[number % 2])[0], wanted[number % 2])

    with ThreadPoolExecutor(1) as other:
        slow = PerImage(per_image("universal-joint").settings, meanwhile)
        assert codec.encode(PICTURE, (1.0,), adaptation=slow) == searched
    assert files and set(files) == {plain}
    with ThreadPoolExecutor(4) as several:
        assert all(several.map(decoded, range(24)))
    assert all(torch.equal(before[name], tensor) for name, tensor in codec.state_dict().items())

