"""Weights on disk: safetensors whose metadata rebuilds the codec; transforms in float16, tables untouched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode  # public under this name alone

from layered.base.transforms import RESIZED, load_resized
from layered.base.zoo import is_zoo_name
from layered.codec import LayeredCodec
from layered.errors import OptionError
from layered.files import write_bytes_atomic
from layered.spec import CodecSpec, build
from layered.weights.card import Card, card, catalogue
from layered.weights.container import read_tensors, unpacked, write_tensors
from layered.weights.precision import ALL_BITS, Significant, bits_of, keeps_all, rounded
from layered.weights.sharing import restored, shared

__all__ = ["card_of", "digest_of", "export", "load", "parameters_of", "save_codec"]

_FORMAT = "layered-weights-1"
_BUNDLED = ".safetensors.xz"


def digest_of(spec: CodecSpec, state: Mapping[str, Tensor]) -> bytes:
    """Six bytes of SHA-256 over the specification and every tensor."""
    # Defaults are left out, so that a setting added to the specification later leaves old digests alone.
    total = hashlib.sha256(spec.model_dump_json(exclude_defaults=True).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        total.update(tensor.numpy().tobytes())
    return total.digest()[:6]


def save_codec(
    codec: LayeredCodec,
    path: str | Path,
    name: str,
    training: Mapping[str, Any] | None = None,
    half: bool = True,
    on: Sequence[str] = (),
    significant: Significant = ALL_BITS,
) -> bytes:
    """Write the codec to `path` and return the digest that its streams will carry.

    half: transforms are rounded to float16, which the digest and the loaded codec then have too; entropy
    models, gains and integer tables keep every bit.  on: names of bundled weights; tensors equal to those of the same
    name, in the first that has one, are left out of the file and taken from there when it is loaded.  Of equal tensors
    one is stored.  significant: bits that are kept of each rounded number, or of those below a name, 11 at most, which
    are all of float16's; with fewer a packed file is smaller.  A `path` that ends in .xz is packed.
    """
    path = Path(path)
    held, digests = _held(on)
    stored = {}
    for key, value in codec.state_dict().items():
        rounds = half and value.dtype == torch.float32 and not keeps_all(key)
        if rounds and not (key in held and torch.equal(held[key], value)):
            value = rounded(value, bits_of(key, significant)).half()
        stored[key] = value.half() if rounds else value
    stored = {key: value.contiguous().clone() for key, value in stored.items()}
    digest = digest_of(codec.spec, _widened(stored))
    metadata = {
        "format": _FORMAT,
        "name": name,
        "spec": codec.spec.model_dump_json(),
        "training": json.dumps(dict(training or {})),
    }
    if on:
        metadata |= {"on": ",".join(on), "on_digest": digests, "digest": digest.hex()}
    kept, same = shared(stored, held)
    write_tensors(path, kept, metadata | {"same": json.dumps(same)})
    return digest


@torch.inference_mode(False)  # weights that were made under it could not be adapted
def load(name: str | Path, device: str | torch.device = "cpu") -> LayeredCodec:
    """The codec in the weights file `name`, in the bundled one of that name, or published; ready to code.

    Raises OptionError if there is no such file or it is not one of ours.
    """
    if is_zoo_name(str(name)):
        return _ready(build(CodecSpec(base=str(name))), str(name), device)
    path = Path(name)
    if path.is_file():
        return _read(path, device)
    with resources.as_file(resources.files("layered.weights") / f"{card(str(name)).name}{_BUNDLED}") as bundled:
        return _read(bundled, device)


def card_of(path: str | Path) -> Card:
    """The card of a weights file, as far as the file itself tells.  Raises OptionError."""
    codec = _read(Path(path), "cpu")
    training = _json(Path(path), read_tensors(Path(path))[0].get("training", "{}"))
    spec = codec.spec.model_dump(mode="json", exclude_defaults=True)
    return Card(codec.name, codec.digest.hex(), f"The weights file {path}.", spec, parameters_of(codec), training)


def parameters_of(codec: LayeredCodec) -> dict[str, int]:
    """How many parameters the codec's base and its enhancement have."""
    return {name: sum(p.numel() for p in part.parameters()) for name, part in codec.named_children()}


