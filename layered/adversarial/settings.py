"""What an adversarial phase of training can be told; the defaults are those of the GC paper where it states them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from layered.recipes import Strict

__all__ = ["AdversarialSettings", "CriticSettings", "PerceptualSettings"]


class CriticSettings(Strict):
    """The discriminator: pix2pixHD's, so many scales, `width` channels first; lr: its own learning rate.

    labels: it sees the label map beside the picture, as the papers' does; for base layers with classes.
    """

    scales: int = Field(default=2, ge=1, le=4)
    width: int = Field(default=64, ge=1, le=512)
    lr: float = Field(default=2e-4, gt=0, allow_inf_nan=False)
    labels: bool = False


class PerceptualSettings(Strict):
    """A loss on features besides the discriminator's.

    patches: the sliced Wasserstein distance of patches, which needs no network.  random-vgg: VGG-19 as it is
    initialised.  vgg: the same with weights from `path`, a file in torchvision's names.  none: no such loss.
    """

    name: Literal["none", "patches", "random-vgg", "vgg"] = "patches"
    weight: float = Field(default=10, ge=0, allow_inf_nan=False)
    path: str | None = None

    @model_validator(mode="after")
    def _with_weights(self) -> PerceptualSettings:
        if (self.name == "vgg") != (self.path is not None):
            raise ValueError("vgg needs the path of its weights, and no other perceptual loss takes one")
        return self


class AdversarialSettings(Strict):
    """The weighted sum that the generator minimises, and the discriminator that it plays against.

    loss: lsgan, vanilla or hinge.  adversarial, matching, mse, rate: weights of the discriminator's verdict, of feature
    matching, of MSE on pictures in [-1, 1], and of bits per pixel; where the first two are 0 no discriminator is
    trained.  trains: the whole layer, its generator alone, with codes and rate as they were, or its entropy model
    alone, with pictures as they were.  fixed_statistics: instance normalisation, in what is trained, uses what training
    has seen so far, else each picture's own.  sheets: steps between pictures of originals above reconstructions, 0 for
    none.
    """

    loss: Literal["lsgan", "vanilla", "hinge"] = "lsgan"
    adversarial: float = Field(default=1, ge=0, allow_inf_nan=False)
    matching: float = Field(default=10, ge=0, allow_inf_nan=False)
    mse: float = Field(default=10, ge=0, allow_inf_nan=False)
    rate: float = Field(default=0, ge=0, allow_inf_nan=False)
    perceptual: PerceptualSettings = PerceptualSettings()
    critic: CriticSettings = CriticSettings()
    trains: Literal["all", "generator", "entropy"] = "all"
    fixed_statistics: bool = False
    sheets: int = Field(default=500, ge=0)

    @model_validator(mode="after")
    def _rated(self) -> AdversarialSettings:
        if self.trains == "entropy" and not self.rate:
            raise ValueError("trains: entropy needs a rate above 0; nothing else depends on the entropy model")
        return self
