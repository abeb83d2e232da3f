"""Logs of SHM's encoder."""

from __future__ import annotations

import re

import pytest

from baselines.shvc.log import LayerLog, parse_log
from experiments.known import data_folders
from layered.errors import LayeredError

FOLDERS = [folder.parent / "reference" for folder in data_folders()]
REFERENCE = next((folder for folder in FOLDERS if (folder / "shm11_log_2_1.txt").is_file()), None)

VERSION = "SHM software: Encoder Version [12.4 (HM-16.10)][Linux][GCC 9.4.0][64 bit] "
BASE = (
    "POC    0 LId: 0 TId: 0 ( I-SLICE IDR_W_RADL, nQP 37 QP 37 )       1234 bits "
    "[Y 31.5000 dB    U 40.2500 dB    V 41.0000 dB] [ET     0 ] [L0 ] [L1 ]"
)
UPPER = (
    "POC    0 LId: 1 TId: 0 ( P-SLICE IDR_W_RADL, nQP 30 QP 30 )      56789 bits "
    "[Y 35.0000 dB    U inf dB    V 43.2943 dB] [ET     1 ] [L0 0(0, {1.50, 1.50}x) ] [L1 ]"
)
END = "Bytes written to file: 7300 (1752.000 kbps)"


def test_version_layers_and_size_are_found() -> None:
    log = parse_log(["", VERSION, "QP : 32.00", BASE, UPPER, "", END])
    assert log.version == "[12.4 (HM-16.10)][Linux][GCC 9.4.0][64 bit]"
    assert log.layers == (
        LayerLog("I", 37, 1234, (31.5, 40.25, 41.0)),
        LayerLog("P", 30, 56789, (35.0, float("inf"), 43.2943)),
    )
    assert log.file_bytes == 7300


def test_spaces_do_not_matter() -> None:
    printed = [VERSION, BASE, UPPER, END]
    assert parse_log([" ".join(line.split()) for line in printed]) == parse_log(printed)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([BASE, END], "names no version"),
        ([VERSION, BASE], "did not come to its end"),
        ([VERSION, END], "coded no picture"),
        ([VERSION, UPPER, END], "picture 0 of layer 1 where layer 0 was due"),
        ([VERSION, BASE, BASE, END], "picture 0 of layer 0 where layer 1 was due"),
        ([VERSION, BASE.replace("POC    0", "POC    1"), END], "picture 1 of layer 0"),
    ],
)
def test_other_output_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(LayeredError, match=re.escape(message)):
        parse_log(lines)


@pytest.mark.skipif(REFERENCE is None, reason="the reference numbers are not on this machine")
@pytest.mark.parametrize(("name", "qp", "kinds", "size"), [("2_1", 32, "IP", 13349), ("4_2_1", 28, "IPP", 24184)])
def test_real_logs_agree_with_themselves(name: str, qp: int, kinds: str, size: int) -> None:
    """The bits of the layers make up the file but for start codes; the summary repeats PSNR and rate."""
    assert REFERENCE is not None
    text = (REFERENCE / f"shm11_log_{name}.txt").read_text()
    log = parse_log(text.splitlines())
    assert "".join(layer.kind for layer in log.layers) == kinds and "SHM" not in log.version
    assert {layer.qp for layer in log.layers} == {qp} and log.file_bytes == size
    assert 0 < size - sum(layer.bits for layer in log.layers) / 8 < 80
    for number, layer in enumerate(log.layers):
        summary = re.search(rf"L{number} \s+1\s+a\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)", text)
        assert summary and tuple(map(float, summary.groups()[1:])) == layer.psnr
        assert float(summary[1]) == layer.bits * 30 / 1000
