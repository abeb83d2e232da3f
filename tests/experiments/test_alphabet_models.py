"""Entropy models of finite alphabets are compared on real bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.alphabet_models import main
from layered.base.transforms import rebuild_tables
from layered.entropy.models import MODELS
from layered.errors import OptionError
from layered.image import save_image
from layered.spec import CodecSpec, build
from layered.weights.store import save_codec
from tests.conftest import smooth_picture


def test_models_that_know_more_need_fewer_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = {"name": "gc", "width": 16, "channels": 3, "blocks": 0, "norm": "channel", "shortcut": True}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = build(CodecSpec.model_validate({"base": base, "lambdas": (0.0002,)}))
    rebuild_tables(codec)
    save_codec(codec, tmp_path / "gc.safetensors", "gc")
    for folder, seeds in (("training", range(6)), ("test", range(6, 8))):
        (tmp_path / folder).mkdir()
        for seed in seeds:
            save_image(smooth_picture(256, 288, seed=seed), tmp_path / folder / f"{seed}.png")
    arguments = ["--weights", str(tmp_path / "gc.safetensors"), "--pictures", str(tmp_path / "training")]
    main([*arguments, "--data", str(tmp_path / "test"), "--steps", "60"])
    rates = {line.split()[0]: float(line.split()[1]) for line in capsys.readouterr().out.splitlines()}
    assert list(rates) == list(MODELS)
    assert rates["autoregressive"] < rates["static"] < rates["uniform"]
    with pytest.raises(OptionError, match="no finite alphabet"):
        main(["--weights", "factorized-small", *arguments[2:]])
