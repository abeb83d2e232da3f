"""Discriminator and losses: of the papers' form, and lower for what is better."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from layered.adversarial.discriminator import Discriminator
from layered.adversarial.losses import GAN_LOSSES, critic_loss, feature_matching, verdict_loss
from layered.adversarial.perceptual import PatchStatistics, Perceptual, Vgg, build_perceptual
from layered.adversarial.settings import PerceptualSettings
from layered.errors import OptionError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def verdicts(value: float) -> list[list[Tensor]]:
    return [[torch.full((1, 1, 2, 2), value)], [torch.full((1, 1, 1, 1), value)]]


def test_each_scale_gives_four_features_and_verdicts_and_sees_half_the_size() -> None:
    critic = Discriminator(3, 8, 3)
    scales = critic(torch.randn(2, 3, 64, 64, generator=generator()))
    assert [len(scale) for scale in scales] == [5, 5, 5]
    assert [feature.shape[1] for feature in scales[0]] == [8, 16, 32, 64, 1]
    assert scales[0][0].shape[-1] == 33 and scales[1][0].shape[-1] == 17 and scales[2][0].shape[-1] == 9


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_a_critic_that_tells_them_apart_loses_less(name: str) -> None:
    good = critic_loss(name, verdicts(1.0), verdicts(0.0 if name == "lsgan" else -1.0))
    assert float(good) < float(critic_loss(name, verdicts(0.5), verdicts(0.5)))
    assert float(good) < float(critic_loss(name, verdicts(-1.0), verdicts(1.0)))


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_a_generator_that_is_believed_loses_less(name: str) -> None:
    assert float(verdict_loss(name, verdicts(1.0))) < float(verdict_loss(name, verdicts(0.0)))


def test_least_squares_have_the_papers_values() -> None:
    assert float(critic_loss("lsgan", verdicts(0.0), verdicts(0.0))) == pytest.approx(1.0)  # half, at two scales
    assert float(verdict_loss("lsgan", verdicts(0.0))) == pytest.approx(2.0)


def test_features_that_match_cost_nothing_and_verdicts_do_not_count() -> None:
    def scales(shift: float, verdict: float) -> list[list[Tensor]]:
        return [[torch.full((1, 4, 3, 3), shift)] * 4 + [torch.full((1, 1, 2, 2), verdict)]] * 2

    assert float(feature_matching(scales(0.3, 1.0), scales(0.3, -1.0))) == 0
    assert float(feature_matching(scales(0.0, 0.0), scales(0.5, 0.0))) == pytest.approx(4 * 0.5)


def test_patch_statistics_ignore_where_things_are_and_see_blur() -> None:
    texture = torch.rand(1, 3, 64, 64, generator=generator())
    moved, blurred = texture.roll((16, 24), (2, 3)), torch.nn.functional.avg_pool2d(texture, 3, 1, 1)
    loss = PatchStatistics()
    assert float(loss(texture, texture, generator())) == 0
    assert float(loss(moved, texture, generator())) < 0.2 * float(loss(blurred, texture, generator()))


@pytest.mark.parametrize("size", [(1, 1), (5, 20), (8, 8)])
def test_patch_statistics_take_any_size(size: tuple[int, int]) -> None:
    picture = torch.rand(2, 3, *size, generator=generator()).requires_grad_(True)
    PatchStatistics()(picture, torch.zeros(2, 3, *size), generator()).backward()
    assert picture.grad is not None and bool(picture.grad.isfinite().all())


def test_vgg_is_the_same_wherever_it_is_built_and_sees_differences() -> None:
    torch.manual_seed(1)
    one = Vgg()
    torch.manual_seed(2)
    other = Vgg()
    a, b = torch.rand(2, 1, 3, 32, 32, generator=generator())
    assert float(one(a, b, generator())) == float(other(a, b, generator())) > 0
    assert float(one(a, a, generator())) == 0


def test_vgg_takes_weights_in_torchvisions_names(tmp_path: Path) -> None:
    numbers = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28]
    convolutions = [layer for layer in Vgg().layers if isinstance(layer, torch.nn.Conv2d)]
    state: dict[str, Tensor] = {}
    for number, layer in zip(numbers, convolutions, strict=True):
        state |= {f"features.{number}.{part}": torch.ones_like(getattr(layer, part)) for part in ("weight", "bias")}
    torch.save(state, tmp_path / "vgg.pth")
    loaded = Vgg(tmp_path / "vgg.pth")
    assert all(bool((parameter == 1).all()) for parameter in loaded.parameters())
    del state["features.28.bias"]
    torch.save(state, tmp_path / "vgg.pth")
    with pytest.raises(OptionError, match=r"no weights of VGG-19.*features\.28\.bias"):
        Vgg(tmp_path / "vgg.pth")
    (tmp_path / "vgg.pth").write_bytes(b"hello")
    with pytest.raises(OptionError, match="no weights of VGG-19"):
        Vgg(tmp_path / "vgg.pth")


def test_perceptual_losses_are_built_by_name() -> None:
    assert build_perceptual(PerceptualSettings(name="none")) is None
    assert isinstance(build_perceptual(PerceptualSettings()), PatchStatistics)
    assert isinstance(build_perceptual(PerceptualSettings(name="random-vgg")), Perceptual)
    with pytest.raises(OptionError, match="path of its weights"):
        PerceptualSettings(name="vgg")
