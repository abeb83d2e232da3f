"""Test images by name or by folder; nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from layered.errors import ImageError, RecipeError
from layered.image import Image8, load_image, resize8

__all__ = ["KODAK", "SAMPLES", "DataSet", "Picture", "find_data"]

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff")

SAMPLES = ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png", "motorcycle_left.png")
"""RGB photos of 451x300 to 741x500 that lie inside scikit-image's wheel."""

KODAK: dict[str, str] = {
    "kodim01.png": "a56e27cbf5f843c048b6af1d6e090760e9c92fadba88b7dee0205918a37523bd",
    "kodim02.png": "4f4b74a79237e311d72cad958237b5f7088d8bce1c82305ebefe1a70e3022dfd",
    "kodim03.png": "e25ca1ff2f0c0cb5fdfd5f9b0a0bb21ac4c3de3c84a67f35b09a85d3306249db",
    "kodim04.png": "e3b946107c5d3441c022f678d0c3caf1e224d81b1604ba840a4f88e562de61aa",
    "kodim05.png": "10349e963c5c813d327852f82c1795fa4148d69fedffc4c589bee458e3ac3d53",
    "kodim06.png": "363510303b715d4cbc384e1ce227e466b613a09e1b71ae985882bf8e7fbd9b18",
    "kodim07.png": "b77d3f006f42414bb242222e0482e750c0fb9e5ee8d4bed2f6f11c5605fe54a4",
    "kodim08.png": "ba23983c76b4832ee0e8af0592664756841a16779acd69f792e268fb6d13d6e7",
    "kodim09.png": "6a4361c2fc194feb4edaa9f9a4a0620fb9943e460ac7fdf037fb0f6dd6607a7d",
    "kodim10.png": "9dfb70f5867c29ff9ed6313683f19b3d867849e40fbc0c4c54a4a89df341cf23",
    "kodim11.png": "7936814b58b5387fce2e4e2488b4ec830dadd95fa9520f358ddb30990b50f2b6",
    "kodim12.png": "d78c37c2f04f23761ed2367dd77e2db584ddd4c3950833fecf89f199a8126980",
    "kodim13.png": "bc34a3ce58dea09dce1704c997171602de90cb34d0c8503a988b77f473d39b08",
    "kodim14.png": "55a94550ff18f3246c4074fd32b77b0c74447c26b6ad274d564d999c0450ba6e",
    "kodim15.png": "7538cbb80cb9103606c48b806eae57d56c885c7f90b9b3be70a41160f9cbb683",
    "kodim16.png": "a89c7268ccd4718ba424a99fc4643c572cf692ca6eae887185ceb4e9f11d2e54",
    "kodim17.png": "37afcc89fbdcb76d9518e04b2fc011027e2f4cd14b3b2f83cefd721641a47c5b",
    "kodim18.png": "1a9258c365988961d87a0598725b609139c303ad48a5aad6c503c3b1a87849aa",
    "kodim19.png": "b7450b264b1b0a411390d8931b112c27905a992520fc90569dc4b920aa32bbdc",
    "kodim20.png": "3b46c71e3b92a563820ba32936be8330c586c41f938efd94be938386aae4328a",
    "kodim21.png": "ac958597c82073f6bb65129c68f72b651db5b9efd82e11547d07350214bc268b",
    "kodim22.png": "1cee58eb1f2d9c7ebb254d208a03c783ce6cf2c4d8c2cf45e235dd23b4ce1b29",
    "kodim23.png": "e3111a2fd4da24af15d6459ef9eacfe54106b38e27b4a21821b75c3f5d2d5baf",
    "kodim24.png": "1071c68372cc5a01435c2c225a5cf7d4bb803846ec08bb6b3d6721b156d7cb96",
}
"""SHA-256 of the 24 published PNG files of the Kodak Lossless True Color Image Suite."""


@dataclass(frozen=True)
class Picture:
    """One test image, read when it is needed.

    longest_side: the image is shrunk (antialiased bicubic) so that no side exceeds it; never enlarged.
    """

    name: str
    path: Path
    longest_side: int | None = None

    def load(self) -> Image8:
        """8-bit RGB [H, W, 3].  Raises ImageError."""
        image = load_image(self.path)
        height, width = image.shape[:2]
        if self.longest_side is None or max(width, height) <= self.longest_side:
            return image
        scale = self.longest_side / max(width, height)
        return resize8(image, max(1, round(scale * width)), max(1, round(scale * height)))

    def digest(self) -> str:
        """SHA-256 of the file and of what is done to it.  Raises ImageError when it cannot be read."""
        try:
            digest = hashlib.sha256(self.path.read_bytes())
        except OSError as error:
            raise ImageError(f"{self.path}: {error.strerror or error}") from None
        digest.update(f"longest side {self.longest_side}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class DataSet:
    """A named, ordered collection of test images."""

    name: str
    items: tuple[Picture, ...]


def find_data(source: str, limit: int | None = None, longest_side: int | None = None) -> DataSet:
    """A data set by name (`kodak`, `samples`) or the images of any folder, in order of their names.

    limit: the first so many of them.  Raises RecipeError when there is no such set, or files of it are
    missing or not the published ones.
    """
    if source in _NAMED:
        name, paths = source, _NAMED[source]()
    else:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise RecipeError(f"no data set or folder {source!r}; named sets are {', '.join(_NAMED)}")
        name, paths = folder.resolve().name, _images(folder)
        if not paths:
            raise RecipeError(f"{folder}: no image in this folder (endings {' '.join(ENDINGS)})")
    chosen = paths if limit is None else paths[:limit]
    return DataSet(name, tuple(Picture(_unique(path, chosen), path, longest_side) for path in chosen))


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))


def _unique(path: Path, among: list[Path]) -> str:
    """The name without ending, unless another file of the set would have the same."""
    return path.stem if sum(other.stem == path.stem for other in among) == 1 else path.name


def _kodak() -> list[Path]:
    checkout = Path(__file__).resolve().parent.parent
    places = [Path("..", "shared", "data", "kodak"), checkout.parent / "shared" / "data" / "kodak"]
    if os.environ.get("LAYERED_DATA"):
        places.insert(0, Path(os.environ["LAYERED_DATA"], "kodak"))
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        looked = " and ".join(str(place) for place in dict.fromkeys(places))
        raise RecipeError(
            "Kodak is not here: put kodim01.png to kodim24.png into a folder named kodak and set "
            f"LAYERED_DATA to the folder that holds it (looked for {looked})"
        )
    for name, digest in KODAK.items():
        path = folder / name
        if not path.is_file():
            raise RecipeError(f"{folder}: {name} is missing; Kodak has kodim01.png to kodim24.png")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise RecipeError(f"{path}: not the published file (its SHA-256 differs); use the original PNG")
    return [folder / name for name in KODAK]


def _samples() -> list[Path]:
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise RecipeError("the sample photos come with scikit-image: pip install scikit-image")
    folder = Path(found.origin).parent / "data"
    paths = [folder / name for name in SAMPLES]
    for path in paths:
        if not path.is_file():
            raise RecipeError(f"{path}: this scikit-image lacks a sample; install its wheel from PyPI again")
    return paths


_NAMED = {"kodak": _kodak, "samples": _samples}
