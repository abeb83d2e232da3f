"""The built wheel, installed elsewhere, is complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("layered", "adapters", "baselines", "experiments")
DATA = (".py", ".safetensors", ".json", ".yaml", ".html", ".css", ".js")


def _call(*arguments: str, cwd: Path, path: Path | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    done = subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_carries_recipes_and_weights_and_works_from_any_directory(tmp_path: Path) -> None:
    source, site, elsewhere = tmp_path / "source", tmp_path / "site", tmp_path / "elsewhere"
    source.mkdir()
    elsewhere.mkdir()
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    _call(*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w.", "./source", cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")

    held = set(zipfile.ZipFile(wheel).namelist())
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*")]
    measured = ROOT / "experiments" / "results"  # for readers of the checkout; no code needs them
    needed = {p.relative_to(ROOT).as_posix() for p in files if p.suffix in DATA and measured not in p.parents}
    assert needed <= held
    assert {name.split("/")[0] for name in held if ".dist-info/" not in name} == set(PACKAGES)

    _call(*pip, "install", "-q", "--no-index", "--no-deps", "-t", str(site), str(wheel), cwd=tmp_path)
    where = _call(sys.executable, "-c", "import layered; print(layered.__file__)", cwd=elsewhere, path=site)
    assert Path(where.strip()).is_relative_to(site)
    listed = _call(sys.executable, "-m", "layered", "weights", "list", cwd=elsewhere, path=site)
    names = {Path(name).stem for name in needed if Path(name).match("layered/weights/*.json")}
    assert names and names == {line.split()[0] for line in listed.splitlines()}
