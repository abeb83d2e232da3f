"""A decoder in another process, with other threads or other kernels, gives the encoder's pictures.

    python -m tests.torture.same_pictures [--weights NAME|tiny] [--sizes 1x1,65x63] [--layers 1,3]
        [--settings "1 thread,2 threads"] [--out report.json]

Pictures of every size are encoded here in every number of layers, plainly and with exact=True, and decoded by
one new process for each setting:

- with 1 and with 2 threads: exactly the encoder's 8-bit pictures;
- with oneDNN off, and with oneDNN and PyTorch's vector instructions off, in place of another machine: always the
  same symbols (decoding raises if they differ); exact pictures identical, the others at most one level off, at
  fewer than 0.1% of the samples, both of all files and of every file of at least 10,000 samples.

Sizes are width x height.  Times are CPU seconds of one run each, on one thread; what an idle machine would take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

import layered
from layered.codec import LayeredCodec
from layered.errors import LayeredError
from layered.image import Image8, to_image8
from layered.weights.store import save_codec
from tests.conftest import make_codec, smooth_picture, tiny_spec

SIZES = "1x1,1x7,7x5,64x64,65x63,333x217,768x512,2048x1365"
LAYERS = "1,2,3,5,9"
SCALES = {3: (0.25, 0.5, 1.0)}
SHARE = 0.001  # of the samples that may be a level off where kernels differ
ENOUGH = 10_000  # samples of a file for its own share to mean something


@dataclass(frozen=True)
class Case:
    """One file: what it holds, its name in the folder, and the CPU seconds that encoding it took."""

    width: int
    height: int
    layers: int
    exact: bool
    name: str
    seconds: float
    size: int


@dataclass(frozen=True)
class Setting:
    """How a process decodes; strict: its pictures must be the encoder's also where `exact` is off."""

    name: str
    strict: bool
    threads: int = 1
    onednn: bool = True
    vectors: bool = True


SETTINGS = (
    Setting("1 thread", strict=True),
    Setting("2 threads", strict=True, threads=2),
    Setting("oneDNN off", strict=False, onednn=False),
    Setting("neither", strict=False, onednn=False, vectors=False),
)
NOTE = "neither: oneDNN and vector instructions off; worst: file of 10,000 samples up"


@dataclass(frozen=True)
class Found:
    """A file decoded elsewhere: samples, those that differ and by how much, CPU seconds; or the error's message."""

    samples: int
    differing: int
    largest: int
    seconds: float
    error: str = ""


def encode_all(codec: LayeredCodec, sizes: Sequence[str], counts: Sequence[int], folder: Path) -> list[Case]:
    """A stream and the encoder's pictures in `folder` for each size, number of layers, and kind of arithmetic."""
    low, high = codec.quality_range
    cases = []
    warm_up(codec)
    for size in track(sizes, "encoding"):
        width, height = map(int, size.split("x"))
        image = smooth_picture(height, width)
        for count, exact in product(counts, (False, True)):
            scales = SCALES.get(count, tuple(k / count for k in range(1, count + 1)))
            name = f"{size}-{count}{'-exact' * exact}"
            start = time.process_time()
            data, pictures = encode(codec, image, scales, low + 0.7 * (high - low), exact)
            cases.append(Case(width, height, count, exact, name, time.process_time() - start, len(data)))
            (folder / f"{name}.bin").write_bytes(data)
            np.savez(folder / f"{name}.npz", *pictures)
    return cases


def warm_up(codec: LayeredCodec) -> None:
    """Once, so that the first time measured is like the others."""
    for exact in (False, True):
        codec.encode(smooth_picture(64, 64), (1.0,), exact=exact, verify=True)


def encode(
    codec: LayeredCodec, image: Image8, scales: Sequence[float], quality: float, exact: bool
) -> tuple[bytes, list[Image8]]:
    """The stream, and the pictures that the encoder itself made on the way, seen without decoding."""
    pictures: list[Image8] = []

    def seen(tensor: torch.Tensor) -> Image8:
        pictures.append(to_image8(tensor))
        return pictures[-1]

    with mock.patch("layered.codec.to_image8", seen):
        data = codec.encode(image, scales, quality, exact=exact, verify=False)
    return data, pictures


def decode_all(weights: str, folder: Path, setting: Setting, names: Sequence[str]) -> None:
    """The other process: a line of JSON for each file, its pictures compared with the encoder's."""
    codec = layered.load(weights)
    torch.set_num_threads(setting.threads)
    warm_up(codec)
    with nullcontext() if setting.onednn else torch.backends.mkldnn.flags(enabled=False):
        for name in names:
            data = (folder / f"{name}.bin").read_bytes()
            start = time.process_time()
            try:
                pictures = codec.decode(data)
            except LayeredError as failure:
                print(json.dumps(asdict(Found(0, 0, 0, 0.0, str(failure)))), flush=True)
                continue
            seconds = time.process_time() - start
            with np.load(folder / f"{name}.npz") as wanted:
                pairs = [(picture.astype(int), wanted[f"arr_{k}"]) for k, picture in enumerate(pictures)]
                right = len(wanted.files) == len(pairs) and all(a.shape == b.shape for a, b in pairs)
                off = [np.abs(a - b) for a, b in pairs] if right else []
            flat = np.concatenate([part.ravel() for part in off]) if right else np.zeros(1, dtype=int)
            error = "" if right else f"not the encoder's {len(pictures)} pictures, or of other sizes"
            found = Found(flat.size, int(np.count_nonzero(flat)), int(flat.max()), seconds, error)
            print(json.dumps(asdict(found)), flush=True)


