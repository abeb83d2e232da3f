"""Words and patterns name the sites that they say."""

from __future__ import annotations

import pytest
from torch import nn

from adapters.places import encoder_sites, places
from adapters.sites import sites
from layered.base.site import Site
from layered.errors import OptionError
from layered.layer import Context, Layer
from tests.adapters.codecs import case
from tests.adapters.kit import with_site

ORIGINAL = case("residual")[1]


def found(layer: Layer, context: Context, *patterns: str, kind: str = "full") -> tuple[str, ...]:
    return places(layer, kind, patterns, ORIGINAL, context)


def test_attention_is_the_last_place_for_adapters() -> None:
    layer = with_site().base
    assert found(layer, Context(24, 40), "@attention", kind="mix") == ("g_s.3",)
    synthesis = layer.get_submodule("g_s")
    assert isinstance(synthesis, nn.Sequential)
    synthesis.insert(5, Site(12))
    assert found(layer, Context(24, 40), "@attention", kind="mix") == ("g_s.5",)


def test_the_default_is_attention_or_else_the_whole_synthesis() -> None:
    layer, original, context = case("mean-scale")
    assert places(layer, "full", None, original, context) == found(layer, context, "@synthesis")
    assert found(layer, context, "@synthesis", kind="bias") == ("g_s.0", "g_s.2", "g_s.4", "g_s.6")
    layer = with_site().base
    assert places(layer, "mix", None, original, Context(24, 40)) == ("g_s.3",)


def test_the_synthesis_of_an_enhancement_layer_is_not_its_prediction() -> None:
    layer, _, context = case("residual")
    behind = found(layer, context, "@synthesis")
    assert behind and all(name.startswith("residual.g_s.") for name in behind)
    assert all(name.startswith("predictor.") for name in found(layer, context, "predictor.*"))
    for name in ("predictor.first", "predictor.middle.0", "predictor.last"):  # whose weights LIFF reads for itself
        assert found(layer, context, name) == (name,)
    assert set(found(layer, context, "*")) > set(behind)


@pytest.mark.parametrize("name", ["mean-scale", "residual", "mei", "gc", "sc"])
def test_the_decoder_is_all_but_the_encoder(name: str) -> None:
    layer, original, context = case(name)
    decoder = set(places(layer, "full", ("@decoder",), original, context))
    encoder = set(encoder_sites(layer, original, context))
    assert encoder and decoder and not encoder & decoder
    assert {each for each in encoder | decoder if "g_a" in each or each.startswith("encoder")} <= encoder
    assert decoder >= set(places(layer, "full", ("*",), original, context))
    assert encoder | decoder <= set(sites(layer))


def test_patterns_take_away_what_was_named_before() -> None:
    layer, _, context = case("mean-scale")
    every = found(layer, context, "@decoder")
    without = found(layer, context, "@decoder", "!h_s.*", "!entropy*")
    assert set(every) - set(without) == {name for name in every if name.startswith(("h_s", "entropy"))} != set()
    assert found(layer, context, "g_s.0", "g_s.*", "!g_s.0")[0] == "g_s.1"
    assert found(layer, context, "g_s.2", "g_s.2") == ("g_s.2",)


@pytest.mark.parametrize(
    ("patterns", "kind", "message"),
    [
        (("@decode",), "full", "there are @attention, @synthesis, @decoder"),
        (("@attention",), "full", r"'@attention': this layer has @synthesis, @decoder and .* g_s\.0, .*, g_s\.6"),
        (("attention.*",), "full", r"g_s\.0"),
        (("@synthesis", "!h_s.*"), "full", r"'!h_s\.\*': .*g_s\.0"),
        (("g_s.1",), "mix", "suits"),
        (("g_s.*", "!g_s.*"), "full", "suits"),
        ((), "full", "suits"),
        (("*",), "lora", "low-rank"),
    ],
)
def test_what_names_no_site_is_told(patterns: tuple[str, ...], kind: str, message: str) -> None:
    layer, _, context = case("mean-scale")
    with pytest.raises(OptionError, match=message):
        found(layer, context, *patterns, kind=kind)
