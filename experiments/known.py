"""Data sets that papers use, known by the folders in which they are published and by how many images they have."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from layered.errors import RecipeError

__all__ = ["KNOWN", "KODAK", "Known", "data_folders"]

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
class Known:
    """A published set.

    patterns: where its images lie below a data folder, the layouts in use, tried in order.  count: how many there
    are.  what: what to put there.  sha256: of each file, where the set has one published form.
    """

    name: str
    patterns: tuple[str, ...]
    count: int
    what: str
    sha256: Mapping[str, str] = field(default_factory=dict)

    def find(self) -> list[Path]:
        """Its images in order of their names.

        Raises RecipeError that says where a missing set is to be put, or what is wrong with one that is there.
        """
        looked = [folder.absolute() for folder in data_folders()]
        for pattern in (Path(folder) / pattern for folder in looked for pattern in self.patterns):
            if not pattern.parent.is_dir():
                continue
            paths = sorted(path for path in pattern.parent.iterdir() if _fits(path.name, pattern.name))
            self._check(pattern.parent, paths)
            return paths
        raise RecipeError(
            f"{self.name} is not here: put {self.what} as {' or '.join(self.patterns)} into a folder and set "
            f"LAYERED_DATA to it (looked in {', '.join(str(folder.resolve()) for folder in looked)})"
        )

    def _check(self, folder: Path, paths: list[Path]) -> None:
        names = [path.name for path in paths]
        missing = [name for name in self.sha256 if name not in names]
        if missing or len(paths) != self.count:
            which = f"; {missing[0]} is missing" if missing else ""
            raise RecipeError(f"{folder}: {len(paths)} images where {self.name} has {self.count}{which}")
        for path in paths if self.sha256 else ():
            if hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256.get(path.name):
                raise RecipeError(f"{path}: not the published file (its SHA-256 differs); use the original PNG")


def data_folders() -> list[Path]:
    """Where sets are looked for: $LAYERED_DATA, then shared/data beside here or beside the checkout."""
    checkout = Path(__file__).resolve().parent.parent
    places = [Path("..", "shared", "data"), checkout.parent / "shared" / "data"]
    if os.environ.get("LAYERED_DATA"):
        places.insert(0, Path(os.environ["LAYERED_DATA"]))
    found: dict[Path, Path] = {}
    for place in places:
        found.setdefault(place.resolve(), place)
    return list(found.values())


def _fits(name: str, pattern: str) -> bool:
    """Whether a name fits in any case; pathlib's own globbing differs between systems in this."""
    return fnmatch.fnmatchcase(name.lower(), pattern.lower()) and not name.startswith(".")


KNOWN: Mapping[str, Known] = {
    entry.name: entry
    for entry in (
        Known("kodak", ("kodak/kodim*.png",), 24, "kodim01.png to kodim24.png", KODAK),
        Known(
            "clic2020-professional-valid",
            ("clic2020/professional_valid_2020/valid/*.png", "clic2020/professional_valid/*.png"),
            41,
            "the validation set of CLIC 2020, professional",
        ),
        Known(
            "clic2020-mobile-valid",
            ("clic2020/mobile_valid_2020/valid/*.png", "clic2020/mobile_valid/*.png"),
            61,
            "the validation set of CLIC 2020, mobile",
        ),
        Known(
            "clic2021-test",
            ("clic2021/professional_test_2021/*.png", "clic2021/test/*.png"),
            60,
            "the test set of CLIC 2021",
        ),
        Known(
            "urban100",
            ("Urban100/HR/*.png", "Urban100/image_SRF_4/*_HR.png", "Urban100/image_SRF_2/*_HR.png", "Urban100/*.png"),
            100,
            "the high-resolution images of Urban100",
        ),
        Known("div2k", ("DIV2K/DIV2K_valid_HR/*.png", "DIV2K_valid_HR/*.png"), 100, "0801.png to 0900.png of DIV2K"),
        Known(
            "bsds500-test",
            ("BSR/BSDS500/data/images/test/*.jpg", "BSDS500/data/images/test/*.jpg"),
            200,
            "the test images of BSDS500",
        ),
        Known("raise-1k", ("RAISE_1k/*.tif", "RAISE-1k/*.tif", "RAISE/*.tif"), 1000, "the TIFF files of RAISE-1k"),
    )
}
"""By the names that recipes use."""
