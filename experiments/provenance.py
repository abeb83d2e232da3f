"""Where and how something was measured."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from experiments.cluster import available_cpus
from experiments.words import printable

__all__ = ["command_line", "commit", "machine", "without_places"]

RESULTS = "experiments/results"
"""The folder of the page, in the checkout.  Runs write it themselves: that makes no other checkout of the next one."""


def command_line() -> str:
    """The command line as a user would type it, without the place of the program, and with no bytes but text."""
    program = Path(sys.argv[0])
    started = [program.name]
    if program.name == "__main__.py":
        package = program.parent
        inner = package.parent.name == "experiments"  # these have no command of their own
        started = ["python", "-m", f"experiments.{package.name}"] if inner else [package.name]
    elif program.suffix == ".py" and program.parent.name == "experiments":
        started = ["python", "-m", f"experiments.{program.stem}"]
    return printable(shlex.join([*started, *sys.argv[1:]]))


def without_places(command: str) -> str:
    """The command without folders of its machine: `--out DIR`, `--folder DIR`, and what is above the data's folder."""
    words: list[str] = []
    parts = iter(shlex.split(command))
    for word in parts:
        key, equals, value = word.partition("=")
        if key in ("--out", "--folder"):
            if not equals:
                next(parts, None)
        elif equals and value.startswith("/"):
            words.append(f"{key}={Path(value).name}")
        else:
            words.append(Path(word).name if word.startswith("/") else word)
    return shlex.join(words)


@cache  # what runs is the code as it was when this process began, whatever is committed meanwhile
def commit() -> str | None:
    """The commit of the checkout that this code lies in, with "+" where files differ from it, but for results."""
    root = Path(__file__).resolve().parent.parent
    try:
        # An installed copy may lie inside somebody else's repository, whose commit would say nothing.
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return None
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{RESULTS}")
        return _git(root, "rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def machine(device: str) -> str:
    """The kind of this machine: system, processor, CPUs that may be used, and the GPU if `device` is one."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    kind = f"{platform.system()} {platform.machine()}, {name}, {available_cpus()} CPUs"
    if device.startswith("cuda"):
        import torch

        kind += f", {torch.cuda.get_device_name(device)}"
    return kind


def _git(root: Path, *arguments: str) -> str:
    command = ("git", "-C", str(root), *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
