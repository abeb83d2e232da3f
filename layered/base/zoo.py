"""CompressAI's pretrained models as base layers: `compressai/mbt2018-mean?quality=3`.

The checkpoint is taken from `path=FILE`, else from torch's download cache; it is downloaded only with
`download=yes`.  A file of a published name is checked against the hash in it, and must be of the quality asked for;
one of another name is taken as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlparse

import torch
from torch import Tensor

from layered.base.factorized import Factorized
from layered.base.mean_scale import MeanScale
from layered.base.published import read_checkpoint
from layered.base.stf import is_stf_name, load_stf
from layered.base.transforms import load_resized, rebuild_tables
from layered.errors import OptionError
from layered.layer import Layer

__all__ = ["ZooName", "is_zoo_name", "load_zoo"]

_PREFIX = "compressai/"
_LAYERS: dict[str, tuple[str, Callable[..., Layer]]] = {
    "mbt2018-mean": ("mean-scale", MeanScale),
    "bmshj2018-factorized": ("factorized", Factorized),
}
_LAMBDAS = (0.0018, 0.0035, 0.0067, 0.0130, 0.0250, 0.0483, 0.0932, 0.1800)  # of the MSE models, by quality
_KEYS = ("quality", "path", "download")


@dataclass(frozen=True)
class ZooName:
    """A zoo model trained for MSE: architecture and quality 1 to 8, and where its checkpoint may come from."""

    architecture: str
    quality: int
    path: str | None = None
    download: bool = False

    @classmethod
    def parse(cls, text: str) -> ZooName:
        """`compressai/ARCHITECTURE?quality=Q[&path=FILE][&download=yes]`; OptionError."""
        architecture, _, query = text.removeprefix(_PREFIX).partition("?")
        given = dict(parse_qsl(query, keep_blank_values=True))
        if architecture not in _LAYERS:
            raise OptionError(f"{text}: unknown zoo model; choose one of {', '.join(_PREFIX + n for n in _LAYERS)}")
        unknown = sorted(set(given) - set(_KEYS))
        if unknown:
            raise OptionError(f"{text}: unknown {', '.join(unknown)}; there are {', '.join(_KEYS)}")
        quality, download = given.get("quality", ""), given.get("download", "no")
        if quality not in tuple("12345678") or download not in ("yes", "no"):
            raise OptionError(f"{text}: needs quality=1..8, download=yes or no")
        return cls(architecture, int(quality), given.get("path"), download == "yes")

    @property
    def lam(self) -> float:
        """The published trade-off of the MSE model of this quality."""
        return _LAMBDAS[self.quality - 1]


def is_zoo_name(name: str) -> bool:
    """Whether `name` speaks of a published checkpoint: of CompressAI's zoo, or of `layered.base.stf`."""
    return name.startswith(_PREFIX) or is_stf_name(name)


def load_zoo(name: str) -> tuple[Layer, dict[str, Any], float]:
    """The base layer, its specification (its name and options) and its lambda.

    Raises OptionError if the checkpoint is not at hand, or is not what its name says.
    """
    if is_stf_name(name):
        return load_stf(name)
    wanted = ZooName.parse(name)
    state = _checkpoint(wanted, name)
    kind, layer_type = _LAYERS[wanted.architecture]
    try:
        n, m = state["g_a.0.weight"].shape[0], state["g_a.6.weight"].shape[0]
        layer = layer_type(n, m, (wanted.lam,))
        load_resized(layer, state)
    except (KeyError, RuntimeError) as error:
        raise OptionError(f"{name}: not a checkpoint of {wanted.architecture} ({str(error).splitlines()[0]})") from None
    if not state["entropy_bottleneck._quantized_cdf"].numel():
        rebuild_tables(layer)
    return layer, {"name": kind, "N": n, "M": m}, wanted.lam


def _checkpoint(wanted: ZooName, name: str) -> dict[str, Tensor]:
    from compressai.zoo.image import model_urls

    url = model_urls[wanted.architecture]["mse"][wanted.quality]
    filename = Path(urlparse(url).path).name
    cached = Path(torch.hub.get_dir()) / "checkpoints" / filename
    path = Path(wanted.path) if wanted.path else cached
    if not path.is_file():
        if wanted.path or not wanted.download:
            raise OptionError(f"{name}: {path} is not there; give path=FILE, or download=yes to fetch {filename}")
        cached.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(cached), hash_prefix=_hash_of(filename), progress=True)
        except (OSError, RuntimeError) as error:
            raise OptionError(f"{name}: the download failed ({error})") from None
    published = {
        Path(urlparse(url).path).name for urls in model_urls.values() for by in urls.values() for url in by.values()
    }
    if path.name != filename and path.name in published:
        raise OptionError(f"{name}: {path} is another published checkpoint; {filename} is the one of this name")
    if path.name == filename and not hashlib.sha256(path.read_bytes()).hexdigest().startswith(_hash_of(filename)):
        raise OptionError(f"{name}: {path} is damaged: its SHA-256 does not begin with {_hash_of(filename)}")
    return read_checkpoint(path, name)


def _hash_of(filename: str) -> str:
    return filename.removesuffix(".pth.tar").rpartition("-")[2]
