"""A private copy has modules of its own over the same tensors."""

from __future__ import annotations

import pytest

import layered
from adapters.private import private
from layered.weights import catalogue


@pytest.mark.parametrize("name", ["compass-small", "gc-small", "mei-small", "sc-small", "wacnn-small"])
def test_a_private_codec_shares_every_tensor_and_no_module(name: str) -> None:
    assert name in {entry.name for entry in catalogue()}
    codec = layered.load(name)
    own = private(codec)
    assert own.digest == codec.digest
    assert {id(module) for module in own.modules()}.isdisjoint(map(id, codec.modules()))
    for kind in ("named_parameters", "named_buffers"):
        shared = dict(getattr(codec, kind)())
        assert all(shared.pop(name) is tensor for name, tensor in getattr(own, kind)()) and not shared
