"""Turns finished training runs into bundled weights: the tensors, and a card that says what they cost and reach.

    python -m experiments.bundle NAME --run DIR [--run DIR ...] --results DIR --codec "single mean-scale" ...

The last run's weights are taken; all runs' budgets are listed, with --continued below those of the bundled weights that
they went on from.  With --card-only the weights stay as they are, and so does what is not given of their card.  Where
weights of that name are bundled already, RESULTS must be of the new ones by the recipe of the bundled card, in all rows
that it has (`--set codecs.layered.weights=FILE`, and so on), and a top layer must need fewer bits, and none more.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from experiments.bdrate import Curve, CurveError, bd_rate
from experiments.provenance import without_places
from experiments.recipe import bundled_recipes, load_recipe
from experiments.restack import restacked
from experiments.runs import load_results
from experiments.tables import Tables
from layered.errors import LayeredError, OptionError
from layered.files import write_bytes_atomic
from layered.weights import store
from layered.weights.card import Card

__all__ = ["budget", "gains", "main", "measured"]


def budget(runs: Sequence[Path], before: Mapping[str, Any] | None = None, name: str = "") -> dict[str, Any]:
    """Pictures, steps, crops and seconds of each phase that the runs trained, in order.

    before: the same of the weights `name`, that they went on from.  Raises OptionError for a run without weights, for a
    phase that is there twice, and where none of the runs went on from those weights.
    """
    result = dict(before or {})
    phases = {of: _told(phase) for of, phase in result.pop("phases", {}).items()}
    common = result.pop("precision", None)
    result["runs"] = [{"precision": common, **run} for run in result.get("runs", ())]
    starts: set[str] = set()
    for run in runs:
        path = run / "weights.safetensors"
        training = _training(path)
        recipe = training["recipe"]
        starts |= {Path(value).name.partition(".")[0] for value in recipe["start"].values()}
        for phase in recipe["phases"]:
            if phase["name"] in training["steps"]:
                if phase["name"] in phases:
                    raise OptionError(f"{path}: a phase {phase['name']!r} is listed already; give it another name")
                phases[phase["name"]] = _told(phase)
        trained = {"phases": list(training["steps"]), "seconds": training["seconds"], "precision": recipe["precision"]}
        result["runs"].append(trained)
        result |= {key: training[key] for key in ("pictures", "device", "processes", "threads")}
        result["seed"] = recipe["seed"]
        result["untrained"] = training.get("untrained", [])  # the last run's are those of the weights
    if before is not None and name not in starts:
        found = ", ".join(sorted(starts)) or "nothing"
        raise OptionError(f"--continued: none of the runs started from {name}, but from {found}")
    return {"phases": phases, **result}


def _training(path: Path) -> dict[str, Any]:
    """What a run's weights say of how they were trained.  Raises OptionError."""
    if not path.is_file():
        raise OptionError(f"{path} is not there; the run has not ended")
    try:
        with safe_open(path, framework="pt") as file:
            training: dict[str, Any] = json.loads(file.metadata()["training"])
        if missing := {"recipe", "steps", "seconds", "pictures"} - training.keys():
            raise KeyError(min(missing))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptionError(f"{path}: not the weights of a training run ({type(error).__name__}: {error})") from None
    return training


