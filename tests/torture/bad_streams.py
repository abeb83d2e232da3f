"""More than ten thousand bad streams, each decoded in a process that may crash or hang without harm.

    python -m tests.torture.bad_streams [--weights NAME|tiny] [--out report.json]

Every stream is decoded strictly and leniently.  What must come out depends on how it was made:

- plain (checksums as they were): strictly, an error, or for a file cut at a layer's end the layers before it;
  leniently, exactly the layers before the first changed byte, or an error if there are none.
- repaired (checksums made right again): an error, or right pictures of a prefix of whole layers.
- exact (the flag for float64 synthesis turned over, checksums repaired): a change of arithmetic only, so the
  layers within one level of the right ones are legitimate.  Counted apart.
- forged (other symbols, properly coded, all checksums right): another legal stream, for whose pictures nothing
  is promised but their sizes and that decoding them again gives the same.  Counted apart.

Errors must be of the four kinds that a caller expects, and come within 5 CPU seconds; NumPy's warnings count as
errors of another kind.
Damage to entropy-coded bytes with the checksum of the symbols repaired as well is there where it can be: the rANS
coder refuses bytes that are not the exact code of their symbols, before that checksum is looked at, which leaves few,
but nearly all bytes are the arithmetic code of some label map.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from layered.errors import OptionError
from tests.torture.damage import KINDS, streams_of
from tests.torture.judging import Outcome, Verdict, Worker, load, serve
from tests.torture.kit import LEAST, Bad, Kit


@dataclass
class Row:
    """One kind in the report: outcomes by name, streams with a bad one, CPU seconds of the slowest decoding."""

    kind: str
    count: int
    strict: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(Outcome), 0))
    lenient: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(Outcome), 0))
    bad: int = 0
    slowest: float = 0.0
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, made: Bad, verdict: Verdict) -> None:
        """Count one verdict."""
        self.strict[verdict.outcomes[0]] += 1
        self.lenient[verdict.outcomes[1]] += 1
        self.slowest = max(self.slowest, verdict.seconds)
        if "bad" in verdict.outcomes:
            self.bad += 1
            if len(self.examples) < 10:
                self.examples.append({"wrong": verdict.wrong, "hex": made.data[:4096].hex()})


def run(weights: str, console: Console) -> tuple[list[Row], int, int]:
    """All kinds, judged in a worker: the rows, and the worker's peak memory before and after."""
    kit = Kit.of(load(weights))
    streams = {kind: streams_of(kit, kind) for kind in KINDS}
    rows = [Row(kind, len(made)) for kind, made in streams.items()]
    worker = Worker(serve, weights, kit.files)
    peak = worker.first_peak
    with Progress(console=console) as progress:
        task = progress.add_task("", total=sum(row.count for row in rows))
        for row in rows:
            progress.update(task, description=row.kind)
            for made in streams[row.kind]:
                verdict = worker.judge(made)
                row.add(made, verdict)
                peak = max(peak, verdict.peak)
                progress.advance(task)
    worker.close()
    return rows, worker.first_peak, peak


def show(rows: Sequence[Row], console: Console) -> None:
    """The table, and what is wrong, if anything."""
    table = Table(
        title="outcomes of strict / lenient decoding; *: checksums repaired",
        caption="legal: right pictures of all layers or the first ones; other: exact flag turned, or forged symbols",
    )
    table.add_column("kind", no_wrap=True)
    for name in ("count", "raised", "legal", "other", "bad", "CPU s"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        pairs = [f"{row.strict[name]} / {row.lenient[name]}" for name in ("raised", "legal", "other")]
        table.add_row(row.kind, str(row.count), *pairs, str(row.bad), f"{row.slowest:.2f}")
    console.print(table)
    for row in rows:
        for example in row.examples[:3]:
            console.print(f"{row.kind}: {example['wrong']}\n  {example['hex'][:600]}", highlight=False)


def main() -> int:
    """The script; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--weights", default="tiny", help="bundled name or file; tiny: the tests' untrained codec")
    parser.add_argument("--out", type=Path, help="write the counts, and the bad streams in hexadecimal, as JSON")
    options, console = parser.parse_args(), Console()
    start = time.perf_counter()
    try:
        rows, first, peak = run(options.weights, console)
    except OptionError as error:
        console.print(f"error: {error}")
        return 2
    show(rows, console)
    count, bad, slowest = sum(r.count for r in rows), sum(r.bad for r in rows), max(r.slowest for r in rows)
    console.print(
        f"{count} streams, {bad} bad; slowest {slowest:.2f} CPU s; peak memory of the worker {peak / 2**20:.0f} MiB, "
        f"{first / 2**20:.0f} MiB before the first bad stream; {time.perf_counter() - start:.0f} s in all"
    )
    if options.out:
        totals = {"streams": count, "bad": bad, "slowest": slowest, "peak_bytes": peak, "first_peak_bytes": first}
        options.out.write_text(json.dumps({**totals, "kinds": [asdict(row) for row in rows]}, indent=1) + "\n")
    if count < LEAST:
        console.print(f"only {count} streams were made, {LEAST} are promised")
    return int(bad > 0 or count < LEAST)


if __name__ == "__main__":
    sys.exit(main())
