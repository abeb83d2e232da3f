"""Label maps as graphics beside picture codecs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.label_maps import main
from layered.errors import ImageError

pytest.importorskip("imagecodecs")


def test_the_table_counts_real_bytes_of_every_codec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[5:20, 10:30], labels[15:35, 25:50] = 3, 7
    Image.fromarray(labels).save(tmp_path / "a.png")
    main([str(tmp_path)])
    told = capsys.readouterr().out
    rows = {line[:18].strip(): int(line[18:].split()[0]) for line in told.splitlines()[:-1]}
    assert rows.keys() == {"contours", "PNG", "WebP, lossless", "JPEG XL, lossless"}
    assert 5 < rows["contours"] < min(rows["PNG"], rows["WebP, lossless"])
    assert "1 maps, all equal" in told


def test_pictures_that_are_no_maps_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="one channel of 8 bits"):
        main([str(tmp_path)])
