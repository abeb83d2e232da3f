"""Layer configurations for SHM."""

from __future__ import annotations

import pytest

from baselines.shvc.config import coded_size, layer_config
from experiments.known import data_folders
from layered.errors import OptionError

FOLDERS = [folder.parent / "reference" for folder in data_folders()]
REFERENCE = next((folder for folder in FOLDERS if (folder / "shm11_layers_2_1.cfg").is_file()), None)

GOLDEN = """
NumLayers : 2
NonHEVCBase : 0
ScalabilityMask1 : 0
ScalabilityMask2 : 1
ScalabilityMask3 : 0
AdaptiveResolutionChange : 0
SkipPictureAtArcSwitch : 0
MaxTidRefPresentFlag : 1
CrossLayerPictureTypeAlignFlag : 1
CrossLayerIrapAlignFlag : 1
SEIDecodedPictureHash : 0
InputFile0 : in0.yuv
ReconFile0 : rec0.yuv
FrameRate0 : 30
InputBitDepth0 : 8
SourceWidth0 : 40
SourceHeight0 : 24
RepFormatIdx0 : 0
IntraPeriod0 : 1
ConformanceMode0 : 1
QP0 : 30
LayerPTLIndex0 : 1
RateControl0 : 0
WaveFrontSynchro0 : 0
ScalingList0 : 0
MaxTidIlRefPicsPlus10 : 2
InputFile1 : in1.yuv
ReconFile1 : rec1.yuv
FrameRate1 : 30
InputBitDepth1 : 8
SourceWidth1 : 64
SourceHeight1 : 48
RepFormatIdx1 : 1
IntraPeriod1 : 1
ConformanceMode1 : 1
QP1 : 20
LayerPTLIndex1 : 2
RateControl1 : 0
WaveFrontSynchro1 : 0
ScalingList1 : 0
MaxTidIlRefPicsPlus11 : 2
NumSamplePredRefLayers1 : 1
SamplePredRefLayerIds1 : 0
NumMotionPredRefLayers1 : 1
MotionPredRefLayerIds1 : 0
NumActiveRefLayers1 : 1
PredLayerIds1 : 0
NumRefLocationOffsets1 : 1
RefLocationOffsetLayerId1 : 0
ScaledRefLayerOffsetPresentFlag1 : 1
ScaledRefLayerLeftOffset1 : 0
ScaledRefLayerTopOffset1 : 0
ScaledRefLayerRightOffset1 : 2
ScaledRefLayerBottomOffset1 : 0
RefRegionOffsetPresentFlag1 : 1
RefRegionLeftOffset1 : 0
RefRegionTopOffset1 : 0
RefRegionRightOffset1 : 1
RefRegionBottomOffset1 : 0
ResamplePhaseSetPresentFlag1 : 1
PhaseHorLuma1 : 5
PhaseVerLuma1 : 8
PhaseHorChroma1 : 5
PhaseVerChroma1 : 8
Level1 : 6.2
Level2 : 6.2
NumLayerSets : 2
NumLayerInIdList1 : 2
LayerSetLayerIdList1 : 0 1
NumAddLayerSets : 0
NumOutputLayerSets : 2
DefaultTargetOutputLayerIdc : 1
NumOutputLayersInOutputLayerSet : 1
ListOfOutputLayers1 : 1
ListOfProfileTierLevelOls1 : 1 2
FrameSkip : 0
FramesToBeEncoded : 1
Level0 : 6.2
"""
"""A picture of 60x48 over one of 38x24."""


def lines(text: str) -> list[str]:
    return ["".join(line.split()) for line in text.splitlines() if line.strip()]


def test_a_configuration_with_padded_pictures_is_the_golden_one() -> None:
    assert lines(layer_config([(38, 24), (60, 48)], [30, 20])) == lines(GOLDEN)


@pytest.mark.skipif(REFERENCE is None, reason="the reference numbers are not on this machine")
@pytest.mark.parametrize(("name", "factors", "qp"), [("2_1", (2, 1), 32), ("4_2_1", (4, 2, 1), 28)])
def test_configurations_are_those_that_shm_was_run_with(name: str, factors: tuple[int, ...], qp: int) -> None:
    assert REFERENCE is not None
    made = layer_config([(768 // factor, 512 // factor) for factor in factors], [qp] * len(factors))
    assert lines(made) == lines((REFERENCE / f"shm11_layers_{name}.cfg").read_text())


def test_each_layer_is_predicted_from_the_one_below_with_its_own_phase_and_qp() -> None:
    made = {*lines(layer_config([(128, 64), (192, 96), (768, 384)], [40, 30, 20]))}
    assert {"RefLocationOffsetLayerId2:1", "SamplePredRefLayerIds2:1", "PhaseHorLuma1:4", "PhaseVerChroma2:24"} <= made
    assert {"QP0:40", "QP1:30", "QP2:20", "LayerSetLayerIdList1:012", "NumLayerInIdList1:3"} <= made


def test_pictures_are_coded_at_multiples_of_8() -> None:
    assert coded_size(38, 24) == (40, 24) and coded_size(2, 2) == (8, 8)


@pytest.mark.parametrize(
    ("sizes", "qps", "message"),
    [
        ([(64, 64)], [30], "two or more layers"),
        ([(32, 32), (64, 64)], [30], "two or more layers with a QP each"),
        ([(31, 32), (64, 64)], [30, 30], "even sides, got 31x32"),
        ([(32, 32), (64, 63)], [30, 30], "even sides, got 64x63"),
        ([(32, 32), (64, 30)], [30, 30], "64x30 is smaller than the 32x32 below"),
    ],
)
def test_layers_that_shm_cannot_code_are_refused(sizes: list[tuple[int, int]], qps: list[int], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        layer_config(sizes, qps)
