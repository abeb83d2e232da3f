"""Speed and memory, as ratios measured side by side in one run on one machine.

    python -m experiments.benchmark --only coding,liff --out out/benchmark.json

prints a table, and writes it as JSON and, beside that, as Markdown.  A goal that is missed is told, not punished:
the exit code is 0 either way.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from experiments.benchmarks import adaptation, coding, layers, liff, memory, training
from experiments.benchmarks.measure import Row, Setting
from experiments.provenance import commit, machine
from layered.files import write_bytes_atomic

__all__ = ["BENCHMARKS", "benchmark", "main"]

BENCHMARKS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "coding": coding.rows,
    "liff": liff.rows,
    "layers": layers.rows,
    "training": training.rows,
    "memory": memory.rows,
    "growth": layers.growth_rows,
    "adaptation": adaptation.rows,
}
HEADER = ("what", "median", "min .. max", "unit", "goal", "difference", "note")


def benchmark(setting: Setting, names: Sequence[str], command: str) -> dict[str, Any]:
    """Measure the named subjects: where, when and how, and a row for each figure, as plain values."""
    began = os.getloadavg()
    rows = [row for name in names for row in BENCHMARKS[name](setting)]
    return {
        "command": command,
        "commit": commit(),
        "machine": machine("cpu"),
        "torch": torch.__version__,
        "compressai": version("compressai"),
        "threads": torch.get_num_threads(),
        "load": {"before": began, "after": os.getloadavg()},
        "repeats": setting.repeats,
        "quick": setting.quick,
        "rows": [_values(row, setting.quick) for row in rows],
    }


def _values(row: Row, quick: bool) -> dict[str, Any]:
    return {
        "subject": row.subject, "name": row.name, "unit": row.unit, "median": row.figure, "min": min(row.samples),
        "max": max(row.samples), "samples": row.samples, "goal": str(row.goal) if row.goal else None,
        "verdict": "" if quick else row.verdict, "difference": row.difference, "note": row.note,
    }  # fmt: skip


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    apart = "" if row["difference"] is None else f"{row['difference']:.1e}"
    spread = f"{row['min']:.3g} .. {row['max']:.3g}"
    goal = f"{row['goal']} {row['verdict']}" if row["goal"] else ""
    return f"{row['subject']}: {row['name']}", f"{row['median']:.3g}", spread, row["unit"], goal, apart, row["note"]


def _conditions(result: dict[str, Any]) -> str:
    load = " to ".join(f"{result['load'][when][0]:.1f}" for when in ("before", "after"))
    return (
        f"{result['command']}; commit {result['commit']}; {result['machine']}; torch {result['torch']}, "
        f"CompressAI {result['compressai']}; {result['threads']} threads; {result['repeats']} repeats"
        f"{', quick sizes, which say nothing of speed' if result['quick'] else ''}; load {load}"
    )


def _markdown(result: dict[str, Any]) -> str:
    lines = [HEADER, ("---",) * len(HEADER), *(_cells(row) for row in result["rows"])]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{_conditions(result)}\n\n{table}\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=_positive, help="of every pair of timings; 7 by default, 2 when quick")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: tries the workings in under a minute")
    parser.add_argument("--only", type=_names, default=tuple(BENCHMARKS), help=f"some of {', '.join(BENCHMARKS)}")
    parser.add_argument("--out", type=Path, default=Path("out/benchmark.json"), help="the Markdown goes beside it")
    told = sys.argv[1:] if arguments is None else arguments
    given = parser.parse_args(told)
    setting = Setting(given.repeats or (2 if given.quick else 7), given.quick)
    result = benchmark(setting, given.only, shlex.join(["python", "-m", "experiments.benchmark", *told]))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(given.out, json.dumps(result, indent=1, allow_nan=False).encode())
    write_bytes_atomic(given.out.with_suffix(".md"), _markdown(result).encode())
    table = Table(*HEADER[:5])  # what each figure rests on takes room that terminals lack
    for row in result["rows"]:
        table.add_row(*_cells(row)[:5], style={"missed": "red", "reached": "green"}.get(row["verdict"]))
    console = Console()
    console.print(table)
    console.print(f"{_conditions(result)}\nnotes: {given.out.with_suffix('.md')}", soft_wrap=True)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in BENCHMARKS:
            raise argparse.ArgumentTypeError(f"no {name!r}; there are {', '.join(BENCHMARKS)}")
    return names


if __name__ == "__main__":
    main()
