"""The pictures that the codecs of a run decode to, kept as they are, for measures that need all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from baselines.protocol import Quality
from experiments.data import Picture
from experiments.metrics import mean
from experiments.record import Record
from experiments.redecode import picture_of, redecoded
from experiments.runs import Results
from experiments.store import Store
from layered.image import Image8, layer_sizes, load_image, resize8, save_image

__all__ = ["Coded", "decode_all", "top_picture"]


@dataclass(frozen=True)
class Coded:
    """The top layer's pictures of a codec at one quality.

    bpp: mean over the pictures.  pictures: what was coded.  files: what it was decoded to, PNG, in the same order.
    """

    scales: tuple[float, ...]
    codec: str
    quality: Quality
    bpp: float
    pictures: tuple[Picture, ...]
    files: tuple[Path, ...]

    def originals(self) -> Iterator[Image8]:
        """What the decoded pictures are compared with, at the size of the layer.  Raises ImageError."""
        for picture in self.pictures:
            image = picture.load()
            ((width, height),) = layer_sizes(image.shape[1], image.shape[0], self.scales[-1:])
            yield resize8(image, width, height)

    def decoded(self) -> Iterator[Image8]:
        """What the codec made of them.  Raises ImageError."""
        return map(load_image, self.files)


def top_picture(results: Results, record: Record, keys: Sequence[str]) -> Path:
    """The file of the highest picture of a record, PNG, decoded again where it is not kept yet.

    keys: the record's among `results.keys`.  Raises what `experiments.redecode.redecoded` does.
    """
    path = Store(results.folder / "records").decoded(keys[-1])
    if not path.is_file():
        picture = redecoded(results, record)[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_image(picture, path)
    return path


def decode_all(results: Results, progress: bool = True) -> tuple[Coded, ...]:
    """All pictures of a run's records, by sets of scales, codecs and qualities, in the recipe's order.

    Every picture is on disk when it is decoded, so that a call that was interrupted goes on from there.  Raises
    LayeredError where coding gives other files than those that were measured, and whatever a codec raises.
    """
    groups: dict[tuple[tuple[float, ...], str, Quality], list[tuple[Record, Path]]] = {}
    pairs = list(zip(results.records, results.keys, strict=True))
    for record, keys in track(pairs, "decoding", console=Console(stderr=True), disable=not progress):
        path = top_picture(results, record, keys)
        groups.setdefault((record.scales, record.codec, record.quality), []).append((record, path))
    pictures = {name: picture_of(results, record) for name, record in {r.image: r for r in results.records}.items()}
    return tuple(
        Coded(
            *key,
            mean(record.layers[-1].bpp for record, _ in found),
            tuple(pictures[record.image] for record, _ in found),
            tuple(path for _, path in found),
        )
        for key, found in groups.items()
    )
