"""The section of a layer's chunk that holds its adapter weights: kind, coding, sites, then the coded numbers.

Sites that are not listed keep the layer's own weights and cost nothing.  There is one way to write each section, but
for what `adapters.plain.Lzma` says.  The chunk's CRC covers it, and the checksum of the layer's symbols takes it in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from torch import Tensor

from adapters.applied import AdaptedLayer
from adapters.coding import Group, Quantiser
from adapters.kinds import KINDS, Kind, LowRank, kind_of
from adapters.plain import CODINGS, coding_of
from adapters.private import private
from adapters.sites import sites
from adapters.tables import with_tables
from layered.errors import CorruptStream, OptionError
from layered.fields import VARINT, Field, read_fields, write_fields
from layered.layer import Layer

__all__ = ["AdapterWeights", "adapted_layer", "pack", "read_section", "tensors_of", "write_section"]

KIND, CODING, MANY = 0b0000111, 0b0111000, 0b1000000  # of the flags
MOST_RANK = 64
MOST_WEIGHT = 1e7
"""Of an adapted tensor: no layer has such weights, and float64 does not overflow behind any number of them."""
RANKED = 0b0000011  # all zero of the kinds with a rank, low-rank and mix

HEAD = (  # followed by the sites, each as its distance from the one before, and the coded numbers
    Field("flags", 1),
    Field("rank", VARINT, mask=RANKED, value=0),
    Field("sites", VARINT, mask=MANY, value=MANY),  # one is not counted
)
SITE = (Field("site", VARINT),)


@dataclass(frozen=True, eq=False)
class AdapterWeights:
    """Adapters of one kind at some sites of a layer.

    kind, coding: names in KINDS and CODINGS.  rank: 1 to 64, of low-rank adapters; else 0.  sites: in the layer's
    order.  values: a tuple of float32 tensors for each, as the decoder sees them.  groups: the same as they are coded.
    """

    kind: str
    coding: str
    rank: int
    sites: tuple[str, ...]
    values: tuple[tuple[Tensor, ...], ...]
    groups: tuple[Group, ...]


def pack(
    layer: Layer, kind: str, coding: str, rank: int, tensors: Mapping[str, Sequence[Tensor]],
    quantisers: Sequence[Quantiser] | None = None,
) -> tuple[bytes, AdapterWeights]:  # fmt: skip
    """The section for adapters with these tensors at these sites, and what a decoder reads from it.

    rank: what the tensors of low-rank adapters were started with; else ignored.  quantisers: one for each group of the
    kind; by default those that the coding fits.  No sites give no bytes.  Raises OptionError for sites, shapes or
    options that are none, LayeredError for numbers that cannot be coded.
    """
    chosen, coder = kind_of(kind), coding_of(coding)
    places = sites(layer)
    unknown = sorted(set(tensors) - places.keys())
    if unknown:
        raise OptionError(f"this layer has no site {unknown[0]!r}; it has {', '.join(places)}")
    names = tuple(name for name in places if name in tensors)
    for name in names:
        if not chosen.suits(places[name]):
            raise OptionError(f"an adapter of kind {kind} does not suit {name}, a {type(places[name]).__name__}")
    rank = _rank(chosen, layer, names, rank)
    shapes = _shapes(chosen, layer, names, rank)
    for name, wanted in zip(names, shapes, strict=True):
        found = tuple(tuple(tensor.shape) for tensor in tensors[name])
        if found != wanted:
            raise OptionError(f"the adapter at {name} has tensors {list(found)}, expected {list(wanted)}")
    if not names:
        return b"", AdapterWeights(kind, coding, rank, (), (), ())
    joined = _joined(chosen, [tensors[name] for name in names])
    if quantisers is None:
        quantisers = [coder.fit(values) for values in joined]
    if len(quantisers) != len(joined):
        raise OptionError(f"{len(quantisers)} quantisers for the {len(joined)} groups of adapters of kind {kind}")
    groups = tuple(coder.group(values, quantiser) for values, quantiser in zip(joined, quantisers, strict=True))
    values = _split(chosen, [coder.values(group) for group in groups], shapes)
    weights = AdapterWeights(kind, coding, rank, names, values, groups)
    tensors_of(layer, weights)
    return write_section(layer, weights), weights


def write_section(layer: Layer, weights: AdapterWeights) -> bytes:
    """The bytes that `read_section` reads back; none without a site."""
    if not weights.sites:
        return b""
    numbers = {name: k for k, name in enumerate(sites(layer))}
    places = [numbers[name] for name in weights.sites]
    kind, coding = list(KINDS).index(weights.kind), list(CODINGS).index(weights.coding)
    flags = kind | coding << 3 | MANY * (len(places) > 1)
    head = write_fields(HEAD, {"flags": flags, "rank": weights.rank, "sites": len(places)})
    gaps = [b - a - 1 for a, b in pairwise((-1, *places))]
    listed = b"".join(write_fields(SITE, {"site": gap}) for gap in gaps)
    return head + listed + CODINGS[weights.coding].write(weights.groups)


def read_section(layer: Layer, data: bytes) -> AdapterWeights:
    """The inverse of `write_section`.  Raises CorruptStream; all sizes follow from the layer's own."""
    head, at = read_fields(HEAD, data, 0, "adapter")
    flags, places = head["flags"], list(sites(layer).items())
    number, coding_number = flags & KIND, (flags & CODING) >> 3
    if flags > KIND | CODING | MANY or number >= len(KINDS) or coding_number >= len(CODINGS):
        raise CorruptStream(f"adapter: unknown kind or coding, flags {flags:#04x}")
    kind, coding = list(KINDS)[number], list(CODINGS)[coding_number]
    chosen, coder = KINDS[kind], CODINGS[coding]
    count, rank = head.get("sites", 1), head.get("rank", 0)
    if not (1 + bool(flags & MANY) <= count <= len(places)):
        raise CorruptStream(f"adapter: {count} sites of a layer of {len(places)}")
    names, index = [], -1
    for _ in range(count):
        value, at = read_fields(SITE, data, at, "adapter")
        index += value["site"] + 1
        if index >= len(places):
            raise CorruptStream(f"adapter: site {index} of a layer of {len(places)}")
        name, module = places[index]
        if not chosen.suits(module):
            raise CorruptStream(f"adapter: one of kind {kind} does not suit {name}, a {type(module).__name__}")
        names.append(name)
    try:
        wanted = _rank(chosen, layer, names, rank)
    except OptionError as error:
        raise CorruptStream(f"adapter: {error}") from None
    if wanted != rank:
        raise CorruptStream(f"adapter: rank {rank} where matrices have at most {wanted}")
    shapes = _shapes(chosen, layer, names, rank)
    groups = coder.read(data[at:], _counts(chosen, shapes))
    values = _split(chosen, [coder.values(group) for group in groups], shapes)
    return AdapterWeights(kind, coding, rank, tuple(names), values, groups)