def _told(phase: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a phase that its training looked at."""
    unused = set() if phase["kind"] == "adversarial" else {"adversarial"}
    if phase["schedule"] != "step":
        unused |= {"decay", "decay_every"}
    if phase["kind"] != "predictor":
        unused.add("decoded")
    return {key: value for key, value in phase.items() if key not in unused and value not in (None, [], {})}


def measured(results: Path, codecs: Sequence[str]) -> dict[str, Any]:
    """Average (bpp, PSNR in dB, MS-SSIM) of each layer and quality, with the command and commit behind them.

    weights: digests of those that the codecs were measured with.  Raises OptionError for another codec than the run
    has, for failures, for several sets of scales, and for other settings than the bundled recipe of that name has.
    """
    run = Tables(load_results(results))
    recipe = run.results.recipe
    if recipe.name in bundled_recipes() and recipe.measuring() != load_recipe(recipe.name).measuring():
        raise OptionError(f"{results}: its settings are not those of the bundled recipe {recipe.name}, but for weights")
    if run.results.failures or len(run.ladders) > 1:
        raise OptionError(f"{results}: items are missing, or it has several sets of scales; a card holds whole curves")
    if unknown := sorted(set(codecs) - set(run.codecs)):
        raise OptionError(f"--codec: {results} has no {unknown[0]!r}, but {', '.join(run.codecs)}")
    records = [record for record in run.results.records if record.codec in codecs]
    digests = {record.fingerprint.get("model") for record in records}
    curves = {
        codec: {
            label: [(_short(p.bpp), _short(p.psnr), _short(p.ms_ssim)) for p in run.points(codec, k)]
            for k, label in enumerate(run.ladders[0].layers)
        }
        for codec in codecs
    }
    return {
        "images": len(run.results.images()),
        "recipe": recipe.name,
        "weights": sorted(digest for digest in digests if digest),
        "columns": "accumulated file bits per pixel, RGB PSNR in dB, MS-SSIM",
        "curves": curves,
        "command": without_places(run.results.provenance.command),
        "commit": ", ".join(sorted({record.provenance.commit or "unknown" for record in records})),
        "machine": " and ".join(sorted({record.provenance.machine for record in records})),
    }


def gains(before: dict[str, Any], after: dict[str, Any]) -> dict[tuple[str, str], float]:
    """BD-rate in percent of what is measured `after` against `before`, of each codec and layer of `before`.

    NaN where they have too little PSNR in common, or `after` has no such row.  Raises OptionError for measurements by
    different recipes or images.
    """
    for key in ("recipe", "images"):
        if before.get(key) != after.get(key):
            raise OptionError(f"{key}: the bundled weights were measured on {before.get(key)}, these {after.get(key)}")
    found = {}
    for codec, layers in before["curves"].items():
        for label, points in layers.items():
            found[codec, label] = math.nan
            with suppress(CurveError, KeyError):
                found[codec, label] = bd_rate(_curve(points), _curve(after["curves"][codec][label]))
    return found


def _curve(points: Sequence[Sequence[float]]) -> Curve:
    return Curve(tuple(point[0] for point in points), tuple(point[1] for point in points))


def _card(path: Path) -> Card | None:
    """The card at `path`, if there is one.  Raises OptionError for one that cannot be read."""
    if not path.is_file():
        return None
    try:
        return Card(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, TypeError) as error:
        raise OptionError(f"{path}: not a card ({error}); remove it") from None


def _require_better(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Print what is gained over what the bundled weights reach.

    Raises OptionError unless the top layer of some codec gains, and that of none loses.
    """
    if "curves" not in before or "curves" not in after:
        raise OptionError("nothing to compare with the bundled weights by; --even-if-worse takes these anyway")
    found = gains(before, after)
    for (codec, label), rate in found.items():
        print(f"{codec}, {label}: {rate:+.1f}% BD-rate against the bundled weights")
    top = {codec: rate for (codec, _), rate in found.items()}  # the last layer of each
    worse = [codec for codec, rate in top.items() if not rate <= 0]
    if worse or not any(rate < 0 for rate in top.values()):
        told = "not better than the bundled weights; --even-if-worse takes these anyway"
        raise OptionError(f"{', '.join(worse or top)}: {told}")


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _bits(text: str) -> tuple[str, int]:
    """`NAME=BITS`, or `BITS` for all."""
    name, _, bits = text.rpartition("=")
    return name, int(bits)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--run", type=Path, action="append", default=[])
    parser.add_argument("--description")
    parser.add_argument("--machine", help="kind of machine that trained them")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--codec", action="append", default=[])
    parser.add_argument("--on", action="append", default=[], help="bundled weights whose equal tensors are left out")
    parser.add_argument(
        "--significant", action="append", type=_bits, default=[], metavar="[NAME=]BITS",
        help="bits that are kept of each weight, or of those below a name, as in --significant 9 --significant h_s=4",
    )  # fmt: skip
    parser.add_argument("--kept", type=Path, help="what `python -m experiments.selective` printed of them")
    parser.add_argument("--continued", action="store_true", help="the runs went on from the bundled weights NAME")
    parser.add_argument("--card-only", action="store_true")
    parser.add_argument("--even-if-worse", action="store_true", help="than the bundled ones by the same recipe")
    parser.add_argument("--folder", type=Path, default=Path(store.__file__).parent)
    given = parser.parse_args(arguments)
    target, path = (given.folder / f"{given.name}{ending}" for ending in (".safetensors.xz", ".json"))
    there = _card(path)
    _require_sense(given, there)
    training = there.training if there and given.card_only else {}
    if given.run:
        before = there.training if there and given.continued else None
        training = {**budget(given.run, before, given.name), "machine": given.machine}
    values = dict(there.measured) if there and given.card_only else {}
    if given.results:
        values |= measured(given.results, given.codec)
        _require_own(values["weights"], target if given.card_only else given.run[-1] / "weights.safetensors")
    if given.kept:
        values["kept"] = _lines(given.kept)
    if there and not (given.card_only or given.even_if_worse):
        _require_better(there.measured, values)
    if not given.card_only:
        codec = store.load(given.run[-1] / "weights.safetensors")
        with restacked(given.name, given.folder):
            store.save_codec(codec, target, given.name, training, on=given.on, significant=dict(given.significant))
    codec = store.load(target)
    description = given.description or (there.description if there else "")
    spec, parameters = codec.spec.model_dump(mode="json"), store.parameters_of(codec)
    card = Card(given.name, codec.digest.hex(), description, spec, parameters, training, values)
    write_bytes_atomic(path, (json.dumps(vars(card), indent=1) + "\n").encode())


def _require_sense(given: argparse.Namespace, there: Card | None) -> None:
    """Raises OptionError for options that lack others, or would do nothing."""
    if not (given.run and given.description and given.machine) and not (given.card_only and there):
        raise OptionError("--run, --description and --machine are needed, but with --card-only where there is a card")
    if given.continued and there is None:
        raise OptionError(f"--continued: {given.folder} has no card of {given.name}")
    dead = {
        "--on, --significant and --even-if-worse go without --card-only": given.card_only
        and (given.on or given.significant or given.even_if_worse),
        "--on: weights do not stand on themselves": given.name in given.on,
        "--even-if-worse: there is no card to compare with": given.even_if_worse and there is None,
        "--continued goes with --run": given.continued and not given.run,
        "--machine and --run go together": bool(given.machine) != bool(given.run),
        "--codec and --results go together": bool(given.codec) != bool(given.results),
        "--significant rounds weights that --results did not measure; measure what was bundled, then --card-only":
        bool(given.significant and given.results),
    }
    if wrong := next((told for told, is_so in dead.items() if is_so), None):
        raise OptionError(wrong)


def _require_own(digests: Sequence[str], path: Path) -> None:
    """Raises OptionError unless what was measured are the weights at `path`, and no others."""
    if digests != [own := store.load(path).digest.hex()]:
        raise OptionError(f"--results: measured with {', '.join(digests) or 'no weights'}; {path} is {own}")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise OptionError(f"{path}: {error}") from None


if __name__ == "__main__":
    try:
        main()
    except LayeredError as error:
        sys.exit(f"error: {error}")
