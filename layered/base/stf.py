"""Checkpoints of the WACNN paper's authors as base layers: `stf/wacnn?path=FILE&lambda=0.0035`.

Nothing is downloaded.  The parameters here are called as there as far as that is known: no checkpoint of theirs was at
hand, so neither the names inside the attention nor the pictures could be compared with the authors' own.  Where a
file has other names or shapes, the first of them is told.  Their pictures were padded with black to multiples of 64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from torch import Tensor

from layered.base.published import read_checkpoint
from layered.base.transforms import RESIZED, load_resized, rebuild_tables
from layered.base.wacnn import Wacnn
from layered.errors import OptionError
from layered.layer import Layer

__all__ = ["StfName", "is_stf_name", "load_stf"]

_PREFIX = "stf/"
_KEYS = ("path", "lambda")
_COMPUTED = "relative_position_index"  # a buffer there, which follows from the windows' size


@dataclass(frozen=True)
class StfName:
    """Where a checkpoint is, and the trade-off that it was trained at (lambda * 255^2 * MSE + bpp)."""

    path: Path
    lam: float

    @classmethod
    def parse(cls, text: str) -> StfName:
        """`stf/wacnn?path=FILE&lambda=NUMBER`; OptionError."""
        architecture, _, query = text.removeprefix(_PREFIX).partition("?")
        given = dict(parse_qsl(query, keep_blank_values=True))
        if architecture != "wacnn":
            raise OptionError(f"{text}: unknown checkpoint; there is {_PREFIX}wacnn")
        if unknown := sorted(set(given) - set(_KEYS)):
            raise OptionError(f"{text}: unknown {', '.join(unknown)}; there are {', '.join(_KEYS)}")
        try:
            lam = float(given.get("lambda", ""))
        except ValueError:
            lam = 0.0
        if not (0 < lam < math.inf and given.get("path")):
            raise OptionError(f"{text}: needs path=FILE, and lambda=, the positive number that it was trained at")
        return cls(Path(given["path"]), lam)


def is_stf_name(name: str) -> bool:
    """Whether `name` speaks of a checkpoint of WACNN's authors."""
    return name.startswith(_PREFIX)


def load_stf(name: str) -> tuple[Layer, dict[str, Any], float]:
    """The base layer, its specification, which follows from the tensors' shapes, and its lambda.

    Raises OptionError if the file is not there or is no such checkpoint.
    """
    wanted = StfName.parse(name)
    if not wanted.path.is_file():
        raise OptionError(f"{name}: {wanted.path} is not there")
    state = read_checkpoint(wanted.path, name)
    state = {key: value for key, value in state.items() if not key.endswith(_COMPUTED)}
    try:
        options = _options(state)
        layer = Wacnn(**options, lambdas=(wanted.lam,))
        # A checkpoint of training may lack the entropy models' tables and constants.
        held = {key: value for key, value in layer.state_dict().items() if key not in dict(layer.named_parameters())}
        load_resized(layer, held | state)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise OptionError(f"{name}: not a checkpoint of wacnn ({reason})") from None
    tables = [key for key in layer.state_dict() if key.endswith(tuple(RESIZED))]
    if not all(layer.state_dict()[key].numel() for key in tables):
        rebuild_tables(layer)
    return layer, {"name": "wacnn", **options}, wanted.lam


def _options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What `Wacnn` takes, from the shapes.  Raises KeyError where a tensor is missing, ValueError for wrong shapes."""
    fine, coarse = (state[f"g_a.{at}.conv_b.0.attn.relative_position_bias_table"].shape for at in (4, 8))
    latents, hyper = len(state["g_a.7.weight"]), tuple(len(state[f"h_a.{at}.weight"]) for at in range(0, 10, 2))
    slices = len({key.split(".")[1] for key in state if key.startswith("cc_mean_transforms.")})
    last = f"cc_mean_transforms.{slices - 1}."
    depth = sum(key.startswith(last) and key.endswith(".weight") for key in state)
    context = tuple(len(state[f"{last}{2 * at}.weight"]) for at in range(depth - 1))
    seen = state[f"{last}0.weight"].shape[1] - hyper[0]
    return {
        "N": len(state["g_a.0.weight"]), "M": latents, "slices": slices, "support": seen * slices // latents,
        "hyper": hyper, "context": context, "heads": fine[1],
        "windows": ((math.isqrt(fine[0]) + 1) // 2, (math.isqrt(coarse[0]) + 1) // 2),
    }  # fmt: skip