def tensors_of(layer: Layer, weights: AdapterWeights) -> dict[str, Tensor]:
    """The layer's tensors as the weights change them, by name, integer tables that depend on them included.

    Raises CorruptStream where they are not finite, beyond 10^7, or allow no tables.
    """
    places = sites(layer)
    first = next(layer.parameters(), None)
    device = first.device if first is not None else torch.device("cpu")
    found: dict[str, Tensor] = {}
    for site, values in zip(weights.sites, weights.values, strict=True):
        changed = kind_of(weights.kind).changed(places[site], [value.to(device) for value in values])
        for name, tensor in changed.items():
            if not bool((tensor.abs() <= MOST_WEIGHT).all()):  # false of NaN as well
                raise CorruptStream(f"adapter: {site}.{name} is changed to numbers beyond {MOST_WEIGHT:g}")
        whole = with_tables(places[site], changed)
        found.update({f"{site}.{name}" if site else name: tensor for name, tensor in whole.items()})
    return found


def adapted_layer(layer: Layer, data: bytes) -> AdaptedLayer:
    """The layer as a section changes it; `layer` itself stays as it is, for all threads.  Raises CorruptStream."""
    return AdaptedLayer(private(layer), tensors_of(layer, read_section(layer, data)))


def _rank(kind: Kind, layer: Layer, names: Iterable[str], rank: int) -> int:
    """The rank as it is stored: no more than the largest of the sites' matrices has.  Raises OptionError."""
    if not isinstance(kind, LowRank):
        return 0
    if not 1 <= rank <= MOST_RANK:
        raise OptionError(f"the rank of an adapter is 1 to {MOST_RANK}, got {rank}")
    places = sites(layer)
    return max((kind.shapes(places[name], rank)[0][0] for name in names), default=rank)


def _shapes(kind: Kind, layer: Layer, names: Iterable[str], rank: int) -> list[tuple[tuple[int, ...], ...]]:
    places = sites(layer)
    return [kind.shapes(places[name], rank) for name in names]


def _counts(kind: Kind, shapes: Iterable[Sequence[tuple[int, ...]]]) -> list[int]:
    """Numbers in each group."""
    counts = [0] * kind.groups
    for site in shapes:
        for j, shape in enumerate(site):
            counts[min(j, kind.groups - 1)] += prod(shape)
    return counts


def _joined(kind: Kind, adapters: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """All numbers of each group, flat: site after site."""
    parts: list[list[Tensor]] = [[] for _ in range(kind.groups)]
    for tensors in adapters:
        for j, tensor in enumerate(tensors):
            parts[min(j, kind.groups - 1)].append(tensor.detach().float().flatten())
    return [torch.cat(part) for part in parts]


def _split(
    kind: Kind, groups: Sequence[Tensor], shapes: Iterable[Sequence[tuple[int, ...]]]
) -> tuple[tuple[Tensor, ...], ...]:
    """The inverse of `_joined`."""
    at = [0] * kind.groups
    found = []
    for site in shapes:
        tensors = []
        for j, shape in enumerate(site):
            group, count = min(j, kind.groups - 1), prod(shape)
            tensors.append(groups[group][at[group] : at[group] + count].reshape(shape))
            at[group] += count
        found.append(tuple(tensors))
    return tuple(found)
