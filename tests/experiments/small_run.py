"""A recipe of everyday codecs on synthetic pictures, small enough for every test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.recipe import Recipe, make_recipe
from layered.image import save_image

QUALITIES = [10, 30, 60, 90]


def write_pictures(folder: Path, count: int = 2) -> Path:
    """`p0.png` and so on, 48x32, with texture enough for monotone curves."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:32, 0:48]
    for number in range(count):
        waves = [128 + 90 * np.sin(x / (3 + k + number) + k) * np.cos(y / (4 + k)) for k in range(3)]
        noise = np.random.default_rng(number).normal(0, 12, (32, 48, 3))
        levels = np.clip(np.stack(waves, axis=-1) + noise, 0, 255)
        save_image(levels.astype(np.uint8), folder / f"p{number}.png")
    return folder


def values(folder: Path, **changes: Any) -> dict[str, Any]:
    """The recipe as plain values."""
    recipe: dict[str, Any] = {
        "name": "small",
        "data": str(folder),
        "scales": [0.5, 1],
        "codecs": [
            {"name": "simulcast jpeg", "codec": "simulcast", "of": "jpeg", "qualities": QUALITIES},
            {"name": "single webp", "codec": "single", "of": "webp", "qualities": QUALITIES},
        ],
        "anchors": ["simulcast jpeg"],
        "ms_ssim": False,
    }
    return {**recipe, **changes}


def small_recipe(folder: Path, **changes: Any) -> Recipe:
    """The recipe, checked; `folder` holds the pictures."""
    return make_recipe(values(folder, **changes))
