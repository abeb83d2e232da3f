"""Checkpoints that others have published: files of `torch.save`, read without running what is in them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from layered.errors import OptionError

__all__ = ["read_checkpoint"]


def read_checkpoint(path: Path, name: str) -> dict[str, Tensor]:
    """The state dict in the file, its keys as the CompressAI at hand calls them.

    name: of what is asked for, for messages.  Raises OptionError where the file holds none.
    """
    from compressai.models.utils import remap_old_keys
    from compressai.zoo.pretrained import load_pretrained

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        renamed: dict[str, Tensor] = remap_old_keys("entropy_bottleneck", load_pretrained(state))
    except Exception as error:
        raise OptionError(f"{name}: {path} is not a checkpoint ({type(error).__name__})") from None
    return renamed