def _read(path: Path, device: str | torch.device) -> LayeredCodec:
    metadata, stored = read_tensors(path)
    if metadata.get("format") != _FORMAT:
        raise OptionError(f"{path}: a safetensors file, but not weights of this library ({_FORMAT})")
    if not {"name", "spec"} <= metadata.keys() or not metadata["name"].isprintable():
        raise OptionError(f"{path}: damaged; it lacks a printable name, or the specification of its codec")
    spec = _json(path, metadata["spec"])
    if isinstance(spec.get("base"), str):  # of the zoo, which would be fetched
        raise OptionError(f"{path}: damaged; its specification names {spec['base']!r} instead of a base layer")
    held: dict[str, Tensor] = {}
    if "on" in metadata:
        names, bundled = metadata["on"].split(","), {entry.name for entry in catalogue()}
        if missing := [name for name in names if name not in bundled]:
            raise OptionError(f"{path}: holds only what differs from {missing[0]!r}, which is not bundled here")
        held, digests = _held(names)
        if digests != (wanted := metadata.get("on_digest")):
            raise OptionError(f"{path}: made for {metadata['on']} {wanted}, not {digests}")
    same = _json(path, metadata.get("same", "{}"))
    try:
        state = _widened(restored(stored, same, held))
    except (KeyError, TypeError):
        raise OptionError(f"{path}: damaged; a tensor that others refer to is missing") from None
    # What the specification lacks, such as another predictor's tensors, is not taken over.
    shapes = _shapes(spec)
    state = {k: v for k, v in held.items() if k in shapes} | state
    unlike = {k for k in shapes.keys() & state.keys() if shapes[k] not in (None, (state[k].dtype, state[k].shape))}
    if odd := (shapes.keys() ^ state.keys()) | unlike:
        raise OptionError(f"{path}: tensors do not fit its own specification ({min(odd)} and {len(odd) - 1} others)")
    with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten; the caller's numbers stay as they were
        codec = build(spec)
    try:
        load_resized(codec, state)
    except RuntimeError as error:
        raise OptionError(f"{path}: tensors do not fit its own specification ({str(error).splitlines()[0]})") from None
    ready = _ready(codec, metadata["name"], device)
    ready.untrained = _untrained(metadata.get("training", "{}"), ready)
    if "on" in metadata and ready.digest.hex() != metadata.get("digest"):
        raise OptionError(f"{path}: damaged; its tensors give {ready.digest.hex()}, not {metadata.get('digest')}")
    return ready


def _held(names: Sequence[str]) -> tuple[dict[str, Tensor], str]:
    """The tensors of bundled weights, by name; where several have one, the first's.  And the digests, with commas."""
    codecs = [load(name) for name in names]
    tensors = {key: value for codec in reversed(codecs) for key, value in codec.state_dict().items()}
    return tensors, ",".join(codec.digest.hex() for codec in codecs)


def _shapes(spec: dict[str, Any]) -> dict[str, tuple[torch.dtype, torch.Size] | None]:
    """Type and shape of each tensor of the codec, None for tables, whose length is free.

    Without the memory for them: what a file says of itself may be as large as it likes.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        codec = build(spec)
    found = {name: (tensor.dtype, tensor.shape) for name, tensor in codec.state_dict().items()}
    return {name: None if name.rsplit(".", 1)[-1] in RESIZED else kind for name, kind in found.items()}


def _json(path: Path, text: str) -> dict[str, Any]:
    try:
        values = json.loads(text, parse_constant=lambda name: name)  # NaN is not JSON, and cannot be written again
    except (ValueError, RecursionError):
        raise OptionError(f"{path}: damaged; what it says of itself cannot be read") from None
    if not isinstance(values, dict):
        raise OptionError(f"{path}: damaged; what it says of itself is no mapping")
    return values


def _untrained(training: str, codec: LayeredCodec) -> frozenset[str]:
    """The parts that a file says no training has reached; none where it cannot be read, for it is only a hint."""
    try:
        told = list(json.loads(training).get("untrained", ()))
        return frozenset(name for name, _ in codec.named_children() if name in told)
    except (ValueError, RecursionError, AttributeError, TypeError):
        return frozenset()


def _ready(codec: LayeredCodec, name: str, device: str | torch.device) -> LayeredCodec:
    codec.name = name
    codec.digest = digest_of(codec.spec, codec.state_dict())
    return codec.requires_grad_(False).eval().to(device)


def export(name: str, path: str | Path) -> Path:
    """Copy the bundled weights `name`, unpacked, and their card to `path` and beside it (.json); return the first.

    `path` gets the ending .safetensors where it lacks it; in a folder the file has the weights' name.
    """
    chosen = card(name)
    folder = resources.files("layered.weights")
    packed = (folder / f"{chosen.name}{_BUNDLED}").read_bytes()
    target = Path(path) / chosen.name if Path(path).is_dir() else Path(path)
    if target.suffix.lower() != ".safetensors":
        target = target.with_name(f"{target.name}.safetensors")
    write_bytes_atomic(target, unpacked(packed))
    write_bytes_atomic(target.with_suffix(".json"), (folder / f"{chosen.name}.json").read_bytes())
    return target


def _widened(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.float() if value.dtype == torch.float16 else value for key, value in state.items()}
