"""What a phase that trains the predictor predicts from: the clean lower picture, or the decoded one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from layered.codec import as_decoded
from layered.errors import RecipeError
from layered.image import to_image8, to_tensor
from layered.recipes import check
from layered.training.data import downscale
from layered.training.phases import Draw, Objective
from layered.training.recipe import Phase
from tests.conftest import make_codec, smooth_picture, tiny_spec

SIDE, LOWER, QUALITY = 48, 32, 2.0


def drawn(decoded: bool) -> tuple[Objective, Draw]:
    phase = Phase(name="predictor", kind="predictor", steps=1, patch=SIDE, scales=((0.5, 1.0),), decoded=decoded)
    crops = to_tensor(smooth_picture(SIDE, SIDE))
    return Objective(make_codec(tiny_spec()), phase), Draw(crops, (LOWER,), QUALITY, noise=3)


def test_a_decoded_phase_predicts_from_the_picture_that_a_decoder_has() -> None:
    objective, draw = drawn(decoded=True)
    loss, _ = objective(draw)
    codec, small = objective.codec, downscale(draw.crops, LOWER, LOWER)
    decoded = to_tensor(codec.decode(codec.encode(to_image8(small), (1.0,), QUALITY))[0])
    assert not torch.equal(decoded, small)
    predictor = codec.layer(1).part("predictor")
    wanted = F.mse_loss(predictor(decoded, SIDE, SIDE), draw.crops)
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-3)
    clean = F.mse_loss(predictor(small, SIDE, SIDE), draw.crops)
    assert float(loss.detach()) != pytest.approx(float(clean.detach()), rel=1e-2)
    loss.backward()
    assert all(parameter.grad is not None for parameter in predictor.parameters())


def test_in_bfloat16_the_lower_picture_has_eight_bits_as_well() -> None:
    picture = torch.linspace(-0.1, 1.1, 1001, dtype=torch.bfloat16).requires_grad_()
    lower = as_decoded(picture)
    assert torch.equal((255 * lower).round() / 255, lower) and lower.unique().numel() > 200
    lower.sum().backward()
    assert picture.grad is not None and bool((picture.grad == 1).all())


def test_any_other_predicts_from_the_clean_one() -> None:
    objective, draw = drawn(decoded=False)
    small = downscale(draw.crops, LOWER, LOWER)
    wanted = F.l1_loss(objective.codec.layer(1).part("predictor")(small, SIDE, SIDE), draw.crops)
    assert torch.equal(objective(draw)[0], wanted)


def test_the_log_tells_the_psnr_of_predictions_from_decoded_pictures() -> None:
    objective, draw = drawn(decoded=True)
    told = objective.told(draw, {"loss": 0.001})
    assert told == {"loss": 0.001, "scale": 1.5, "quality": QUALITY, "psnr1": pytest.approx(30)}


@pytest.mark.parametrize("kind", ["base", "residual", "joint", "all", "adversarial"])
def test_only_the_predictor_is_trained_on_decoded_pictures_alone(kind: str) -> None:
    with pytest.raises(RecipeError, match="decoded: of a phase of kind predictor alone"):
        check(Phase, {"name": "a", "kind": kind, "steps": 1, "decoded": True}, (), "recipe")