def decode_elsewhere(weights: str, folder: Path, setting: Setting, cases: Sequence[Case]) -> list[Found]:
    """What a new process with `setting` finds, file by file; the rest are errors if it dies."""
    job = {"weights": weights, "folder": str(folder), "setting": asdict(setting), "names": [c.name for c in cases]}
    (folder / "job.json").write_text(json.dumps(job))
    # Passive: where other work takes the cores, threads that spin while they wait make this hundred times slower.
    environment = {**os.environ, "OMP_NUM_THREADS": str(setting.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    if not setting.vectors:
        environment["ATEN_CPU_CAPABILITY"] = "default"
    command = [sys.executable, "-m", "tests.torture.same_pictures", "--job", str(folder / "job.json")]
    found = []
    with (
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process,
        Progress() as progress,
    ):
        task = progress.add_task(f"decoding, {setting.name}", total=len(cases))
        assert process.stdout is not None
        for line in process.stdout:
            found.append(Found(**json.loads(line)))
            progress.advance(task)
    died = Found(0, 0, 0, 0.0, f"the process ended with exit code {process.returncode}")
    return found + [died] * (len(cases) - len(found))


def faults(setting: Setting, cases: Sequence[Case], found: Sequence[Found]) -> list[str]:
    """What is not as promised, a line each."""
    lines = []
    for case, one in zip(cases, found, strict=True):
        free = not (setting.strict or case.exact)
        if one.error:
            lines.append(f"{case.name}: {one.error}")
        elif one.largest > free or (one.differing >= SHARE * one.samples and one.samples >= ENOUGH):
            lines.append(f"{case.name}: {one.differing} of {one.samples} samples differ, by up to {one.largest}")
    free_ones = [one for case, one in zip(cases, found, strict=True) if not case.exact]
    samples, differing = sum(one.samples for one in free_ones), sum(one.differing for one in free_ones)
    if differing and differing >= SHARE * samples:
        lines.append(f"{differing} of all {samples} samples differ, {SHARE:.1%} are allowed")
    return [f"{setting.name}: {line}" for line in lines]


def show(cases: Sequence[Case], results: dict[str, list[Found]], console: Console) -> None:
    """Differences by setting, then what exact=True costs by size."""
    table = Table(title="against the encoder's pictures", caption=NOTE)
    table.add_column("decoded with", no_wrap=True)
    for name in ("files", "samples", "differ", "share", "largest", "worst"):
        table.add_column(name, justify="right")
    for name, found in results.items():
        for exact in (False, True):
            ones = [one for case, one in zip(cases, found, strict=True) if case.exact == exact]
            samples, differing = sum(one.samples for one in ones), sum(one.differing for one in ones)
            worst = max((one.differing / one.samples for one in ones if one.samples >= ENOUGH), default=0.0)
            table.add_row(
                f"{name}{', exact' * exact}", str(len(ones)), str(samples), str(differing),
                f"{differing / max(1, samples):.4%}", str(max(one.largest for one in ones)), f"{worst:.4%}",
            )  # fmt: skip
    console.print(table)
    table = Table("size", title="CPU seconds, all numbers of layers together")
    for name in ("encode", "exact", "ratio", "decode", "exact", "ratio"):
        table.add_column(name, justify="right")
    for size in dict.fromkeys((case.width, case.height) for case in cases):
        row = []
        pairs = [(c, one) for c, one in zip(cases, results["1 thread"], strict=True) if (c.width, c.height) == size]
        for times in ([(c.exact, c.seconds) for c, _ in pairs], [(c.exact, one.seconds) for c, one in pairs]):
            plain, double = (sum(seconds for flag, seconds in times if flag == which) for which in (False, True))
            row += [f"{plain:.2f}", f"{double:.2f}", f"{double / plain:.2f}" if plain > 0 else ""]
        table.add_row(f"{size[0]}x{size[1]}", *row)
    console.print(table)


def main() -> int:
    """The script; returns its exit code, 1 if a picture is not as promised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--weights", default="tiny", help="bundled name or file; tiny: the tests' untrained codec")
    parser.add_argument("--sizes", default=SIZES, help=f"some of {SIZES}, or others")
    parser.add_argument("--layers", default=LAYERS, help=f"some of {LAYERS}, or others")
    names = ",".join(setting.name for setting in SETTINGS)
    parser.add_argument("--settings", default=names, help=f"some of {names}, the first always")
    parser.add_argument("--out", type=Path, help="write all figures as JSON")
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    options, console = parser.parse_args(), Console()
    if options.job:
        job = json.loads(options.job.read_text())
        decode_all(job["weights"], Path(job["folder"]), Setting(**job["setting"]), job["names"])
        return 0
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder, weights = Path(place), options.weights
        if weights == "tiny":
            weights = str(folder / "tiny.safetensors")
            save_codec(make_codec(tiny_spec()), weights, "tiny", half=False)
        counts = [int(count) for count in options.layers.split(",")]
        cases = encode_all(layered.load(weights), options.sizes.split(","), counts, folder)
        chosen = [s for s in SETTINGS if s is SETTINGS[0] or s.name in options.settings.split(",")]
        results = {setting.name: decode_elsewhere(weights, folder, setting, cases) for setting in chosen}
    show(cases, results, console)
    wrong = [line for setting in chosen for line in faults(setting, cases, results[setting.name])]
    for line in wrong[:20]:
        console.print(line, highlight=False)
    if not torch.backends.mkldnn.is_available():
        console.print("this PyTorch has no oneDNN: the settings without it show nothing here")
    if options.out:
        figures = {name: [asdict(one) for one in found] for name, found in results.items()}
        options.out.write_text(json.dumps({"cases": [asdict(case) for case in cases], **figures}, indent=1) + "\n")
    console.print(f"{len(cases)} files, {len(wrong)} faults; PyTorch {torch.__version__}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
